"""What `migrate` refuses before it unapplies the first migration."""

from typing import Any

import pytest
from django.db import migrations, models, transaction
from django.db.migrations.operations.base import Operation
from django.db.models.functions import Lower

from rehome import Move
from rehome.errors import Irreversible, Refused
from rehome.graph import rollback
from rehome.graph.additions import Addition
from tests.rehome.support.graph import graph_of
from tests.rehome.support.lab import Lab

MOVE = Move("old.Thing", "new.Thing")


def thing(**fields: models.Field) -> Operation:
    key = models.BigAutoField(primary_key=True)
    return migrations.CreateModel("Thing", [("id", key), ("name", models.TextField()), *fields.items()])


def moving(move: Move, back: Any = None) -> Operation:
    return migrations.RunPython(move.forwards, back or move.backwards)


class House:
    """Two apps with a move between them, and what the new one did afterwards, applied to a laboratory's tables."""

    def __init__(
        self, lab: Lab, *later: list[Operation], move: Move = MOVE, first: Operation | None = None, back: Any = None
    ) -> None:
        self.lab = lab
        self.loader = graph_of(old=[[thing()]], new=[[first or thing()], [moving(move, back)], *later])
        self.loader.applied_migrations = dict.fromkeys(self.loader.graph.nodes)
        lab.apply("old", thing())
        lab.apply("new", first or thing())
        lab.get("old.Thing").objects.bulk_create(lab.get("old.Thing")(name=name) for name in ("lamp", "desk", "chair"))
        lab.forward(move)
        for operation in (operation for operations in later for operation in operations):
            lab.apply("new", operation)

    def look(self) -> list[Addition]:
        """As `migrate new 0001` does."""
        taken = {key for key in self.loader.graph.nodes if key[0] == "new" and key[1] > "0001"}
        return rollback.refuse_stuck(taken, self.loader, self.lab.connection)

    def refusal(self, error: type[Refused] = Refused) -> str:
        with pytest.raises(error) as raised:
            self.look()
        return str(raised.value)


def add(name: str, field: models.Field) -> Operation:
    return migrations.AddField("Thing", name, field)


def test_a_field_that_was_added_since(lab: Lab) -> None:
    house = House(lab, [add("size", models.IntegerField(null=True))])
    house.look()
    lab.sql("INSERT INTO old_thing (name) VALUES ('bed')")
    house.look()
    lab.sql("UPDATE new_thing SET size = 9 WHERE id IN (2, 3)")
    message = house.refusal()
    assert message.startswith("public.new_thing.size has values in 2 rows, such as 2, which old.Thing can't hold: ")
    assert "unapplying new.0003, which added it, would drop them." in message
    assert message.endswith("or add --discard-data, which drops it with its values.")
    lab.sql("UPDATE new_thing SET size = NULL")
    house.look()


@pytest.mark.parametrize(
    "field",
    [
        models.TextField(default="none"),
        models.TextField(default="none", null=True),
        models.TextField(db_default="none"),
        models.TextField(db_default="none", null=True),
    ],
)
def test_a_default_is_nobody_s_value(lab: Lab, field: models.Field) -> None:
    house = House(lab, [add("note", field)])
    house.look()
    if field.null or field.has_db_default():
        lab.sql("INSERT INTO old_thing (name) VALUES ('bed')")
        house.look()
    lab.sql("UPDATE new_thing SET note = '' WHERE id = 1")
    assert "public.new_thing.note has values in 1 rows, such as 1" in house.refusal()


def test_a_field_is_followed_to_its_newest_name(lab: Lab) -> None:
    house = House(
        lab,
        [add("size", models.IntegerField(null=True)), add("gone", models.IntegerField(default=1))],
        [migrations.RemoveField("Thing", "gone"), migrations.RenameField("Thing", "size", "width")],
        [migrations.RenameModel("Thing", "Object"), migrations.RenameField("Object", "width", "breadth")],
    )
    house.look()
    lab.sql("ALTER TABLE new_object DISABLE TRIGGER USER")  # They know the old name.
    lab.sql("UPDATE new_object SET breadth = 9 WHERE id = 3")
    message = house.refusal()
    assert message.startswith("public.new_object.breadth has values in 1 rows, such as 3")
    assert "unapplying new.0003" in message


def test_a_guard_looks_again_in_the_transaction_that_drops_the_field(lab: Lab) -> None:
    house = House(lab, [add("size", models.IntegerField(null=True))])
    guard = rollback.Guard(house.look(), lab.connection)
    lab.sql("UPDATE new_thing SET size = 9")
    locks = "SELECT mode FROM pg_locks WHERE relation = 'new_thing'::regclass AND pid = pg_backend_pid()"
    with lab.connection.execute_wrapper(guard):
        guard.begin(house.loader.graph.nodes["new", "0002"])
        with transaction.atomic():
            lab.sql("SELECT")
        guard.begin(house.loader.graph.nodes["new", "0003"])
        lab.sql("SELECT")
        with transaction.atomic(), pytest.raises(Refused, match="public.new_thing.size has values in 3 rows"):
            lab.sql("SELECT")
        lab.sql("UPDATE new_thing SET size = NULL")
        guard.begin(house.loader.graph.nodes["new", "0003"])
        with transaction.atomic():
            assert ("AccessExclusiveLock",) in lab.sql(locks)


