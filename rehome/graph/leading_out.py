"""What is done for a move right before and after a migration of its models is applied or unapplied."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader

from rehome.errors import RehomeError
from rehome.graph import breaking, repair, widening
from rehome.graph.discovery import DeclaredMove, find_moves
from rehome.graph.rules import Change, Finding
from rehome.graph.status import Status, read_status
from rehome.models import Phase
from rehome.moves import runner
from rehome.moves.refill import Lost

EMPTIED = {Change.TABLE_DROPPED, Change.JOIN_DROPPED, Change.COLUMN_DROPPED}
"""What Django makes again, without the values that it had."""


RESTORE = "Everything else is as it was; restore them from a backup."


@dataclasses.dataclass
class LeadingOut:
    """Renews triggers, and collects what unapplied migrations had broken until the move can be read again."""

    connection: BaseDatabaseWrapper
    found: list[Finding] = dataclasses.field(default_factory=list)
    altered: dict[str, DeclaredMove] = dataclasses.field(default_factory=dict)
    """Moves whose models the migrations are about."""

    def coming(self, migration: Migration) -> None:
        """Django is about to apply this one: where it moves rows, their target is made as wide as it will be."""
        for declared in self.moves:
            if declared.key == (migration.app_label, migration.name):
                widening.widen_target(declared, self.connection)

    def unapplied(self, migrations: Iterable[Migration], phases: dict[str, Phase]) -> None:
        """Django has unapplied these, the last one first."""
        again, loader = list(reversed(list(migrations))), MigrationLoader(self.connection)
        plan = [(migration, False) for migration in again]
        self.found += breaking.in_plan(plan, loader, self.connection, phases)
        standing = [declared for declared in find_moves(loader) if str(declared) in phases]
        self.altered |= {str(one): one for one in standing if breaking.concerns(one, again)}

    def applied(self, migration: Migration) -> Iterator[tuple[Status, RehomeError | None]]:
        """Django has applied this one: open sessions get errors from triggers for other types than there are by now."""
        for declared in self.moves:
            if breaking.concerns(declared, [migration]):
                self.altered[str(declared)] = declared
        yield from self.renew()

    @functools.cached_property
    def moves(self) -> list[DeclaredMove]:
        return list(find_moves(MigrationLoader(self.connection)))

    def heal(self) -> Iterator[tuple[Status, RehomeError | None]]:
        """Each move that is whole again, or why it is not; one that can't be read yet waits for the next call."""
        for declared in {str(one.declared): one.declared for one in self.found}.values():
            status = read_status(declared, self.connection)
            if status.plan is not None:
                mine = [one for one in self.found if str(one.declared) == str(declared)]
                self.found = [one for one in self.found if one not in mine]
                try:
                    self.heal_one(status, [one for one in mine if one.change in EMPTIED])
                except RehomeError as error:
                    yield status, error
                else:
                    yield status, None
        yield from self.renew()

    def renew(self) -> Iterator[tuple[Status, RehomeError | None]]:
        """The triggers of those that were not broken, where they are for other columns than there are by now."""
        broken = {str(one.declared) for one in self.found}
        for name in self.altered.keys() - broken:
            status = read_status(self.altered.pop(name), self.connection)
            if status.sync == "outdated":
                try:
                    repair.run(status, self.connection)
                except RehomeError as error:
                    yield status, error
                else:
                    yield status, None

    def heal_one(self, status: Status, emptied: list[Finding]) -> None:
        """Where both sides have lost something, nothing can be told from the other."""
        move, apps, plan = status.declared.move, status.declared.apps, status.plan
        sides = {one.side for one in emptied if one.side}
        if plan is None or not status.live or len(sides) != 1:
            if status.live:
                runner.renew_triggers(move, apps, self.connection)
            repair.run(status, self.connection)
            if emptied:
                gone = ", ".join(sorted({one.subject or one.declared.move.target for one in emptied}))
                raise RehomeError(f"no other table has the values of {gone} that went with it. {RESTORE}")
            return
        (side,) = sides
        whole = any(one.change is Change.TABLE_DROPPED for one in emptied)
        every = frozenset((pair.source if side == "source" else pair.target).name for pair in plan.pairs)
        joins = frozenset(one.subject for one in emptied if one.change is Change.JOIN_DROPPED)
        columns = frozenset(one.subject for one in emptied if one.change is Change.COLUMN_DROPPED)
        runner.refill(move, apps, self.connection, Lost(side, every if whole else joins, columns))
