"""A value that Django could not read back is named, and does not come in."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.postgres.fields import ArrayField, DateRangeField, DateTimeRangeField
from django.db import models

from rehome import Import
from rehome.errors import ImportFailed
from tests.rehome.importing.workshop import Workshop

pytestmark = pytest.mark.server

MOMENT, DAY = models.DateTimeField(null=True), models.DateField(null=True)
KINDS = [
    ("timestamptz", MOMENT, "infinity", "2024-01-01 00:00+00"),
    ("timestamptz", MOMENT, "12024-01-01 00:00+00", "9999-12-31 23:59:59.999999+00"),
    ("timestamptz", MOMENT, "0044-03-15 00:00+00 BC", "0001-01-01 00:00+00"),
    ("date", DAY, "-infinity", "0001-01-01"),
    ("date", DAY, "0044-03-15 BC", "9999-12-31"),
    ("time", models.TimeField(null=True), "24:00:00", "23:59:59.999999"),
    ("interval", models.DurationField(null=True), "178000000 years", "999999999 days"),
    ("date[]", ArrayField(DAY, null=True), "{2024-01-01,infinity}", "{2024-01-01,NULL}"),
    ("daterange", DateRangeField(null=True), "[2024-01-01,infinity)", "[2024-01-01,)"),
    ("tstzrange", DateTimeRangeField(null=True), "[-infinity,2024-01-01)", "(,2024-01-01)"),
]


@pytest.mark.parametrize(("kind", "field", "bad", "good"), KINDS, ids=[f"{k} {b}" for k, _, b, _ in KINDS])
def test_it_is_named_and_what_is_next_to_it_comes_in(
    shop: Workshop, tmp_path: Path, kind: str, field: Any, bad: str, good: str
) -> None:
    shop.query(f"CREATE TABLE old_thing (id int PRIMARY KEY, value {kind})")
    shop.query("INSERT INTO old_thing VALUES (1, %s), (2, %s), (3, NULL)", [bad, good])
    shop.older("old.Thing", {"value": field.clone()}, managed=False, db_table="old_thing")
    shop.model("new.Thing", {"legacy_id": models.IntegerField(unique=True), "value": field.clone()})
    things = Import("old.Thing", "new.Thing", key={"legacy_id": "id"})

    with pytest.raises(ImportFailed, match=r"legacy_id=1: value .* is outside of what Python has"):
        shop.run(things)
    (report,) = shop.run(things, skip_bad=tmp_path / "bad")

    assert report.counts.rejected == 1
    found = {thing.legacy_id: thing.value for thing in shop.new("new.Thing")}
    assert found.keys() == {2, 3}
    assert found[3] is None
