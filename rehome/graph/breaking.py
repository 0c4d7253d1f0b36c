"""Migrations that would break a move that stands, found by a walk along those to come before one of them runs."""

from collections.abc import Iterable

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader

from rehome.graph.discovery import DeclaredMove, Key, find_moves, flatten, in_order
from rehome.graph.rules import Finding
from rehome.graph.tracking import Tracker, is_about, pointed_at
from rehome.graph.walk import Walk
from rehome.models import Phase

Plan = Iterable[tuple[Migration, bool]]
"""As `pre_migrate` sends it: each migration, and whether it is unapplied."""


def in_plan(
    plan: Plan, loader: MigrationLoader, connection: BaseDatabaseWrapper, phases: dict[str, Phase]
) -> list[Finding]:
    """What the migrations that are about to be applied would break; `phases` are those of the moves that stand.

    Moves that have not run yet are looked at, too: from their own migration on, and for what must not come before.
    """
    coming = [loader.graph.nodes.get(key_of(migration), migration) for migration, backwards in plan if not backwards]
    applied = [migration for migration in in_order(loader) if key_of(migration) in loader.applied_migrations]
    walk = Walk(loader, connection, connection.alias)
    for declared in find_moves(loader):
        phase = phases.get(str(declared))
        waits = declared.key not in loader.applied_migrations and walk.touches(declared.move.resolve_labels()[1])
        stands_or_waits = phase is not None or waits
        if stands_or_waits and (concerns(declared, coming) or is_pointed_at(declared, coming, source=True)):
            walk.trackers.append(Tracker(declared, phase or phase_of(declared)))
    if not walk.trackers:
        return []
    walk.go(applied)
    for tracker in walk.trackers:
        if str(tracker.declared) in phases and not tracker.begun:
            tracker.begin(walk)
    found = walk.go(coming)
    return [one for one in found if str(one.declared) in phases or not is_passing(one, walk)]


def is_passing(finding: Finding, walk: Walk) -> bool:
    """On a database where the move runs in the same plan: whether its end is in it, too, or the finding is a warning
    alone, of what databases may do on which it is retired.
    """
    ended = any(tracker.ended and tracker.declared is finding.declared for tracker in walk.trackers)
    return ended or is_warning(finding)


def is_warning(finding: Finding) -> bool:
    return finding.id.startswith("rehome.W")


def applied_already(
    declared: DeclaredMove, loader: MigrationLoader, connection: BaseDatabaseWrapper, phase: Phase
) -> list[Finding]:
    """What applied migrations have broken of a move that stands, as far as no later one has put it right."""
    needed = set(loader.graph.forwards_plan(declared.key))
    since = [one for one in in_order(loader) if key_of(one) in loader.applied_migrations.keys() - needed]
    if not concerns(declared, since):
        return []
    walk = Walk(loader, connection, connection.alias)
    tracker = Tracker(declared, phase)
    walk.trackers.append(tracker)
    walk.go(loader.graph.nodes[key] for key in loader.graph.forwards_plan(declared.key))
    at_first = {side: tracked.copy() for side, tracked in tracker.tables.items()}
    found = walk.go(since)
    tracker.before = at_first
    left = {one.what for one in tracker.judge(walk)} if since else set()
    return [finding for finding in found if finding.what in left and not finding.harms_nothing]


def in_graph(loader: MigrationLoader, connection: BaseDatabaseWrapper) -> list[Finding]:
    """The same of every move and of every migration that is not among those that the move needs, whichever database:
    where a move has run, such a one comes after it.
    """
    found: list[Finding] = []
    for declared in find_moves(loader):
        needed = loader.graph.forwards_plan(declared.key)
        before = [loader.graph.nodes[key] for key in needed]
        after = [migration for migration in in_order(loader) if key_of(migration) not in set(needed)]
        if concerns(declared, after) or is_pointed_at(declared, before) or is_pointed_at(declared, after, source=True):
            walk = Walk(loader, connection)
            tracker = Tracker(declared, phase_of(declared))
            walk.trackers.append(tracker)
            found += until_the_end([*walk.go(before), *walk.go(after)], tracker)
    return found


def phase_of(declared: DeclaredMove) -> Phase:
    """In which a move stands once it has run, for all that its declaration says."""
    return Phase.IN_PLACE if declared.move.in_place else Phase.LIVE


def key_of(migration: Migration) -> Key:
    return migration.app_label, migration.name


def concerns(declared: DeclaredMove, migrations: Iterable[Migration]) -> bool:
    """Whether any operation may be about the models of the move; cheap, and rather once too often."""
    labels = set(declared.move.resolve_labels())
    return any(is_about(operation, one.app_label, labels) for one in migrations for operation in one.operations)


def is_pointed_at(declared: DeclaredMove, migrations: Iterable[Migration], *, source: bool = False) -> bool:
    """Whether a field may be pointed at the target, or at the source as well, which may be a view."""
    there, target = declared.move.resolve_labels()
    labels = {target, there} if source else {target}
    operations = ((part, one.app_label) for one in migrations for given in one.operations for part in flatten(given))
    return any(end in labels for part, app_label in operations for _, end in pointed_at(part, app_label))


def until_the_end(found: list[Finding], tracker: Tracker) -> list[Finding]:
    """Where a migration ends the move, those that it needs: in which order the others come, no database has to know."""
    if tracker.ended is None:
        return found
    needed = set(tracker.declared.loader.graph.forwards_plan(tracker.ended))
    return [finding for finding in found if finding.key in needed]
