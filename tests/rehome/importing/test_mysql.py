"""What only MySQL and MariaDB have, imported as what it means."""

import datetime
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.postgres.fields import ArrayField
from django.db import connections, models
from django.db.models import Value
from django.db.models.functions import Cast, Coalesce, NullIf, Replace

from rehome import Import, Lookup
from rehome.errors import ImportFailed, Refused
from tests.rehome.importing.proof.test_proof import prove, said
from tests.rehome.importing.test_rejects import rejected
from tests.rehome.importing.workshop import OLDER, Workshop
from tests.servers.mariadb import GIS_ENGINE

UTC = datetime.UTC


def run_at_source(*statements: str) -> None:
    with connections[OLDER].cursor() as cursor:
        cursor.execute("SET SESSION sql_mode = ''")
        for statement in statements:
            cursor.execute(statement)


def make_things(shop: Workshop, ddl: str, old: dict[str, models.Field], new: dict[str, models.Field]) -> None:
    """A table as somebody else made it, its unmanaged model, and a target with the key `legacy_id`."""
    run_at_source(f"CREATE TABLE old_thing (id int unsigned PRIMARY KEY, {ddl})")
    shop.older("old.Thing", old, managed=False, db_table="old_thing")
    shop.model("new.Thing", {"legacy_id": models.BigIntegerField(unique=True), **new})


def bring(shop: Workshop, **declared: Any) -> None:
    """Import them, once more as well: what was read is what is there."""
    things = Import("old.Thing", "new.Thing", key={"legacy_id": "id"}, **declared)
    shop.run(things)
    (again,) = shop.run(things)
    assert (again.counts.inserted, again.counts.updated) == (0, 0)


def values(shop: Workshop, *fields: str) -> list[tuple[Any, ...]]:
    return list(shop.new("new.Thing").order_by("legacy_id").values_list(*fields))


def test_zero_dates_are_null_and_every_other_date_is_itself(mysql_shop: Workshop) -> None:
    fields = {
        "day": models.DateField(null=True),
        "at": models.DateTimeField(null=True),
        "said": models.DateField(null=True),
    }
    make_things(mysql_shop, "day date, at datetime(6), said varchar(10)", fields, fields)
    run_at_source(
        "INSERT INTO old_thing VALUES (1, '0000-00-00', '0000-00-00', '0000-00-00'),"
        " (2, '2024-00-00', '2024-02-00 10:00:00', '2024-00-01'),"
        " (3, '1000-01-01', '9999-12-31 23:59:59.999999', '2024-02-29'), (4, NULL, NULL, NULL)"
    )
    bring(mysql_shop)
    assert values(mysql_shop, "day", "at", "said") == [
        (None, None, None),
        (None, None, None),
        (
            datetime.date(1000, 1, 1),
            datetime.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
            datetime.date(2024, 2, 29),
        ),
        (None, None, None),
    ]


def test_a_zero_date_that_must_not_be_null_is_what_an_expression_makes_of_it(mysql_shop: Workshop) -> None:
    make_things(mysql_shop, "born date", {"born": models.DateField()}, {"born": models.DateField()})
    run_at_source("INSERT INTO old_thing VALUES (1, '0000-00-00'), (2, '1870-01-01')")
    with pytest.raises(ImportFailed, match="legacy_id=1: born"):
        bring(mysql_shop)
    zero = Cast(Value("0000-00-00"), models.DateField())
    bring(mysql_shop, fields={"born": Coalesce(NullIf("born", zero), Value(datetime.date(1900, 1, 1)))})
    assert values(mysql_shop, "born") == [(datetime.date(1900, 1, 1),), (datetime.date(1870, 1, 1),)]


def test_times_are_those_of_the_alias_and_a_timestamp_knows_its_own(mysql_shop: Workshop) -> None:
    fields = {"written": models.DateTimeField(), "known": models.DateTimeField()}
    make_things(mysql_shop, "written datetime, known timestamp", fields, fields)
    connections[OLDER].settings_dict["TIME_ZONE"] = "Asia/Tehran"
    connections[OLDER].close()
    for name in ("timezone", "timezone_name"):
        connections[OLDER].__dict__.pop(name, None)
    run_at_source(
        "SET time_zone = '+00:00'", "INSERT INTO old_thing VALUES (1, '2024-01-15 12:00:00', '2024-01-15 12:00:00')"
    )
    bring(mysql_shop)
    noon = datetime.datetime(2024, 1, 15, 12, tzinfo=UTC)
    assert values(mysql_shop, "written", "known") == [(noon - datetime.timedelta(hours=3.5), noon)]


