import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.core.management.base import CommandParser
from django.core.management.commands import migrate
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import Migration
from django.db.migrations.exceptions import AmbiguityError, InconsistentMigrationHistory
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.models.signals import pre_migrate

from rehome.errors import Refused, RehomeError
from rehome.graph import faking, repair, rollback, signals
from rehome.graph.discovery import find_moves
from rehome.graph.leading_out import LeadingOut
from rehome.graph.operations import adopt, relabel
from rehome.graph.status import Status
from rehome.management.base import patient, told
from rehome.management.ops import add_confirm, hours
from rehome.ops import confirming, dropping
from rehome.ops.backups import required
from rehome.ops.rehearsal import comparing
from rehome.parts import references
from rehome.plan.ledger import Ledger
from rehome.postgres import conf
from rehome.terminal import OBSERVER, VERBOSITY, interruptible, verbosity

INTERRUPTED = (
    "Interrupted. Migrations that had ended stay as they are, and the one that ran is undone, unless it says atomic = "
    "False. Run the command again."
)


class Command(migrate.Command):
    """Django's own unapplies one migration after the other. It does not check a move before its turn, takes an
    interrupted one for a migration that never ran, and knows tables only by their names.
    """

    guard: rollback.Guard | None = None
    leading_out: LeadingOut | None = None
    goes_back = False

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--discard-data",
            action="store_true",
            help="On the way back, drop what no other table can hold: columns and tables of unapplied migrations.",
        )
        parser.add_argument(
            "--require-backup",
            type=hours,
            metavar="HOURS",
            help="Refuse to move rows, or to drop old ones, unless a proved backup is younger than so many hours.",
        )
        add_confirm(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        with interruptible(INTERRUPTED), told(connection, "can't be migrated"), contextlib.ExitStack() as stack:
            stack.enter_context(verbosity(options["verbosity"]))
            # What a migration that fails has begun ends with the command.
            stack.callback(references.stop, connection)
            if connection.vendor == "postgresql" and not options["plan"] and not options["check_unapplied"]:
                with patient(connection):
                    Ledger(connection.alias).convert_all()
            with patient(connection):
                self.record_adopted(connection, shown=options["plan"] or options["check_unapplied"])
            if options["migration_name"] and not (options["plan"] or options["fake"] or options["check_unapplied"]):
                self.guard = self.prepare_back(
                    options["app_label"],
                    options["migration_name"],
                    options["database"],
                    discard_data=options.get("discard_data", False),
                )
                stack.enter_context(connection.execute_wrapper(self.guard))
            if options["fake_initial"] and not options["fake"]:
                pre_migrate.connect(refuse_drift, weak=False)
                stack.callback(pre_migrate.disconnect, refuse_drift)
            if not (options["plan"] or options["fake"] or options["check_unapplied"]):
                stack.enter_context(safe(self.refuse_unsafe, options))
                stack.enter_context(comparing.compared(connection, self.say))
            self.leading_out = LeadingOut(connection) if connection.vendor == "postgresql" else None
            # A migration that is faked changes no table.
            stack.enter_context(signals.silent("after", *(["before"] if options["fake"] else [])))
            super().handle(*args, **options)
            # The next way back learns from the trigger that is missing which table has the newer rows.
            if not (self.goes_back or options["plan"] or options["fake"] or options["check_unapplied"]):
                with patient(connection):
                    self.repair(connection)

    def refuse_unsafe(
        self, connection: BaseDatabaseWrapper, forwards: list[Migration], options: dict[str, Any]
    ) -> None:
        """Before the first migration is applied: a backup where one is required, and the database's name where old rows
        would be dropped. Nothing is asked of the way back, which is taken in a hurry.
        """
        limit, confirm = options.get("require_backup"), options.get("confirm")
        if within := conf.require_backup() if limit is None else limit:
            required.refuse_unproved(forwards, connection, within)
        dropped = list(dropping.find(forwards, MigrationLoader(connection), connection))
        if dropped or confirm is not None:
            where, interactive = required.where_of(connection), options["interactive"]
            confirming.refuse_unasked(where, confirm, interactive=interactive, needed=bool(dropped))
            if dropped:
                question = dropping.described(dropped, connection)
                confirming.ask(question, where, confirm, interactive=interactive, say=self.stdout.write)

    def say(self, line: str) -> None:
        if line and VERBOSITY.get():
            self.stderr.write(self.style.NOTICE(f"  {line}"))

    def check(self, *args: Any, **options: Any) -> None:
        """What would break a move of this database is said when its plan is known, and not where the plan leads out."""
        with signals.silent("check"):
            super().check(*args, **options)

    def record_adopted(self, connection: BaseDatabaseWrapper, *, shown: bool) -> None:
        """Django would find the history inconsistent, whatever is to be done."""
        for app_label, name in adopt.unrecorded(MigrationLoader(connection, ignore_no_migrations=True), connection):
            if shown:
                raise Refused(
                    f"{app_label}.{name} is not recorded, and migrations that are applied depend on it.",
                    "Run `manage.py migrate` first, which records it, for its table is there.",
                )
            MigrationRecorder(connection).record_applied(app_label, name)
            self.stdout.write(self.style.MIGRATE_LABEL(f"  Recorded {app_label}.{name}, whose table is there."))

    def repair(self, connection: BaseDatabaseWrapper) -> None:
        """What the moves that stand have lost since; the migrations are applied, whatever becomes of it. Those that
        were edited are named.
        """
        loader = MigrationLoader(connection)
        self.tell(repair.run_all(self.name_edited(repair.find(loader, connection)), connection))
        for relabelled in relabel.settle(loader, connection):
            said = f"  Brought over what was written under the label of {relabelled.source} since."
            self.stdout.write(self.style.MIGRATE_LABEL(said))

    def tell(self, repaired: Iterable[tuple[Status, RehomeError | None]]) -> None:
        for status, error in repaired:
            if error:
                self.stderr.write(self.style.WARNING(f"  {status} could not be repaired: {error}"))
            elif VERBOSITY.get():
                self.stdout.write(self.style.MIGRATE_LABEL(f"  Repaired {status}."))

    def name_edited(self, found: Iterable[Status]) -> Iterator[Status]:
        for status in found:
            if status.edited:
                told = status.edited if status.plan else status.problem
                self.stderr.write(self.style.WARNING(f"  {status}: {told}"))
            yield status

    def migration_progress_callback(self, action: str, migration: Any | None = None, fake: bool = False) -> None:
        super().migration_progress_callback(action, migration, fake)
        if migration and not fake:
            observe(action, f"{migration.app_label}.{migration.name}")
        if action == "unapply_start":
            self.goes_back = True
            if self.guard and migration:
                self.guard.begin(migration)
        if self.leading_out and migration and not fake:
            # Between two migrations; each of them waits for locks as long as the project wants.
            with patient(self.leading_out.connection):
                self.lead(self.leading_out, action, migration)

    def lead(self, leading_out: LeadingOut, action: str, migration: Migration) -> None:
        """At once, for the next migration that is unapplied may be that of the move."""
        if action == "apply_start":
            leading_out.coming(migration)
        elif action == "apply_success":
            self.tell(leading_out.applied(migration))
        elif action == "unapply_success" and (phases := signals.standing(leading_out.connection)):
            leading_out.unapplied([migration], phases)
            self.tell(leading_out.heal())

    def prepare_back(self, app_label: str, name: str, alias: str, *, discard_data: bool) -> rollback.Guard:
        """Refuse, before anything is changed, the migrations that `migrate app_label name` can't unapply; cancel
        interrupted moves, and unretire those on which others of them rely. Returns the guard that checks each migration
        again at its turn.
        """
        connection = connections[alias]
        with patient(connection):
            loader = MigrationLoader(connection)
            try:
                loader.check_consistent_history(connection)
                taken_back = rollback.unapplied(loader, app_label, name)
            except (AmbiguityError, InconsistentMigrationHistory, KeyError):
                taken_back = set()
            if not taken_back or loader.detect_conflicts():
                return rollback.Guard([], connection)  # Django's own error is clearer.
            adopt.refuse_unapplied(taken_back, loader, connection)
            found = rollback.refuse_stuck(taken_back, loader, connection, discard_data=discard_data)
            for _ in self.name_edited(s for s in repair.find(loader, connection) if s.declared.key in taken_back):
                pass
            for declared in rollback.cancel(taken_back, loader, connection):
                self.stdout.write(self.style.MIGRATE_LABEL(f"  Cancelled {declared}, which was interrupted."))
            for declared in rollback.unretire(taken_back, loader, connection):
                self.stdout.write(self.style.MIGRATE_LABEL(f"  Unretired {declared}."))
        going_back = [one for one in find_moves(loader) if one.key in taken_back and one.goes_back]
        return rollback.Guard(found, connection, going_back)


def observe(action: str, migration: str) -> None:
    if action.endswith("_start"):
        OBSERVER.get().migration_began(migration, forwards=action.startswith("apply"))
    elif action.endswith("_success"):
        OBSERVER.get().migration_ended()


@contextlib.contextmanager
def safe(refuse: Callable[..., None], options: dict[str, Any]) -> Iterator[None]:
    """Call `refuse` with what would be applied, as soon as that is known."""

    def before(plan: list[tuple[Migration, bool]], using: str, **signal: Any) -> None:
        pre_migrate.disconnect(before)  # The signal is sent once for each app.
        connection, forwards = connections[using], [migration for migration, backwards in plan if not backwards]
        if connection.vendor == "postgresql":
            with patient(connection):
                refuse(connection, forwards, options)

    pre_migrate.connect(before, weak=False)
    try:
        yield
    finally:
        pre_migrate.disconnect(before)


def refuse_drift(plan: list[tuple[Migration, bool]], using: str, **signal: Any) -> None:
    """Before the first migration is applied, check those that Django would take for applied."""
    pre_migrate.disconnect(refuse_drift)  # The signal is sent once for each app.
    if plan:
        with patient(connections[using]):
            faking.refuse_drift(plan, connections[using])
