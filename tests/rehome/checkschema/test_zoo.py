"""What Django made has no difference, whatever it is; and two ways of saying the same are no difference."""

import uuid
from typing import Any

import pytest
from django.apps import apps
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateTimeRangeField, IntegerRangeField, RangeOperators
from django.contrib.postgres.indexes import BrinIndex, GinIndex, GistIndex, HashIndex, OpClass
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import connection, models
from django.db.migrations import (
    AddField,
    AddIndex,
    AlterField,
    AlterModelTableComment,
    CreateModel,
    RenameField,
    RenameModel,
)
from django.db.models import F, Q, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Concat, Lower, Now, Upper

from rehome.checkschema.comparing import compare, compare_app
from rehome.checkschema.postgres.server import simplified
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

FARM = ["portal", "accounts", "printers", "auth", "admin", "contenttypes", "sessions"]
SIMPLE = [
    models.BigIntegerField, models.BinaryField, models.BooleanField, models.DateField, models.DateTimeField,
    models.DurationField, models.EmailField, models.FileField, models.FloatField, models.GenericIPAddressField,
    models.IntegerField, models.JSONField, models.PositiveBigIntegerField, models.PositiveIntegerField,
    models.PositiveSmallIntegerField, models.SlugField, models.SmallIntegerField, models.TextField, models.TimeField,
    models.URLField, models.UUIDField, SearchVectorField, DateTimeRangeField, IntegerRangeField,
]  # fmt: skip


def zoo() -> dict[str, models.Field]:
    return {
        "id": models.AutoField(primary_key=True),
        **{field.__name__.lower(): field() for field in SIMPLE},
        **{f"maybe_{field.__name__.lower()}": field(null=True) for field in SIMPLE},
        "title": models.CharField(max_length=80, unique=True, db_collation="C"),
        "endless": models.CharField(db_index=True),
        "amount": models.DecimalField(max_digits=9, decimal_places=3, db_default=0, db_column="How Much"),
        "order": models.IntegerField(db_index=True, db_column="order"),
        "words": ArrayField(models.CharField(max_length=9), size=3, default=list),
        "grid": ArrayField(ArrayField(models.IntegerField()), null=True),
        "made": models.DateTimeField(db_default=Now(), db_comment="It's \"made\""),
        "token": models.UUIDField(db_default=RawSQL("gen_random_uuid()", [])),
        "greeting": models.CharField(max_length=20, db_default=Concat(Value("a%"), Value("'b'"))),
        "nothing": models.CharField(max_length=20, null=True, db_default=None),
        "loud": models.GeneratedField(
            expression=Upper("title"), output_field=models.CharField(max_length=80, db_index=True), db_persist=True
        ),
        "cage": models.ForeignKey("old.Cage", models.CASCADE),
        "by_code": models.ForeignKey("old.Cage", models.SET_NULL, null=True, to_field="code", related_name="+"),
        "loose": models.ForeignKey("old.Cage", models.DO_NOTHING, db_constraint=False, related_name="+"),
        "twin": models.OneToOneField("self", models.PROTECT, null=True),
        "user": models.ForeignKey("auth.User", models.CASCADE),
        "cages": models.ManyToManyField("old.Cage", related_name="+", db_table="Zoo in Cages"),
        "friends": models.ManyToManyField("self"),
    }  # fmt: skip


