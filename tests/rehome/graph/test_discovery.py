"""Moves are found where migrations run them, and nowhere else."""

from django.db import migrations, models
from django.db.migrations import RunPython
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

from rehome import Move
from rehome.graph.discovery import find_moves
from tests.rehome.support.graph import graph_of


class Counting(MigrationLoader):
    states = 0

    def project_state(self, *args: object, **options: object) -> ProjectState:
        self.states += 1
        return super().project_state(*args, **options)


def test_the_moves_of_the_farm_are_found_in_the_order_of_the_graph() -> None:
    found = list(find_moves(MigrationLoader(None)))

    assert [(str(move), move.place) for move in found] == [
        ("portal.Profile -> accounts.Profile", "accounts.0002_migrate_profile_data"),
        ("portal.Printer -> printers.Printer", "printers.0002_migrate_printer_data"),
    ]
    historical = found[1].apps
    assert {"portal.printer", "printers.printer", "accounts.profile"} <= {
        model._meta.label_lower for model in historical.get_models()
    }
    # An index of 0003 is not there yet.
    assert historical.get_model("printers.Printer")._meta.indexes == []


def test_a_state_is_made_for_a_move_only_when_it_is_asked_for() -> None:
    loader = Counting(None)
    found = list(find_moves(loader))
    assert loader.states == 0
    assert found[0].apps is found[0].apps
    assert loader.states == 1


def test_a_move_sees_the_operations_before_it_and_none_after_it() -> None:
    move = Move("old.Thing", "new.Thing")
    note, later = models.TextField(null=True), models.TextField(null=True)
    loader = graph_of(
        old=[[migrations.CreateModel("Thing", [("id", models.BigAutoField(primary_key=True))])]],
        new=[
            [migrations.CreateModel("Thing", [("id", models.BigAutoField(primary_key=True))])],
            [
                migrations.AddField("Thing", "note", note),
                RunPython(move.forwards, move.backwards),
                migrations.AddField("Thing", "later", later),
            ],
        ],
    )

    (found,) = find_moves(loader)

    assert found.key == ("new", "0002")
    assert found.move is move
    fields = found.apps.get_model("new.Thing")._meta.get_fields()
    assert [field.name for field in fields] == ["id", "note"]


def test_every_operation_that_runs_a_move_counts() -> None:
    class Careful(Move):
        """A project may have its own."""

    first, second, third = (kind(f"old.{n}", f"new.{n}") for kind, n in ((Move, "A"), (Move, "B"), (Careful, "C")))
    loader = graph_of(
        new=[
            [RunPython(first.forwards, first.backwards), RunPython(second.forwards)],
            [migrations.SeparateDatabaseAndState(database_operations=[RunPython(third.forwards)])],
        ]
    )

    assert [(move.move, move.position, move.place) for move in find_moves(loader)] == [
        (first, 0, "new.0001"),
        (second, 1, "new.0001"),
        (third, 0, "new.0002"),
    ]


def test_other_code_is_no_move() -> None:
    move = Move("old.Thing", "new.Thing")

    class Other:
        def forwards(self, apps: object, schema_editor: object) -> None: ...

    loader = graph_of(
        new=[
            [
                RunPython(RunPython.noop),
                RunPython(Other().forwards),
                RunPython(move.backwards, move.forwards),
                migrations.RunSQL("SELECT 1"),
            ]
        ]
    )

    assert list(find_moves(loader)) == []
