"""Rows that cannot be imported: all are named, each with its key, column and reason, and nothing is committed."""

import re
from typing import Any

import pytest
from django.db import models
from django.db.models import CharField, DecimalField, F, IntegerField, Q, TextField

from rehome import Import, Lookup
from rehome.errors import ImportFailed
from tests.rehome.importing.workshop import Workshop

BEYOND = "is outside of what Python has, so that Django could not read the row"


def make(shop: Workshop, old: dict[str, models.Field], new: dict[str, models.Field], **options: Any) -> None:
    shop.older("old.Place", old)
    shop.model("new.Place", {"legacy_id": IntegerField(unique=True, null=True), **new}, **options)


def rejected(shop: Workshop, *imports: Import, **options: Any) -> list[str]:
    """What an import that fails says of its rows; nothing may be left of it, neither here nor at the source."""
    before = shop.sql("SELECT tablename FROM pg_tables WHERE schemaname ~ '^pg_temp'")
    rows = [list(shop.new(declared.target).order_by("pk").values()) for declared in imports]
    with pytest.raises(ImportFailed) as failed:
        shop.run(*imports, **options)
    assert [list(shop.new(declared.target).order_by("pk").values()) for declared in imports] == rows
    assert shop.sql("SELECT tablename FROM pg_tables WHERE schemaname ~ '^pg_temp'") == before
    assert shop.sql(
        "SELECT count(*) FROM pg_proc WHERE proname LIKE 'rehome%' AND pronamespace = pg_my_temp_schema()"
    ) == [(0,)]
    message = str(failed.value)
    assert "Nothing is committed" in message
    prefix = f"  {imports[0]}, "
    return [line.removeprefix(prefix) for line in message.splitlines() if line.startswith("  ")]


def simple(**options: Any) -> Import:
    return Import("old.Place", "new.Place", key={"legacy_id": "id"}, **options)


def test_every_value_that_its_column_does_not_take_is_named(shop: Workshop) -> None:
    old = {"code": CharField(max_length=20), "size": CharField(max_length=20, null=True), "born": TextField(null=True)}
    new = {
        "code": CharField(max_length=3),
        "size": DecimalField(max_digits=4, decimal_places=1),
        "born": models.DateTimeField(null=True),
    }
    make(shop, old, new)
    rows = [
        ("ok", "1.5", None),
        ("long", "1.5", None),
        ("ok", "1.55", "2020-13-01"),
        ("ok", "many", "2020-01-01 10:00"),
        ("ok", "1000", None),
        ("ok", None, None),
        ("ok", "NaN", None),
        ("ok", "-Infinity", "infinity"),
    ]
    shop.old("old.Place").bulk_create(
        [shop.get("old.Place")(id=n, code=c, size=s, born=b) for n, (c, s, b) in enumerate(rows, 1)]
    )
    assert rejected(shop, simple()) == [
        "legacy_id=2: code 'long': is longer than the 3 characters that fit",
        "legacy_id=3: born '2020-13-01': date/time field value out of range: \"2020-13-01\"",
        "legacy_id=3: size '1.55': has more digits, which numeric(4,1) does not keep",
        "legacy_id=4: size 'many': invalid input syntax for type numeric: \"many\"",
        "legacy_id=5: size '1000': has more digits, which numeric(4,1) does not keep",
        "legacy_id=6: size: is null, and the column is NOT NULL",
        f"legacy_id=8: born 'infinity': {BEYOND}",
        "legacy_id=8: size '-Infinity': has more digits, which numeric(4,1) does not keep",
    ]


def test_a_number_that_would_be_rounded_in_silence_is_no_good_row(shop: Workshop) -> None:
    make(shop, {"size": TextField()}, {"size": DecimalField(max_digits=4, decimal_places=1)})
    shop.old("old.Place").create(size="1.50")
    shop.run(simple())
    shop.old("old.Place").create(size="1.55")
    assert rejected(shop, simple()) == ["legacy_id=2: size '1.55': has more digits, which numeric(4,1) does not keep"]


