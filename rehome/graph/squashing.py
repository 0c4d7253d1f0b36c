"""Squashed migrations: whether one that is written, or is about to be, makes the graph circular, and where to cut it.

A move ties two apps together in both directions: its migration needs the source's first ones, and the source's later
ones need the move. All of the source's migrations as one would come before the move and after it.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.core import checks
from django.db.migrations import Migration
from django.db.migrations.exceptions import BadMigrationError, NodeNotFoundError
from django.db.migrations.loader import MigrationLoader

from rehome.graph.discovery import Key, flatten
from rehome.move import Way

CIRCULAR = "rehome.E101"
UNBOUND = "rehome.E102"


@dataclasses.dataclass(frozen=True)
class Circle:
    """Migrations of one app that can't be one, for another comes between them."""

    parts: tuple[tuple[Key, ...], ...]
    """What can be squashed, each by itself, in order."""
    between: Key
    """It depends on one of the first part, and the first of the second part on it."""
    needed: Key
    """The one of the first part."""

    @property
    def problem(self) -> str:
        first, last, cut = self.parts[0][0], self.parts[-1][-1], self.parts[1][0]
        return (
            f"Squashing {dotted(first)} to {last[1]} is circular: {dotted(cut)} depends on {dotted(self.between)}, "
            f"which depends on {dotted(self.needed)}."
        )

    @property
    def hint(self) -> str:
        long = [part for part in self.parts if len(part) > 1]
        commands = [f"`manage.py squashmigrations {part[0][0]} {part[0][1]} {part[-1][1]}`" for part in long]
        cuts = ", ".join(dotted(part[0]) for part in self.parts[1:])
        begin = f"Cut before {cuts}"
        return f"{begin}: {', then '.join(commands)}." if commands else f"{begin}, which leaves nothing to squash."


def dotted(key: Key) -> str:
    return ".".join(key)


def find_circle(members: Sequence[Key], loader: MigrationLoader, squashes: Mapping[Key, Key]) -> Circle | None:
    """None where `members`, of one app and in order, can be one migration. `squashes` says which other migrations are
    one, or will be: by each migration that is replaced, the one that replaces it.
    """
    parents = Parents(loader, {key: one for key, one in squashes.items() if key not in members})
    parts: list[list[Key]] = [[members[0]]]
    found: tuple[Key, Key] | None = None
    for member in members[1:]:
        if tie := parents.between(member, parts[-1], set(members)):
            found = found or tie
            parts.append([])
        parts[-1].append(member)
    return Circle(tuple(map(tuple, parts)), *found) if found else None


class Parents:
    """What each migration depends on, where some are one with others."""

    def __init__(self, loader: MigrationLoader, squashes: Mapping[Key, Key]) -> None:
        self.squashes = squashes
        self.of: dict[Key, set[Key]] = {}
        for key, node in loader.graph.node_map.items():
            own = self.one(key)
            self.of.setdefault(own, set()).update(self.one(parent.key) for parent in node.parents)
            self.of[own].discard(own)

    def one(self, key: Key) -> Key:
        while key in self.squashes:
            key = self.squashes[key]
        return key

    def between(self, member: Key, part: Sequence[Key], members: set[Key]) -> tuple[Key, Key] | None:
        """(a migration of others on which `member` depends, the one of `part` on which that depends), where there is
        one; of several the one that the member names itself.
        """
        for other in self.of.get(member, set()) - members:
            reached = self.before(other)
            if needed := next((key for key in reversed(part) if key in reached), None):
                return other, needed
        return None

    def before(self, key: Key) -> set[Key]:
        """Everything on which it depends, through whatever it depends on."""
        reached, due = set[Key](), [key]
        while due:
            for parent in self.of.get(due.pop(), ()):
                if parent not in reached:
                    reached.add(parent)
                    due.append(parent)
        return reached


# ----- those that are written


def find_circles(loader: MigrationLoader) -> Iterator[tuple[Migration, Circle]]:
    """Squashed migrations that a new database could not apply; `loader` has not replaced any."""
    squashes = find_squashes(loader)
    replaced = {key: squash for squash, members in squashes.items() for key in members}
    for squash, members in squashes.items():
        if len(members) > 1 and (circle := find_circle(members, loader, replaced)):
            yield loader.disk_migrations[squash], circle


def find_squashes(loader: MigrationLoader) -> dict[Key, list[Key]]:
    """By the squashed migration, those that it replaces, as far as they are there, in order."""
    graph = loader.graph
    found = {}
    for key, migration in loader.disk_migrations.items():
        members = [(app, name) for app, name in migration.replaces if (app, name) in graph.nodes]
        if members:
            found[key] = sorted(members, key=lambda member: len(graph.forwards_plan(member)))
    return found


# ----- the checks


def check(app_configs: Any = None, **options: Any) -> list[checks.CheckMessage]:
    """Of the migrations alone. What Django can't read at all, it names itself."""
    try:
        loader = MigrationLoader(None, replace_migrations=False, ignore_no_migrations=True)
    except (BadMigrationError, NodeNotFoundError):
        return []
    return [*map(as_error, find_circles(loader)), *find_unbound(loader)]


def as_error(found: tuple[Migration, Circle]) -> checks.Error:
    squash, circle = found
    hint = f"Delete {squash.name} and squash in parts. {circle.hint}"
    return checks.Error(circle.problem, hint=hint, obj=str(squash), id=CIRCULAR)


def find_unbound(loader: MigrationLoader) -> Iterator[checks.Error]:
    for migration in loader.disk_migrations.values():
        parts = (part for operation in migration.operations for part in flatten(operation))
        ways = (getattr(part, name, None) for part in parts for name in ("code", "reverse_code"))
        if way := next((way for way in ways if isinstance(way, Way) and way.move is None), None):
            yield checks.Error(way.problem, hint=way.hint, obj=str(migration), id=UNBOUND)


def explain_circles() -> str:
    """Why Django can't make a graph of the migrations, where a squashed one is the reason; else empty."""
    return " ".join(f"{message.obj}: {message.msg} {message.hint}" for message in check() if message.id == CIRCULAR)


# ----- those that are about to be written


def squashed(loader: MigrationLoader, app_label: str, start: str | None, end: str) -> list[Key]:
    """The migrations that `squashmigrations` makes one. Raises KeyError, AmbiguityError for a name that means no
    migration or several.
    """
    find = functools.partial(loader.get_migration_by_prefix, app_label)
    last = find(end)
    plan = [key for key in loader.graph.forwards_plan((app_label, last.name)) if key[0] == app_label]
    return plan[plan.index((app_label, find(start).name)) :] if start else plan
