"""Keys and passwords are written and never shown: a known one is looked for wherever it could come out."""

import logging
from typing import Any
from unittest import mock

import pytest
from django.core import mail, serializers
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError
from django.test import Client

from printers import looking, saving
from printers.fleet.models import Draft, Machine
from printers.models import Printer
from tests.printers.pages.conftest import KEY, Make, make, maren, page

__all__ = ["make", "maren", "page"]  # The fixtures.

PASSWORD = "a password of PrusaLink"
TYPED = {"address": "http://127.0.0.1:9", "key": KEY, "user": "maker", "password": PASSWORD}


def has_secret(text: str) -> bool:
    return KEY in text or PASSWORD in text


def test_no_repr_has_one(make: Make) -> None:
    printer = make(name="Heron", password=PASSWORD)
    endpoint = looking.endpoint_of(printer)
    draft = Draft(user=printer.profile.user, what="add", data=TYPED)

    for one in (printer, printer.machine, endpoint, endpoint.credentials, draft):
        assert not has_secret(f"{one!r} {one}"), type(one)


def test_no_log_line_has_one(make: Make, page: Client, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    caplog.set_level(logging.DEBUG)
    printer = make("http://127.0.0.1:9", name="Heron", password=PASSWORD)

    page.post("/printers/add/", TYPED | {"address": "127.0.0.1:10"})
    page.post("/printers/add/", TYPED | {"address": "nothing like one"})
    page.post(f"/printers/{printer.pk}/edit/", TYPED | {"name": "Heron", "kind": "nonsense"})
    page.post(f"/printers/{printer.pk}/edit/", TYPED | {"name": "Heron", "kind": "octoprint"})
    file = SimpleUploadedFile("a.csv", f"address,key,tags\nx,{KEY},{'t' * 60}\n127.0.0.1:11,{KEY},".encode())
    page.post("/printers/import/", {"file": file}, follow=True)
    page.get(f"/printers/{printer.pk}/now/")

    written = capfd.readouterr()
    # Statements are logged in tests alone, with DEBUG.
    lines = [record.getMessage() for record in caplog.records if record.name != "django.db.backends"]
    assert lines
    assert not has_secret("\n".join(lines) + written.out + written.err)


@pytest.mark.parametrize("path", ["/printers/add/", "/printers/{pk}/edit/"])
def test_no_error_has_one(path: str, make: Make, page: Client, caplog: pytest.LogCaptureFixture, settings: Any) -> None:
    settings.ADMINS = [("farm", "farm@example.com")]
    printer = make("http://127.0.0.1:9", name="Heron", password=PASSWORD)
    page.raise_request_exception = False
    told = RuntimeError("something nobody thought of")

    with (
        mock.patch("printers.clients.asking.find_kind", side_effect=told),
        mock.patch.object(Printer, "save", side_effect=told),
    ):
        response = page.post(
            path.format(pk=printer.pk), TYPED | {"name": "Crane", "kind": "octoprint", "address": "127.0.0.1:12"}
        )

    assert response.status_code == 500
    mails = "\n".join(f"{one.subject} {one.body} {one.alternatives}" for one in mail.outbox)
    assert not has_secret(response.content.decode() + caplog.text + mails)


def test_an_error_of_the_database_names_the_key_and_is_not_handed_on(make: Make) -> None:
    first = make("http://127.0.0.1:9", name="Heron")
    second = Printer(profile=first.profile, ip_address="http://127.0.0.1:9", api_key=KEY)

    with pytest.raises(saving.Taken) as taken:
        saving.save(second, Machine())

    assert taken.value.__cause__ is taken.value.__context__ is None
    assert not has_secret(f"{taken.value!r}")
    with pytest.raises(IntegrityError, match=KEY):  # Else this test would show nothing.
        second.save()


def test_an_export_of_the_admin_and_a_list_have_none(make: Make, page: Client, maren: Any) -> None:
    make("http://127.0.0.1:9", name="Heron", password=PASSWORD)
    for path in ("/printers/", "/printers/?view=tiles", "/printers/export/", "/printers/export/?format=json"):
        assert not has_secret(page.get(path).content.decode()), path
    assert has_secret(serializers.serialize("json", Printer.objects.all()))  # A dump is a dump.


def test_a_password_is_not_sent_where_the_old_side_has_led_the_printer(make: Make) -> None:
    printer = make("http://192.0.2.7", name="Heron", password=PASSWORD)
    assert looking.endpoint_of(printer).credentials.password == PASSWORD

    Printer.objects.filter(pk=printer.pk).update(ip_address="http://192.0.2.99")

    assert looking.endpoint_of(Printer.objects.get(pk=printer.pk)).credentials.password == ""


@pytest.mark.parametrize("typed", ["", "another key"])
def test_a_file_that_gives_a_printer_another_address_brings_its_secrets_along(
    typed: str, make: Make, page: Client
) -> None:
    printer = make("http://127.0.0.1:9", name="Heron")
    rows = f"id,address,key,name\n{printer.pk},http://127.0.0.1:10,{typed},Heron"

    page.post("/printers/import/", {"file": SimpleUploadedFile("a.csv", rows.encode())}, follow=True)

    (line,) = Draft.objects.get().data["lines"]
    former = "The key of this printer was for its former address: write it anew."
    assert (former in line["why"]) == (not typed)
    assert (line["verdict"] == "wrong") == (not typed)
