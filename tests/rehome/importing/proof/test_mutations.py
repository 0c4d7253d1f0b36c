"""What a reader gets wrong in the same way at each reading is found all the same, by key and column."""

from collections.abc import Mapping
from typing import Any

import pytest
from django.contrib.postgres.fields import ArrayField
from django.db import connections, models

from rehome import Import, Lookup
from rehome.importing.verifying import Verification, find_runs, verify
from tests.rehome.importing.proof import faults
from tests.rehome.importing.proof.faults import Fault, Reader
from tests.rehome.importing.workshop import OLDER, Workshop

THINGS = Import("old.Thing", "new.Thing", key={"legacy_id": "id"}, fields={"city": "town"}, lookups={
    "city": Lookup("new.City", by="name"),
})  # fmt: skip
EVERY = 10_000
TEXT = {
    "short": models.CharField(max_length=40, null=True),
    "other": models.CharField(max_length=40, null=True),
    "long": models.TextField(null=True),
}
COMMON: dict[str, models.Field] = {
    "number": models.BigIntegerField(null=True),
    "price": models.DecimalField(max_digits=20, decimal_places=6, null=True),
    "ratio": models.FloatField(null=True),
    "flag": models.BooleanField(null=True),
    "day": models.DateField(null=True),
    "moment": models.DateTimeField(null=True),
    "time": models.TimeField(null=True),
    "span": models.DurationField(null=True),
    "tag": models.UUIDField(null=True),
    "data": models.JSONField(null=True),
    "photo": models.BinaryField(null=True),
}
FAULTS: dict[str, list[Fault]] = {
    "number": faults.WHOLE,
    "price": faults.EXACT,
    "ratio": faults.FLOATS,
    "flag": faults.TRUTHS,
    "day": faults.DAYS,
    "moment": faults.MOMENTS,
    "time": faults.TIMES,
    "span": faults.SPANS,
    "tag": faults.UUIDS,
    "data": faults.JSON,
    "photo": faults.BYTES,
    **dict.fromkeys(TEXT, faults.TEXTS),
}
ROWS: list[dict[str, Any]] = [
    {
        "number": -5, "price": "-1.200000", "ratio": 0.1234567890123, "flag": True, "day": "2024-02-03",
        "moment": "2024-07-01 12:00:00.123456", "time": "12:34:56.789012", "span": "-01:02:03.000005",
        "tag": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "data": '{"a": 9007199254740993, "b": null, "c": [1.50, -0.0]}',
        "photo": b"\x01\x02\x00\x00", "short": "trailing  ", "other": "Zürich", "long": "a\r\nb  ", "town": "Shiraz",
    },
    {
        "number": 4294967295, "price": "12345678901234.123456", "ratio": "-0.0", "flag": False, "day": "1950-12-31",
        "moment": "1969-12-31 23:59:59.000001", "time": "00:00:00.000001", "span": "100:00:00.5",
        "tag": "00000000-0000-0000-0000-000000000001", "data": "[]", "photo": b"", "short": "", "other": "سلام\r\n ",
        "long": "", "town": "Tehran ",
    },
    {
        "number": 0, "price": "0.000000", "ratio": 1e300, "flag": True, "day": "2999-12-31",
        "moment": "2024-10-27 00:30:00", "time": "23:59:59", "span": "00:00:00", "tag": None,
        "data": '{"x": 1e30, "y": "\\u00fc\\n", "n": {"d": 0.10}}', "photo": b"\x00", "short": "ABC é\r\n", "other": "",
        "long": "🖨 \\N\t\\", "town": None,
    },
    dict.fromkeys([*COMMON, *TEXT, "town"]),
]  # fmt: skip


def prepare(shop: Workshop, old: Mapping[str, models.Field], new: Mapping[str, models.Field], **options: Any) -> None:
    """Things with a city that is looked up, of which there are two whose names are nearly the same."""
    shop.older("old.Thing", {**old, "town": models.CharField(max_length=20, null=True)}, **options)
    shop.model("new.City", {"name": models.CharField(max_length=20)})
    city = models.ForeignKey("new.City", models.CASCADE, null=True)
    shop.model("new.Thing", {"legacy_id": models.BigIntegerField(unique=True), **new, "city": city})
    for name in ("Shiraz", "Tehran ", "Tehran", "Shi"):
        shop.new("new.City").create(name=name)


def prove(shop: Workshop, declared: Import = THINGS) -> Verification:
    ((_, run),) = find_runs([declared], "default")
    return verify(declared, run, "default", limit=EVERY, apps=shop.apps)


def named(found: Verification) -> set[tuple[str, str]]:
    assert found.comparison is not None, found.problem
    return {(one.key[0], column) for one in found.comparison.differences for column in one.columns}