def test_numbers_keep_every_digit(mysql_shop: Workshop) -> None:
    new = {
        "tiny": models.SmallIntegerField(),
        "whole": models.BigIntegerField(),
        "huge": models.DecimalField(max_digits=20, decimal_places=0),
        "exact": models.DecimalField(max_digits=30, decimal_places=10),
        "single": models.FloatField(),
        "double": models.FloatField(),
        "year": models.SmallIntegerField(),
        "mask": models.IntegerField(),
        "padded": models.IntegerField(),
    }
    ddl = (
        "tiny tinyint unsigned, whole int unsigned, huge bigint unsigned, exact decimal(30, 10), single float,"
        " `double` double, year year, mask bit(10), padded int(8) unsigned zerofill"
    )
    make_things(mysql_shop, ddl, {**new, "huge": models.PositiveBigIntegerField()}, new)
    run_at_source(
        "INSERT INTO old_thing VALUES (4294967295, 255, 4294967295, 18446744073709551615,"
        " -12345678901234567890.0123456789, 16777215, 0.1, 2155, b'1000000011', 42)"
    )
    bring(mysql_shop)
    assert values(mysql_shop, *new) == [
        (
            255,
            4294967295,
            Decimal(18446744073709551615),
            Decimal("-12345678901234567890.0123456789"),
            16777215.0,
            0.1,
            2155,
            515,
            42,
        )
    ]


def test_whatever_is_not_zero_is_true(mysql_shop: Workshop) -> None:
    fields = {
        "flag": models.BooleanField(null=True),
        "bit": models.BooleanField(null=True),
        "yes": models.BooleanField(null=True),
    }
    make_things(mysql_shop, "flag tinyint(1), bit bit(1), yes enum('Y', 'N')", fields, fields)
    run_at_source("INSERT INTO old_thing VALUES (1, 0, 0, 'N'), (2, 1, 1, 'Y'), (3, 2, 1, 'Y'), (4, NULL, NULL, NULL)")
    bring(mysql_shop)
    assert values(mysql_shop, *fields) == [(False,) * 3, (True,) * 3, (True,) * 3, (None,) * 3]


def test_enums_are_text_or_looked_up_and_sets_are_arrays_or_text(mysql_shop: Workshop) -> None:
    old = {"colour": models.TextField(), "tags": models.TextField()}
    new = {
        "colour": models.CharField(max_length=9),
        "code": models.IntegerField(null=True),
        "tags": ArrayField(models.CharField(max_length=20), null=True),
        "said": models.TextField(null=True),
    }
    make_things(
        mysql_shop,
        """colour enum('red', 'grün'), tags set('a "b"', 'c\\\\d', '{e}', 'سلام') CHARACTER SET utf8mb4""",
        old,
        new,
    )
    run_at_source(
        "INSERT INTO old_thing VALUES (1, 'grün', 7 | 8), (2, 'red', ''), (3, 'red', NULL), (4, 'red', 'سلام')"
    )
    lookups = {"code": {"red": 1, "grün": 2}}
    bring(mysql_shop, fields={"code": "colour", "said": "tags"}, lookups=lookups)
    assert values(mysql_shop, *new) == [
        ("grün", 2, ['a "b"', "c\\d", "{e}", "سلام"], 'a "b",c\\d,{e},سلام'),
        ("red", 1, [], ""),
        ("red", 1, None, None),
        ("red", 1, ["سلام"], "سلام"),
    ]


def test_text_of_any_character_set_arrives_with_whatever_copy_would_stumble_over(mysql_shop: Workshop) -> None:
    fields = {name: models.TextField(null=True) for name in ("western", "narrow", "wide")}
    ddl = "western text CHARACTER SET latin1, narrow text CHARACTER SET utf8mb3, wide longtext CHARACTER SET utf8mb4"
    make_things(mysql_shop, ddl, fields, fields)
    rows = [
        ("Zürich € ÿ", "تهران\u200cها", "🖨 \U0010ffff"),
        ("\\N", "\\.", "a\tb\nc\rd\\e\b\f\v\x7f"),
        ("", " \\\\ ", "\\t"),
        (None, None, None),
    ]
    with connections[OLDER].cursor() as cursor:
        cursor.executemany(
            "INSERT INTO old_thing VALUES (%s, %s, %s, %s)", [(n, *row) for n, row in enumerate(rows, 1)]
        )
    bring(mysql_shop)
    assert values(mysql_shop, *fields) == rows


