"""Amounts of money come as numbers; a value that is too long for a row is named, and can be skipped."""

from pathlib import Path

import pytest
from django.db import models

from rehome import Import
from rehome.errors import ImportFailed
from rehome.importing.sources import postgresql_values, reader
from rehome.importing.verifying import find_runs, verify
from tests.rehome.importing.workshop import Workshop

THINGS = Import("old.Thing", "new.Thing", key={"legacy_id": "id"})


class Money(models.Field):
    def db_type(self, connection: object) -> str:
        return "money"


@pytest.mark.parametrize(
    ("kind", "arrived"),
    [
        (lambda: models.DecimalField(max_digits=12, decimal_places=2), ["1234567.89", "-5.50", "0.00"]),
        (models.TextField, ["1234567.89", "-5.50", "0.00"]),
        (Money, ["$1,234,567.89", "-$5.50", "$0.00"]),
    ],
)
def test_money_comes_as_a_number(shop: Workshop, kind: type, arrived: list[str]) -> None:
    shop.older("old.Thing", {"price": Money()})
    shop.model("new.Thing", {"legacy_id": models.IntegerField(unique=True), "price": kind()})
    shop.query("SET lc_monetary = 'C'")
    shop.query("INSERT INTO old_thing VALUES (1, '1234567.89'), (2, '-5.5'), (3, '0')")
    (report,) = shop.run(THINGS)
    assert report.counts.inserted == 3
    assert [str(price) for (price,) in shop.sql("SELECT price FROM new_thing ORDER BY legacy_id")] == arrived
    assert shop.run(THINGS)[0].counts.unchanged == 3
    ((one, run),) = find_runs([THINGS], "default")
    assert verify(one, run, "default", apps=shop.apps).ok


@pytest.mark.parametrize("field", [models.JSONField, models.DurationField, models.BinaryField])
def test_money_can_be_proved_as_whatever_it_becomes(shop: Workshop, field: type) -> None:
    shop.older("old.Thing", {"price": Money()})
    shop.model("new.Thing", {"legacy_id": models.IntegerField(unique=True), "price": field()})
    shop.query("INSERT INTO old_thing VALUES (1, '1234567.89')")
    shop.run(THINGS)
    ((one, run),) = find_runs([THINGS], "default")
    assert verify(one, run, "default", apps=shop.apps).ok


def make(shop: Workshop) -> None:
    fields = {"file": models.BinaryField(null=True), "note": models.TextField(default="")}
    shop.older("old.Thing", fields)
    shop.model("new.Thing", {"legacy_id": models.IntegerField(unique=True), **fields})


@pytest.mark.parametrize("name", ["shop", "mysql_shop"])
def test_what_is_too_long_is_named_and_skipped(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As below, where rows have a thousandth of that."""
    shop: Workshop = request.getfixturevalue(name)
    make(shop)
    for module in (reader, postgresql_values, *([mysql_values()] if name == "mysql_shop" else [])):
        monkeypatch.setattr(module, "LONGEST", 1_000_000)
    files = shop.old("old.Thing")
    files.create(pk=1, file=b"x" * 100)
    files.create(pk=2, file=b"x" * 550_000)
    if name == "shop":
        # PostgreSQL would read these rows: let it, as if they were as long as those that it refuses.
        shop.sql("ALTER TABLE new_thing ADD CHECK (length(file) < 200)")
    with pytest.raises(ImportFailed, match="1 row cannot be imported"):
        shop.run(THINGS)
    (report,) = shop.run(THINGS, skip_bad=tmp_path / "rejects")
    assert (report.counts.inserted, report.counts.rejected) == (1, 1)
    assert "file" in (said := (tmp_path / "rejects").read_text())
    assert "is too long: 1 MB as text, and a row has at most 1 MB" in said


def test_what_is_too_long_together_is_named_and_skipped(
    mysql_shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(mysql_shop)
    for module in (reader, mysql_values()):
        monkeypatch.setattr(module, "LONGEST", 5_000_000)
    files = mysql_shop.old("old.Thing")
    files.create(pk=1, file=b"x" * 100, note="short")
    files.create(pk=2, file=b"x" * 2_000_000, note="y" * 3_000_000)
    files.create(pk=3, file=b"x" * 2_000_000, note="y" * 100)
    said = r"legacy_id=2: note.*: is too long: 3 MB as text beside 4 MB of other columns, and a row has at most 5 MB"
    with pytest.raises(ImportFailed, match=said):
        mysql_shop.run(THINGS)
    (report,) = mysql_shop.run(THINGS, skip_bad=tmp_path / "rejects")
    assert (report.counts.inserted, report.counts.rejected) == (2, 1)
    lengths = mysql_shop.sql("SELECT legacy_id, length(file), length(note) FROM new_thing ORDER BY 1")
    assert lengths == [(1, 100, 5), (3, 2_000_000, 100)]


def mysql_values() -> object:
    from rehome.importing.sources import mysql_values as module

    return module


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_value_of_550_mb_is_named_and_skipped(shop: Workshop, tmp_path: Path) -> None:
    make(shop)
    shop.old("old.Thing").create(pk=1, file=b"short")
    shop.query("INSERT INTO old_thing (id, file, note) VALUES (2, convert_to(repeat('x', 550000000), 'UTF8'), '')")
    with pytest.raises(ImportFailed, match="legacy_id=2: file.*: is too long: 1,100 MB as text"):
        shop.run(THINGS)
    (report,) = shop.run(THINGS, skip_bad=tmp_path / "rejects")
    assert (report.counts.inserted, report.counts.rejected) == (1, 1)
    # Two that each would do.
    shop.query("UPDATE old_thing SET file = convert_to(repeat('x', 300000000), 'UTF8') WHERE id = 2")
    shop.query("UPDATE old_thing SET note = repeat('y', 500000000) WHERE id = 2")
    with pytest.raises(ImportFailed, match="legacy_id=2: file.*: is too long: 600 MB as text"):
        shop.run(THINGS)