def cells(shop: Workshop) -> dict[tuple[str, str], str | None]:
    """By key and column, what the target has, in PostgreSQL's own words."""
    names = [field.column for field in shop.get("new.Thing")._meta.fields if field.column not in {"id", "legacy_id"}]
    listed = ", ".join(f"{name}::text" for name in names)
    rows = shop.sql(f"SELECT legacy_id::text, {listed} FROM new_thing WHERE legacy_id IS NOT NULL")
    return {(key, name): value for key, *values in rows for name, value in zip(names, values, strict=True)}


def spoil(shop: Workshop, monkeypatch: pytest.MonkeyPatch, reader: Reader) -> set[tuple[str, str]]:
    """Import by that reader, which the import takes for right, as it compares only what it has read. What is another
    value by that has to be found, and nothing else.
    """
    shop.run(THINGS)
    right = cells(shop)
    assert prove(shop).ok
    with monkeypatch.context() as patch:
        reader.install(patch)
        shop.run(THINGS)
    wrong = {place for place, value in cells(shop).items() if value != right[place]}
    found = prove(shop)
    assert not found.ok
    assert named(found) == wrong
    return wrong


def spoil_everything(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch, known: Mapping[str, list[Fault]], pairs: list[tuple[str, str]]
) -> None:
    """Each column's first fault at once, then each one's second: so each fault of each is found. Then columns that are
    taken for one another.
    """
    for turn in range(max(map(len, known.values()))):
        made = {column: faults[turn] for column, faults in known.items() if turn < len(faults)}
        wrong = spoil(shop, monkeypatch, Reader(made))
        assert {column for _, column in wrong} == made.keys(), turn
    for pair in pairs:
        wrong = spoil(shop, monkeypatch, Reader({}, swapped=pair))
        assert {column for _, column in wrong} == set(pair)


# ----- PostgreSQL


@pytest.fixture
def from_postgresql(shop: Workshop) -> Workshop:
    fields = {name: field.clone() for name, field in {**COMMON, **TEXT}.items()}
    array = ArrayField(models.TextField(), null=True)
    prepare(shop, {**fields, "many": array}, {**{n: f.clone() for n, f in fields.items()}, "many": array.clone()})
    for number, row in enumerate(ROWS, 1):
        values = {**row, "id": number, "many": row["town"] and ["a", row["town"], ""]}
        names = ", ".join(values)
        shop.query(f"INSERT INTO old_thing ({names}) VALUES ({', '.join(['%s'] * len(values))})", [*values.values()])
    return shop


POSTGRESQL: dict[str, list[Fault]] = {
    **FAULTS,
    "city_id": [faults.given(str.rstrip), faults.given(lambda value: value[:3] if value == "Shiraz" else value)],
    "many": [faults.given(lambda value: value.replace('""', "NULL")), faults.given(lambda value: "{}")],
}


