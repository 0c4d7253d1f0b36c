"""Tables and columns under every name that Django can give them, in any schema."""

from collections.abc import Iterator

import pytest
from django.db import models
from django.db.models.functions import Upper
from psycopg import sql

from rehome import Move
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Thing")
LONG = "ü" * 30 + "xyz"
"""As many bytes as a name can have."""

TABLES = {
    "mixed case and spaces": ("Old Thing", "New Thing"),
    "not ASCII": ("старая_вещь", "新しい物"),
    "63 bytes that differ at the end": (LONG, LONG[:-1] + "w"),
    "words of SQL": ("user", "select"),
    "words of the triggers": ("new", "kept"),
    "a dot": ("a.b", "a.c"),
    "quotes": ('it\'s "old"', 'it\'s "new"'),
    "percent": ("100%", "100% new %s %(x)s"),
}


def on(table: str, statement: str) -> str:
    return sql.SQL(statement).format(sql.Identifier(table)).as_string()


@pytest.mark.parametrize("tables", TABLES.values(), ids=list(TABLES))
def test_tables_of_any_name(lab: Lab, tables: tuple[str, str]) -> None:
    """Through SQL, for Django can make a table with a percent sign in its name, and then not write to it."""
    old, new = tables
    for label, table in zip(("old.Thing", "new.Thing"), tables, strict=True):
        # Django quotes a name that is not quoted, but leaves the quotes in it alone.
        named = sql.Identifier(table).as_string() if '"' in table else table
        lab.model(label, {"name": models.CharField(max_length=9)}, db_table=named)
    lab.sql(on(old, "INSERT INTO {} (name) VALUES ('a'), ('b')"))
    lab.forward(MOVE)
    lab.sql(on(new, "INSERT INTO {} (name) VALUES ('c')"))
    lab.sql(on(old, "UPDATE {} SET name = 'B', id = 7 WHERE name = 'b'"))
    lab.sql(on(new, "DELETE FROM {} WHERE name = 'a'"))
    expected = [(3, "c"), (7, "B")]
    for table in tables:
        assert lab.sql(on(table, "SELECT id, name FROM {} ORDER BY id")) == expected
    assert lab.verify(MOVE).comparison.equal
    lab.back(MOVE)
    assert lab.sql(on(old, "SELECT id, name FROM {} ORDER BY id")) == expected
    lab.sql(on(old, "INSERT INTO {} (name) VALUES ('d')"))
    assert lab.sql(on(old, "SELECT count(*) FROM {}")) == [(3,)]
    lab.forward(MOVE)


COLUMNS = [
    "Mixed Case", "größe", "数", LONG, "user", "new", "old", "kept", "written", "event", "lives", "origin", "reborn",
    "excluded", "fresh", "s", "t", "k0", "v0", "projected", "parent", "gone", "held", "tg_op", "found", "record", "a.b",
    "carry", "leader", "leads", "carried", "seen",
]  # fmt: skip


def test_columns_of_any_name(lab: Lab) -> None:
    """Those that the engine's own SQL uses for something else among them, crosswise in both tables."""

    def fields(app: str) -> dict[str, models.Field]:
        turned = COLUMNS[1:] + COLUMNS[:1]
        columns = COLUMNS if app == "old" else turned
        return {f"f{n}": models.CharField(max_length=9, null=True, db_column=c) for n, c in enumerate(columns)} | {
            "key": models.BigAutoField(primary_key=True, db_column="Schlüssel" if app == "old" else "id")
        }

    lab.twins(fields)
    old, new = lab.get("old.Thing"), lab.get("new.Thing")
    names = [f"f{n}" for n in range(len(COLUMNS))]
    old.objects.create(**{name: name for name in names})
    lab.forward(MOVE)
    new.objects.create(**{name: f"new {name}" for name in names})
    for n, name in enumerate(names):
        (old, new)[n % 2].objects.filter(pk=1).update(**{name: f"by {n}"})
    expected = [tuple(f"by {n}" for n in range(len(names))), tuple(f"new {name}" for name in names)]
    for model in (old, new):
        assert list(model.objects.order_by("pk").values_list(*names)) == expected
    assert lab.verify(MOVE).ok
    lab.sql("ALTER TABLE new_thing DISABLE TRIGGER USER")
    new.objects.filter(pk=2).update(f0=None)
    assert [d.columns for d in lab.verify(MOVE).comparison.differences] == [[COLUMNS[1]]]
    lab.back(MOVE)
    assert old.objects.get(pk=2).f0 is None
    assert list(old.objects.filter(pk=1).values_list(*names)) == expected[:1]


