"""After a move in place, Django finds everything under the name that it looks for, in this migration and later ones."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import NotSupportedError, migrations, models, transaction
from django.db.migrations.operations.base import Operation

from rehome import Move
from rehome.parts.renaming import in_turn
from rehome.postgres import anatomy, catalog, tables
from tests.database import dump
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Gadget", fields={"title": "name"}, in_place=True)
SAME = Move("old.Thing", "new.Thing", in_place=True)


def text(**options: Any) -> models.CharField:
    return models.CharField(max_length=20, **options)


@pytest.fixture
def things(lab: Lab) -> Lab:
    for label, name in (("old.Thing", "name"), ("new.Gadget", "title")):
        app = label[:3]
        lab.model(
            label,
            {
                name: text(db_index=True),
                "code": models.IntegerField(unique=True),
                "size": models.IntegerField(),
                "owner": models.ForeignKey("auth.User", models.CASCADE, null=True, related_name=f"{app}_things"),
            },
            unique_together={(name, "size")},
            indexes=[models.Index(fields=["size", name], name=f"{app}_size")],
            constraints=[
                models.CheckConstraint(condition=models.Q(size__gt=0), name=f"{app}_positive"),
                models.UniqueConstraint(fields=["code", "size"], name=f"{app}_code"),
                models.UniqueConstraint(fields=["owner"], condition=models.Q(size=1), name=f"{app}_owner"),
            ],
        )
    lab.sql("INSERT INTO old_thing (name, code, size) SELECT 'thing ' || n, n, n FROM generate_series(1, 20) n")
    return lab


LATER: dict[str, list[Operation]] = {
    "RemoveIndex": [migrations.RemoveIndex("Gadget", "new_size")],
    "RenameIndex": [migrations.RenameIndex("Gadget", "new_other", old_name="new_size")],
    "RemoveConstraint, check": [migrations.RemoveConstraint("Gadget", "new_positive")],
    "RemoveConstraint, unique": [migrations.RemoveConstraint("Gadget", "new_code")],
    "RemoveConstraint, index": [migrations.RemoveConstraint("Gadget", "new_owner")],
    "AlterUniqueTogether": [migrations.AlterUniqueTogether("Gadget", set())],
    "AlterField, unique": [migrations.AlterField("Gadget", "code", models.IntegerField())],
    "AlterField, index": [migrations.AlterField("Gadget", "title", text())],
    "AlterField, null": [migrations.AlterField("Gadget", "size", models.IntegerField(null=True))],
    "AlterField, foreign key": [
        migrations.AlterField("Gadget", "owner", models.ForeignKey("auth.Group", models.CASCADE, null=True))
    ],
    "AlterField, no key": [
        migrations.AlterField(
            "Gadget",
            "owner",
            models.ForeignKey("auth.User", models.CASCADE, null=True, related_name="+", db_constraint=False),
        )
    ],
    "AddIndex": [migrations.AddIndex("Gadget", models.Index(fields=["size"], name="new_index"))],
    "AddConstraint": [
        migrations.AddConstraint("Gadget", models.CheckConstraint(condition=models.Q(code__gt=0), name="new_check"))
    ],
    "AddField": [migrations.AddField("Gadget", "more", models.IntegerField(default=1))],
    "RenameField": [
        migrations.RenameField("Gadget", "title", "label"),
        migrations.AlterField("Gadget", "label", text()),
    ],
    "RenameModel": [
        migrations.RenameModel("Gadget", "Widget"),
        migrations.RemoveIndex("Widget", "new_size"),
    ],
}


def described(lab: Lab, table: str) -> set[tuple[object, ...]]:
    found = catalog.read_table(lab.connection, table)
    assert found is not None
    return tables.describe(anatomy.read_anatomy(found, lab.connection))


@pytest.mark.parametrize("name", LATER)
def test_a_later_migration_finds_what_it_changes(things: Lab, name: str) -> None:
    def run() -> set[tuple[object, ...]]:
        for operation in LATER[name]:
            things.apply("new", operation)
        table = "new_widget" if name == "RenameModel" else "new_gadget"
        return described(things, table)

    before = things.state
    things.state = before.clone()
    with transaction.atomic():
        expected = run()
        transaction.set_rollback(True)
    things.state = before

    things.forward(MOVE)

    assert run() == expected
    assert things.sql("SELECT count(*), max(name) FROM old_thing") == [(20, "thing 9")]


def test_a_column_of_the_view_changes_its_type_without_it(things: Lab) -> None:
    things.forward(MOVE)
    wider = migrations.AlterField("Gadget", "title", models.CharField(max_length=50, db_index=True))
    before = things.state.clone()
    with pytest.raises(NotSupportedError, match="cannot alter type of a column used by a view"):
        things.apply("new", wider)
    things.state = before
    things.sql("DROP VIEW old_thing")
    report = things.verify(MOVE)
    assert (report.ok, report.view) == (False, ("public.old_thing, the view of public.new_gadget, is gone.",))
    things.apply("new", wider)
    things.forward(MOVE)
    assert things.verify(MOVE).ok
    things.get("old.Thing").objects.filter(pk=1).update(name="wider than it was before")


def test_it_goes_back_without_the_view(things: Lab) -> None:
    things.forward(MOVE)
    things.sql("DROP VIEW old_thing")
    things.back(MOVE)
    assert things.sql("SELECT relkind FROM pg_class WHERE oid = 'old_thing'::regclass") == [("r",)]


# ----- names that change places


def test_no_name_is_given_while_another_part_has_it() -> None:
    assert in_turn({"a": "b", "b": "c", "d": "d"}) == [("b", "rehome_aside_1"), ("a", "b"), ("rehome_aside_1", "c")]
    assert in_turn({"a": "b", "b": "a"}) == [
        ("a", "rehome_aside_0"), ("b", "rehome_aside_1"), ("rehome_aside_0", "b"), ("rehome_aside_1", "a"),
    ]  # fmt: skip


def test_columns_and_constraints_change_places(lab: Lab) -> None:
    for app, first, second in (("old", "one", "two"), ("new", "two", "one")):
        lab.model(
            f"{app}.Thing",
            {first: models.IntegerField(db_comment="first"), second: models.IntegerField(db_comment="second")},
            constraints=[
                models.CheckConstraint(condition=models.Q(**{f"{first}__gt": 0}), name=first),
                models.CheckConstraint(condition=models.Q(**{f"{second}__gt": 1}), name=second),
            ],
        )
    lab.sql("INSERT INTO old_thing (one, two) VALUES (1, 2)")
    before = described(lab, "old_thing")
    twin = described(lab, "new_thing")
    move = Move("old.Thing", "new.Thing", fields={"one": "two", "two": "one"}, in_place=True)
    for _ in range(2):
        lab.forward(move)
        assert described(lab, "new_thing") == twin
        assert lab.sql("SELECT n.one, n.two, o.one, o.two FROM new_thing n, old_thing o") == [(2, 1, 1, 2)]
        lab.back(move)
        assert described(lab, "old_thing") == before
        assert lab.sql("SELECT one, two FROM old_thing") == [(1, 2)]


def test_definitions_are_told_apart_by_more_than_their_words(lab: Lab) -> None:
    """Columns called like types, functions and words in texts."""
    for app, here, there in (("old", "text", "lower"), ("new", "lower", "Text")):
        lab.model(f"{app}.Thing", {here: models.TextField(), there: models.TextField()})
        lab.sql(
            f"ALTER TABLE {app}_thing ADD CONSTRAINT {app}_check CHECK (lower(\"{here}\") <> 'text'::text "
            f'AND "{there}" <> \'it\'\'s "lower"\'); CREATE INDEX {app}_index ON {app}_thing (lower("{here}")) '
            f'INCLUDE ("{there}") WHERE "{here}" ~ \'lower\''
        )
    move = Move("old.Thing", "new.Thing", fields={"lower": "text", "Text": "lower"}, in_place=True)
    twin = described(lab, "new_thing")
    lab.forward(move)
    assert described(lab, "new_thing") == twin


# ----- keys


def make_serial(lab: Lab, table: str) -> None:
    """The key as Django made it before 4.1."""
    lab.sql(f"ALTER TABLE {table} ALTER id DROP IDENTITY; CREATE SEQUENCE {table}_id_seq OWNED BY {table}.id")
    lab.sql(f"ALTER TABLE {table} ALTER id SET DEFAULT nextval('{table}_id_seq')")


@pytest.mark.parametrize("twin", ["serial", "identity"])
@pytest.mark.parametrize("source", ["serial", "identity"])
def test_a_key_is_of_the_twins_kind_and_continues_from_its_last_value(
    lab: Lab, make_role: Callable[[str], str], source: str, twin: str
) -> None:
    lab.twins(lambda app: {"name": text()})
    for kind, table in ((source, "old_thing"), (twin, "new_thing")):
        if kind == "serial":
            make_serial(lab, table)
    lab.sql("ALTER SEQUENCE old_thing_id_seq INCREMENT BY 10 RESTART WITH 7 MAXVALUE 1000 CACHE 3")
    clerk, reader = make_role("clerk"), make_role("reader")
    lab.sql(f'GRANT SELECT, INSERT ON old_thing TO "{clerk}"; GRANT USAGE ON SEQUENCE old_thing_id_seq TO "{clerk}"')
    lab.sql(f'GRANT SELECT ON SEQUENCE new_thing_id_seq TO "{reader}"')
    old = lab.get("old.Thing")
    assert old.objects.create(name="a").pk == 7
    lab.connection.close()
    before = dump(tables=["old_*"])
    position = lab.sql("SELECT last_value, is_called FROM old_thing_id_seq")

    for _ in range(2):
        wanted = described(lab, "new_thing")
        lab.forward(SAME)
        assert described(lab, "new_thing") == wanted
        assert lab.sql("SELECT last_value, is_called FROM new_thing_id_seq") == position
        assert lab.sql("SELECT seqincrement, seqmax, seqcache FROM pg_sequence JOIN pg_class c ON c.oid = seqrelid "
                       "WHERE relname = 'new_thing_id_seq'") == [(10, 1000, 3)]  # fmt: skip
        assert lab.sql("SELECT has_sequence_privilege(%s, 'new_thing_id_seq', 'SELECT')", [reader]) == [(True,)]
        lab.back(SAME)
        assert dump(tables=["old_*"]) == before

    lab.forward(SAME)
    lab.sql(f'SET ROLE "{clerk}"')
    keys = [lab.get(label).objects.create(name="b").pk for label in ("old.Thing", "new.Thing")]
    lab.sql("RESET ROLE")
    assert keys == [37, 47]
    lab.back(SAME)
    assert old.objects.create(name="c").pk > 47
    allowed = "SELECT has_sequence_privilege(%s, %s, 'SELECT')"
    assert lab.sql(allowed, [reader, "new_thing_id_seq"]) == [(True,)]
    assert lab.sql(allowed, [reader, "old_thing_id_seq"]) == [(False,)]


@pytest.mark.parametrize("key", [models.UUIDField(primary_key=True), models.CharField(max_length=9, primary_key=True)])
def test_a_key_that_nothing_numbers(lab: Lab, key: models.Field) -> None:
    lab.twins(lambda app: {"code": key.clone(), "name": text(null=True)})
    twin = described(lab, "new_thing")
    lab.forward(SAME)
    assert described(lab, "new_thing") == twin
    assert lab.verify(SAME).ok


def test_a_key_of_two_columns(lab: Lab) -> None:
    lab.twins(
        lambda app: {
            "pk": models.CompositePrimaryKey("shop", "number"),
            "shop": models.IntegerField(),
            "number": models.IntegerField(),
        }
    )
    lab.sql("INSERT INTO old_thing VALUES (1, 2)")
    twin = described(lab, "new_thing")
    lab.forward(SAME)
    assert described(lab, "new_thing") == twin
    assert lab.get("old.Thing").objects.get(pk=(1, 2)).number == 2
    lab.back(SAME)
    assert lab.get("old.Thing").objects.count() == 1
