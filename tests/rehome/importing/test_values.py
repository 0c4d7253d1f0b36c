"""Every value arrives as it was, whatever its type and however the two servers like to print it."""

import datetime
from typing import Any

import pytest
from django.contrib.postgres.fields import ArrayField, DateTimeRangeField, IntegerRangeField
from django.db import connections, models
from django.db.models import Case, F, Func, IntegerField, Q, Value, When
from django.db.models.functions import Coalesce, Concat, Upper

from rehome import Import, Lookup
from rehome.errors import ImportFailed
from tests.rehome.importing.workshop import Workshop

ODD = [
    "", " ", "\t", "\n", "\r\n", "\\", "\\N", "\\.", "\n\\.\n", "a\\tb", "'\"$$%s%%", "\u200c\u06cc\u064a",
    "\U0001f5a8", "\x01\x7f", None,
]  # fmt: skip


def own_type(name: str) -> type[models.Field]:
    return type("OwnField", (models.TextField,), {"db_type": lambda self, connection: name})


Odd = {
    "interval": own_type("interval"),
    "time with time zone": own_type("timetz"),
    "double precision": own_type("double precision"),
    "numeric": own_type("numeric"),
    "json": own_type("json"),
    "timestamp": own_type("timestamp"),
    "mood": own_type("mood"),
    "upper_text": own_type("upper_text"),
    "inet": own_type("inet"),
    "bit varying": own_type("bit varying"),
    "text[]": own_type("text[]"),
    "mood[]": own_type("mood[]"),
    "date": own_type("date"),
    "timestamptz": own_type("timestamptz"),
    "int4multirange": own_type("int4multirange"),
    "real": own_type("real"),
}


def copy_all(
    shop: Workshop, fields: dict[str, models.Field], rows: list[str], *, types: bool = False
) -> list[tuple[Any, ...]]:
    """Import rows, given as SQL, into a table with the same columns in another order; returns them as text."""
    for run in (shop.query, shop.sql) if types else ():
        run("CREATE TYPE mood AS ENUM ('sad', 'so so', 'glad')")
        run("CREATE DOMAIN upper_text AS text CHECK (value = upper(value))")
    shop.older("old.Thing", {name: field.clone() for name, field in fields.items()})
    turned = dict(reversed(fields.items()))
    shop.model("new.Thing", {"legacy_id": models.IntegerField(null=True), **{n: f.clone() for n, f in turned.items()}})
    shop.sql("ALTER TABLE new_thing ADD COLUMN gone text")
    shop.sql("ALTER TABLE new_thing DROP COLUMN gone")
    names = ", ".join(fields)
    for number, row in enumerate(rows, 1):
        shop.query(f"INSERT INTO old_thing (id, {names}) VALUES ({number}, {row})")
    declared = Import("old.Thing", "new.Thing", key={"legacy_id": "id"})
    shop.run(declared)
    assert shop.run(declared)[0].counts.unchanged == len(rows)
    text = ", ".join(f"{name}::text" for name in fields)
    came = shop.sql(f"SELECT {text} FROM new_thing ORDER BY legacy_id")
    connections[shop.source].close()  # what the database sets for every session, but for what Django sets
    assert len(came) == len(rows)
    return came


def test_text_of_any_kind(shop: Workshop) -> None:
    shop.older("old.Thing", {"name": models.TextField(null=True), "code": models.CharField(max_length=9, default="")})
    fields = {"code": models.CharField(max_length=9), "name": models.TextField(null=True)}
    shop.model("new.Thing", {**fields, "legacy_id": models.IntegerField()})
    old = shop.get("old.Thing")
    shop.old("old.Thing").bulk_create([old(pk=number, name=name) for number, name in enumerate(ODD)])
    shop.run(Import("old.Thing", "new.Thing", key={"legacy_id": "id"}))
    assert list(shop.new("new.Thing").order_by("legacy_id").values_list("name", flat=True)) == ODD


