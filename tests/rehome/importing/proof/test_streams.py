"""How much of the source's rows is in memory at a time."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from django.db import models
from django.db.models import F, FloatField, Func, IntegerField, JSONField
from django.db.models.functions import Cast

from rehome import Import
from rehome.importing.proof import source
from rehome.importing.proof.source import MOST_ROWS, Source, batches
from tests.rehome.importing.proof.test_proof import prove, said
from tests.rehome.importing.workshop import Workshop

SHORT, LONG, LENGTH = 1_000, 30, 8_000
FEW = 10_000
"""Characters that are enough here; the rows before have far fewer."""


def held(rows: Sequence[tuple[Any, ...]]) -> int:
    return sum(len(value) for row in rows for value in row if isinstance(value, str))


def test_a_batch_ends_where_it_has_enough_rows_or_enough_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "ENOUGH", FEW)
    short, long = [("x", None, 1.5)] * (MOST_ROWS + 100), [("y" * LENGTH, b"", None)] * 5
    found = list(batches(iter([*short, *long, *short])))
    assert [row for batch in found for row in batch] == [*short, *long, *short]
    assert [len(batch) for batch in found] == [MOST_ROWS, 102, 2, 2001, 3100]


@pytest.mark.parametrize("name", ["shop", "mysql_shop"])
def test_long_rows_after_many_short_ones_are_few_at_a_time(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    shop: Workshop = request.getfixturevalue(name)
    shop.older("old.Thing", {"data": models.JSONField()})
    shop.model("new.Thing", {"legacy_id": models.IntegerField(unique=True), "data": models.JSONField()})
    thing, texts = shop.get("old.Thing"), ["x"] * SHORT + ["x" * LENGTH] * LONG
    shop.old("old.Thing").bulk_create([thing(id=n, data=text) for n, text in enumerate(texts, 1)])
    things = Import("old.Thing", "new.Thing", key={"legacy_id": "id"})
    shop.run(things)
    stream, seen = Source.stream, list[int]()

    def counted(*given: Any, **options: Any) -> Iterator[Sequence[tuple[Any, ...]]]:
        for batch in stream(*given, **options):
            seen.append(held(batch))
            yield batch

    monkeypatch.setattr(Source, "stream", counted)
    monkeypatch.setattr(source, "ENOUGH", FEW)
    assert said(prove(shop, things)) == []
    assert sum(seen) > LONG * LENGTH
    assert max(seen) < FEW + LENGTH + 100


def test_floats_and_nulls_come_as_what_they_are(shop: Workshop) -> None:
    fields = {"rate": models.FloatField(null=True), "note": models.JSONField(null=True)}
    shop.older("old.Thing", fields)
    shop.model("new.Thing", {"legacy_id": models.IntegerField(unique=True), **fields})
    for rate, note in ((0.1, "100 %\t\n\\N"), (float("inf"), None), (None, {"a": "ü"})):
        shop.old("old.Thing").create(rate=rate, note=note)
    things = Import("old.Thing", "new.Thing", key={"legacy_id": "id"}, where=models.Q(pk__gt=0))
    shop.run(things)
    assert said(prove(shop, things)) == []
    shop.sql("UPDATE new_thing SET rate = 0.1000000001 WHERE legacy_id = 1")
    shop.sql("UPDATE new_thing SET note = '{}' WHERE legacy_id = 3")
    assert said(prove(shop, things)) == ["1: different in rate", "3: different in note"]


def test_percent_signs_stay_single_in_a_query_without_parameters(shop: Workshop) -> None:
    class Percent(Func):
        template = "to_jsonb(%(expressions)s::text || '%%%%')"
        output_field = JSONField()

    shop.older("old.Thing", {"a": IntegerField(), "b": IntegerField(), "rate": FloatField(null=True, db_column="% d")})
    columns = {"rest": FloatField(), "said": JSONField(), "rate": FloatField(null=True)}
    shop.model("new.Thing", {"legacy_id": IntegerField(unique=True), **columns})
    shop.query("INSERT INTO old_thing (a, b) VALUES (7, 4)")
    rest = {"rest": Cast(F("a") % F("b"), FloatField()), "said": Percent(F("a"))}
    things = Import("old.Thing", "new.Thing", key={"legacy_id": "id"}, fields=rest, discard=["a", "b"])
    shop.run(things)
    assert shop.sql("SELECT rest, said FROM new_thing") == [(3.0, '"7%"')]
    assert said(prove(shop, things)) == []
