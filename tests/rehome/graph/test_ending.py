"""A migration's file without what is rehome's: everything else stays byte for byte, and the models stay the same."""

import textwrap
from pathlib import Path
from types import ModuleType

import pytest
from django.core.management import CommandError
from django.db import connection, migrations, models
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.migrations.writer import MigrationWriter
from pytest_django.fixtures import Settings

from rehome import Move
from rehome.errors import Refused
from rehome.graph.ending import proof
from rehome.graph.ending.found import statements_of
from rehome.graph.ending.rewriting import Rewriting
from rehome.graph.ending.source import Source
from rehome.graph.ending.text import ending_text
from rehome.parts.ending import Tables

BOTH = ("old.Thing", "new.Thing")


def state_of(*more: tuple[str, Operation]) -> ProjectState:
    state = ProjectState()
    key = ("id", models.BigAutoField(primary_key=True))
    for app, operation in (
        ("old", migrations.CreateModel("Thing", [key])),
        ("old", migrations.CreateModel("Slow", [], {"proxy": True}, ("old.Thing",))),
        ("new", migrations.CreateModel("Thing", [key])),
        ("app", migrations.CreateModel("Job", [key, ("thing", models.ForeignKey("old.Thing", models.CASCADE))])),
        *more,
    ):
        operation.state_forwards(app, state)
    return state


def load(text: str) -> Migration:
    module = ModuleType("written")
    exec(compile(text, "written.py", "exec"), module.__dict__)  # noqa: S102  It is the test's own.
    made: Migration = module.Migration("0002_written", "app")
    return made


def rewrite(content: str | bytes, *, ended: bool = True, state: ProjectState | None = None) -> bytes:
    content = textwrap.dedent(content).encode() if isinstance(content, str) else content
    source = Source(Path("app/migrations/0002_written.py"), content)
    migration, before = load(source.text), state or state_of()

    def plain(operation: Operation, there: ProjectState) -> list[Operation] | None:
        make = getattr(operation, "as_plain", None)
        found: list[Operation] | None = make("app", there, connection) if make and ended else None
        return found

    rewriting = Rewriting(
        source, migration, before, lambda move: ended and str(move) == " -> ".join(BOTH), plain, last=ended
    )
    after = rewriting.rewritten()
    made = load(Source(source.path, after).text)
    assert made.mutate_state(before) == migration.mutate_state(before)
    return after


MOVES = """\
# Written by hand.
from django.db import migrations
from django.db.models.functions import Lower

from rehome import Move

SAID = "kept"

# Decide before this can run:
# - everything
thing = Move(
    "old.Thing",
    "new.Thing",
    fields={"name": Lower("name")},
)


class Migration(migrations.Migration):
    atomic = False  # rehome opens its own transactions
    dependencies = [("old", "0001_initial"), ("rehome", "__first__")]  # two
    operations = [migrations.RunPython(thing.forwards, thing.backwards)]
"""
EMPTY = """\
# Written by hand.
from django.db import migrations

SAID = "kept"


class Migration(migrations.Migration):
    dependencies = [("old", "0001_initial")]  # two
    operations = []
"""


def test_the_move_goes_with_all_that_only_it_has_read() -> None:
    assert rewrite(MOVES).decode() == EMPTY


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.encode("utf-8-sig"),
        lambda text: ("# coding: latin-1\n" + text.replace("kept", "äöü")).encode("latin-1"),
        lambda text: text.replace("kept", "äöü").encode(),
        lambda text: text.rstrip("\n").encode(),
    ],
)
def test_bytes_that_are_not_rewritten_stay(encode) -> None:  # type: ignore[no-untyped-def]
    assert rewrite(encode(MOVES)) == encode(EMPTY)


def test_a_file_without_anything_to_end_stays() -> None:
    assert rewrite(MOVES, ended=False).decode() == MOVES


def test_other_operations_stay_with_their_comments() -> None:
    text = """\
    import rehome
    from django.db import migrations, models


    class Migration(migrations.Migration):
        dependencies = []
        operations = [
            # The first.
            migrations.AddField("Job", "note", models.TextField(null=True)),  # one
            migrations.RunPython(
                code=rehome.Move("old.Thing", "new.Thing").forwards,
                reverse_code=rehome.Move("old.Thing", "new.Thing").backwards,
            ),  # the move
            # The last.
            migrations.AddField("Job", "more", models.TextField(null=True)),
            migrations.RunPython(rehome.Move("old.Thing", "new.Thing").forwards),
        ]
    """
    assert rewrite(text).decode() == textwrap.dedent(
        """\
        from django.db import migrations, models


        class Migration(migrations.Migration):
            dependencies = []
            operations = [
                # The first.
                migrations.AddField("Job", "note", models.TextField(null=True)),  # one
                # The last.
                migrations.AddField("Job", "more", models.TextField(null=True)),
            ]
        """
    )


def test_what_stays_of_another_move_keeps_its_import() -> None:
    text = """\
    from django.db import migrations

    from rehome import Move

    one, other = Move("old.Thing", "new.Thing"), Move("old.Other", "new.Other")


    class Migration(migrations.Migration):
        operations = [
            migrations.RunPython(one.forwards, one.backwards),
            migrations.RunPython(other.forwards, other.backwards),
        ]
    """
    after = rewrite(text).decode()
    assert "from rehome import Move\n" in after
    assert after.count("RunPython") == 1


