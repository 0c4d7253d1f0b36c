import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandError, CommandParser, no_translations
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader

from rehome.errors import Refused
from rehome.graph.discovery import DeclaredMove, find_moves
from rehome.graph.ending.draft import Draft, Drafting
from rehome.graph.ending.found import find_named, read_endings
from rehome.graph.ending.text import Written, write
from rehome.graph.status import Status, read_statuses
from rehome.management.base import DatabaseCommand, choose
from rehome.models import Phase
from rehome.moves import runner, state
from rehome.plan import resolve
from rehome.plan.plan import Plan
from rehome.preflight import ending

NEXT = "Deploy it, and run `manage.py migrate` on every database. Nothing of these moves can go back after that."
LAST = "Then take 'rehome' out of INSTALLED_APPS; once that is deployed too, it can be uninstalled."


class Command(DatabaseCommand):
    help = (
        "Writes the end of moves whose old names are views: a migration that drops what is left of them, and every "
        "migration without rehome."
    )
    interrupted = "Interrupted. Run the command again, which writes what is left."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "move", nargs="?", help="Only this one: its source or its target, such as printers.Printer. Default: all."
        )
        super().add_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="Print the files; write nothing.")

    @no_translations
    def handle_database(self, connection: BaseDatabaseWrapper, **options: Any) -> None:
        loader = MigrationLoader(connection)
        known = set(map(str.lower, find_named(loader)))
        statuses = choose(read_statuses(find_moves(loader), connection), options["move"])
        if not options["dry_run"]:
            for status in statuses:
                bring_over(status, connection)
        plans: list[tuple[DeclaredMove, Plan]] = []
        for status in statuses:
            if str(status).lower() in known:
                continue  # Its file is there: a crash has left the others.
            try:
                plans.append((status.declared, self.find_plan(status, connection)))
            except Refused as error:
                if options["move"] is not None or is_ready(status):
                    raise
                self.say(str(error))
        drafting = Drafting(plans, connection)
        draft = drafting.draft()
        if not draft.files:
            if notes := [f"{one}: {one.note}" for one in read_endings(loader, connection) if one.note]:
                raise CommandError("\n".join(["Every file is written.", *notes]))
            raise CommandError("No move can end here, and no migration has anything left of one that has ended.")
        if options["dry_run"]:
            self.stdout.write("\n".join(f"# {readable(file)}\n{file.text}" for file in draft.files))
            return
        write(draft.files)
        forget_imported(draft.files)
        if options["verbosity"]:
            self.report(draft, [note for _, plan in plans for note in ending.find_users(plan)], last=drafting.last)

    def find_plan(self, status: Status, connection: BaseDatabaseWrapper) -> Plan:
        """Raises Refused where the move can't end."""
        declared, run = status.declared, status.run
        if not status.ended:
            ending.refuse_phase(str(status), declared.move.target, run, connection.alias)
        if status.edited and status.plan is None:
            raise Refused(status.problem, "Restore it first.")
        plan = status.plan or resolve.without_source(declared.move, declared.apps, connection)
        if plan is None:
            raise Refused(f"{status} can't end:", status.problem)
        refuse_class(declared)
        if run and status.plan:
            if run.phase == Phase.RETIRED and (state.needs_work(plan, run) or status.defects):
                target = declared.move.target
                raise Refused(f"{status} is not retired in full.", f"Run `manage.py retiremoves {target}` first.")
            ending.check(plan, run)
        return plan

    def report(self, draft: Draft, users: list[str], *, last: bool) -> None:
        for file in draft.files:
            done = "Wrote" if file.new else "Rewrote"
            self.stdout.write(f"{done} {self.style.MIGRATE_LABEL(readable(file))}")
        self.stdout.write(f"{NEXT} {LAST}" if last else NEXT)
        for note in (*users, *draft.notes):
            self.stdout.write(f"  - {note}")


def is_ready(status: Status) -> bool:
    """Whether only something else than its phase keeps it from ending."""
    return status.phase in {Phase.RETIRED, Phase.IN_PLACE}


def bring_over(status: Status, connection: BaseDatabaseWrapper) -> None:
    """What old code has written under the label of its model."""
    if is_ready(status) and status.stranded:
        runner.repair(status.declared.move, status.declared.apps, connection)


def refuse_class(declared: DeclaredMove) -> None:
    """A class of the code would look for its table."""
    from django.apps import apps

    label = declared.move.resolve_labels()[0]
    model = apps.all_models.get(label[0], {}).get(label[1])
    if model is not None and not model._meta.swapped:
        raise Refused(
            f"{declared} can't end: {declared.move.source} is still in the code.",
            f"Remove that class, run `manage.py makemove {declared.move.source} {declared.move.target}`, and migrate; "
            "a model that a setting can replace has to be replaced.",
        )


def forget_imported(files: Sequence[Written]) -> None:
    """Whoever looks at the migrations in this process reads the files that were just written."""
    importlib.invalidate_caches()
    paths = {str(file.path) for file in files}
    for name in [name for name, module in sys.modules.items() if getattr(module, "__file__", None) in paths]:
        del sys.modules[name]


def readable(file: Written) -> str:
    return min(str(file.path), os.path.relpath(file.path), key=len)
