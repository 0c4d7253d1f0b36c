"""Every type of field goes there, is written on both sides, and comes back, with the values that are easy to lose."""

import datetime
import decimal
import hashlib
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.postgres import fields as postgres
from django.contrib.postgres import signals
from django.contrib.postgres.search import SearchVectorField
from django.core.serializers.json import DjangoJSONEncoder
from django.db import DataError, IntegrityError, models, transaction
from django.db.backends.postgresql.psycopg_any import DateRange, DateTimeTZRange, NumericRange
from django.db.models import F, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Lower, Now, Upper

from rehome import Move
from tests.rehome.support.lab import Lab
from tests.rehome.support.witness import Plain, Witness

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Thing")
UTC = datetime.UTC
# Nothing that PostgreSQL could compress, so that it is stored outside the row.
HUGE = "".join(hashlib.sha256(bytes([n])).hexdigest() for n in range(250))
TEXTS = [
    "", None, " ", "it's 100 % \"quoted\" \\ back\\n", "line\nbreak\ttab", "שלום مرحبا", "🖨️ 👩‍👩‍👧 e\u0301 é",
    "\ufeff\u202e\u0001", "NULL", "{a,b}", HUGE,
]  # fmt: skip
SHORT = [None if text is None else text[:20] for text in TEXTS]


def raw(literal: str) -> RawSQL:
    """A value that Python has no object for."""
    return RawSQL(literal, [])  # noqa: S611  All of them are written here.