def test_what_only_postgresql_has(shop: Workshop) -> None:
    fields = {f"f{number}": kind(null=True) for number, kind in enumerate(Odd.values())}
    full = (
        "'-1 years -2 mons +3 days -04:05:06.789', '12:00:00.5+03:30', 'NaN', repeat('9', 200)::numeric + 0.000100, "
        "'{\"b\": 1,  \"a\": [null]}', '0044-03-15 12:00', 'so so', 'TEXT', '10.0.0.1/8', B'0101', "
        "ARRAY['a,b', NULL, '\"', '\\', ''], ARRAY['glad', NULL]::mood[], '0001-01-01', '9999-12-31 23:59+00', "
        "'{[1,3), [5,)}', 0.1"
    )
    odd = (
        "NULL, NULL, '-Infinity', 'NaN', NULL, '9999-12-31 23:59', NULL, NULL, NULL, NULL, '{{a,b},{c,d}}', NULL, "
        "'0044-03-15', '0044-03-15 12:00:00.123456+00', '{}', 'Infinity'"
    )
    less = "NULL, NULL, '-0', '-1e-300', NULL, NULL, NULL, NULL, NULL, '', '{}', '{}', NULL, NULL, NULL, '-0'"
    for run in (shop.query, shop.sql):
        run("SET datestyle = 'ISO, MDY'")
    (name,) = shop.query("SELECT current_database()")[0]
    settings = {"datestyle": "'SQL, DMY'", "intervalstyle": "sql_standard", "extra_float_digits": "-15"}
    for setting, value in settings.items():
        shop.query(f'ALTER DATABASE "{name}" SET {setting} = {value}')
    connections[shop.source].close()
    try:
        came = copy_all(shop, fields, [full, odd, less], types=True)
        shop.query("SET datestyle = 'ISO, MDY'")
        shop.query("SET intervalstyle = 'postgres'")
        shop.query("SET extra_float_digits = 1")
        wanted = shop.query(f"SELECT {', '.join(f'{name}::text' for name in fields)} FROM old_thing ORDER BY id")
        assert came == wanted
    finally:
        shop.query(f'ALTER DATABASE "{name}" RESET ALL')
        connections[shop.source].close()


def test_fields_of_django(shop: Workshop) -> None:
    fields = {
        "number": models.BigIntegerField(null=True),
        "price": models.DecimalField(max_digits=30, decimal_places=5, null=True),
        "ok": models.BooleanField(null=True),
        "blob": models.BinaryField(null=True),
        "data": models.JSONField(null=True),
        "many": ArrayField(models.CharField(max_length=5), null=True),
        "span": IntegerRangeField(null=True),
        "while_": DateTimeRangeField(null=True),
        "duration": models.DurationField(null=True),
        "moment": models.DateTimeField(null=True),
        "key": models.UUIDField(null=True),
        "ip": models.GenericIPAddressField(null=True),
    }
    full = (
        "-9223372036854775808, -1234567890123456789012345.12345, true, '\\x00ff5c2e0a', "
        "'{\"a\": [1, null, \"\\u06cc\\n\"], \"b\": 1e400}', ARRAY['a', NULL, 'b\\'], '[1,5)', "
        "'[2000-01-01 00:00+03:30,)', '-00:00:00.000001', '1900-01-01 00:00:00.000001+03:30', "
        "'00000000-0000-0000-0000-000000000001', '::ffff:10.0.0.1'"
    )
    (came, empty) = copy_all(shop, fields, [full, ", ".join(["NULL"] * len(fields))])
    assert set(empty) == {None}
    assert came == shop.query(f"SELECT {', '.join(f'{name}::text' for name in fields)} FROM old_thing WHERE id = 1")[0]