def test_bytes_json_times_and_uuids(mysql_shop: Workshop) -> None:
    old = {
        "blob": models.BinaryField(null=True),
        "fixed": models.BinaryField(null=True),
        "data": models.JSONField(null=True),
        "time": models.TimeField(null=True),
        "span": models.TimeField(null=True),
        "took": models.DurationField(null=True),
        "tag": models.UUIDField(null=True),
        "packed": models.BinaryField(null=True),
    }
    new = {**old, "span": models.DurationField(null=True), "packed": models.UUIDField(null=True)}
    ddl = (
        "`blob` longblob, fixed binary(3), data json, time time(6), span time, took bigint, tag uuid, packed binary(16)"
    )
    make_things(mysql_shop, ddl, old, new)
    known = uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
    with connections[OLDER].cursor() as cursor:
        cursor.execute(
            "INSERT INTO old_thing VALUES (1, %s, 'a', %s, '23:59:59.000001', '-838:59:59', -1500000, %s, %s),"
            " (2, '', NULL, 'null', NULL, NULL, NULL, NULL, NULL)",
            [bytes(range(256)), '{"k\\\\n": ["\\n", "ü"]}', known.hex, known.bytes],
        )
    bring(mysql_shop)
    span = datetime.timedelta(hours=838, minutes=59, seconds=59)
    assert values(mysql_shop, *new) == [
        (
            bytes(range(256)),
            b"a\0\0",
            {"k\\n": ["\n", "ü"]},
            datetime.time(23, 59, 59, 1),
            -span,
            datetime.timedelta(seconds=-1.5),
            known,
            known,
        ),
        (b"", *[None] * 7),
    ]


def test_a_php_applications_users_log_in_with_their_passwords_and_everything_of_theirs_has_a_uuid(
    mysql_shop: Workshop,
) -> None:
    run_at_source(
        "CREATE TABLE users (id int unsigned PRIMARY KEY, login varchar(30) CHARACTER SET latin1, pass varchar(128),"
        " joined datetime, level enum('member', 'admin'))",
        "CREATE TABLE orders (no mediumint unsigned PRIMARY KEY, user_id int unsigned, total decimal(8, 2))",
    )
    with connections[OLDER].cursor() as cursor:
        users = [(70000, "zoë", "s3crét", "member"), (3, "root", "پنهان", "admin")]
        cursor.executemany(
            "INSERT INTO users VALUES (%s, %s, %s, '2009-06-15 08:00:00', %s)",
            [(key, login, make_password(password), level) for key, login, password, level in users],
        )
        cursor.execute("INSERT INTO orders VALUES (1, 3, 9.90), (2, 70000, 0.01)")
    user = {name: models.CharField(max_length=80) for name in ("login", "pass", "level")}
    mysql_shop.older("old.User", {**user, "joined": models.DateTimeField()}, managed=False, db_table="users")
    key = models.IntegerField(primary_key=True, db_column="no")
    order = {
        "number": key,
        "user_id": models.IntegerField(),
        "total": models.DecimalField(max_digits=8, decimal_places=2),
    }
    mysql_shop.older("old.Order", order, managed=False, db_table="orders")

    own_key = {"id": models.UUIDField(primary_key=True, default=uuid.uuid4)}
    person = {
        "legacy_id": models.IntegerField(unique=True),
        "username": models.CharField(max_length=150, unique=True),
        "password": models.CharField(max_length=128),
        "date_joined": models.DateTimeField(),
        "is_staff": models.BooleanField(),
    }
    mysql_shop.model("new.Person", {**own_key, **person})
    owner = models.ForeignKey("new.Person", models.PROTECT)
    mysql_shop.model("new.Order", {**own_key, "number": models.IntegerField(unique=True), "owner": owner})

    people = Import(
        "old.User",
        "new.Person",
        key={"legacy_id": "id"},
        fields={"username": "login", "password": "pass", "date_joined": "joined", "is_staff": "level"},
        lookups={"is_staff": {"member": False, "admin": True}},
    )
    orders = Import(
        "old.Order",
        "new.Order",
        key={"number": "number"},
        fields={"owner": "user_id"},
        lookups={"owner": Lookup("new.Person", by="legacy_id")},
        discard=["total"],
    )
    mysql_shop.run(people, orders)
    keys = dict(mysql_shop.new("new.Person").values_list("legacy_id", "pk"))
    assert mysql_shop.run(people, orders)[0].counts.unchanged == 2
    assert dict(mysql_shop.new("new.Person").values_list("legacy_id", "pk")) == keys

    for legacy_id, login, password, level in users:
        person = mysql_shop.new("new.Person").get(username=login)
        assert check_password(password, person.password)
        assert (person.legacy_id, person.is_staff) == (legacy_id, level == "admin")
        assert person.date_joined == datetime.datetime(2009, 6, 15, 8, tzinfo=UTC)
        assert isinstance(person.pk, uuid.UUID)
    owners = dict(mysql_shop.new("new.Order").values_list("number", "owner__username"))
    assert owners == {1: "root", 2: "zoë"}


