"""A row that cannot be imported comes back by the file that names it, whatever the type of its key."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from django.contrib.postgres.fields import ArrayField, IntegerRangeField
from django.db import models
from django.db.models import (
    BigIntegerField,
    BinaryField,
    BooleanField,
    CharField,
    DateField,
    DateTimeField,
    DecimalField,
    DurationField,
    Field,
    FloatField,
    GenericIPAddressField,
    IntegerField,
    JSONField,
    TextField,
    TimeField,
    UUIDField,
    Value,
)
from pytest_django import DjangoDbBlocker

from rehome import Import
from tests.farm.databases import connected_to
from tests.rehome.importing.workshop import OLDER, Workshop
from tests.servers.postgis import PLAIN_ENGINE

HOSTILE = [
    "O''Brien\n\"",
    "%s %(k)s %%",
    "'' OR 1=1; -- ",
    "a,b|{c}",
    "ی\u200c\u202e\u009b31m",
    "🖨",
    "",
    " ",
    "NULL",
    "\\\\N",
]
"""In SQL, where a quote is written twice; MySQL reads two backslashes as one."""

Kind = tuple[str, Field, Field, Sequence[str]]
"""The column's type, the fields of the source and of the target, and the keys in SQL; the row of the first is good."""


def texts(*values: str) -> list[str]:
    return [f"'{value}'" for value in values]