def test_times_without_a_zone_are_those_of_the_source(shop: Workshop) -> None:
    shop.older("old.Thing", {"moment": Odd["timestamp"](), "local": models.DateTimeField()})
    fields = {"moment": models.DateTimeField(), "local": Odd["timestamp"](), "legacy_id": models.IntegerField()}
    shop.model("new.Thing", fields)
    shop.query("INSERT INTO old_thing VALUES (1, '2020-07-01 12:00', '2020-07-01 12:00+00')")
    source = connections[shop.source]
    source.close()
    source.settings_dict["TIME_ZONE"] = "Asia/Tehran"
    for cached in ("timezone", "timezone_name"):
        vars(source).pop(cached, None)
    shop.run(Import("old.Thing", "new.Thing", key={"legacy_id": "id"}))
    thing = shop.new("new.Thing").get()
    assert thing.moment == datetime.datetime(2020, 7, 1, 7, 30, tzinfo=datetime.UTC)
    assert shop.sql("SELECT local::text FROM new_thing") == [("2020-07-01 16:30:00",)]


def test_values_are_mapped_and_computed_at_the_source(shop: Workshop) -> None:
    shop.older("old.City", {"name": models.CharField(max_length=20)})
    shop.older("old.Address", {"city": models.ForeignKey("old.City", models.CASCADE, null=True)})
    shop.older(
        "old.Person",
        {
            "first": models.CharField(max_length=20), "last": models.CharField(max_length=20, null=True),
            "state": models.CharField(max_length=1, null=True), "active": models.BooleanField(),
            "level": models.IntegerField(), "fax": models.TextField(default=""),
            "address": models.ForeignKey("old.Address", models.CASCADE, null=True),
        },
    )  # fmt: skip
    shop.model(
        "new.Person",
        {
            "legacy_id": models.IntegerField(), "name": models.CharField(max_length=60),
            "state": models.CharField(max_length=20, null=True), "flag": models.CharField(max_length=5),
            "level": models.CharField(max_length=9), "city": models.CharField(max_length=20, null=True),
            "kind": models.CharField(max_length=9), "joined": models.DateField(auto_now_add=True),
            "seen": models.DateTimeField(auto_now=True), "tags": ArrayField(models.TextField(), null=True),
            "note": models.TextField(default="new"), "count": models.IntegerField(db_default=7),
        },
    )  # fmt: skip
    city = shop.old("old.City").create(name="Shiraz")
    address = shop.old("old.Address").create(city=city)
    person = shop.old("old.Person")
    person.create(pk=1, first="Ada", last="L", state="A", active=True, level=1, address=address)
    person.create(pk=2, first="Bob", last=None, state=None, active=False, level=2)
    person.create(pk=3, first="Eve", last="X", state="B", active=True, level=3)
    person.create(pk=4, first="Not", last="chosen", state="B", active=True, level=99)
    people = Import(
        "old.Person",
        "new.Person",
        key={"legacy_id": "id"},
        fields={
            "name": Concat("first", Value(" "), Coalesce("last", Value("?"))),
            "state": "state",
            "flag": "active",
            "level": Case(When(level__gt=2, then=F("level") * 10), default="level"),
            "city": Upper("address__city__name"),
            "kind": Value("person"),
            "tags": "state",
        },
        lookups={
            "state": {"A": "active", "B": None},
            "flag": {True: "yes", False: "no"},
            "level": {1: "one", 2: "two", 30: "thirty"},
            "tags": Lookup({"A": ["a", "b"], "B": []}),
        },
        where=Q(level__lt=50),
        discard=["fax"],
    )
    shop.run(people)
    rows = shop.new("new.Person").order_by("legacy_id").values_list("name", "state", "flag", "level", "city", "tags")
    assert list(rows) == [
        ("Ada L", "active", "yes", "one", "SHIRAZ", ["a", "b"]),
        ("Bob ?", None, "no", "two", None, None),
        ("Eve X", None, "yes", "thirty", None, []),
    ]
    one = shop.new("new.Person").get(legacy_id=1)
    assert (one.kind, one.note, one.count, one.joined) == ("person", "new", 7, one.seen.date())