# ----- what PostgreSQL can't have


def make_notes(shop: Workshop, ddl: str = "note varchar(50)") -> None:
    make_things(shop, ddl, {"note": models.TextField()}, {"note": models.TextField()})


def test_a_nul_byte_is_named_and_nothing_is_committed(mysql_shop: Workshop) -> None:
    make_notes(mysql_shop)
    run_at_source("INSERT INTO old_thing VALUES (1, 'good'), (7, 'a\\0b')")
    with pytest.raises(ImportFailed, match="legacy_id=7: note: contains a NUL byte"):
        bring(mysql_shop)
    assert values(mysql_shop, "note") == []
    bring(mysql_shop, fields={"note": Replace("note", Value("\0"), Value(""), output_field=models.TextField())})
    assert values(mysql_shop, "note") == [("good",), ("ab",)]


def test_a_geometry_is_refused_as_it_is(mysql_shop: Workshop) -> None:
    make_notes(mysql_shop, "note point")
    with pytest.raises(Refused, match="AsGeoJSON"):
        bring(mysql_shop)


@pytest.mark.parametrize("mysql_engine", [GIS_ENGINE])
def test_a_geometry_comes_as_geojson(mysql_shop: Workshop) -> None:
    # Needs GDAL to be imported, which is looked for when the server is started.
    from django.contrib.gis.db.models import PointField
    from django.contrib.gis.db.models.functions import AsGeoJSON

    make_things(mysql_shop, "spot point", {"spot": PointField()}, {"spot": models.JSONField(null=True)})
    run_at_source("INSERT INTO old_thing VALUES (1, ST_GeomFromText('POINT(51.4 35.7)', 4326)), (2, NULL)")
    bring(mysql_shop, fields={"spot": AsGeoJSON("spot")})
    assert values(mysql_shop, "spot") == [({"type": "Point", "coordinates": [51.4, 35.7]},), (None,)]


@pytest.mark.parametrize("charset", ["utf8mb3", "latin1"])
def test_texts_are_whole_whatever_the_alias_s_character_set_is(mysql_shop: Workshop, charset: str) -> None:
    mysql_shop.older("old.Thing", {"name": models.TextField()})
    mysql_shop.model("new.Thing", {"legacy_id": models.IntegerField(unique=True), "name": models.TextField()})
    mysql_shop.query("INSERT INTO old_thing VALUES (1, 'é 🖨')")
    connections[OLDER].close()
    connections[OLDER].settings_dict["OPTIONS"] = {"charset": charset}
    mysql_shop.run(Import("old.Thing", "new.Thing", key={"legacy_id": "id"}))
    assert mysql_shop.new("new.Thing").get().name == "é 🖨"


@pytest.mark.parametrize("kind", ["blob", "varbinary(40)"])
def test_bytes_that_are_no_uuid_are_named(mysql_shop: Workshop, tmp_path: Path, kind: str) -> None:
    uuids = {"tag": models.UUIDField(null=True)}
    make_things(mysql_shop, f"tag {kind}", {"tag": models.BinaryField()}, uuids)
    good = uuid.uuid4()
    run_at_source(f"INSERT INTO old_thing VALUES (1, x'{good.hex}'), (2, x'00'), (3, x'ff'), (4, '{good}'), (5, 'no')")
    things = Import("old.Thing", "new.Thing", key={"legacy_id": "id"})
    assert [line.partition(" ")[0] for line in rejected(mysql_shop, things)] == [f"legacy_id={n}:" for n in (2, 3, 5)]
    mysql_shop.run(things, skip_bad=tmp_path / "bad")
    assert set(mysql_shop.new("new.Thing").values_list("legacy_id", "tag")) == {(1, good), (4, good)}
    assert said(prove(mysql_shop, things)) == ["2: missing", "3: missing", "5: missing"]


