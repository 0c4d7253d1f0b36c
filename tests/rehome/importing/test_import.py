"""An import between two PostgreSQL databases: the first run, the next ones, and what they leave alone."""

from pathlib import Path
from typing import Any

import pytest
from django.db.models import CharField, DateTimeField, IntegerField, Q, TextField
from django.db.models.functions import Upper

from rehome import Import, Lookup
from tests.rehome.importing.proof.test_proof import prove, said
from tests.rehome.importing.test_rejects import rejected
from tests.rehome.importing.workshop import Workshop

PLACES = Import("old.Place", "new.Place", key={"legacy_id": "id"}, fields={"title": "name", "code": Upper("code")})


def make_places(shop: Workshop) -> None:
    shop.older("old.Place", {"name": CharField(max_length=50, null=True), "code": CharField(max_length=9)})
    fields = {
        "title": CharField(max_length=50, null=True),
        "code": CharField(max_length=9),
        "legacy_id": IntegerField(unique=True, null=True),
        "note": CharField(max_length=50, default="none"),
        "born": DateTimeField(auto_now_add=True),
    }
    shop.model("new.Place", fields)
    shop.old("old.Place").bulk_create(
        [shop.get("old.Place")(id=n, name=f"place\t{n}\\", code=f"p{n}") for n in range(1, 101)]
    )


def test_rows_come_under_their_key_and_the_second_run_touches_none(shop: Workshop) -> None:
    make_places(shop)
    shop.new("new.Place").create(title="made here", code="X")
    (first,) = shop.run(PLACES)
    assert (first.counts.read, first.counts.inserted, first.counts.updated) == (100, 100, 0)
    assert shop.new("new.Place").count() == 101
    found = shop.new("new.Place").get(legacy_id=7)
    assert (found.title, found.code, found.note) == ("place\t7\\", "P7", "none")

    rows = shop.sql("SELECT xmin::text, ctid::text, * FROM new_place ORDER BY id")
    (second,) = shop.run(PLACES)
    assert (second.counts.inserted, second.counts.updated, second.counts.unchanged) == (0, 0, 100)
    assert shop.sql("SELECT xmin::text, ctid::text, * FROM new_place ORDER BY id") == rows


def test_changes_are_brought_over_and_what_is_gone_is_only_told(shop: Workshop) -> None:
    make_places(shop)
    shop.run(PLACES)
    keys = dict(shop.new("new.Place").values_list("legacy_id", "pk"))
    shop.old("old.Place").filter(pk=1).update(name=None)
    shop.old("old.Place").filter(pk__in=[2, 3]).delete()
    shop.old("old.Place").create(id=200, name="late", code="l")
    (report,) = shop.run(PLACES)
    assert (report.counts.inserted, report.counts.updated, report.counts.unchanged) == (1, 1, 97)
    assert (report.counts.gone, report.counts.gone_keys, report.counts.deleted) == (2, ("2", "3"), 0)
    assert shop.new("new.Place").get(legacy_id=1).title is None
    assert {k: v for k, v in shop.new("new.Place").values_list("legacy_id", "pk") if k in keys} == keys

    (report,) = shop.run(PLACES, delete=True)
    assert (report.counts.gone, report.counts.deleted) == (2, 2)
    assert shop.new("new.Place").count() == 99


def test_a_dry_run_does_everything_and_leaves_nothing(shop: Workshop) -> None:
    make_places(shop)
    (report,) = shop.run(PLACES, dry_run=True)
    assert report.counts.inserted == 100
    assert not shop.new("new.Place").exists()


@pytest.mark.parametrize("skip", [False, True])
def test_where_may_choose_no_row_at_all(shop: Workshop, tmp_path: Path, skip: bool) -> None:
    make_places(shop)
    shop.run(PLACES)
    none = Import(*(PLACES.source, PLACES.target), key=PLACES.key, fields=PLACES.fields, where=Q(id__in=[]))
    options = {"skip_bad": tmp_path / "bad"} if skip else {}
    (report,) = shop.run(none, **options)
    assert (report.counts.read, report.counts.gone) == (0, 100)


@pytest.mark.parametrize("among", [{}, Lookup({}, normalise=Upper)])
def test_in_no_values_at_all_nothing_is_found(shop: Workshop, among: Any) -> None:
    make_places(shop)
    shop.old("old.Place").filter(id__gt=2).delete()
    shop.old("old.Place").filter(id=1).update(name="p")
    shop.old("old.Place").filter(id=2).update(name=None)
    places = Import("old.Place", "new.Place", key=PLACES.key, fields=PLACES.fields, lookups={"title": among})
    assert rejected(shop, places) == ["legacy_id=1: title 'p': is not found in the 0 values given"]
    shop.old("old.Place").filter(id=1).update(name=None)
    assert shop.run(places)[0].counts.inserted == 2


@pytest.mark.parametrize(
    ("kind", "one", "other"), [("numeric", "1.0", "1.00"), ("interval", "30 days", "1 mon"), ("jsonb", "1.0", "1.00")]
)
def test_a_key_that_is_written_otherwise_and_still_the_same_row(
    shop: Workshop, kind: str, one: str, other: str
) -> None:
    """As Ada and ada are to a collation of no letter case."""
    shop.older("old.Place", {"code": TextField(), "name": TextField()})
    shop.model("new.Place", {"code": TextField(), "name": TextField()})
    shop.query(f"ALTER TABLE old_place ALTER code TYPE {kind} USING code::{kind}")
    shop.sql(f"ALTER TABLE new_place ALTER code TYPE {kind} USING code::{kind}, ADD UNIQUE (code)")
    shop.query(f"INSERT INTO old_place (code, name) VALUES ('{one}', 'a')")
    places = Import("old.Place", "new.Place", key={"code": "code"})
    shop.run(places)
    shop.query(f"UPDATE old_place SET code = '{other}'")
    (report,) = shop.run(places)
    assert (report.counts.inserted, report.counts.updated, report.counts.gone) == (0, 1, 0)
    assert shop.sql("SELECT code::text FROM new_place") == [(other,)]
    assert said(prove(shop, places)) == []
    assert shop.run(places)[0].counts.unchanged == 1