META: dict[str, Any] = {
    "db_table": "Zoo of",
    "db_table_comment": "Don't feed.",
    "unique_together": {("title", "order")},
    "indexes": [
        models.Index(fields=["-order", "title"], name="zoo_1"),
        models.Index(Lower("title").desc(), "order", name="zoo_2"),
        models.Index(fields=["title"], include=["order"], condition=Q(order__gt=5) | Q(title="100%"), name="zoo_3"),
        models.Index(OpClass(Upper("title"), name="varchar_pattern_ops"), name="zoo_4"),
        GinIndex(fields=["jsonfield"], name="zoo_5", opclasses=["jsonb_path_ops"], fastupdate=False),
        GinIndex(SearchVector("title", config="english"), name="zoo_6"),
        BrinIndex(fields=["made"], name="zoo_7", pages_per_range=4),
        HashIndex(fields=["title"], name="zoo_8"),
        GistIndex(fields=["integerrangefield"], name="zoo_9", fillfactor=80),
    ],
    "constraints": [
        models.CheckConstraint(condition=Q(title__in=["a", "b"]) | Q(order__range=(1, 5)), name="zoo_a"),
        models.CheckConstraint(condition=~Q(title__startswith="%"), name="zoo_b"),
        models.UniqueConstraint(fields=["title", "cage"], deferrable=models.Deferrable.DEFERRED, name="zoo_c"),
        models.UniqueConstraint(Lower("title"), "order", name="zoo_d"),
        models.UniqueConstraint(fields=["order"], nulls_distinct=False, name="zoo_e"),
        models.UniqueConstraint(fields=["order"], include=["title"], condition=Q(title="x"), name="zoo_f"),
        ExclusionConstraint(
            name="zoo_g",
            expressions=[("datetimerangefield", RangeOperators.OVERLAPS)],
            condition=Q(booleanfield=True),
        ),
    ],
}


@pytest.fixture
def lab(db: None) -> Lab:
    return Lab()


def differences(lab: Lab, *labels: str) -> list[dict[str, Any]]:
    report = compare([lab.get(label) for label in labels], lab.state, lab.apps, lab.connection)
    return [difference.as_json() for difference in report.differences]


def test_the_whole_farm_is_as_its_migrations_made_it(live: str) -> None:
    for app in FARM:
        report = compare_app(app, connection)

        assert report.as_json()["differences"] == []
        assert len(report.compared) >= len(list(apps.get_app_config(app).get_models()))


def test_a_zoo_of_fields_indexes_and_constraints(lab: Lab) -> None:
    lab.model("old.Cage", {"code": models.CharField(max_length=4, unique=True)}, db_table='"public"."cages"')
    lab.model("old.Animal", zoo(), **META)
    lab.model("old.Bird", {"animal_ptr": parent("old.Animal"), "wings": models.IntegerField()})
    lab.model(
        "old.Visit",
        {"pk": models.CompositePrimaryKey("cage", "day"), "cage": to("old.Cage"), "day": models.DateField()},
    )

    assert differences(lab, "old.Cage", "old.Animal", "old.Bird", "old.Visit") == []


def parent(label: str) -> models.OneToOneField:
    return models.OneToOneField(label, models.CASCADE, parent_link=True, primary_key=True)


def to(label: str) -> models.ForeignKey:
    return models.ForeignKey(label, models.CASCADE)


def test_tables_with_a_history_equal_new_ones(lab: Lab) -> None:
    """A check keeps the casts from before its column became a text; names remember what a table was called."""
    lab.model(
        "old.Before",
        {
            "id": models.AutoField(primary_key=True),
            "state": models.CharField(max_length=9, db_index=True),
            "note": models.SlugField(),
            "size": models.BigIntegerField(),
        },
        constraints=[
            models.CheckConstraint(condition=Q(state__in=["a", "(b)", "c::text"]), name="a_state"),
            models.CheckConstraint(condition=Q(size__in=[1, -2]), name="a_size"),
        ],
        indexes=[models.Index(fields=["state"], condition=Q(state="(b)"), name="a_state_idx")],
    )
    lab.model("old.Child", {"before": models.ForeignKey("old.Before", models.CASCADE)})
    lab.apply("old", AlterField("Before", "state", models.TextField(db_index=True)))
    lab.apply("old", AlterField("Before", "size", models.IntegerField()))
    lab.apply("old", AlterField("Before", "id", models.BigAutoField(primary_key=True)))
    lab.apply("old", RenameField("Before", "note", "remark"))
    lab.apply("old", RenameModel("Before", "After"))

    assert differences(lab, "old.After", "old.Child") == []


SERIAL = """
CREATE TABLE old_thing (id serial PRIMARY KEY, name varchar(9) DEFAULT NULL, note text DEFAULT NULL::text);
CREATE UNIQUE INDEX ON old_thing (name text_pattern_ops);
DROP INDEX old_thing_name_idx;
"""


