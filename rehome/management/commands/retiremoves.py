import dataclasses
import sys
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader

from rehome.graph.discovery import find_moves
from rehome.graph.ending.found import read_endings
from rehome.graph.status import Status, read_status, read_statuses
from rehome.management.base import DatabaseCommand, choose
from rehome.management.commands.sqlmove import render
from rehome.management.ops import add_confirm, add_noinput
from rehome.models import MoveRun, Phase
from rehome.moves import runner, state
from rehome.moves.cut_off import CutOff
from rehome.moves.retire import Drop, Retire, Retiring, Unretire
from rehome.ops import confirming
from rehome.ops.backups import required
from rehome.parts import writes
from rehome.plan import resolve
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.preflight import fates, notices


@dataclasses.dataclass(frozen=True)
class Way:
    """One of the three actions of the command, and its messages."""

    act: Callable[..., None]
    kind: type[Retiring]
    fits: Callable[[Status], bool]
    """Chooses the moves where none is named."""
    question: Callable[[Plan, MoveRun], str]
    """To ask first; empty for none."""
    done: str
    result: Phase | None
    """The phase in which only the rest of a crashed run is left to do."""
    already: str
    nothing: str


def ask_writers(plan: Plan, run: MoveRun) -> str:
    found = writes.read(plan, run)
    return f"{found} After this they will go through a view. Retire {plan}?" if found.arrive else ""


def ask_drop(plan: Plan, run: MoveRun) -> str:
    """What goes with the old rows is named before it is agreed to."""
    named = notices.find(resolve.plan_of(plan, Record.of(run), own_names=False), fates.Way.DROP)
    return "\n".join([*named, f"The old rows of {plan} will be dropped; there is neither an undo nor a way back then."])


def is_aside(status: Status) -> bool:
    return status.run is not None and state.can_unretire(status.run)


RETIRE = Way(
    runner.retire,
    Retire,
    lambda status: (status.live and status.plan is not None and status.plan.reversible) or status.is_cut_off,
    ask_writers,
    "{move} is retired: views of {targets} replace {sources}, and the old rows are set aside. "
    "`retiremoves --undo` unretires the move, `retiremoves --drop` drops the old rows.",
    Phase.RETIRED,
    "{move} is retired already.",
    "No move is live on this database that could be retired.",
)
UNDO = Way(
    runner.unretire,
    Unretire,
    is_aside,
    lambda plan, run: "",
    "{move} is live again, with every later write in {sources}; triggers keep both tables in sync.",
    Phase.LIVE,
    "{move} is not retired; there is nothing to undo.",
    "No move is retired on this database that can be unretired.",
)
DROP = Way(
    runner.drop,
    Drop,
    is_aside,
    ask_drop,
    "{move}: the old rows are dropped; the views of {targets} stay.",
    None,
    "",
    "No move on this database has old rows that are set aside.",
)


CUT_OFF = "{move} has ended: its old table is gone, and nothing is carried any more. There is no way back."


class Command(DatabaseCommand):
    help = (
        "Replaces the old table of a live move by a view of the new one, after comparing every row; the old rows are "
        "set aside, and --undo unretires the move."
    )
    interrupted = "Interrupted. `manage.py showmoves` says which moves are retired."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "move", nargs="?", help="Only this one: its source or its target, such as printers.Printer. Default: all."
        )
        super().add_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="Print the SQL and change nothing.")
        add_noinput(parser)
        add_confirm(parser)
        ways = parser.add_mutually_exclusive_group()
        ways.add_argument("--undo", action="store_true", help="Unretire: old tables again, with every later write.")
        ways.add_argument("--drop", action="store_true", help="Drop the old rows; then there is no --undo.")

    def handle_database(self, connection: BaseDatabaseWrapper, **options: Any) -> None:
        way = UNDO if options["undo"] else DROP if options["drop"] else RETIRE
        named = options["move"] is not None
        loader = MigrationLoader(connection, ignore_no_migrations=True)
        endings = [one for one in read_endings(loader, connection) if one.stands and one.is_meant(options["move"])]
        for one in endings:
            self.say(f"{one}: {one.note}")
        if endings and named:
            return
        statuses = choose(read_statuses(find_moves(loader), connection), options["move"])
        # One that was edited, and can't go on as it was, says so.
        chosen = [s for s in statuses if named or way.fits(s) or s.phase == way.result or (s.edited and not s.plan)]
        if not chosen and not endings:
            self.stdout.write(way.nothing)
        for status in reversed(chosen) if way is UNDO else chosen:
            self.handle_move(way, status, connection, options)

    def handle_move(self, way: Way, status: Status, connection: BaseDatabaseWrapper, options: dict[str, Any]) -> None:
        # The command's previous move may have changed this one's foreign keys.
        status = read_status(status.declared, connection)
        if way is RETIRE and status.is_cut_off:
            return self.cut_off(status, connection, options)
        if status.plan is None:
            raise CommandError(f"{status}: {status.problem}")
        if status.edited:
            self.say(f"{status}: {status.edited}")
        standing = status.phase == way.result
        if not standing:
            steps = list(way.kind(status.plan, status.run).steps())
            if options["dry_run"]:
                self.stdout.write("\n".join([f"-- {status}", *render(iter(steps))]))
                return
            asks = status.run and (options["interactive"] or way is DROP)
            question = way.question(status.plan, status.run) if status.run and asks else ""
            if question and not self.agree(way, question, connection, options):
                return
        if not options["dry_run"] and (not standing or (status.run and state.needs_work(status.plan, status.run))):
            way.act(status.declared.move, status.declared.apps, connection)
        sources = ", ".join(str(pair.source) for pair in status.plan.pairs)
        targets = ", ".join(str(pair.target) for pair in status.plan.pairs)
        said = way.already if standing else way.done
        self.stdout.write(said.format(move=status, sources=sources, targets=targets))

    def cut_off(self, status: Status, connection: BaseDatabaseWrapper, options: dict[str, Any]) -> None:
        """The old table is gone already: there is nothing to set aside, and no view that anybody could use."""
        move, apps = status.declared.move, status.declared.apps
        plan = resolve.without_source(move, apps, connection)
        if plan and options["dry_run"]:
            self.stdout.write("\n".join([f"-- {status}", *render(CutOff(plan, status.run).steps())]))
            return
        question = f"{status.problem} Or end {status} instead: then there is no way back. End it?"
        if not options["interactive"] or self.agree(RETIRE, question, connection, options):
            runner.cut_off(move, apps, connection)
            self.stdout.write(CUT_OFF.format(move=status))

    def agree(self, way: Way, question: str, connection: BaseDatabaseWrapper, options: dict[str, Any]) -> bool:
        if way is DROP:
            where = required.where_of(connection)
            confirming.ask(
                question, where, options["confirm"], interactive=options["interactive"], say=self.stdout.write
            )
            return True
        if not sys.stdin.isatty():
            raise CommandError(f"{question} There is no terminal to answer on; with --noinput, nothing is asked.")
        answer = input(f"{question}\nType 'yes' to continue, or 'no' to cancel: ")
        if answer != "yes":
            self.stdout.write("Cancelled.")
        return answer == "yes"