def test_constants_are_of_the_targets_type(shop: Workshop) -> None:
    shop.older("old.Thing", {"name": models.TextField()})
    fields = {
        "name": models.TextField(null=True),
        "day": models.DateField(),
        "data": models.JSONField(),
        "tags": ArrayField(models.TextField()),
        "price": models.DecimalField(max_digits=5, decimal_places=2),
    }
    shop.model("new.Thing", {"legacy_id": models.IntegerField(), **fields})
    shop.old("old.Thing").create(name="a")
    given = {"name": None, "day": datetime.date(2020, 1, 2), "data": {"a": [1]}, "tags": ["x", "y"], "price": 1}
    values = {name: Value(value) for name, value in given.items()}
    shop.run(Import("old.Thing", "new.Thing", key={"legacy_id": "id"}, fields=values, discard=["name"]))
    assert shop.new("new.Thing").values(*given).get() == given


def test_names_and_the_targets_own_ways_of_printing_do_not_matter(shop: Workshop) -> None:
    shop.older("old.Thing", {"name": models.TextField(), "day": models.DateField()})
    shop.model("new.Day", {"day": models.DateField(), "number": models.IntegerField()})
    odd = models.TextField(db_column="n%s 'x'")
    shop.model(
        "new.Thing", {"legacy_id": models.IntegerField(), "number": models.IntegerField(), "name": models.TextField()}
    )
    shop.sql("ALTER TABLE new_thing RENAME name TO \"n%s 'x'\"")
    shop.state.models["new", "thing"].fields["name"] = odd
    shop.state.reload_model("new", "thing")
    shop.old("old.Thing").create(name="a", day=datetime.date(2020, 12, 3))
    shop.new("new.Day").create(day=datetime.date(2020, 12, 3), number=4)
    ((database,),) = shop.sql("SELECT current_database()")
    shop.sql(f"ALTER DATABASE \"{database}\" SET datestyle = 'German'")
    shop.connection.close()
    try:
        lookups = {"number": Lookup("new.Day", by="day", gives="number"), "name": Lookup({"a": "b"})}
        shop.run(Import("old.Thing", "new.Thing", key={"legacy_id": "id"}, fields={"number": "day"}, lookups=lookups))
        assert shop.sql("SELECT \"n%s 'x'\", number FROM new_thing") == [("b", 4)]
    finally:
        shop.sql(f'ALTER DATABASE "{database}" RESET ALL')
        shop.connection.close()


def test_a_number_that_would_be_rounded_is_not_taken(shop: Workshop) -> None:
    shop.older("old.Thing", {"price": models.DecimalField(max_digits=9, decimal_places=3)})
    price = models.DecimalField(max_digits=9, decimal_places=2)
    shop.model("new.Thing", {"price": price, "legacy_id": models.IntegerField()})
    shop.query("INSERT INTO old_thing VALUES (1, 1.234)")
    with pytest.raises(ImportFailed, match=r"price"):
        shop.run(Import("old.Thing", "new.Thing", key={"legacy_id": "id"}))
    assert not shop.new("new.Thing").exists()


def test_an_expression_that_the_source_refuses_leaves_nothing(shop: Workshop) -> None:
    shop.older("old.Thing", {"level": models.IntegerField()})
    shop.model("new.Thing", {"level": models.IntegerField(), "legacy_id": models.IntegerField()})
    shop.query("INSERT INTO old_thing VALUES (1, 0)")
    for broken, said in [
        (Value(1) / F("level"), "division by zero"),
        (Func(F("level"), function="no_such", output_field=IntegerField()), "function no_such"),
    ]:
        with pytest.raises(ImportFailed, match=said):
            shop.run(Import("old.Thing", "new.Thing", key={"legacy_id": "id"}, fields={"level": broken}))
    assert not shop.new("new.Thing").exists()
    assert shop.sql("SELECT 1 FROM pg_class WHERE relname LIKE 'rehome\\_%%' AND relpersistence = 't'") == []