def test_a_text_with_a_nul_that_is_left_out_can_be_proved(mysql_shop: Workshop, tmp_path: Path) -> None:
    mysql_shop.model("new.Known", {"code": models.TextField()})
    known = mysql_shop.new("new.Known").create(code="a")
    new = {"known": models.ForeignKey("new.Known", models.CASCADE), "took": models.DurationField()}
    make_things(mysql_shop, "known text, took blob", dict.fromkeys(("known", "took"), models.TextField()), new)
    run_at_source("INSERT INTO old_thing VALUES (1, 'a', '1 day'), (2, 'a\0', '1 day'), (3, 'a', '1 day\0')")
    lookups = {"known": Lookup("new.Known", by="code")}
    things = Import("old.Thing", "new.Thing", key={"legacy_id": "id"}, fields={"known": "known"}, lookups=lookups)
    mysql_shop.run(things, skip_bad=tmp_path / "bad")
    assert mysql_shop.new("new.Thing").get().known_id == known.pk
    assert said(prove(mysql_shop, things)) == ["2: missing", "3: missing"]


@pytest.mark.parametrize("width", [1, 8, 40])
def test_bits_become_bytes_and_are_proved(mysql_shop: Workshop, width: int) -> None:
    bits = {"flags": models.BinaryField()}
    make_things(mysql_shop, f"flags bit({width})", bits, bits)
    run_at_source("INSERT INTO old_thing VALUES (1, b'1'), (2, b'0')")
    things = Import("old.Thing", "new.Thing", key={"legacy_id": "id"})
    mysql_shop.run(things)
    length = (width + 7) // 8
    found = {n: bytes(flags) for n, flags in mysql_shop.new("new.Thing").values_list("legacy_id", "flags")}
    assert found == {1: (1).to_bytes(length), 2: bytes(length)}
    assert said(prove(mysql_shop, things)) == []
    mysql_shop.new("new.Thing").filter(legacy_id=2).update(flags=b"1")
    assert said(prove(mysql_shop, things)) == ["2: different in flags"]


def test_a_year_is_as_many_microseconds_as_any_other_number(mysql_shop: Workshop) -> None:
    make_things(mysql_shop, "took year", {"took": models.IntegerField()}, {"took": models.DurationField()})
    run_at_source("INSERT INTO old_thing VALUES (1, 2024)")
    things = Import("old.Thing", "new.Thing", key={"legacy_id": "id"})
    mysql_shop.run(things)
    assert mysql_shop.new("new.Thing").get().took == datetime.timedelta(microseconds=2024)
    assert said(prove(mysql_shop, things)) == []


@pytest.mark.parametrize("kind", ["interval", "a looked-up interval"])
def test_a_duration_for_every_row_can_be_proved(mysql_shop: Workshop, kind: str) -> None:
    make_things(mysql_shop, "note text", {"note": models.TextField()}, {"took": models.DurationField()})
    run_at_source("INSERT INTO old_thing VALUES (1, 'a')")
    day = datetime.timedelta(days=1, microseconds=5)
    given, lookups = (Value(day), {}) if kind == "interval" else (Value("a day"), {"took": {"a day": day}})
    for declared in (
        {"key": {"legacy_id": "id"}, "fields": {"took": given}},
        {"key": {"legacy_id": "id", "took": given}},
    ):
        things = Import("old.Thing", "new.Thing", lookups=lookups, discard=["note"], **declared)  # type: ignore[arg-type]
        mysql_shop.run(things)
        assert said(prove(mysql_shop, things)) == []
    mysql_shop.new("new.Thing").update(took=2 * day)
    assert said(prove(mysql_shop, things)) == ["1: missing"]


def test_a_list_for_every_row_is_given_as_a_text(mysql_shop: Workshop) -> None:
    make_things(mysql_shop, "note text", {"note": models.TextField()}, {"tags": ArrayField(models.TextField())})
    run_at_source("INSERT INTO old_thing VALUES (1, 'a')")

    def things(tags: Any) -> Import:
        fields = {"tags": Value(tags)}
        return Import("old.Thing", "new.Thing", key={"legacy_id": "id"}, fields=fields, discard=["note"])

    with pytest.raises(
        Refused, match=r"tags is to be \['a', 'b'\] in every row, and MariaDB has no arrays. Give it as"
    ):
        mysql_shop.run(things(["a", "b"]))
    mysql_shop.run(things("{a,b}"))
    assert mysql_shop.new("new.Thing").get().tags == ["a", "b"]
    assert said(prove(mysql_shop, things("{a,b}"))) == []
