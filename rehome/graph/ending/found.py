"""Endings among the migrations: known by how their SQL begins, for they import nothing of rehome."""

import dataclasses
from collections.abc import Collection, Iterator

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import CreateModel, Migration, RunSQL
from django.db.migrations.loader import MigrationLoader

from rehome.errors import Refused
from rehome.graph.discovery import Key, before, find_moves, flatten, in_order
from rehome.graph.ending.proof import find_contradiction
from rehome.models import MoveRun, Phase
from rehome.parts.ending import MARK, read_tables
from rehome.plan.ledger import Ledger
from rehome.plan.phases import LIVE, standing
from rehome.postgres import asking, catalog, sql


@dataclasses.dataclass(frozen=True)
class Ending:
    """A migration that ends a move, on one database."""

    move: str
    key: Key
    applied: bool
    run: MoveRun | None
    """The last one of the move, where the database still has it."""
    back: Key
    """What `migrate` is given to unapply the migration."""
    tables: tuple[str, ...] = ()
    """The old ones, quoted."""
    contradiction: str = ""
    """What shows that it did not run, though it is recorded as applied and the database has no record of the move."""
    filled: str = ""
    """An old table with rows, where neither it nor the move has run."""

    def __str__(self) -> str:
        return self.move

    @property
    def place(self) -> str:
        return ".".join(self.key)

    @property
    def ended(self) -> bool:
        return self.run.phase == Phase.ENDED if self.run else self.applied and not self.contradiction

    @property
    def faked(self) -> bool:
        """Whether it is recorded as applied, though it did not run: it would have written so into the record, or have
        left other tables.
        """
        return self.applied and not self.ended

    @property
    def stands(self) -> bool:
        """Whether the move has rows that the migrations before its end, being rewritten, can't move back any more."""
        return self.run is not None and not self.ended and standing(self.run).uses != "source"

    @property
    def phase(self) -> str:
        return Phase.ENDED if self.ended else self.run.phase if self.run else "planned"

    @property
    def target(self) -> str:
        return self.move.partition(" -> ")[2]

    @property
    def note(self) -> str:
        """What is left to do; empty where it has ended."""
        if self.ended:
            return ""
        if self.faked:
            where = f"the phase is {self.phase!r}" if self.run else self.contradiction
            more = "" if self.run else ", and whatever else was faked"
            return (
                f"{self.place} is recorded as applied, but it did not run on this database, where {where}. Take it out "
                f"of the record with `manage.py migrate --fake {' '.join(self.back)}`{more}; `manage.py migrate` runs "
                "it then."
            )
        if self.filled:
            return (
                f"It has not run on this database, and {self.filled} has rows. Run `manage.py migrate` and `manage.py "
                f"retiremoves {self.target}` with the release before {self.place}, then `manage.py migrate`."
            )
        if self.run is None:
            return f"It has not run on this database, and {self.place} ends it: `manage.py migrate` applies that."
        if self.run.phase in {Phase.RETIRED, Phase.IN_PLACE}:
            return f"`manage.py migrate` ends it, with {self.place}."
        step = "" if self.run.phase in LIVE else "`manage.py migrate` and "
        return (
            f"Its phase is {self.run.phase!r} on this database, and {self.place} ends what is retired or in place. Run "
            f"{step}`manage.py retiremoves {self.target}` with the release before it, then `manage.py migrate`."
        )

    def is_meant(self, name: str | None) -> bool:
        """By what a command was given, either of its models in any case; None for every move."""
        return name is None or name.lower() in {part.lower() for part in (self.move, *self.move.split(" -> "))}


def find_named(loader: MigrationLoader) -> dict[str, Key]:
    """By the name of a move, the migration that ends it."""
    return {move: (one.app_label, one.name) for one in in_order(loader) for move, _ in statements_of(one)}


