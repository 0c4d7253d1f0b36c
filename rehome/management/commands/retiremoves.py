import dataclasses
import sys
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader

from rehome.graph.discovery import find_moves
from rehome.graph.status import Status, read_status, read_statuses
from rehome.management.base import DatabaseCommand, choose
from rehome.management.commands.sqlmove import render
from rehome.models import MoveRun, Phase
from rehome.moves import runner, state
from rehome.moves.retire import Drop, Retire, Retiring, Unretire
from rehome.parts import writes
from rehome.plan.plan import Plan


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


def is_aside(status: Status) -> bool:
    return status.run is not None and state.can_unretire(status.run)


RETIRE = Way(
    runner.retire,
    Retire,
    lambda status: status.live and status.plan is not None and status.plan.reversible,
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
    lambda plan, run: f"After that there is neither an undo nor a way back. Drop the old rows of {plan}?",
    "{move}: the old rows are dropped; the views of {targets} stay.",
    None,
    "",
    "No move on this database has old rows that are set aside.",
)


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
        parser.add_argument(
            "--noinput", "--no-input", action="store_false", dest="interactive", help="Ask no questions."
        )
        ways = parser.add_mutually_exclusive_group()
        ways.add_argument("--undo", action="store_true", help="Unretire: old tables again, with every later write.")
        ways.add_argument("--drop", action="store_true", help="Drop the old rows; then there is no --undo.")

    def handle_database(self, connection: BaseDatabaseWrapper, **options: Any) -> None:
        way = UNDO if options["undo"] else DROP if options["drop"] else RETIRE
        named = options["move"] is not None
        statuses = choose(read_statuses(find_moves(MigrationLoader(connection)), connection), options["move"])
        chosen = [s for s in statuses if named or way.fits(s) or s.phase == way.result]
        if not chosen:
            self.stdout.write(way.nothing)
        for status in reversed(chosen) if way is UNDO else chosen:
            self.handle_move(way, status, connection, options)

    def handle_move(self, way: Way, status: Status, connection: BaseDatabaseWrapper, options: dict[str, Any]) -> None:
        # The command's previous move may have changed this one's foreign keys.
        status = read_status(status.declared, connection)
        if status.plan is None:
            raise CommandError(f"{status}: {status.problem}")
        standing = status.phase == way.result
        if not standing:
            steps = list(way.kind(status.plan, status.run).steps())
            if options["dry_run"]:
                self.stdout.write("\n".join([f"-- {status}", *render(iter(steps))]))
                return
            question = way.question(status.plan, status.run) if status.run and options["interactive"] else ""
            if question and not self.agree(question):
                return
        if not options["dry_run"] and (not standing or (status.run and state.needs_work(status.plan, status.run))):
            way.act(status.declared.move, status.declared.apps, connection)
        sources = ", ".join(str(pair.source) for pair in status.plan.pairs)
        targets = ", ".join(str(pair.target) for pair in status.plan.pairs)
        said = way.already if standing else way.done
        self.stdout.write(said.format(move=status, sources=sources, targets=targets))

    def agree(self, question: str) -> bool:
        if not sys.stdin.isatty():
            raise CommandError(f"{question} There is no terminal to answer on; with --noinput, nothing is asked.")
        answer = input(f"{question}\nType 'yes' to continue, or 'no' to cancel: ")
        if answer != "yes":
            self.stdout.write("Cancelled.")
        return answer == "yes"
