"""The demo's memory must notice what a broken rollback would do."""

import pytest

from portal.models import Printer
from scripts.record import Record

pytestmark = pytest.mark.django_db


def test_what_is_as_it_was_written_is_not_lost() -> None:
    record = Record()
    kept = record.insert(Printer, ip_address="192.0.2.1", api_key="1")
    record.update(Printer, [kept], ping=True)
    record.change_key(Printer, kept, 500)
    record.delete(Printer, record.insert(Printer, ip_address="192.0.2.2", api_key="2"))

    assert record.lost_from(Printer) == []
    assert record.rows["printer"][500] == {
        "id": 500, "profile_id": None, "ip_address": "192.0.2.1", "api_key": "1", "ping": True, "printing": False,
    }  # fmt: skip


def test_a_row_that_is_gone_another_that_is_back_and_a_changed_value_are_named() -> None:
    record = Record()
    for key in (1, 2, 3):
        record.insert(Printer, id=key, ip_address="192.0.2.1", api_key=str(key))
    record.delete(Printer, 2)

    Printer.objects.filter(pk=1).delete()
    Printer.objects.create(id=2, ip_address="192.0.2.1", api_key="back")
    Printer.objects.filter(pk=3).update(api_key="")

    assert record.lost_from(Printer) == [
        "portal.Printer 1 was written and is gone.",
        "portal.Printer 2 was deleted and is there.",
        "portal.Printer 3 has api_key='', not '3'.",
    ]


def test_a_write_that_reaches_no_row_is_an_error() -> None:
    with pytest.raises(LookupError, match="0 rows were written instead of 1"):
        Record().update(Printer, 1, ping=True)