def test_serial_keys_and_defaults_of_null_are_no_difference(lab: Lab) -> None:
    fields = {"id": models.AutoField(primary_key=True), "name": models.CharField(max_length=9, null=True)}
    lab.model("old.Thing", {**fields, "note": models.TextField(null=True)})
    lab.sql("DROP TABLE old_thing;" + SERIAL)

    assert differences(lab, "old.Thing") == []


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("CHECK (((a)::text = 'x'::text))", "CHECK ((a = 'x'))", True),
        ("(a = ANY (ARRAY[(1)::bigint, '-2'::integer]))", "(a = ANY (ARRAY[1, '-2'::bigint]))", True),
        ("btree (a) WHERE ((b)::text = 'x'::text)", "btree (a) WHERE (b = 'x'::character varying)", True),
        ("(a = '(b)'::text)", "(a = 'b'::text)", False),
        ("(a = 'b::text'::text)", "(a = 'b'::text)", False),
        ("((a + b) * c)", "(a + (b * c))", False),
        ("((a)::integer = 1)", "(a = 1)", False),
        ("(a = '1'::text)", "(a = 1)", False),
        ('("(a)" = 1)', "(a = 1)", False),
        ("lower(a)", "(lower(b))", False),
    ],
)
def test_definitions_that_mean_the_same(one: str, other: str, *, same: bool) -> None:
    assert (simplified(one) == simplified(other)) is same


def test_an_unmanaged_model_is_compared_with_its_indexes(lab: Lab) -> None:
    fields = {"id": models.BigAutoField(primary_key=True), "name": models.CharField(max_length=9, db_index=True)}
    lab.model("old.Made", fields, db_table="thing")
    lab.model("old.Seen", {**fields, "uuid": models.UUIDField(default=uuid.uuid4)}, db_table="thing", managed=False)

    (missing,) = differences(lab, "old.Seen")

    assert (missing["what"], missing["kind"]) == ('column "uuid"', "missing")


def test_a_view_is_compared_by_its_columns(lab: Lab) -> None:
    lab.model("old.Thing", {"name": models.CharField(max_length=9)})
    lab.sql("CREATE VIEW seen AS SELECT id::integer, name, 1 AS one FROM old_thing")
    fields = {"id": models.BigAutoField(primary_key=True), "name": models.CharField(max_length=9, db_index=True)}
    lab.model("old.Seen", {**fields, "two": models.IntegerField()}, db_table="seen", managed=False)

    narrow, missing = differences(lab, "old.Seen")

    assert (narrow["what"], narrow["kind"], narrow["found"]) == ('column "id"', "type", "integer")
    assert (missing["what"], missing["kind"], missing["change"]) == ('column "two"', "missing", "without two")


def test_a_percent_sign_in_a_comment_is_one(lab: Lab) -> None:
    """Django itself can't make it: an older database has it."""
    lab.model("old.Thing", {"rate": models.IntegerField(db_comment="in percent")}, db_table_comment="of all")
    lab.sql("COMMENT ON COLUMN old_thing.rate IS 'in %'; COMMENT ON TABLE old_thing IS '%s of 100%'")
    lab.apply_state_only("old", AlterField("Thing", "rate", models.IntegerField(db_comment="in %")))
    lab.apply_state_only("old", AlterModelTableComment("Thing", "%s of 100%"))

    assert differences(lab, "old.Thing") == []


def test_a_name_that_django_can_t_make_is_told(lab: Lab) -> None:
    lab.model("old.Thing", {"name": models.TextField()})
    lab.sql('ALTER TABLE old_thing ADD "rate %" integer DEFAULT 5')
    rate = models.IntegerField(null=True, db_column="rate %", db_default=5)
    lab.apply_state_only("old", AddField("Thing", "rate", rate))

    (found,) = differences(lab, "old.Thing")

    assert (found["kind"], found["expected"]) == ("unsupported", '"rate %" integer DEFAULT %s NULL')