def test_expressions_over_columns_of_any_name(lab: Lab) -> None:
    lab.twins(
        lambda app: {
            f"f{n}": models.CharField(max_length=90, db_column=column)
            for n, column in enumerate(("new", "written", "kept", "Größe"))
        }
    )
    names = [f"f{n}" for n in range(4)]
    move = Move(
        "old.Thing", "new.Thing", fields={name: Upper(name) for name in names}, backwards={name: name for name in names}
    )
    old, new = lab.get("old.Thing"), lab.get("new.Thing")
    old.objects.create(**dict.fromkeys(names, "a"))
    lab.forward(move)
    new.objects.create(**dict.fromkeys(names, "B"))
    old.objects.filter(pk=1).update(f1="c")
    new.objects.filter(pk=1).update(f2="D")
    assert list(old.objects.order_by("pk").values_list(*names)) == [("a", "c", "D", "a"), ("B",) * 4]
    assert list(new.objects.order_by("pk").values_list(*names)) == [("A", "C", "D", "A"), ("B",) * 4]
    assert lab.verify(move).ok
    lab.back(move)
    assert list(old.objects.order_by("pk").values_list(*names)) == [("a", "c", "D", "a"), ("B",) * 4]


# ----- schemas


@pytest.fixture
def farm(lab: Lab) -> Iterator[None]:
    lab.sql('CREATE SCHEMA "Fårm"')
    yield
    lab.clean()
    lab.sql('DROP SCHEMA IF EXISTS "Fårm" CASCADE')


@pytest.mark.parametrize(
    ("old_table", "new_table"),
    [
        ('"Fårm"."thing"', "new_thing"),
        ("old_thing", '"Fårm"."thing"'),
        ('"public"."thing"', '"Fårm"."thing"'),
        ('Fårm"."thing', 'Fårm"."new thing'),
    ],
)
def test_tables_that_name_their_schema(lab: Lab, farm: None, old_table: str, new_table: str) -> None:
    """Both spellings that go round for it: quoted whole, and with the inner quotes alone."""
    lab.model("core.Tag", {"name": models.CharField(max_length=9)})
    for app, table in (("old", old_table), ("new", new_table)):
        lab.model(
            f"{app}.Thing",
            {
                "name": models.CharField(max_length=9, db_index=True),
                "parent": models.ForeignKey(f"{app}.Thing", models.CASCADE, null=True),
                "tags": models.ManyToManyField("core.Tag", related_name=f"{app}+"),
            },
            db_table=table,
        )
    old, new, tag = lab.get("old.Thing"), lab.get("new.Thing"), lab.get("core.Tag").objects.create(name="t")
    old.objects.create(name="a").tags.add(tag)
    for round_number in range(2):
        lab.forward(MOVE)
        parent = new.objects.get(name="a")
        born = new.objects.create(name=f"b{round_number}", parent_id=parent.pk)
        born.tags.add(tag)
        expected = list(new.objects.order_by("pk").values_list("pk", "name", "parent_id", "tags"))
        assert list(old.objects.order_by("pk").values_list("pk", "name", "parent_id", "tags")) == expected
        assert lab.verify(MOVE).ok
        lab.back(MOVE)
        assert list(old.objects.order_by("pk").values_list("pk", "name", "parent_id", "tags")) == expected


def test_tables_that_the_connection_finds_in_its_own_schema(lab: Lab, farm: None) -> None:
    """As with OPTIONS = {"options": "-c search_path=..."}: no model names a schema."""
    lab.sql('SET search_path = "Fårm", public')
    try:
        lab.twins(
            lambda app: {
                "name": models.CharField(max_length=9),
                "owner": models.ForeignKey("auth.User", models.CASCADE, null=True, related_name=f"{app}+"),
            }
        )
        old, new = lab.get("old.Thing"), lab.get("new.Thing")
        old.objects.create(name="a")
        lab.forward(MOVE)
        new.objects.create(name="b")
        # The triggers know where their tables are, whoever writes.
        lab.sql("SET search_path = public")
        lab.sql("INSERT INTO \"Fårm\".old_thing (name) VALUES ('c')")
        lab.sql('SET search_path = "Fårm", public')
        assert list(new.objects.order_by("pk").values_list("name", flat=True)) == ["a", "b", "c"]
        assert lab.verify(MOVE).ok
        assert lab.plan(MOVE).main.target.schema == "Fårm"
        lab.back(MOVE)
        assert list(old.objects.order_by("pk").values_list("name", flat=True)) == ["a", "b", "c"]
        lab.clean()
    finally:
        lab.sql("RESET search_path")


def test_models_of_names_that_are_not_ascii(lab: Lab) -> None:
    lab.model("old.Größe", {"naïve": models.CharField(max_length=9)})
    lab.model("new.Ding", {"élan": models.CharField(max_length=9)})
    move = Move("old.Größe", "new.Ding", fields={"élan": "naïve"})
    lab.get("old.Größe").objects.create(**{"naïve": "a"})
    lab.forward(move)
    lab.get("new.Ding").objects.update(**{"élan": "b"})
    assert lab.get("old.Größe").objects.get().naïve == "b"
    assert lab.verify(move).ok
    lab.back(move)