def test_operations_become_djangos_own() -> None:
    text = """\
    from django.db.migrations import Migration as Base, SeparateDatabaseAndState
    from django.db.models import CASCADE, ForeignKey

    from rehome import NamesAside, Rebase, Relabel, Repoint


    class Migration(Base):
        atomic = False
        operations = [
            NamesAside("old.Thing", ["thing_name"]),
            Repoint("Job", "thing", ForeignKey("new.Thing", CASCADE)),  # quick
            Relabel("old.Slow", "new.Slow"),
            SeparateDatabaseAndState(database_operations=[Relabel("old.Slow", "new.Slow")]),
        ]
    """
    assert rewrite(text).decode() == textwrap.dedent(
        """\
        from django.db import migrations
        from django.db.migrations import Migration as Base, SeparateDatabaseAndState
        from django.db.models import CASCADE, ForeignKey


        class Migration(Base):
            atomic = False
            operations = [
                migrations.RunSQL(
                    sql=[
                        'ALTER INDEX IF EXISTS "thing_name" RENAME TO "rehome_old_thing_thing_name"',
                    ],
                    reverse_sql=[
                        'ALTER INDEX IF EXISTS "rehome_old_thing_thing_name" RENAME TO "thing_name"',
                    ],
                ),
                migrations.AlterField("Job", "thing", ForeignKey("new.Thing", CASCADE)),  # quick
                SeparateDatabaseAndState(database_operations=[]),
            ]
        """
    )


def test_bases_change_with_the_constraints_that_follow_from_them() -> None:
    text = """\
    from django.db import migrations

    from rehome import Rebase


    class Migration(migrations.Migration):
        operations = [Rebase("Slow", ("new.thing",))]
    """
    via = models.ForeignKey("app.Slow", models.CASCADE, null=True)
    proxy = migrations.CreateModel("Slow", [], {"proxy": True, "ordering": ["id"]}, ("old.Thing",))
    state = state_of(("app", proxy), ("app", migrations.AddField("Job", "via", via)))
    after = rewrite(text, state=state).decode()
    assert 'ALTER TABLE "app_job" ADD CONSTRAINT' in after
    assert 'REFERENCES \\"new_thing\\" (\\"id\\")' in after or 'REFERENCES "new_thing" ("id")' in after
    assert "rehome" not in after


@pytest.mark.parametrize(
    "operations",
    [
        "[*[migrations.RunPython(thing.forwards)]]",
        "[migrations.RunPython(thing.forwards)] + []",
        "[migrations.RunPython(one.forwards) for one in (thing,)]",
    ],
)
def test_operations_that_code_makes_are_refused(operations: str) -> None:
    text = MOVES.replace("[migrations.RunPython(thing.forwards, thing.backwards)]", operations)
    with pytest.raises(Refused, match="makes its operations by code"):
        rewrite(text)


def test_code_of_the_project_beside_the_move_is_refused() -> None:
    text = MOVES.replace("thing.backwards)", "lambda apps, editor: None)")
    with pytest.raises(Refused, match="beside old.Thing -> new.Thing, so that operation can't go"):
        rewrite(text)


def test_a_statement_that_shares_its_line_leaves_the_others() -> None:
    text = MOVES.replace("from rehome import Move\n", "from rehome import Move; OTHER = 1\n")
    assert "pass; OTHER = 1\n" in rewrite(text).decode()


def test_a_declared_move_is_what_the_test_says() -> None:
    assert str(Move(*BOTH)) == "old.Thing -> new.Thing"


# ----- the ending itself


SAID = "-- The end of old.Thing -> new.Thing\nSELECT 'a \\ \"quoted\"'"


def ending(*, move: str = " -> ".join(BOTH), **options: object) -> Migration:
    """As it is read from the file that is written of it."""
    made = Migration("0003_end_thing", "old")
    made.operations = [migrations.RunSQL(SAID, **options)]
    return load(ending_text(made, move))


def test_an_ending_says_in_a_sentence_that_nothing_undoes_it_before_anything_is_undone() -> None:
    found = ending()
    state = ProjectState()
    with pytest.raises(
        CommandError, match="has ended old.Thing -> new.Thing, and nothing undoes that. Restore a backup"
    ):
        found.unapply(state, None)
    assert not found.operations[0].reversible


@pytest.mark.parametrize("move", ["", " -> ".join(BOTH)], ids=["of an earlier version", "of this one"])
def test_an_ending_is_known_by_its_sql(move: str) -> None:
    [(name, text)] = statements_of(ending(move=move))
    assert (name, text.strip()) == (" -> ".join(BOTH), SAID)


class Elsewhere:
    """The tables of printers are in another database."""

    def allow_migrate(self, db: str, app_label: str, **hints: object) -> bool | None:
        return False if app_label == "printers" else None


@pytest.mark.django_db
def test_a_database_that_routers_keep_a_model_out_of_lacks_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "present", lambda *given: set())
    loader, tables = MigrationLoader(connection), Tables(old=(), new=('"printers_printer"',))
    assert proof.find_contradiction(tables, loader, connection) == '"printers_printer" is missing'

    settings.DATABASE_ROUTERS = [Elsewhere()]

    assert proof.find_contradiction(tables, loader, connection) == ""


def test_an_ending_of_a_label_is_unapplied() -> None:
    found = ending(move="", reverse_sql=migrations.RunSQL.noop)
    assert type(found).unapply is Migration.unapply
    assert found.operations[0].reversible


def test_a_squash_over_an_ending_has_nothing_to_port_by_hand() -> None:
    squashed = Migration("0001_squashed_0003_end_thing", "old")
    squashed.operations = ending().operations
    writer = MigrationWriter(squashed)
    (operation,) = load(writer.as_string()).operations
    assert isinstance(operation, migrations.RunSQL)
    assert operation.sql == ending().operations[0].sql
    assert not writer.needs_manual_porting
    assert not operation.reversible