def test_a_guard_of_a_migration_without_a_transaction_looks_before_it(lab: Lab) -> None:
    house = House(lab, [add("size", models.IntegerField(null=True))])
    guard = rollback.Guard(house.look(), lab.connection)
    migration = house.loader.graph.nodes["new", "0003"]
    migration.atomic = False
    guard.begin(migration)
    lab.sql("UPDATE new_thing SET size = 9")
    with pytest.raises(Refused, match="public.new_thing.size has values in 3 rows"):
        guard.begin(migration)


def test_a_column_that_only_got_another_name_loses_nothing(lab: Lab) -> None:
    House(lab, [migrations.RenameField("Thing", "name", "title")]).look()


def test_a_model_that_was_deleted_since_has_nothing_to_lose(lab: Lab) -> None:
    house = House(lab, [add("size", models.IntegerField(default=1))])
    lab.sql("UPDATE new_thing SET size = 2")
    house.refusal()
    lab.sql("DROP TABLE new_thing CASCADE")
    house.look()


def test_a_many_to_many_field_that_was_added_since(lab: Lab) -> None:
    house = House(lab, [add("parts", models.ManyToManyField("new.Thing"))])
    house.look()
    lab.sql("INSERT INTO new_thing_parts (from_thing_id, to_thing_id) VALUES (2, 3)")
    assert house.refusal().startswith("public.new_thing_parts has values in 1 rows, such as 2, which old.Thing can't")


def test_a_column_that_sql_adds_for_a_field(lab: Lab) -> None:
    field = add("size", models.IntegerField(null=True))
    house = House(lab, [migrations.SeparateDatabaseAndState(state_operations=[field])])
    house.look()
    lab.sql("ALTER TABLE new_thing ADD size integer")
    house.look()
    lab.sql("UPDATE new_thing SET size = 9")
    assert "new_thing.size has values in 3 rows" in house.refusal()


def test_a_field_of_the_target_from_the_first(lab: Lab) -> None:
    """The move refuses it itself, but only after the migration behind it is gone."""
    house = House(lab, [add("size", models.IntegerField(null=True))], first=thing(note=models.TextField(null=True)))
    house.look()
    lab.sql("UPDATE new_thing SET note = 'mine' WHERE id = 1")
    assert house.refusal().startswith("public.new_thing.note has values that public.old_thing can't hold, in rows 1.")


def test_a_move_without_a_way_back(lab: Lab) -> None:
    house = House(lab, [], move=Move("old.Thing", "new.Thing", fields={"name": Lower("name")}, irreversible=True))
    assert "old.Thing.name has no entry in backwards={...}" in house.refusal(Irreversible)


def test_a_move_that_was_faked(lab: Lab) -> None:
    house = House(lab)
    lab.sql("DELETE FROM rehome_moverun WHERE move = %s", [str(MOVE)])
    assert house.refusal().startswith("old.Thing -> new.Thing is not live on database 'default': it never ran here.")


def test_a_move_that_went_back_before_its_record_did(lab: Lab) -> None:
    house = House(lab)
    lab.back(MOVE)
    house.look()


def test_what_is_not_unapplied_is_not_checked(lab: Lab) -> None:
    house = House(lab, [add("size", models.IntegerField(null=True))])
    lab.sql("UPDATE new_thing SET size = 9")
    rollback.refuse_stuck({("new", "0003")}, house.loader, lab.connection)
    del house.loader.applied_migrations["new", "0002"]
    house.look()


def test_a_way_back_of_the_project_s_own_is_not_the_move_s_to_refuse(lab: Lab) -> None:
    added = add("size", models.IntegerField(null=True))
    house = House(lab, [added], back=migrations.RunPython.noop)
    lab.sql("UPDATE new_thing SET size = 9")
    house.look()


@pytest.mark.parametrize("way", [{}, {"in_place": True}], ids=str)
def test_a_move_that_a_later_one_relies_on_unless_that_goes_back_first(lab: Lab, way: dict[str, bool]) -> None:
    key = ("id", models.BigAutoField(primary_key=True))

    def family(app: str) -> list[Operation]:
        parent = ("parent", models.ForeignKey(f"{app}.Parent", models.CASCADE, null=True))
        return [migrations.CreateModel("Parent", [key]), migrations.CreateModel("Child", [key, parent])]

    moves = [Move(f"old.{name}", f"new.{name}", **way) for name in ("Parent", "Child")]
    loader = graph_of(old=[family("old")], new=[family("new"), *([moving(move)] for move in moves)])
    loader.applied_migrations = dict.fromkeys(loader.graph.nodes)
    for app in ("old", "new"):
        for operation in family(app):
            lab.apply(app, operation)
    lab.sql("INSERT INTO old_parent DEFAULT VALUES; INSERT INTO old_child DEFAULT VALUES")
    for move in moves:
        lab.forward(move)

    assert rollback.refuse_stuck({("new", "0002"), ("new", "0003")}, loader, lab.connection) == []
    with pytest.raises(Refused, match=r"^old\.Child -> new\.Child has moved since, and its foreign key .* relies on"):
        rollback.refuse_stuck({("new", "0002")}, loader, lab.connection)