DECIMAL = {"max_digits": 30, "decimal_places": 5}
MYSQL: dict[str, Kind] = {
    "int": ("int", IntegerField(), IntegerField(), ["0", "-1", "2147483647"]),
    "zerofill": ("int(8) zerofill", IntegerField(), IntegerField(), ["1", "10"]),
    "unsigned": ("bigint unsigned", TextField(), DecimalField(**DECIMAL), ["1", "18446744073709551615"]),
    "boolean": ("tinyint(1)", BooleanField(), BooleanField(), ["0", "1"]),
    "duration": ("bigint", DurationField(), DurationField(), ["1", "90000000000"]),
    "decimal": ("decimal(20,5)", DecimalField(**DECIMAL), DecimalField(**DECIMAL), ["1.5", "2.50", "-0.00001"]),
    "float": ("float", FloatField(), FloatField(), ["0.1", "0.2", "1e-38"]),
    "double": ("double", FloatField(), FloatField(), ["0.1", "0.2", "1e300", "1/3"]),
    "bit": ("bit(8)", TextField(), IntegerField(), ["b'1'", "b'1010'", "b'0'"]),
    "long bit": ("bit(64)", TextField(), DecimalField(**DECIMAL), ["b'1'", "~0"]),
    "year": ("year", IntegerField(), IntegerField(), ["1999", "2024"]),
    "date": ("date", DateField(), DateField(), texts("2024-01-15", "1000-01-01")),
    "datetime": (
        "datetime(6)", DateTimeField(), DateTimeField(),
        texts("2024-01-15 12:00:00.5", "2024-07-15 12:00:00.25", "2024-10-28 02:30:00"),
    ),
    "timestamp": (
        "timestamp(6) NULL", DateTimeField(), DateTimeField(),
        ["FROM_UNIXTIME(1)", "FROM_UNIXTIME(1729989000.25)", "FROM_UNIXTIME(1729992600.25)"],
    ),
    "time": ("time(3)", TimeField(), DurationField(), texts("10:00:00", "100:00:00.125", "-838:59:59")),
    "binary uuid": ("binary(16)", BinaryField(), UUIDField(), [f"UNHEX(REPEAT('{n}f', 16))" for n in "012"]),
    "binary": ("varbinary(16)", BinaryField(), BinaryField(), ["x'00'", "x'01ff00'", "x''", "x'5c78'"]),
    "blob": ("blob", BinaryField(), BinaryField(), ["x'01'", "x'0a0d0009'"]),
    "char": ("char(5)", CharField(max_length=5), CharField(max_length=5), texts("a", "b ", "ü")),
    "varchar": ("varchar(40)", CharField(max_length=40), CharField(max_length=40), texts("a", *HOSTILE)),
    "bin": ("varchar(9) COLLATE utf8mb4_bin", TextField(), TextField(), texts("a", "A", "ä")),
    "nopad": ("varchar(9) COLLATE utf8mb4_nopad_bin", TextField(), TextField(), texts("a", "a ", " a")),
    "latin1": ("varchar(9) CHARACTER SET latin1", TextField(), TextField(), texts("a", "é", "\\\\")),
    "text": ("text", TextField(), TextField(), texts("a", "tab\t")),
    "enum": ("enum('a','b''c','')", TextField(), TextField(), texts("a", "b''c", "")),
    "set": ("set('a','b')", TextField(), TextField(), texts("a", "a,b", "")),
    "uuid": ("uuid", UUIDField(), UUIDField(), texts(*(f"123E4567-e89b-42d3-a456-42661417400{n}" for n in "01"))),
    "inet": ("inet6", TextField(), GenericIPAddressField(), texts("::1", "2001:db8::ff")),
    "json": ("json", JSONField(), JSONField(), texts("1", '{"b": 1, "a": [null, "\\\\u00e9"]}')),
}  # fmt: skip
POSTGRES: dict[str, Kind] = {
    "integer": ("integer", IntegerField(), IntegerField(), ["0", "-1", "2147483647"]),
    "bigint": ("bigint", BigIntegerField(), BigIntegerField(), ["0", "-9223372036854775808"]),
    "numeric": ("numeric", TextField(), DecimalField(**DECIMAL), ["1", "2.50", "1e-5"]),
    "real": ("real", FloatField(), FloatField(), ["0.1", "0.2", "1e-38"]),
    "double": ("double precision", FloatField(), FloatField(), ["0.1", "0.2", "'NaN'", "'-Infinity'"]),
    "boolean": ("boolean", BooleanField(), BooleanField(), ["false", "true"]),
    "date": ("date", DateField(), DateField(), texts("2024-01-15", "0001-01-01")),
    "timestamp": ("timestamp", DateTimeField(), DateTimeField(), texts("2024-01-15", "2024-10-28 02:30:00.25")),
    "timestamptz": (
        "timestamptz", DateTimeField(), DateTimeField(),
        texts("2024-01-15 12:00:00.5+00", "2024-10-27 00:30:00.25+00", "2024-10-27 01:30:00.25+00", "1900-01-01+00"),
    ),
    "time": ("time", TimeField(), TimeField(), texts("10:00", "23:59:59.999999")),
    "timetz": ("timetz", TextField(), TextField(), texts("10:00+00", "10:00-03:30")),
    "interval": ("interval", DurationField(), DurationField(), texts("1 day", "1 year 2 mons -03:00", "-1 day +25:00")),
    "uuid": ("uuid", UUIDField(), UUIDField(), texts(*(f"123E4567-e89b-42d3-a456-42661417400{n}" for n in "01"))),
    "bytea": ("bytea", BinaryField(), BinaryField(), texts("\\x01", "\\x0203ff", "", "\\x5c78")),
    "jsonb": ("jsonb", JSONField(), JSONField(), texts("1", '{"b": 1, "a": [null, "\\u00e9"]}')),
    "json": ("json", JSONField(), TextField(), texts("1", '{"b":1,  "a" : [null]}')),
    "xml": ("xml", TextField(), TextField(), texts("<a/>", "<a> &lt; </a>")),
    "inet": ("inet", GenericIPAddressField(), GenericIPAddressField(), texts("10.0.0.1", "10.0.0.2/24", "::1")),
    "cidr": ("cidr", TextField(), TextField(), texts("10.0.0.0/8", "10.0.0.0/16")),
    "macaddr": ("macaddr", TextField(), TextField(), texts("08:00:2b:01:02:03", "08:00:2b:01:02:04")),
    "money": ("money", TextField(), TextField(), texts("1", "-1234.5")),
    "char": ("char(5)", CharField(max_length=5), CharField(max_length=5), texts("a", "b ", "ü")),
    "one char": ('"char"', TextField(), TextField(), texts("a", "b")),
    "name": ("name", TextField(), TextField(), texts("a", "B c")),
    "varchar": ("varchar(40)", CharField(max_length=40), CharField(max_length=40), texts("a", "A", "a ", *HOSTILE)),
    "text": ("text", TextField(), TextField(), texts("a", "back\\slash", "\t\n", "\\N", "\\.")),
    "collation": ("text COLLATE blind", TextField(), TextField(), texts("a", "B", "ä")),
    "citext": ("citext", TextField(), TextField(), texts("a", "B", "ä")),
    "bit": ("bit(8)", TextField(), TextField(), ["B'00000001'", "B'00001010'"]),
    "varbit": ("varbit", TextField(), TextField(), ["B'1'", "B'01'"]),
    "array": (
        "text[]", ArrayField(TextField()), ArrayField(TextField()), ["'{}'", "ARRAY['a,b', NULL, 'NULL', '\"', '\\']"],
    ),
    "range": ("int4range", IntegerRangeField(), IntegerRangeField(), texts("[1,2)", "(,5]", "empty")),
    "enum": ("mood", TextField(), TextField(), texts("sad", "it''s")),
    "domain": ("positive", IntegerField(), IntegerField(), ["1", "2"]),
    "point": ("point", TextField(), TextField(), texts("(1,2)", "(0.1,0.2)")),
    "tsvector": ("tsvector", TextField(), TextField(), texts("a:1", "''b c'':2A")),
    "oid": ("oid", BigIntegerField(), BigIntegerField(), ["1", "4294967295"]),
}  # fmt: skip
TYPES = [
    "CREATE EXTENSION citext",
    "CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
    "CREATE TYPE mood AS ENUM ('sad', 'it''s')",
    "CREATE DOMAIN positive AS integer CHECK (VALUE > 0)",
]