# By name: the field, and values of which the third and later ones are the awkward ones.
FIELDS: dict[str, tuple[models.Field, list[Any]]] = {
    "big_integer": (models.BigIntegerField(null=True), [1, None, 2**63 - 1, -(2**63), 0]),
    "binary": (models.BinaryField(null=True), [b"abc", None, b"", b"\x00\xff\\", bytes(range(256)) * 100]),
    "boolean": (models.BooleanField(null=True), [True, None, False]),
    "char": (models.CharField(max_length=20, null=True), SHORT),
    "char_unlimited": (models.CharField(null=True), TEXTS),
    "char_collated": (models.CharField(max_length=20, null=True, db_collation="C"), SHORT),
    "date": (
        models.DateField(null=True),
        [
            datetime.date(2024, 2, 29),
            None,
            datetime.date.min,
            datetime.date.max,
            raw("'-infinity'::date"),
            raw("'0044-03-15 BC'::date"),
        ],
    ),
    "datetime": (
        models.DateTimeField(null=True),
        [
            datetime.datetime(2024, 10, 27, 0, 59, 59, 999999, tzinfo=UTC),
            None,
            raw("'infinity'::timestamptz"),
            raw("'4713-01-01 BC'::timestamptz"),
            raw("'294276-12-31'::timestamptz"),
        ],
    ),
    "decimal": (
        models.DecimalField(max_digits=30, decimal_places=10, null=True),
        [
            decimal.Decimal("1.5"),
            None,
            decimal.Decimal("-0.0000000001"),
            decimal.Decimal("9" * 20),
            decimal.Decimal(0),
            raw("'NaN'::numeric"),
        ],
    ),
    "duration": (
        models.DurationField(null=True),
        [
            datetime.timedelta(days=1),
            None,
            datetime.timedelta(microseconds=-1),
            datetime.timedelta.max,
            raw("'1 mon'::interval"),
            raw("'30 days'::interval"),
        ],
    ),
    "email": (models.EmailField(max_length=500, null=True), ["a@example.com", None, "", "Ünï@exämple.com"]),
    "file": (models.FileField(null=True), ["a/b.gcode", None, ""]),
    "file_path": (models.FilePathField(null=True), ["/a/b", None, ""]),
    "float": (
        models.FloatField(null=True),
        [0.1, None, float("nan"), float("inf"), float("-inf"), -0.0, 5e-324, 1.7976931348623157e308, 0.0],
    ),
    "image": (models.ImageField(null=True), ["a.png", None]),
    "integer": (models.IntegerField(null=True), [1, None, 2**31 - 1, -(2**31), 0]),
    "ip": (models.GenericIPAddressField(null=True), ["192.168.0.1", None, "::1", "2001:db8::ffff:1.2.3.4"]),
    "json": (
        models.JSONField(null=True, encoder=DjangoJSONEncoder),
        [
            {"a": [1, None, {"b": "🖨"}]},
            None,
            Value(None, models.JSONField()),
            "",
            [],
            {},
            0,
            False,
            "null",
            raw("'{\"a\": 1.0}'::jsonb"),
            raw("'{\"a\": 1.00}'::jsonb"),
            {"big": HUGE},
        ],
    ),
    "positive_big": (models.PositiveBigIntegerField(null=True), [1, None, 2**63 - 1, 0]),
    "positive": (models.PositiveIntegerField(null=True), [1, None, 2**31 - 1, 0]),
    "positive_small": (models.PositiveSmallIntegerField(null=True), [1, None, 2**15 - 1, 0]),
    "slug": (models.SlugField(null=True), ["a-b", None, ""]),
    "small": (models.SmallIntegerField(null=True), [1, None, 2**15 - 1, -(2**15)]),
    "text": (models.TextField(null=True), TEXTS),
    "time": (
        models.TimeField(null=True),
        [datetime.time(12), None, datetime.time.max, raw("'24:00'::time"), datetime.time.min],
    ),
    "url": (models.URLField(null=True), ["https://example.com/?q=%20", None, ""]),
    "uuid": (models.UUIDField(null=True), [uuid.UUID(int=1), None, uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)]),
    "integers": (
        postgres.ArrayField(models.IntegerField(null=True), null=True),
        [[1, 2], None, [], [None], [0, None, 0]],
    ),
    "texts": (
        postgres.ArrayField(models.CharField(max_length=30, null=True), null=True, size=9),
        [["a"], None, [], [""], [None], ["NULL", "a,b", '"', "\\", "🖨"]],
    ),
    "nested": (
        postgres.ArrayField(postgres.ArrayField(models.FloatField(null=True), size=2), null=True),
        [[[1.5, -0.0]], None, [], [[None, float("nan")], [0.0, 1.0]], raw("'[0:1][5:5]={{1},{2}}'::float8[]")],
    ),
    "jsons": (postgres.ArrayField(models.JSONField(), null=True), [[{"a": 1}], None, [{"a": None}, []]]),
    "ips": (postgres.ArrayField(models.GenericIPAddressField(), null=True), [["10.0.0.1"], None, ["::1"]]),
    "uuids": (postgres.ArrayField(models.UUIDField(), null=True), [[uuid.UUID(int=9)], None, []]),
    "decimals": (
        postgres.ArrayField(models.DecimalField(max_digits=12, decimal_places=3), null=True),
        [[decimal.Decimal("1.5")], None, [decimal.Decimal("-0.001")]],
    ),
    "moments": (
        postgres.ArrayField(models.DateTimeField(), null=True),
        [[datetime.datetime(2024, 1, 1, tzinfo=UTC)], None, raw("ARRAY['infinity'::timestamptz]")],
    ),
    "integer_range": (
        postgres.IntegerRangeField(null=True),
        [(1, 5), None, raw("'empty'::int4range"), (None, 5), (None, None)],
    ),
    "big_range": (postgres.BigIntegerRangeField(null=True), [(1, 2**62), None, NumericRange(5, None)]),
    "decimal_range": (
        postgres.DecimalRangeField(null=True),
        [
            NumericRange(decimal.Decimal("1.0"), decimal.Decimal("1.00"), "[]"),
            None,
            NumericRange(None, decimal.Decimal("2.50"), "()"),
            raw("'[1,infinity]'::numrange"),
        ],
    ),
    "date_range": (
        postgres.DateRangeField(null=True),
        [
            DateRange(datetime.date(2024, 1, 1), datetime.date(2024, 3, 1)),
            None,
            raw("'[2020-02-29,infinity)'::daterange"),
            raw("'empty'::daterange"),
        ],
    ),
    "datetime_range": (
        postgres.DateTimeRangeField(null=True),
        [
            DateTimeTZRange(datetime.datetime(2024, 1, 1, tzinfo=UTC), None, "()"),
            None,
            raw("'[-infinity,infinity]'::tstzrange"),
        ],
    ),
    "ranges": (
        postgres.ArrayField(postgres.IntegerRangeField(), null=True),
        [[NumericRange(1, 3)], None, raw("ARRAY['empty'::int4range]")],
    ),
    "search": (
        SearchVectorField(null=True),
        [raw("to_tsvector('simple', 'a fat cat')"), None, raw("''::tsvector"), raw("'a:1A b:2B'::tsvector")],
    ),
}