def read_endings(loader: MigrationLoader, connection: BaseDatabaseWrapper) -> list[Ending]:
    """Of moves that no migration declares any more, in the order of the migrations."""
    declared = {str(one).lower() for one in find_moves(loader)}
    return [
        read_ending(move, (migration.app_label, migration.name), text, loader, connection)
        for migration in in_order(loader)
        for move, text in statements_of(migration)
        if move.lower() not in declared
    ]


def read_ending(move: str, key: Key, text: str, loader: MigrationLoader, connection: BaseDatabaseWrapper) -> Ending:
    run, tables, applied = (
        Ledger(connection.alias).latest_named(move),
        read_tables(text),
        key in loader.applied_migrations,
    )
    contradiction = find_contradiction(tables, loader, connection) if applied and run is None else ""
    ended = applied and not contradiction
    filled = "" if run or ended else find_filled(tables.old, connection)
    return Ending(move, key, applied, run, before(key, loader), tables.old, contradiction, filled)


def find_filled(tables: tuple[str, ...], connection: BaseDatabaseWrapper) -> str:
    """The first of them with a row, of those that may be read; empty where there is none."""
    for table in filter(None, catalog.read_tables(connection, tables)):
        if table.kind == "r" and table.owned and asking.value(connection, sql.has_rows(table).as_string()):
            return str(table)
    return ""


def statements_of(migration: Migration) -> Iterator[tuple[str, str]]:
    """(the move, what ends it) of each ending in a migration."""
    for operation in migration.operations:
        for part in flatten(operation):
            if isinstance(part, RunSQL) and isinstance(part.sql, str) and (found := MARK.match(part.sql.lstrip())):
                yield found[1], part.sql


def rewritten(ending: Ending, loader: MigrationLoader) -> set[Key]:
    """The migrations from the one that creates the target to the ending: those that the end has emptied are among them,
    and do nothing for a move that has not ended.
    """
    return on_target(ending.move, loader) & {*loader.graph.forwards_plan(ending.key)}


def on_target(move: str, loader: MigrationLoader) -> set[Key]:
    """The migration that creates the target of the move of this name, and all that depend on it."""
    app_label, _, model = move.partition(" -> ")[2].partition(".")
    creating = [
        (one.app_label, one.name)
        for one in in_order(loader)
        if one.app_label == app_label
        for operation in one.operations
        for part in flatten(operation)
        if isinstance(part, CreateModel) and part.name_lower == model.lower()
    ]
    return {key for first in creating for key in loader.graph.backwards_plan(first)}


def refuse_early(keys: Collection[Key], loader: MigrationLoader, connection: BaseDatabaseWrapper) -> None:
    """Raise Refused, before any migration is applied, where an ending among them would be refused at its turn; or where
    they are those before it, which it has emptied.
    """
    for ending in read_endings(loader, connection):
        if ending.ended or not rewritten(ending, loader) & {*keys}:
            continue
        if ending.run and ending.run.phase not in {Phase.RETIRED, Phase.IN_PLACE}:
            raise Refused(f"{ending} can't end here.", f"{ending.note} Nothing has been applied.")
        if ending.filled:
            raise Refused(
                f"{ending.place} ends {ending}, which has not run on this database, and {ending.filled} has rows.",
                f"Run `manage.py migrate` and `manage.py retiremoves {ending.target}` with the release before it. "
                "Nothing has been applied.",
            )


def refuse_back(keys: Collection[Key], loader: MigrationLoader, connection: BaseDatabaseWrapper) -> None:
    """Raise Refused, with nothing changed, where migrations that an ending has emptied would be unapplied: of a move
    that stands they move nothing back, and the table with its rows would be dropped.
    """
    for ending in read_endings(loader, connection):
        if not (ending.stands or ending.faked) or not rewritten(ending, loader) & {*keys}:
            continue
        if ending.faked:
            raise Refused(f"{ending} can't move back.", ending.note)
        raise Refused(
            f"{ending} can't move back with this release: its phase is {ending.phase!r} on database "
            f"{connection.alias!r}, and {ending.place} has emptied its migration.",
            f"Run this command with the release before {ending.place}. Nothing has been changed.",
        )