@pytest.mark.since(18)
def test_a_null_that_nobody_looked_for_is_told(lab: Lab) -> None:
    lab.model("old.Thing", {"name": models.TextField()})
    lab.sql("ALTER TABLE old_thing ALTER name DROP NOT NULL; INSERT INTO old_thing (name) VALUES (NULL)")
    lab.sql("ALTER TABLE old_thing ADD CONSTRAINT n NOT NULL name NOT VALID")

    (found,) = differences(lab, "old.Thing")

    assert (found["what"], found["kind"], found["found"]) == ('column "name"', "null", "NULL")


class Shelf(models.Field):
    def db_type(self, connection: Any) -> str:
        return "shelf"


def test_a_type_that_the_database_has_not_is_told(lab: Lab) -> None:
    lab.model("old.Thing", {"name": models.TextField()})
    field = models.TextField(db_collation="nowhere")
    lab.apply_state_only("old", AddField("Thing", "place", Shelf()))
    lab.apply_state_only("old", AddField("Thing", "text", field))

    found = differences(lab, "old.Thing")

    assert [(each["kind"], each["expected"]) for each in found] == [
        ("unsupported", '"place" shelf NOT NULL'),
        ("unsupported", '"text" text COLLATE "nowhere" NOT NULL'),
    ]
    assert 'type "shelf" does not exist' in found[0]["found"]
    assert 'collation "nowhere" for encoding "UTF8" does not exist' in found[1]["found"]


def test_an_index_that_the_database_can_t_have_is_told_beside_the_rest(lab: Lab) -> None:
    lab.model("old.Thing", {"name": models.CharField(max_length=9)})
    index = models.Index(OpClass("name", name="gin_trgm_ops"), name="thing_name")
    lab.apply_state_only("old", AddIndex("Thing", index))
    lab.sql("ALTER TABLE old_thing ALTER name TYPE varchar(8)")

    unsupported, shorter = differences(lab, "old.Thing")

    assert (unsupported["kind"], shorter["kind"]) == ("unsupported", "length")
    assert 'operator class "gin_trgm_ops" does not exist' in unsupported["found"]


def test_f_expressions_compare_columns_of_one_row(lab: Lab) -> None:
    fields = {"low": models.IntegerField(), "high": models.IntegerField()}
    check = models.CheckConstraint(condition=Q(low__lte=F("high")), name="low_first")
    lab.model("old.Thing", fields, constraints=[check])

    assert differences(lab, "old.Thing") == []


def test_a_model_that_no_server_could_make_is_told_by_djangos_own_checks(lab: Lab) -> None:
    lab.sql("CREATE TABLE log (id integer, day date, note text, PRIMARY KEY (id, day))")
    lab.apply_state_only(
        "old",
        CreateModel(
            "Log",
            [
                ("pk", models.CompositePrimaryKey("id", "day")),
                ("id", models.AutoField()),
                ("day", models.DateField()),
                ("note", models.TextField(null=True)),
            ],
            options={"db_table": "log", "managed": False},
        ),
    )

    (found,) = differences(lab, "old.Log")

    said = "The model cannot have more than one field with 'primary_key=True'."
    assert (found["kind"], found["change"]) == ("unsupported", said)


@pytest.mark.parametrize(
    ("unique", "change"),
    [
        ("", "primary_key=True at a field that has another value in each row, or pk = models.CompositePrimaryKey(...)"),
        ("UNIQUE (code)", "primary_key=True at the field of word, which is unique, and no id"),
        ("UNIQUE (code, n)", "pk = models.CompositePrimaryKey('word', 'n'), which are unique together, and no id"),
    ],
)
def test_a_table_without_a_primary_key_gets_advice(lab: Lab, unique: str, change: str) -> None:
    lab.sql(f"CREATE TABLE bare (code text NOT NULL, n integer NOT NULL {',' if unique else ''} {unique})")
    fields = [("word", models.TextField(db_column="code")), ("n", models.IntegerField())]
    lab.apply_state_only(
        "old",
        CreateModel(
            "Bare",
            [("id", models.BigAutoField(primary_key=True, auto_created=True)), *fields],
            options={"db_table": "bare", "managed": False},
        ),
    )

    found = {each["what"]: each for each in differences(lab, "old.Bare")}

    assert found['column "id"']["change"] == change