def test_faults_of_a_reader_of_postgresql(from_postgresql: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil_everything(from_postgresql, monkeypatch, POSTGRESQL, [("short", "other"), ("short", "long")])


# ----- MySQL

TABLE = """
CREATE TABLE old_thing (
    id int unsigned PRIMARY KEY, number bigint, small int unsigned, tiny tinyint unsigned, huge bigint unsigned,
    padded int(8) unsigned zerofill, made year, mask bit(10), price decimal(20, 6), whole decimal(10, 3),
    ratio double, single float, flag tinyint(1), `bit` bit(1), day date, moment datetime(6), seconds datetime,
    known timestamp(6) NULL, at timestamp NULL, time time(6), span time(6), took bigint, tag uuid,
    packed binary(16), written char(32), data longtext CHARACTER SET utf8mb4, photo blob,
    short varchar(40) CHARACTER SET latin1, other varchar(40) CHARACTER SET utf8mb4,
    `long` text CHARACTER SET utf8mb4, colour enum('red', 'grün'), tags set('a', 'b c', 'd'),
    list set('a', 'b c', 'd'), said varchar(20), ten varchar(10), town varchar(20)
) CHARACTER SET utf8mb4
"""
MYSQL: dict[str, list[Fault]] = {
    **FAULTS,
    "ratio": faults.FLOATS[::2],
    "small": [faults.WHOLE[2], faults.WHOLE[3]],
    "tiny": [faults.given(lambda value: str((int(value) + 128) % 256 - 128)), faults.WHOLE[3]],
    "huge": [faults.given(lambda value: str((int(value) + 2**63) % 2**64 - 2**63)), faults.EXACT[1]],
    "padded": [faults.WHOLE[0]],
    "made": [faults.given(lambda value: str(int(value) % 100))],
    "mask": [faults.given(lambda value: str(int(value) % 256)), faults.WHOLE[3]],
    "whole": faults.EXACT[:1],
    "single": [faults.given(faults.single_precision)],
    "bit": faults.TRUTHS,
    "seconds": [faults.MOMENTS[0], faults.MOMENTS[3]],
    "known": faults.MOMENTS,
    "at": [faults.MOMENTS[0], faults.MOMENTS[3]],
    "took": [faults.given(lambda value: value.replace(" microseconds", " milliseconds")), faults.SPANS[0]],
    "packed": faults.UUIDS,
    "written": faults.UUIDS,
    "colour": [faults.given(lambda value: {"red": "1", "grün": "2"}[value]), *faults.TEXTS[1:2]],
    "tags": [faults.given(lambda value: value.split(",")[0])],
    "list": [faults.given(lambda value: value.replace('"a",', "")), lambda value: value or "{}"],
    "said": [faults.given(lambda value: value or None)],
    "ten": [faults.DAYS[0], lambda value: value or "1970-01-01"],
    "city_id": POSTGRESQL["city_id"],
}
MORE: list[dict[str, Any]] = [
    {
        "small": 4294967295, "tiny": 255, "huge": 18446744073709551615, "padded": 42, "made": 2155, "mask": 515,
        "whole": "1.234", "single": 0.1, "bit": 1, "seconds": "2024-07-01 12:00:00",
        "known": "2024-07-01 12:00:00.5", "at": "2024-07-01 12:00:00", "took": -1500000, "packed": bytes(range(16)),
        "written": "0123456789abcdef" * 2, "colour": "grün", "tags": "a,b c", "list": "a,d", "said": "",
        "ten": "2024-02-29",
    },
    {
        "small": 7, "tiny": 0, "huge": 9007199254740993, "padded": 0, "made": 1901, "mask": 1, "whole": "-9.999",
        "single": 16777215, "bit": 0, "seconds": "1000-01-01 00:00:00", "known": "1970-01-02 00:00:00.000001",
        "at": "2024-10-27 00:30:00", "took": 1, "packed": bytes(16), "written": "A" * 31 + "0", "colour": "red",
        "tags": "", "list": "", "said": "x", "ten": "0000-00-00",
    },
]  # fmt: skip


@pytest.fixture
def from_mariadb(mysql_shop: Workshop) -> Workshop:
    source = connections[OLDER]
    source.settings_dict["TIME_ZONE"] = "Asia/Kolkata"
    source.close()
    for cached in ("timezone", "timezone_name"):
        vars(source).pop(cached, None)
    extra: dict[str, models.Field] = {
        "small": models.BigIntegerField(null=True),
        "tiny": models.SmallIntegerField(null=True),
        "huge": models.DecimalField(max_digits=20, decimal_places=0, null=True),
        "padded": models.IntegerField(null=True),
        "made": models.SmallIntegerField(null=True),
        "mask": models.IntegerField(null=True),
        "whole": models.DecimalField(max_digits=20, decimal_places=6, null=True),
        "single": models.FloatField(null=True),
        "bit": models.BooleanField(null=True),
        **{name: models.DateTimeField(null=True) for name in ("seconds", "known", "at")},
        "took": models.DurationField(null=True),
        "packed": models.UUIDField(null=True),
        "written": models.UUIDField(null=True),
        "colour": models.CharField(max_length=9, null=True),
        "tags": models.TextField(null=True),
        "list": ArrayField(models.CharField(max_length=9), null=True),
        "said": models.CharField(max_length=20, null=True),
        "ten": models.DateField(null=True),
    }
    fields = {name: field.clone() for name, field in {**COMMON, **TEXT, **extra}.items()}
    old = {name: models.TextField(null=True) if name in {"list", "ten"} else f.clone() for name, f in fields.items()}
    prepare(mysql_shop, old, fields, managed=False, db_table="old_thing")
    with source.cursor() as cursor:
        cursor.execute("SET SESSION sql_mode = '', time_zone = '+00:00'")
        cursor.execute(TABLE)
        for number, row in enumerate(ROWS, 1):
            values = {"id": number, **row, **(MORE[number - 1] if number <= len(MORE) else {})}
            names = ", ".join(f"`{name}`" for name in values)
            cursor.execute(
                f"INSERT INTO old_thing ({names}) VALUES ({', '.join(['%s'] * len(values))})", [*values.values()]
            )
    source.close()
    return mysql_shop


def test_faults_of_a_reader_of_mysql(from_mariadb: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [("short", "other"), ("seconds", "at"), ("packed", "written"), ("span", "took")]
    spoil_everything(from_mariadb, monkeypatch, MYSQL, pairs)
