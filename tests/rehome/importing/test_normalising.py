"""A text that a lookup's `normalise` does not take: the source's is a reject, any other is named in an error."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, models
from django.db.models import CharField, Func, IntegerField, TextField, Value
from django.db.models.functions import Cast

from rehome import Import, Lookup
from rehome.errors import ImportFailed
from tests.rehome.importing.proof.test_proof import prove, said
from tests.rehome.importing.test_rejects import rejected
from tests.rehome.importing.workshop import OLDER, Workshop

KINDS: dict[str, tuple[models.Field, str, str, str, str]] = {
    "a moment": (
        models.DateTimeField(), "2024-06-01 10:00:00+00", "2024-06-01 10:00Z", "soon",
        'invalid input syntax for type timestamp with time zone: "soon"',
    ),
    "a moment that never is": (
        models.DateTimeField(), "2024-06-01 10:00:00+00", "2024-06-01 10:00Z", "2024-02-30",
        'date/time field value out of range: "2024-02-30"',
    ),
    "a day": (models.DateField(), "2024-06-01", "1 June 2024", "0", 'invalid input syntax for type date: "0"'),
    "a time": (models.TimeField(), "10:00", "10:00:00", "25:00", 'date/time field value out of range: "25:00"'),
    "a number": (IntegerField(), "7", "007", "many", 'invalid input syntax for type integer: "many"'),
    "a large number": (IntegerField(), "7", "+7", "9999999999", 'value "9999999999" is out of range for type integer'),
    "a fraction": (
        models.DecimalField(max_digits=9, decimal_places=2), "1.50", "1.5", "1,5",
        'invalid input syntax for type numeric: "1,5"',
    ),
    "a uuid": (
        models.UUIDField(), str(uuid.UUID(int=1)), uuid.UUID(int=1).hex, "no",
        'invalid input syntax for type uuid: "no"'
    ),
    "a truth": (models.BooleanField(), "true", "yes", "perhaps", 'invalid input syntax for type boolean: "perhaps"'),
    "an empty text": (IntegerField(), "7", "7", "", 'invalid input syntax for type integer: ""'),
}  # fmt: skip


def cast(kind: models.Field) -> Callable[[Any], Any]:
    return lambda value: Cast(value, kind)


NUMBER = cast(IntegerField())


def make(shop: Workshop, known: str, normalise: Callable[[Any], Any], **texts: str) -> Import:
    """Things with a text that leads to the one row that is known."""
    shop.model("new.Known", {"code": CharField(max_length=40)})
    shop.new("new.Known").create(code=known)
    shop.older("old.Thing", {"text": TextField(null=True)})
    for number, text in enumerate(texts.values(), 1):
        shop.old("old.Thing").create(id=number, text=text)
    reference = models.ForeignKey("new.Known", models.CASCADE, null=True)
    shop.model("new.Thing", {"legacy_id": IntegerField(unique=True), "known": reference})
    lookup = Lookup("new.Known", by="code", normalise=normalise)
    return Import(
        "old.Thing", "new.Thing", key={"legacy_id": "id"}, fields={"known": "text"}, lookups={"known": lookup}
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_it_is_a_reject(shop: Workshop, tmp_path: Path, kind: str, zone: str) -> None:
    field, known, good, bad, reason = KINDS[kind]
    connections[OLDER].settings_dict["TIME_ZONE"] = zone
    connections[OLDER].close()
    for setting in ("timezone", "timezone_name"):
        vars(connections[OLDER]).pop(setting, None)
    things = make(shop, known, cast(field), good=good, bad=bad)
    shop.old("old.Thing").create(id=3, text=None)

    assert rejected(shop, things) == [f"legacy_id=2: known_id '{bad}': {reason}"]
    (report,) = shop.run(things, skip_bad=tmp_path / "bad")

    assert (report.counts.inserted, report.counts.rejected) == (2, 1)
    (line,) = (tmp_path / "bad").read_text().splitlines()
    assert json.loads(line) == {
        "import": str(things), "key": {"legacy_id": "2"}, "column": "known_id", "reason": reason, "value": bad,
    }  # fmt: skip
    assert said(prove(shop, things)) == ["2: missing"]
    shop.old("old.Thing").filter(id=2).update(text=good)
    (report,) = shop.run(things, from_rejects=tmp_path / "bad", skip_bad=tmp_path / "bad")
    assert report.counts.inserted == 1
    assert said(prove(shop, things)) == []


REFUSALS = {
    "a function": (
        "CREATE FUNCTION plain(given text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS "
        "$$ BEGIN IF given = 'bad' THEN RAISE 'no % here', given; END IF; RETURN lower(given); END $$",
        "no bad here",
    ),
    "a domain": (
        "CREATE DOMAIN plain AS text CHECK (value <> 'bad')",
        'value for domain plain violates check constraint "plain_check"',
    ),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_one_that_the_database_itself_refuses_is_a_reject_and_can_be_proved(
    shop: Workshop, tmp_path: Path, kind: str
) -> None:
    made, reason = REFUSALS[kind]
    shop.sql(made)
    try:
        things = make(shop, "a", lambda value: Func(value, function="plain", output_field=TextField()), a="a", b="bad")
        assert rejected(shop, things) == [f"legacy_id=2: known_id 'bad': {reason}"]
        shop.run(things, skip_bad=tmp_path / "bad")
        assert said(prove(shop, things)) == ["2: missing"]
    finally:
        shop.sql(f"DROP {made.split()[1]} plain")


def test_one_by_which_others_are_looked_up_is_asked_once_and_not_for_each_of_them(
    shop: Workshop, tmp_path: Path
) -> None:
    shop.sql("CREATE SEQUENCE asked")
    shop.sql(
        "CREATE FUNCTION counted(given text) RETURNS int LANGUAGE plpgsql STABLE AS "
        "$$ BEGIN PERFORM nextval('asked'); RETURN given::int; END $$"
    )
    try:
        shop.older("old.Owner", {"code": TextField(), "age": TextField()})
        shop.older("old.Place", {"owner": TextField()})
        shop.model("new.Owner", {"legacy_id": IntegerField(unique=True), "code": TextField(), "age": IntegerField()})
        owner = models.ForeignKey("new.Owner", models.CASCADE)
        shop.model("new.Place", {"legacy_id": IntegerField(unique=True), "owner": owner})
        for code in range(rows := 60):
            shop.old("old.Owner").create(code=code, age="old")
            shop.old("old.Place").create(owner=code)
        lookup = Lookup("new.Owner", by="code", normalise=lambda value: Func(value, function="counted"))
        owners = Import("old.Owner", "new.Owner", key={"legacy_id": "id"})
        places = Import("old.Place", "new.Place", key={"legacy_id": "id"}, lookups={"owner": lookup})
        shop.run(owners, places, skip_bad=tmp_path / "bad")
        ((asked,),) = shop.sql("SELECT last_value FROM asked")
        assert asked < rows * rows
    finally:
        shop.sql("DROP FUNCTION counted")
        shop.sql("DROP SEQUENCE asked")


def test_one_of_mysqls_is_a_reject(mysql_shop: Workshop) -> None:
    things = make(mysql_shop, "2024-06-01 10:00:00+00", cast(models.DateTimeField()), bad="0000-00-00 00:00:00")
    assert rejected(mysql_shop, things) == [
        "legacy_id=1: known_id '0000-00-00 00:00:00': date/time field value out of range: \"0000-00-00 00:00:00\""
    ]


def test_in_a_key_it_leaves_the_row_that_it_may_be(shop: Workshop, tmp_path: Path) -> None:
    known = make(shop, "7", NUMBER, one="07", two="7").lookups
    shop.model("new.Part", {"n": IntegerField(), "known": models.ForeignKey("new.Known", models.CASCADE)})
    parts = Import("old.Thing", "new.Part", key={"n": "id", "known": "text"}, lookups=known)
    shop.run(parts)
    shop.old("old.Thing").filter(id=1).update(text="seven")

    (report,) = shop.run(parts, skip_bad=tmp_path / "bad", delete=True)

    assert (report.counts.rejected, report.counts.gone) == (1, 0)
    assert shop.sql("SELECT n FROM new_part ORDER BY n") == [(1,), (2,)]


def test_a_row_that_others_are_looked_up_by_is_a_reject(shop: Workshop, tmp_path: Path) -> None:
    shop.older("old.Node", {"code": TextField(), "up": TextField(null=True)})
    parent = models.ForeignKey("self", models.SET_NULL, null=True)
    shop.model("new.Node", {"legacy_id": IntegerField(unique=True), "code": CharField(max_length=9), "parent": parent})
    for number, (code, up) in enumerate([("1", None), ("2", "01"), ("x", None), ("4", "y")], 1):
        shop.old("old.Node").create(id=number, code=code, up=up)
    nodes = Import(
        "old.Node", "new.Node", key={"legacy_id": "id"}, fields={"parent": "up"},
        lookups={"parent": Lookup("new.Node", by="code", normalise=NUMBER)},
    )  # fmt: skip
    wrong = "invalid input syntax for type integer"
    assert rejected(shop, nodes) == [
        f"legacy_id=3: code 'x': {wrong}: \"x\", and parent_id is looked up in new.Node by code",
        f"legacy_id=4: parent_id 'y': {wrong}: \"y\"",
    ]
    shop.run(nodes, skip_bad=tmp_path / "bad")
    assert shop.sql("SELECT n.code, p.code FROM new_node n LEFT JOIN new_node p ON p.id = n.parent_id ORDER BY 1") == [
        ("1", None),
        ("2", "1"),
    ]


def test_a_row_that_is_left_out_is_found_among_others_that_it_does_not_take(shop: Workshop) -> None:
    shop.older("old.Owner", {"code": TextField(), "age": TextField()})
    shop.older("old.Place", {"owner": TextField()})
    shop.model("new.Owner", {"legacy_id": IntegerField(unique=True), "code": TextField(), "age": IntegerField()})
    owner = models.ForeignKey("new.Owner", models.CASCADE)
    shop.model("new.Place", {"legacy_id": IntegerField(unique=True), "owner": owner})
    for code in ("8", "x"):
        shop.old("old.Owner").create(code=code, age="old")
    for code in ("08", "y"):
        shop.old("old.Place").create(owner=code)
    lookup = Lookup("new.Owner", by="code", normalise=NUMBER)
    owners = Import("old.Owner", "new.Owner", key={"legacy_id": "id"})
    places = Import("old.Place", "new.Place", key={"legacy_id": "id"}, lookups={"owner": lookup})
    found = rejected(shop, owners, places)
    assert [line.partition("new.Place, ")[2] for line in found[2:]] == [
        "legacy_id=1: owner_id '08': refers to a row of public.new_owner that cannot be imported itself",
        "legacy_id=2: owner_id 'y': invalid input syntax for type integer: \"y\"",
    ]


@pytest.mark.parametrize("where", ["database 'default'", "the declaration"])
def test_one_that_no_row_of_the_source_is_to_blame_for_is_named_with_its_place(
    shop: Workshop, tmp_path: Path, where: str
) -> None:
    things = make(shop, "seven", NUMBER, one="7")
    if where == "the declaration":
        things.lookups = {"known": Lookup({"seven": 1}, normalise=NUMBER)}
    with pytest.raises(ImportFailed) as failed:
        shop.run(things, skip_bad=tmp_path / "bad")
    assert (
        f"{things} looks known_id up in {things.lookups['known']}, and {where} has 'seven', which the lookup's "
        'normalise does not take: invalid input syntax for type integer: "seven". Nothing is committed; correct'
    ) in str(failed.value)


def test_a_constant_of_the_key_is_named(shop: Workshop, tmp_path: Path) -> None:
    known = make(shop, "7", NUMBER, one="7").lookups
    shop.model("new.Part", {"n": IntegerField(), "known": models.ForeignKey("new.Known", models.CASCADE)})
    parts = Import("old.Thing", "new.Part", key={"n": "id", "known": Value("seven")}, lookups=known, discard=["text"])
    with pytest.raises(ImportFailed, match="the declaration has 'seven', which the lookup's normalise does not take"):
        shop.run(parts, skip_bad=tmp_path / "bad")
