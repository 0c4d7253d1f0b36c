"""Move: the declaration in a migration that a model's rows go to another app's model, and how they go back."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any, ClassVar

from django.apps import apps as django_apps
from django.db import connections
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import Migration, SeparateDatabaseAndState
from django.db.migrations.operations.base import Operation
from django.db.migrations.serializer import BaseSerializer
from django.db.migrations.state import StateApps
from django.db.migrations.writer import MigrationWriter
from django.db.models.signals import pre_migrate

from rehome.errors import Refused
from rehome.plan.declaration import Declaration


class Way:
    """What `RunPython` calls for one direction of a move; two are equal where they declare the same.

    `squashmigrations` writes it as `rehome.Move("old.Book", "new.Book").forwards`.
    """

    name: ClassVar[str]
    runs: ClassVar[str]
    """The function of rehome.moves.runner."""

    def __init__(self, move: "Move | None" = None) -> None:
        self.move = move
        """None of the class's own attribute, which is no move's."""

    def __get__(self, move: "Move | None", owner: type["Move"]) -> "Way":
        return type(self)(move)

    @property
    def problem(self) -> str:
        """Of one without a move, which squashmigrations wrote for earlier versions of rehome."""
        return f"This migration runs Move.{self.name} without saying which move."

    @property
    def hint(self) -> str:
        return (
            f'Write Move("app.Old", "app.New").{self.name} there, with the Move of the migration that was squashed; or '
            "delete the file and run `manage.py squashmigrations` again."
        )

    def __call__(self, apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
        if self.move is None:
            raise Refused(self.problem, self.hint)
        run_deferred(schema_editor)
        getattr(load_runner(), self.runs)(self.move, apps, schema_editor.connection)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.move == self.move

    def __hash__(self) -> int:
        return hash((type(self), self.move))

    def __repr__(self) -> str:
        return f"{self.move!r}.{self.name}"


class Forwards(Way):
    """Move the rows from the source to the target and keep both tables in sync from then on."""

    name = "forwards"
    runs = "forward"


class Backwards(Way):
    """Move the rows back with everything written since, and leave the target empty and fenced."""

    name = "backwards"
    runs = "backward"


class Move(Declaration):
    """The rows of `source` become the rows of `target`, with the same keys, in a migration's `RunPython`.

    `fields` names, per field of the target, the source's field or an expression over the source's fields;
    fields of the same name need no mention. `backwards` does the same the other way round and is needed for
    each source field that only an expression reads. `discard` lists the fields of either model whose values
    may be lost, `discard_triggers` those triggers of the source's table that end with it.

    The rows go in one transaction, for which writers of the source wait. With `online=True`, or where the setting
    or environment variable REHOME_ONLINE is 1 and `online` is not False, they go in batches while everybody writes.
    With `in_place=True` no row is copied: the table takes the target's name.

    The content type goes with the move, and with it permissions, tags and whatever else points at it. With
    `identity="retire"` the source keeps it until the move is retired, for old code that needs it until then.

    Both callables open their own transactions, so the migration has `atomic = False`; where there are no rows, they
    take part in the migration's. Running one again after a crash resumes where it stopped, and after success changes
    nothing. They raise `rehome.errors.RehomeError`.
    """

    forwards = Forwards()
    backwards = Backwards()

    def deconstruct(self) -> tuple[str, tuple[str, str], dict[str, Any]]:
        """(path, arguments, options), as Django's MigrationWriter asks for them."""
        kind = type(self)
        path = "rehome.Move" if kind is Move else f"{kind.__module__}.{kind.__qualname__}"
        return path, (self.source, self.target), self.options()


class WaySerializer(BaseSerializer):
    """Writes a direction of a move into a migration, as people write it."""

    def serialize(self) -> tuple[str, set[str]]:
        way: Way = self.value
        if way.move is None:
            return f"rehome.Move.{way.name}", {"import rehome"}
        text, imports = MigrationWriter.serialize(way.move)
        return f"{text}.{way.name}", imports


MigrationWriter.register_serializer(Way, WaySerializer)


def refuse_uninstalled(using: str, plan: Sequence[tuple[Migration, bool]] | None = None, **signal: Any) -> None:
    """Raise Refused, before the first migration of the plan, where one of them needs rehome and its app is not there to
    look ahead: what came before it in the plan would be done.
    """
    if connections[using].vendor == "postgresql" and any(
        needs_rehome(one) for migration, _ in plan or () for one in migration.operations
    ):
        load_runner()


def needs_rehome(operation: Operation) -> bool:
    if isinstance(operation, SeparateDatabaseAndState):
        return any(map(needs_rehome, operation.database_operations))
    return type(operation).__module__.partition(".")[0] == "rehome" or isinstance(getattr(operation, "code", None), Way)


pre_migrate.connect(refuse_uninstalled, dispatch_uid="rehome: its app is there")


def run_deferred(schema_editor: Any) -> None:
    """What the operations before the move, in the same migration, have left to its end: indexes and foreign keys that
    the move has to find. A squashed migration has such operations.
    """
    statements: list[Any] = getattr(schema_editor, "deferred_sql", [])
    while statements:
        schema_editor.execute(statements.pop(0), None)


def load_runner() -> ModuleType:
    """The ledger has a model, which can't be imported before the app registry has imported this module."""
    if not django_apps.is_installed("rehome"):
        raise Refused(
            "'rehome' is not in INSTALLED_APPS.",
            "Add it until its moves have ended, for their record is a model of it.",
        )
    from rehome.moves import runner

    return runner