def test_a_date_that_would_lose_its_time_of_day_is_named(shop: Workshop) -> None:
    make(shop, {"born": TextField(null=True)}, {"born": models.DateField(null=True)})
    texts = ["2020-01-02", "2020-01-02 00:00", None, "infinity", "0044-03-15 BC", "2020-01-02 00:00:01", "soon"]
    for number, born in enumerate(texts, 1):
        shop.old("old.Place").create(id=number, born=born)
    assert rejected(shop, simple()) == [
        f"legacy_id=4: born 'infinity': {BEYOND}",
        f"legacy_id=5: born '0044-03-15 00:00:00 BC': {BEYOND}",
        "legacy_id=6: born '2020-01-02 00:00:01': has a time of day, which date does not keep",
        "legacy_id=7: born 'soon': invalid input syntax for type timestamp: \"soon\"",
    ]
    shop.old("old.Place").filter(id__gt=3).delete()
    shop.run(simple())
    found = shop.sql("SELECT legacy_id, born::text FROM new_place ORDER BY 1")
    assert found == list(enumerate(["2020-01-02", "2020-01-02", None], 1))
    (again,) = shop.run(simple())
    assert again.counts.unchanged == 3


def test_what_is_looked_up_is_found_once_or_named(shop: Workshop) -> None:
    shop.model("new.Owner", {"code": CharField(max_length=9)})
    shop.new("new.Owner").bulk_create([shop.get("new.Owner")(code=code) for code in ["a", "b", "b"]])
    owner = models.ForeignKey("new.Owner", models.CASCADE, null=True)
    make(shop, {"owner": TextField(null=True), "kind": TextField()}, {"owner": owner, "kind": CharField(max_length=9)})
    lookups = {"owner": Lookup("new.Owner", by="code"), "kind": Lookup({"A": "active", "O": "old"})}
    for number, (name, kind) in enumerate([("a", "A"), ("b", "A"), ("c", "X"), (None, "O"), ("", "A")], 1):
        shop.old("old.Place").create(id=number, owner=name, kind=kind)
    places = simple(fields={"owner": "owner"}, lookups=lookups)
    assert rejected(shop, places) == [
        "legacy_id=2: owner_id 'b': 2 rows of new.Owner by code have it",
        "legacy_id=3: kind 'X': is not found in the 2 values given",
        "legacy_id=3: owner_id 'c': is not found in new.Owner by code",
        "legacy_id=5: owner_id '': is not found in new.Owner by code",
    ]
    shop.old("old.Place").filter(id__in=[2, 3, 5]).update(owner="a", kind="O")
    shop.run(places)
    assert shop.new("new.Place").filter(owner=None).count() == 1


def test_checks_uniques_and_foreign_keys_are_asked_for_all_rows(shop: Workshop) -> None:
    shop.model("new.Owner", {})
    shop.new("new.Owner").create(id=1)
    new = {
        "size": IntegerField(),
        "code": CharField(max_length=9, unique=True),
        "owner": models.ForeignKey("new.Owner", models.CASCADE, null=True),
    }
    checked = models.CheckConstraint(condition=Q(size__gte=0, size__lt=100), name="sized")
    make(
        shop,
        {"size": IntegerField(), "code": TextField(), "owner_id": IntegerField(null=True)},
        new,
        constraints=[checked],
    )
    rows = [(1, "a", 1), (-1, "b", 1), (5, "c", 2), (5, "d", None), (5, "d", 1), (5, "taken", 1), (100, "e", 9)]
    for number, (size, code, parent) in enumerate(rows, 1):
        shop.old("old.Place").create(id=number, size=size, code=code, owner_id=parent)
    shop.new("new.Place").create(size=1, code="taken")
    found = rejected(shop, simple(fields={"owner": "owner_id"}, lookups={}))
    check = "sized: CHECK (((size >= 0) AND (size < 100)))"
    assert [re.sub(r"new_place_\w+", "UNIQUE", line) for line in found] == [
        f"legacy_id=2: size '-1': violates {check}",
        "legacy_id=3: owner_id '2': refers to no row of public.new_owner",
        "legacy_id=4: code 'd': 2 rows of the source have it, and UNIQUE allows one",
        "legacy_id=5: code 'd': 2 rows of the source have it, and UNIQUE allows one",
        "legacy_id=6: code 'taken': is the value of another row of public.new_place, and UNIQUE allows one",
        "legacy_id=7: owner_id '9': refers to no row of public.new_owner",
        f"legacy_id=7: size '100': violates {check}",
    ]


@pytest.mark.parametrize("unique", [True, False])
def test_a_key_that_is_null_or_comes_twice_is_named(shop: Workshop, *, unique: bool) -> None:
    shop.older("old.Place", {"number": IntegerField(null=True), "name": TextField()})
    shop.model("new.Place", {"legacy_id": IntegerField(unique=unique, null=True), "name": TextField()})
    for number, name in [(1, "a"), (2, "b"), (2, "c"), (None, "d")]:
        shop.old("old.Place").create(number=number, name=name)
    places = Import("old.Place", "new.Place", key={"legacy_id": "number"})
    expected = [
        "legacy_id=2: legacy_id '2': 2 rows of the source have this key",
        "legacy_id=2: legacy_id '2': 2 rows of the source have this key",
        "legacy_id=None: legacy_id: is null, so that no later run could find the row again",
    ]
    assert rejected(shop, places) == expected
    shop.new("new.Place").create(legacy_id=2, name="here")
    assert rejected(shop, places) == expected


