"""Finds every Move in the migration graph, which is the only list of moves there is."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Literal

from django.db.migrations import Migration, RunPython, SeparateDatabaseAndState
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import StateApps

from rehome.move import Forwards, Move

Key = tuple[str, str]
"""App label and name of a migration, as in the graph."""


@dataclasses.dataclass(frozen=True)
class DeclaredMove:
    """A move and the migration that runs it."""

    move: Move
    migration: Migration
    position: int
    """Of the operation that runs it, among those of the migration."""
    loader: MigrationLoader

    def __str__(self) -> str:
        return str(self.move)

    @property
    def key(self) -> Key:
        return self.migration.app_label, self.migration.name

    @property
    def place(self) -> str:
        return ".".join(self.key)

    @property
    def parent(self) -> Key:
        """What `migrate` is given to unapply the migration."""
        return before(self.key, self.loader)

    @property
    def goes_back(self) -> bool:
        """Whether unapplying the migration runs the move's `backwards`, not other code or none."""
        parts = (part for operation in self.migration.operations for part in flatten(operation))
        return any(getattr(part, "reverse_code", None) == self.move.backwards for part in parts)

    @functools.cached_property
    def apps(self) -> StateApps:
        """The historical models that the migration gives to the move; made when they are first asked for."""
        state = self.loader.project_state(self.key, at_end=False)
        for operation in self.migration.operations[: self.position]:
            operation.state_forwards(self.migration.app_label, state)
        return state.apps


def before(key: Key, loader: MigrationLoader) -> Key:
    """What `migrate` is given to unapply a migration."""
    parents = (node.key for node in loader.graph.node_map[key].parents)
    return next((parent for parent in parents if parent[0] == key[0]), (key[0], "zero"))


def find_moves(loader: MigrationLoader) -> Iterator[DeclaredMove]:
    """Every move, in the order in which `migrate` would run them on an empty database."""
    for migration in in_order(loader):
        yield from moves_of(migration, loader)


def in_order(loader: MigrationLoader) -> Iterator[Migration]:
    """Every migration, in that order."""
    seen = set()
    for leaf in loader.graph.leaf_nodes():
        for key in loader.graph.forwards_plan(leaf):
            if key not in seen:
                seen.add(key)
                yield loader.graph.nodes[key]


def moves_of(migration: Migration, loader: MigrationLoader) -> Iterator[DeclaredMove]:
    """The moves of one migration, in order."""
    for position, operation in enumerate(migration.operations):
        for part in flatten(operation):
            if move := move_of(part):
                yield DeclaredMove(move, migration, position, loader)


def flatten(operation: Operation, of: Literal["database", "state"] = "database") -> Iterator[Operation]:
    """What is run on the database, or what the models become."""
    if isinstance(operation, SeparateDatabaseAndState):
        for part in getattr(operation, f"{of}_operations"):
            yield from flatten(part, of)
    else:
        yield operation


def move_of(operation: Operation) -> Move | None:
    """The Move whose `forwards` this operation runs; one that only runs its `backwards` declares no move."""
    code = operation.code if isinstance(operation, RunPython) else None
    # A project's own class may have a method in its place.
    owner = code.move if isinstance(code, Forwards) else getattr(code, "__self__", None)
    return owner if isinstance(owner, Move) and code == owner.forwards else None
