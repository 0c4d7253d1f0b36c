"""Before the first migration is unapplied: whether each move among them can go back; moves to cancel and unretire."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader

from rehome.errors import Irreversible, Refused
from rehome.graph import additions, breaking, dropped, widening
from rehome.graph.discovery import DeclaredMove, Key, before, find_moves, flatten, move_of
from rehome.graph.ending.found import find_named, on_target, refuse_back
from rehome.graph.status import find_undeclared, undeclared
from rehome.models import MoveRun, Phase
from rehome.moves import runner, state
from rehome.moves.retire import Unretire
from rehome.parts import foreign_keys
from rehome.plan import edits, resolve
from rehome.plan.historical import is_allowed
from rehome.plan.ledger import Ledger
from rehome.plan.phases import standing
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.postgres import sql
from rehome.preflight import checks, retirement
from rehome.preflight import in_place as preflight_in_place
from rehome.preflight.records import read_run


def refuse_stuck(
    keys: set[Key], loader: MigrationLoader, connection: BaseDatabaseWrapper, *, discard_data: bool = False
) -> list[additions.Addition]:
    """Raise Refused, with nothing changed, for what a move among the migrations `keys` would refuse, or could no
    longer refuse, once Django has unapplied those that came after it. Returns the fields that go with those.

    With `discard_data`, fields and tables go with what they hold, and none is returned.
    """
    if connection.vendor != "postgresql":
        return []
    taken = keys & loader.applied_migrations.keys()
    refuse_back(taken, loader, connection)
    for run in find_undeclared(loader, connection):
        if on_target(run.move, loader) & taken:
            raise Refused(undeclared(run), "Nothing has been changed.")
    for move, key in find_named(loader).items():
        if key in taken:
            raise Irreversible(
                f"{'.'.join(key)} has ended {move} on database {connection.alias!r}, and nothing undoes that.",
                "Restore a backup from before it.",
            )
    found = []
    undone: set[str] = set()
    for declared in reversed(list(find_moves(loader))):
        if declared.key in taken and not is_undone(declared):
            cure = (
                "Restore a backup from before it"
                if declared.move.irreversible
                else "Write `migrations.RunPython(move.forwards, move.backwards)` there, with the name of the Move"
            )
            raise Irreversible(
                f"{declared.place} moves {declared} forwards alone.", f"{cure}. Nothing has been changed."
            )
        asked = declared.key in taken and declared.goes_back
        if asked and is_allowed(declared.move, declared.apps, connection):
            found += look(declared, taken, undone, connection)
            undone.add(str(declared))
    if discard_data:
        return []
    for addition in found:
        additions.refuse_lost(addition, connection)
    dropped.refuse_dropped(keys, loader, connection)
    return found


def is_undone(declared: DeclaredMove) -> bool:
    """By the move, or by a function of the project's own."""
    operations = declared.loader.graph.nodes[declared.key].operations
    return all(part.reversible for operation in operations for part in flatten(operation) if move_of(part))


def look(
    declared: DeclaredMove, taken: set[Key], undone: set[str], connection: BaseDatabaseWrapper
) -> list[additions.Addition]:
    """Rows of other tables that point at the target are left out: they may go with the migrations in between, as the
    moves `undone` do.
    """
    ledger = Ledger(connection.alias)
    plan: Plan | None = None
    edits.as_it_ran(declared.move, ledger.latest_named(str(declared)))
    with contextlib.suppress(Refused):  # Where later migrations changed the tables, only the move itself can tell.
        plan = resolve.resolve(declared.move, declared.apps, connection)
    run = read_run(plan, ledger) if plan else ledger.latest_named(str(declared))
    if run and run.phase == Phase.BACK:
        return []
    if run and run.phase == Phase.ENDED:
        checks.refuse_ended(declared.move, declared.apps, connection)
        return []
    if run and run.phase == Phase.RETIRED:
        retirement.refuse_dropped(run)
    if plan is None:
        if run is None:
            refuse_faked(declared)
        refuse_broken(declared, taken, run, connection)
    if plan is not None:
        if not state.is_retired(plan, run):
            checks.check_live(plan, ledger)
        checks.check_nothing_lost(plan, additions.known_columns(declared))
        if run:
            in_place = Record.of(run).in_place
            stay = foreign_keys.staying(plan, in_place.stay) if in_place else ()
            checks.refuse_later_moves(plan, run, stay, undone)
            if in_place and plan.main.target.kind != "v":  # Else a later move goes back first.
                preflight_in_place.check_place(plan, in_place)
    return list(additions.find(declared, taken))


def refuse_faked(declared: DeclaredMove) -> NoReturn:
    """The tables are not what the move knows, and it never ran."""
    raise Refused(
        f"{declared.place} is recorded as applied, but rehome did not run it on this database: it was faked.",
        f"Take it out of the record with `manage.py migrate --fake {' '.join(before(declared.key, declared.loader))}`, "
        "and whatever else was faked; `manage.py migrate` runs it then.",
    )


