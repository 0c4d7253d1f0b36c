import argparse
import textwrap
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader

from rehome.graph.discovery import find_moves
from rehome.graph.status import Status, read_statuses
from rehome.importing import verifying
from rehome.importing.declaration import Import
from rehome.importing.discovery import find_imports
from rehome.importing.ledger import ImportLedger
from rehome.importing.verifying import Verification, find_runs
from rehome.management.base import DatabaseCommand, add_format, as_json, as_table
from rehome.management.base import choose as choose_moves
from rehome.models import ImportRun, MoveRun, Phase
from rehome.moves.steps import open_session
from rehome.plan.ledger import Ledger
from rehome.plan.record import Record
from rehome.verify.problems import find_problems
from rehome.verify.report import Report, verify, verify_in_place, verify_views

COMPARED = ["source_rows", "target_rows", "missing", "extra", "different"]
COLUMNS = ["move", *COMPARED, "orphans", "unvalidated", "sequence_ok", "sync", "identity_ok", "seconds", "ok"]
IMPORT_COLUMNS = ["import", *COMPARED, "seconds", "ok"]
UNCHECKED: dict[str, Any] = {
    "ok": False, **dict.fromkeys([*COMPARED, "orphans"]), "unvalidated": [],
    **dict.fromkeys(["sequence_ok", "sync", "identity_ok"]), "view": [], "seconds": None, "differences": [],
}  # fmt: skip
"""The report of a move that was not compared."""
Runs = list[tuple[Import, ImportRun]]
WAYS: dict[Phase, Callable[..., Report]] = {
    Phase.MOVED: verify,
    Phase.LIVE: verify,
    Phase.IN_PLACE: verify_in_place,
    Phase.RETIRED: verify_views,
}


class Command(DatabaseCommand):
    help = (
        "Compares both tables of every live move, and the rows of every import with their source, row by row, and "
        "exits with 0 only when they are equal: 1 for a difference or when nothing was compared, 2 for wrong usage."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "move",
            nargs="?",
            help="Only this move or import: its source or its target, such as printers.Printer. Default: all.",
        )
        super().add_arguments(parser)
        add_format(parser)
        parser.add_argument(
            "--limit", type=natural, default=10, metavar="N", help="Differences to name for each table. Default: 10."
        )

    def handle_database(self, connection: BaseDatabaseWrapper, **options: Any) -> str | None:
        found = read_statuses(find_moves(MigrationLoader(connection)), connection)
        ran = find_runs(find_imports(), connection.alias)
        statuses, ran = choose(found, ran, options["move"])
        ledger = Ledger(connection.alias)
        reports = [(status, self.verify(status, ledger, options)) for status in statuses]
        imports = [self.verify_import(declared, run, connection.alias, options) for declared, run in ran]
        failure = what_failed(reports, imports, named=options["move"] is not None)
        if options["format"] == "json":
            shown = {"moves": [describe(*pair) for pair in reports], "imports": [one.as_json() for one in imports]}
            self.stdout.write(as_json({"ok": failure is None, **shown}))
        else:
            self.tell(reports, imports)
        if failure:
            raise CommandError(failure)
        return None if options["format"] == "json" else "\nEqual."

    def tell(self, reports: list[tuple[Status, Report | None]], imports: list[Verification]) -> None:
        found = [(COLUMNS, [row_of(*pair) for pair in reports]), (IMPORT_COLUMNS, [one.as_json() for one in imports])]
        if tables := [as_table(columns, rows) for columns, rows in found if rows]:
            self.stdout.write("\n\n".join(tables))
        self.explain(reports)
        for one in imports:
            if not one.ok:
                self.stdout.write(f"\n{one}: {one.explanation}")

    def verify(self, status: Status, ledger: Ledger, options: dict[str, Any]) -> Report | None:
        """None for a move that can't be compared, because only one of its tables is in use or known."""
        if status.plan is None or status.run is None or not status.verifiable:
            return None
        if options["verbosity"]:
            self.say(f"Comparing {status} ...")
        compare, session = WAYS[Phase(status.run.phase)], open_session(status.plan)
        report = compare(status.plan, session, Record.of(status.run), limit=options["limit"])
        writes = status.writes
        if self.record(ledger, status.run, report) and writes and writes.total is not None:
            ledger.record_count(status.run, writes.counted)
        return report

    def verify_import(self, declared: Import, run: ImportRun, alias: str, options: dict[str, Any]) -> Verification:
        if options["verbosity"]:
            self.say(f"Comparing {declared} ...")
        found = verifying.verify(declared, run, alias, limit=options["limit"])
        self.record(ImportLedger(alias), run, found)
        return found

    def record(self, ledger: Any, run: MoveRun | ImportRun, report: Report | Verification) -> bool:
        """Whether this connection may record the result, and has."""
        if writable := bool(ledger.is_writable()):
            ledger.record_verification(run, report.as_json())
        else:
            self.say("This connection is read-only: the result is not recorded.")
        return writable

    def explain(self, reports: list[tuple[Status, Report | None]]) -> None:
        for status, report in reports:
            if report is None:
                self.stdout.write(f"\n{status}: not checked. {why_unchecked(status)}")
            elif not report.ok and status.plan and status.run:
                problems = find_problems(report, status.plan, status.declared.key, Record.of(status.run))
                self.stdout.write(f"\n{status}:")
                for line in [*report.comparison.differences, *problems]:
                    self.stdout.write(textwrap.indent(str(line), "  "))


def natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of differences; give 0 or more.")
    return int(text)


def choose(statuses: list[Status], ran: Runs, name: str | None) -> tuple[list[Status], Runs]:
    """All, or the moves and imports that `name` means."""
    if name is None:
        return statuses, ran
    if imports := [(declared, run) for declared, run in ran if declared.answers_to(name)]:
        return [status for status in statuses if status.declared.move.answers_to(name)], imports
    return choose_moves(statuses, name), []


def what_failed(reports: list[tuple[Status, Report | None]], imports: list[Verification], *, named: bool) -> str | None:
    """Why the verification as a whole is no proof; None when it is."""
    compared = [report for _, report in reports if report]
    missing = [status for status, report in reports if report is None and (named or status.verifiable)]
    unknown = [f"{status}: {why_unchecked(status)}" for status in missing]
    unknown += [f"{one}: {one.problem}" for one in imports if one.comparison is None]
    different = [report.move for report in compared if not report.ok]
    different += [str(one) for one in imports if one.comparison and not one.ok]
    if different:
        return f"Not in order: {', '.join(different)}."
    if unknown:
        return f"Not checked: {'; '.join(unknown)}"
    comparisons = [report.comparison for report in compared] + [one.comparison for one in imports if one.comparison]
    if not comparisons:
        return "Nothing was checked: no move is live and no import has run on this database."
    if not any(one.source_rows or one.target_rows for one in comparisons):
        return "Nothing was compared: every table is empty."
    return None


def why_unchecked(status: Status) -> str:
    if status.verifiable:
        return status.problem
    if status.ended:
        return "It was retired on this database; its old table and the view are dropped."
    return f"It is {status.phase} on this database, not live: only one of its tables is in use."


def describe(status: Status, report: Report | None) -> dict[str, Any]:
    return report.as_json() if report else {"move": str(status), **UNCHECKED}


def row_of(status: Status, report: Report | None) -> dict[str, Any]:
    shown = describe(status, report)
    return {**shown, "unvalidated": len(shown["unvalidated"]) if report else None}