def every_field() -> dict[str, models.Field]:
    return {name: field.clone() for name, (field, _) in FIELDS.items()}


def test_every_type_is_moved_written_on_both_sides_and_moved_back(lab: Lab) -> None:
    lab.twins(lambda app: every_field())
    witness = Witness(lab, every_field())
    depth = max(len(values) for _, values in FIELDS.values())
    for n in range(depth):
        witness.create("old.Thing", **{name: values[n % len(values)] for name, (_, values) in FIELDS.items()})

    lab.forward(MOVE)
    witness.confirms("new.Thing")
    assert lab.verify(MOVE).ok

    keys = list(lab.get("witness.Thing").objects.values_list("pk", flat=True).order_by("pk"))
    for name, (_, values) in FIELDS.items():
        # Every value, through either side in turn, onto a row that holds another one.
        for n, value in enumerate(values):
            for side, pk in (("old.Thing", keys[n]), ("new.Thing", keys[n + 1 - depth])):
                witness.update(side, pk, **{name: value})
    for n in range(depth):
        side = ("old.Thing", "new.Thing")[n % 2]
        witness.create(side, **{name: values[-1 - n % len(values)] for name, (_, values) in FIELDS.items()})
    # Below zero, where no sequence comes.
    witness.double("old.Thing", -1000)
    witness.double("new.Thing", -2000)
    witness.delete("old.Thing", keys[0])
    witness.delete("new.Thing", keys[1])
    witness.confirms("old.Thing")
    witness.confirms("new.Thing")
    assert lab.verify(MOVE).ok

    lab.back(MOVE)
    witness.confirms("old.Thing")
    assert witness.rows("new.Thing") == []
    lab.forward(MOVE)
    witness.confirms("new.Thing")


def test_json_null_and_sql_null_stay_apart(lab: Lab) -> None:
    lab.twins(lambda app: {"data": models.JSONField(null=True)})
    old, new = lab.get("old.Thing"), lab.get("new.Thing")
    old.objects.create(data=Value(None, models.JSONField()))
    old.objects.create(data=None)
    lab.forward(MOVE)
    new.objects.create(data=Value(None, models.JSONField()))
    new.objects.create(data=None)
    expected = [("null",), (None,)] * 2
    assert lab.sql("SELECT data::text FROM old_thing ORDER BY id") == expected
    assert lab.sql("SELECT data::text FROM new_thing ORDER BY id") == expected


# Several of these have no `=` at all, or one that takes different values for equal.
OWN_TYPES = {
    "json": ['\'{"a":1, "a": 2}\'', "'{ }'", "'{}'", "'null'"],
    "point": ["'(1,2)'", "'(NaN,-0)'"],
    "char(5)": ["'ab'", "''"],
    "bit(3)": ["'101'", "'000'"],
    "bit varying(9)": ["'1'", "''"],
    "money": ["'1.50'", "'-0.01'"],
    "inet": ["'10.0.0.1/8'", "'10.0.0.1'"],
    "interval": ["'1 mon'", "'30 days'"],
    "numeric": ["'1.0'", "'1.00'", "'-Infinity'"],
    "real": ["'0.1'", "'-0'"],
    "int4multirange": ["'{[1,2),[5,)}'", "'{}'"],
    "time with time zone": ["'12:00+02'", "'10:00+00'"],
    "timestamp(0) without time zone[]": ["ARRAY['2024-01-01 12:00'::timestamp(0)]", "'{}'"],
    "pg_lsn": ["'0/1'", "'FFFFFFFF/FFFFFFFF'"],
    "elsewhere.colour": ["'red'", "'grün'"],
    "elsewhere.colour[]": ["'{red,NULL}'", "'{}'"],
    "elsewhere.short": ["'abc'", "''"],
}


@pytest.fixture
def elsewhere(lab: Lab) -> None:
    """Types in a schema that nobody searches."""
    lab.sql("CREATE SCHEMA elsewhere")
    lab.sql("CREATE TYPE elsewhere.colour AS ENUM ('red', 'grün')")
    lab.sql("CREATE DOMAIN elsewhere.short AS text CHECK (length(VALUE) < 9)")