def test_a_key_that_two_rows_of_the_target_have_is_named(shop: Workshop) -> None:
    shop.older("old.Place", {"name": TextField()})
    shop.model("new.Place", {"legacy_id": IntegerField(null=True), "name": TextField()})
    shop.old("old.Place").create(id=5, name="new")
    shop.new("new.Place").create(legacy_id=5, name="one")
    shop.new("new.Place").create(legacy_id=5, name="other")
    assert rejected(shop, simple()) == [
        "legacy_id=5: legacy_id '5': is the key of more than one row of public.new_place"
    ]


def test_rows_that_lead_to_a_rejected_row_are_rejected_and_say_so(shop: Workshop) -> None:
    shop.older("old.Owner", {"size": TextField()})
    shop.older("old.Place", {"owner_id": IntegerField()})
    shop.model("new.Owner", {"legacy_id": IntegerField(unique=True), "size": IntegerField()})
    shop.model(
        "new.Place", {"legacy_id": IntegerField(unique=True), "owner": models.ForeignKey("new.Owner", models.CASCADE)}
    )
    for number, size in [(1, "1"), (2, "two"), (3, "3")]:
        shop.old("old.Owner").create(id=number, size=size)
    for number, parent in [(10, 1), (20, 2), (30, 3), (40, 4)]:
        shop.old("old.Place").create(id=number, owner_id=parent)
    owners = Import("old.Owner", "new.Owner", key={"legacy_id": "id"})
    places = simple(fields={"owner": "owner_id"}, lookups={"owner": Lookup("new.Owner", by="legacy_id")})
    found = rejected(shop, owners, places)
    assert found == [
        "legacy_id=2: size 'two': invalid input syntax for type integer: \"two\"",
        f"  {places}, legacy_id=20: owner_id '2': refers to a row of public.new_owner that cannot be imported itself",
        f"  {places}, legacy_id=40: owner_id '4': is not found in new.Owner by legacy_id",
    ]


def test_every_row_of_a_chain_is_rejected_with_its_first(shop: Workshop) -> None:
    shop.older("old.Place", {"parent_id": IntegerField(null=True), "name": TextField(null=True)})
    parent = models.ForeignKey("new.Place", models.CASCADE, null=True)
    shop.model("new.Place", {"legacy_id": IntegerField(unique=True), "name": TextField(), "parent": parent})
    for number, above, name in [(1, None, "root"), (2, 1, None), (3, 2, "c"), (4, 3, "d"), (5, 1, "e"), (6, 77, "f")]:
        shop.old("old.Place").create(id=number, parent_id=above, name=name)
    places = simple(fields={"parent": "parent_id"}, lookups={"parent": Lookup("new.Place", by="legacy_id")})
    assert rejected(shop, places) == [
        "legacy_id=2: name: is null, and the column is NOT NULL",
        "legacy_id=3: parent_id '2': refers to a row of public.new_place that cannot be imported itself",
        "legacy_id=4: parent_id '3': refers to a row of public.new_place that cannot be imported itself",
        "legacy_id=6: parent_id '77': is not found in new.Place by legacy_id",
    ]


def test_twenty_reasons_are_listed_and_the_rest_is_counted(shop: Workshop) -> None:
    make(shop, {"size": TextField()}, {"size": IntegerField()})
    shop.old("old.Place").bulk_create([shop.get("old.Place")(id=n, size=f"s{n}") for n in range(1, 32)])
    found = rejected(shop, simple())
    assert len(found) == 21
    assert found[-1] == "  ... and 11 more; --verbosity 2 names all."
    assert len(rejected(shop, simple(), named=None)) == 31


def test_an_expression_that_the_source_can_not_compute_is_told_as_its_own(shop: Workshop) -> None:
    make(shop, {"size": IntegerField()}, {"size": IntegerField()})
    shop.old("old.Place").create(size=0)
    with pytest.raises(
        ImportFailed, match=r"database 'older' refused a statement: division by zero.*Nothing is committed"
    ):
        shop.run(simple(fields={"size": 1 / F("size")}))
