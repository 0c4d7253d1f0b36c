"""A declaration that is wrong is refused by name, before a row is read."""

import datetime
from typing import Any

import pytest
from django.db import models
from django.db.models import F, Value
from django.db.models.functions import Lower, TruncDate, TruncTime

from rehome import Import, Lookup
from rehome.errors import RehomeError
from rehome.importing import running
from rehome.importing.running import Options
from tests.rehome.importing.workshop import Workshop

KEY = {"legacy_id": "id"}


def declare(**changes: Any) -> Import:
    given = {"key": KEY, "fields": {"title": "name"}} | changes
    return Import(given.pop("source", "old.Thing"), given.pop("target", "new.Thing"), **given)


@pytest.fixture
def things(shop: Workshop) -> Workshop:
    shop.older("old.Thing", {"name": models.TextField(), "data": models.JSONField(null=True)})
    data, legacy_id = models.JSONField(null=True), models.IntegerField(null=True)
    fields = {"title": models.TextField(), "legacy_id": legacy_id, "data": data}
    up = models.GeneratedField(expression=Lower("title"), output_field=models.TextField(), db_persist=True)
    shop.model("new.Thing", fields | {"up": up})
    shop.model("new.Kind", {"name": models.TextField()})
    shop.model("new.Unmade", {"legacy_id": models.IntegerField()}, managed=False)
    return shop


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"key": {}}, r"Import\('old.Thing', 'new.Thing'\) has no key."),
        ({"source": "old.Nothing"}, "'old.Nothing' is no model of an installed app"),
        ({"target": "new.Nothing"}, "'new.Nothing' is no model"),
        ({"target": "new.Unmade"}, "new.Unmade has no table 'new_unmade'"),
        ({"key": {"legacy": "id"}}, "new.Thing has no field 'legacy'"),
        ({"key": {"legacy_id": "number"}}, "legacy_id can't be read from old.Thing: .*'number'"),
        ({"fields": {"titel": "name"}}, "new.Thing has no field 'titel'"),
        ({"fields": {"title": "nam"}}, "title can't be read from old.Thing: .*'nam'"),
        ({"fields": {"title": "name__first"}}, "title can't be read from old.Thing: .*'first'"),
        ({"fields": {"title": Lower("nam")}}, "title can't be read from old.Thing: .*'nam'"),
        ({"fields": {"title": F("other__name")}}, "title can't be read from old.Thing: .*'other'"),
        ({"fields": {"title": "name", "up": Lower("name")}}, "new.Thing.up is generated"),
        ({"fields": {}}, "gives no value for new.Thing.title"),
        ({"lookups": {"nothing": {1: 2}}}, "'nothing', which lookups"),
        (
            {"key": {"id": "id"}, "fields": {"title": "name", "legacy_id": "id"}, "lookups": {"id": {1: "x"}}},
            "id cannot be 'x'",
        ),
        ({"lookups": {"id": {1: 2}}}, "'id', which lookups"),
        ({"lookups": {"title": Lookup("new.Nothing", by="legacy_id")}}, "'new.Nothing' is no model"),
        ({"lookups": {"title": Lookup("new.Kind", by="number")}}, "looks title up in new.Kind by .*'number'"),
        (
            {"lookups": {"title": Lookup("new.Kind", by="name", gives="number")}},
            "looks title up in new.Kind by .*'number'",
        ),
        ({"lookups": {"title": Lookup("new.Unmade", by="legacy_id")}}, "new.Unmade has no table"),
        ({"discard": ["number"]}, "old.Thing has no field 'number', which discard"),
        ({"where": models.Q(number=1)}, "where can't be read from old.Thing: .*'number'"),
        ({"fields": {"title": Value("all")}}, "the import does not read old.Thing.name"),
    ],
)
def test_what_is_wrong_is_named(things: Workshop, changes: dict[str, Any], said: str) -> None:
    things.query("ALTER TABLE old_thing RENAME TO out_of_sight")
    with pytest.raises(RehomeError, match=said):
        things.run(declare(**changes))


def test_source_and_target_must_be_two_databases(things: Workshop) -> None:
    with pytest.raises(RehomeError, match="'default' is both"):
        running.run([declare()], Options(), source="default", apps=things.apps)


def test_two_imports_of_one_name_would_take_each_others_rows_for_gone(things: Workshop) -> None:
    with pytest.raises(RehomeError, match="old.Thing -> new.Thing is declared twice"):
        things.run(declare(), declare(where=models.Q(name="a")))


def test_two_imports_of_the_same_rows_are_refused(things: Workshop) -> None:
    things.older("old.Other", {"name": models.TextField()})
    others = Import("old.Other", "new.Thing", key=KEY, fields={"title": "name"})
    with pytest.raises(RehomeError, match="and old.Other -> new.Thing find rows by the same key"):
        things.run(declare(), others)
    others.shared = True
    things.run(declare(), others)


def test_a_command_without_imports_says_so() -> None:
    with pytest.raises(RehomeError, match="This command has no imports"):
        running.run([], Options())


def test_none_can_not_be_looked_up() -> None:
    with pytest.raises(RehomeError, match="None among its values"):
        Lookup({None: "unknown"})


@pytest.mark.parametrize(("field", "cure"), [(models.DateField, TruncDate), (models.TimeField, TruncTime)])
def test_a_moment_is_not_cut_to_a_part_of_it_in_silence(
    shop: Workshop, field: type[models.Field], cure: type[TruncDate]
) -> None:
    shop.older("old.Visit", {"at": models.DateTimeField()})
    shop.model(
        "new.Visit", {"legacy_id": models.IntegerField(unique=True), "at": field(), "note": models.TextField(null=True)}
    )
    moment = datetime.datetime(2024, 1, 31, 23, 30, tzinfo=datetime.UTC)
    shop.old("old.Visit").create(at=moment)
    with pytest.raises(RehomeError, match=f"a date with a time, and at keeps only a part of it.*{cure.__name__}"):
        shop.run(Import("old.Visit", "new.Visit", key=KEY))
    shop.run(Import("old.Visit", "new.Visit", key=KEY, fields={"at": cure("at"), "note": Value(None)}))
    assert shop.new("new.Visit").get().at in {moment.date(), moment.time()}