@pytest.fixture(params=["mysql", "postgresql"])
def kinds(request: pytest.FixtureRequest, target: str, django_db_blocker: DjangoDbBlocker) -> Iterator[Any]:
    """A workshop and its kinds of keys, on a server in whose zone the alias's and an hour that comes twice matter."""
    if request.param == "mysql":
        kinds, made = MYSQL, request.getfixturevalue("mariadb").database()
    else:
        kinds, made = POSTGRES, request.getfixturevalue("postgis").database(engine=PLAIN_ENGINE)
    with (
        django_db_blocker.unblock(),
        connected_to(target),
        made as older,
        older.alias(OLDER, TIME_ZONE="Europe/Vienna"),
    ):
        shop = Workshop(OLDER)
        for statement in TYPES if request.param == "postgresql" else ():
            shop.query(statement)
        yield shop, kinds
        shop.clean()


def make(shop: Workshop, kinds: dict[str, Kind]) -> dict[str, Import]:
    """A table of each kind, and its import. The dates of all rows but the first are none."""
    made = {}
    for number, (name, (ddl, old, new, keys)) in enumerate(kinds.items()):
        table, label = f"kind_{number}", f"Kind{number}"
        shop.query(f"CREATE TABLE {table} (k {ddl}, d text)")
        shop.older(f"old.{label}", {"k": old, "d": TextField()}, managed=False, db_table=table)
        shop.model(f"new.{label}", {"k": new, "d": DateField()})
        rows = ", ".join(f"({key}, '{'x' if place else '2024-01-01'}')" for place, key in enumerate(keys))
        shop.query(f"INSERT INTO {table} (k, d) VALUES {rows}")
        made[name] = Import(f"old.{label}", f"new.{label}", key={"k": "k"}, discard={"id"})
    return made


def table_of(declared: Import) -> str:
    return f"kind_{declared.source.removeprefix('old.Kind')}"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_key_of_every_type_is_found_again(kinds: tuple[Workshop, dict[str, Kind]], tmp_path: Path) -> None:
    shop, known = kinds
    path = tmp_path / "bad"
    made = make(shop, known)
    bad = {name: len(known[name][3]) - 1 for name in made}
    first = dict(zip(made, shop.run(*made.values(), skip_bad=path), strict=True))
    assert {name: report.counts.rejected for name, report in first.items()} == bad

    # The other rows are good now, and the row that the file does not name is bad.
    for declared in made.values():
        shop.query(f"UPDATE {table_of(declared)} SET d = CASE d WHEN 'x' THEN '2024-12-01' ELSE 'y' END")
    again = dict(zip(made, shop.run(*made.values(), from_rejects=path, skip_bad=path), strict=True))
    assert {name: report.counts.read for name, report in again.items()} == bad
    assert {name: report.counts.inserted for name, report in again.items()} == bad
    assert {name: report.missing for name, report in again.items() if report.missing} == {}
    assert path.read_text() == ""


def test_a_key_of_several_columns_is_found_again_with_nulls_and_values(
    kinds: tuple[Workshop, dict[str, Kind]], tmp_path: Path
) -> None:
    shop, _ = kinds
    shop.query("CREATE TABLE pairs (a varchar(20), t time(3), n int, d text)")
    values = [
        ("a", "10:00:00", 1),
        ("a", "10:00:00", 2),
        ("a", "11:00:00", 1),
        ("", "10:00:00", 1),
        (None, None, 1),
        ("a", None, 1),
    ]
    for a, t, n in values:
        shop.query("INSERT INTO pairs VALUES (%s, %s, %s, 'x')", [a, t, n])
    fields: dict[str, Any] = {"a": TextField(null=True), "t": TimeField(null=True), "n": IntegerField(primary_key=True)}
    shop.older("old.Pair", {**fields, "d": TextField()}, managed=False, db_table="pairs")
    new = {"a": TextField(null=True), "t": TimeField(null=True), "n": IntegerField(), "kind": TextField()}
    shop.model("new.Pair", {**new, "d": DateField(), "id": models.BigAutoField(primary_key=True)})
    pairs = Import("old.Pair", "new.Pair", key={"a": "a", "kind": Value("k"), "t": "t", "n": "n"})
    path = tmp_path / "bad"
    shop.run(pairs, skip_bad=path)
    named = lines(path)
    assert len({json.dumps(line["key"]) for line in named}) == len(values)

    path.write_text("\n".join(json.dumps(line) for line in named if line["key"]["n"] == "1" and line["key"]["a"] != ""))
    shop.query("UPDATE pairs SET d = '2024-12-01'")
    (report,) = shop.run(pairs, from_rejects=path, skip_bad=path)
    # Those whose key has a null are read, and refused again: no later run would find them.
    assert (report.counts.read, report.counts.rejected, report.missing) == (2, 2, 0)
    assert {line["reason"][:7] for line in lines(path)} == {"is null"}