def test_types_of_somebodys_own_are_carried_bit_by_bit(lab: Lab, elsewhere: None) -> None:
    def fields() -> dict[str, models.Field]:
        return {f"f{n}": Plain(kind=kind, null=True) for n, kind in enumerate(OWN_TYPES)}

    lab.twins(lambda app: fields())
    witness = Witness(lab, fields())
    for turn in range(4):
        witness.create(
            "old.Thing", **{f"f{n}": raw(values[turn % len(values)]) for n, values in enumerate(OWN_TYPES.values())}
        )
    lab.forward(MOVE)
    witness.confirms("new.Thing")
    for n, (kind, values) in enumerate(OWN_TYPES.items()):
        for turn, value in enumerate([*values, *values]):
            witness.update(("old.Thing", "new.Thing")[turn % 2], 1 + turn % 4, **{f"f{n}": raw(f"({value})::{kind}")})
    witness.create("new.Thing")
    witness.confirms("old.Thing")
    witness.confirms("new.Thing")
    assert lab.verify(MOVE).ok
    lab.sql("UPDATE old_thing SET f0 = '{\"a\":1}' WHERE id = 5")
    assert lab.sql("SELECT f0::text FROM new_thing WHERE id = 5") == [('{"a":1}',)]
    lab.sql("ALTER TABLE old_thing DISABLE TRIGGER USER")
    lab.sql("UPDATE old_thing SET f0 = '{\"a\": 1}' WHERE id = 5")
    lab.sql("ALTER TABLE old_thing ENABLE TRIGGER USER")
    assert [difference.columns for difference in lab.verify(MOVE).comparison.differences] == [["f0"]]
    lab.sql("UPDATE new_thing SET f0 = NULL WHERE id = 5")
    lab.back(MOVE)
    witness.confirms("old.Thing")


def test_generated_columns_are_computed_on_each_side(lab: Lab) -> None:
    def fields(app: str) -> dict[str, models.Field]:
        text = models.CharField(max_length=20)
        return {
            f"only_{app}": models.GeneratedField(expression=Upper("name"), output_field=text, db_persist=True),
            "name": models.CharField(max_length=20),
            "lower": models.GeneratedField(expression=Lower("name"), output_field=text, db_persist=True),
        }

    lab.twins(fields)
    old, new = lab.get("old.Thing"), lab.get("new.Thing")
    old.objects.create(name="Old")
    lab.forward(MOVE)
    new.objects.create(name="NEW")
    new.objects.filter(name="Old").update(name="Older")
    old.objects.create(name="OLD")
    for model in (old, new):
        assert list(model.objects.order_by("pk").values_list("lower", flat=True)) == ["older", "new", "old"]
    assert lab.verify(MOVE).ok
    lab.back(MOVE)
    assert list(old.objects.order_by("pk").values_list("lower", flat=True)) == ["older", "new", "old"]


@pytest.mark.parametrize("generated", ["old", "new"])
def test_a_column_generated_on_one_side_only_is_refused(lab: Lab, refused: Any, generated: str) -> None:
    def fields(app: str) -> dict[str, models.Field]:
        total = models.IntegerField(null=True)
        return {
            "size": models.IntegerField(),
            "total": models.GeneratedField(expression=F("size") * 2, output_field=total, db_persist=True)
            if app == generated
            else total,
        }

    lab.twins(fields)
    message = refused(MOVE)
    assert f"{generated}.Thing.total is generated" in message


def test_defaults_of_the_database_serve_both_sides(lab: Lab) -> None:
    lab.twins(
        lambda app: {
            "name": models.CharField(max_length=20, db_default="né", db_comment=f"of {app}"),
            "since": models.DateTimeField(db_default=Now()),
            "size": models.IntegerField(db_column="Größe", db_default=7),
        }
    )
    old, new = lab.get("old.Thing"), lab.get("new.Thing")
    old.objects.create()
    lab.forward(MOVE)
    new.objects.create()
    old.objects.create(size=8)
    rows = list(old.objects.order_by("pk").values_list())
    assert [(name, size) for _, name, _, size in rows] == [("né", 7), ("né", 7), ("né", 8)]
    assert list(new.objects.order_by("pk").values_list()) == rows
    lab.back(MOVE)
    assert list(old.objects.order_by("pk").values_list()) == rows
    assert lab.sql("SELECT col_description('new_thing'::regclass, 2)") == [("of new",)]