def refuse_broken(declared: DeclaredMove, taken: set[Key], run: MoveRun, connection: BaseDatabaseWrapper) -> None:
    """Those that are unapplied before the move are left out."""
    for one in breaking.applied_already(declared, declared.loader, connection, Phase(run.phase)):
        if one.key not in taken:
            back = " ".join(before(one.key, declared.loader))
            raise Refused(one.problem, f"Unapply it first, with `manage.py migrate {back}`.")


class Guard:
    """Checks the added fields again when they are dropped: others may have written to them since.

    It wraps the statements of the connection. The first one of the transaction that drops a field comes after the lock
    that dropping takes anyway, so nothing is written between the look and the drop.
    """

    def __init__(
        self,
        found: Iterable[additions.Addition],
        connection: BaseDatabaseWrapper,
        going_back: Iterable[DeclaredMove] = (),
    ) -> None:
        self.found = list(found)
        self.going_back = list(going_back)
        """The moves whose own migrations are unapplied, too."""
        self.connection = connection
        self.due: list[additions.Addition] = []

    def begin(self, migration: Migration) -> None:
        """Django is about to unapply `migration`."""
        self.due = [added for added in self.found if added.key == (migration.app_label, migration.name)]
        if not migration.atomic:
            self.refuse_lost(lock=False)
        widening.leave_wide(migration, self.going_back, self.connection)

    def __call__(self, execute: Any, statement: str, params: Any, many: bool, context: Any) -> Any:
        if self.due and self.connection.in_atomic_block:
            self.refuse_lost(lock=True)
        return execute(statement, params, many, context)

    def refuse_lost(self, *, lock: bool) -> None:
        due, self.due = self.due, []  # The look runs statements, too.
        for added in due:
            table = additions.find_table(added, self.connection)
            if table and lock:
                with self.connection.cursor() as cursor:
                    cursor.execute(sql.lock([table], "ACCESS EXCLUSIVE").as_string())
            additions.refuse_lost(added, self.connection)


def unapplied(loader: MigrationLoader, app_label: str, name: str) -> set[Key]:
    """The migrations that `migrate app_label name` unapplies where they are applied; the rule is that of Django's
    MigrationExecutor.migration_plan. Raises KeyError, AmbiguityError for a name that means no migration or several.
    """
    if name == "zero":
        first = [key for key in loader.graph.root_nodes() if key[0] == app_label]
    else:
        target = loader.get_migration_by_prefix(app_label, name)
        node = loader.graph.node_map[target.app_label, target.name]
        first = [child.key for child in node.children if child.key[0] == app_label]
    return {key for root in first for key in loader.graph.backwards_plan(root)}


def cancel(keys: set[Key], loader: MigrationLoader, connection: BaseDatabaseWrapper) -> Iterator[DeclaredMove]:
    """The interrupted moves of migrations `keys`, each after it has been cancelled, the last one first."""
    ledger = Ledger(connection.alias)
    if connection.vendor != "postgresql" or not ledger.exists():
        return
    for declared in reversed(list(find_moves(loader))):
        run = ledger.latest_named(str(declared))
        unrecorded = declared.key in keys and declared.key not in loader.applied_migrations
        if unrecorded and run and standing(run).interrupted and runner.cancel(declared.move, declared.apps, connection):
            yield declared


def unretire(keys: set[Key], loader: MigrationLoader, connection: BaseDatabaseWrapper) -> Iterator[DeclaredMove]:
    """The retired moves of migrations `keys`, each after its old table is a table again, the last one first.

    Migrations that came after such a move are unapplied before it, and may need the table. Raises Refused before any
    of them is unretired.
    """
    retired = [one for one in reversed(list(find_moves(loader))) if one.key in keys and has_dependants(one, keys)]
    found = [(declared, undo) for declared in retired if (undo := find_undo(declared, connection))]
    replaced = {str(undo.plan.main.source) for _, undo in found}
    for _, undo in found:
        if str(undo.plan.main.target) not in replaced:  # Else it is a view until the later move is unretired.
            undo.check()
    for declared, _ in found:
        runner.unretire(declared.move, declared.apps, connection)
        yield declared


def has_dependants(declared: DeclaredMove, keys: set[Key]) -> bool:
    """Whether other migrations are unapplied before that of an applied move."""
    loader = declared.loader
    applied = keys & loader.applied_migrations.keys()
    return declared.key in applied and bool(set(loader.graph.backwards_plan(declared.key)) & applied - {declared.key})


def find_undo(declared: DeclaredMove, connection: BaseDatabaseWrapper) -> Unretire | None:
    """None where the move is not retired, or where later migrations changed its tables: it is unretired at its turn."""
    ledger = Ledger(connection.alias)
    run = ledger.latest_named(str(declared)) if connection.vendor == "postgresql" else None
    if run is None or run.phase != Phase.RETIRED or not declared.goes_back:
        return None
    with contextlib.suppress(Refused):
        plan = resolve.resolve(declared.move, declared.apps, connection)
        return Unretire(plan, run) if state.is_retired(plan, run) else None
    return None