def test_a_narrower_column_takes_what_fits_and_refuses_the_rest_aloud(lab: Lab) -> None:
    """varchar(20) to text, integer to bigint, numeric(6, 2) to numeric(9, 2): the way back is the narrow one."""
    wide = {
        "name": models.TextField(), "size": models.BigIntegerField(),
        "price": models.DecimalField(max_digits=9, decimal_places=2),
    }  # fmt: skip
    narrow = {
        "name": models.CharField(max_length=20), "size": models.IntegerField(),
        "price": models.DecimalField(max_digits=6, decimal_places=2),
    }  # fmt: skip
    lab.twins(lambda app: wide if app == "new" else narrow)
    old, new = lab.get("old.Thing"), lab.get("new.Thing")
    old.objects.create(name="x" * 20, size=2**31 - 1, price="9999.99")
    lab.forward(MOVE)
    new.objects.create(name="y" * 20, size=-(2**31), price="-9999.99")
    for change in ({"name": "z" * 21}, {"size": 2**31}, {"price": "10000"}):
        with pytest.raises(DataError), transaction.atomic():
            new.objects.update(**change)
        with pytest.raises(DataError), transaction.atomic():
            new.objects.create(**{"name": "", "size": 1, "price": 1} | change)
    assert lab.verify(MOVE).ok
    lab.back(MOVE)
    assert list(old.objects.order_by("pk").values_list("name", "size")) == [
        ("x" * 20, 2**31 - 1),
        ("y" * 20, -(2**31)),
    ]


class CitextField(models.TextField):
    """What Django's CITextField was until 5.1."""

    def db_type(self, connection: Any) -> str:
        return "citext"


@pytest.fixture(params=["public", "elsewhere"])
def extensions(request: pytest.FixtureRequest, lab: Lab, elsewhere: None) -> Iterator[None]:
    """citext and hstore, where everybody looks for them or in a schema that only this connection searches."""
    lab.sql(f"CREATE EXTENSION citext SCHEMA {request.param}")
    lab.sql(f"CREATE EXTENSION hstore SCHEMA {request.param}")
    lab.sql("CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level1', deterministic = false)")
    lab.sql(f"SET search_path = public, {request.param}")
    signals.get_hstore_oids.cache_clear()
    signals.register_type_handlers(lab.connection)
    yield
    signals.get_hstore_oids.cache_clear()
    lab.connection.close()


@pytest.mark.contrib
def test_hstore_citext_and_loose_collations(lab: Lab, extensions: None) -> None:
    """Their own equality takes values for equal that differ: a change of case alone must be carried and seen."""

    def fields() -> dict[str, models.Field]:
        return {
            "tags": postgres.HStoreField(null=True),
            "email": CitextField(null=True, unique=True),
            "name": models.CharField(max_length=30, null=True, db_collation="loose", unique=True),
        }

    lab.twins(lambda app: fields())
    witness = Witness(lab, fields())
    witness.create("old.Thing", tags={"a": None, "b": "", "é": '"=>"'}, email="A@Example.com", name="Résumé")
    witness.create("old.Thing", tags={}, email=None, name="")
    witness.create("old.Thing")
    lab.forward(MOVE)
    witness.confirms("new.Thing")
    for side, email, name in (("old.Thing", "a@example.com", "resume"), ("new.Thing", "A@EXAMPLE.COM", "RÉSUMÉ")):
        witness.update(side, 1, email=email)
        witness.update(side, 1, name=name)
        witness.update(side, 2, tags={"a": email, "n": None})
        witness.confirms("old.Thing")
        witness.confirms("new.Thing")
    witness.create("new.Thing", tags={"x": "y"}, email="b@example.com", name="ß")
    with pytest.raises(IntegrityError), transaction.atomic():
        lab.get("old.Thing").objects.create(email="B@example.com")
    assert lab.verify(MOVE).ok
    lab.sql("ALTER TABLE new_thing DISABLE TRIGGER USER")
    lab.sql("UPDATE new_thing SET email = 'a@example.com', name = 'resume' WHERE id = 1")
    lab.sql("ALTER TABLE new_thing ENABLE TRIGGER USER")
    found = lab.verify(MOVE).comparison.differences
    assert [(difference.key, difference.columns) for difference in found] == [(["1"], ["email", "name"])]
    lab.sql("UPDATE new_thing SET email = 'A@EXAMPLE.COM', name = 'RÉSUMÉ' WHERE id = 1")
    lab.back(MOVE)
    witness.confirms("old.Thing")
