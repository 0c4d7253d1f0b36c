import argparse
import dataclasses
import itertools
import textwrap
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader

from rehome.graph.discovery import find_moves
from rehome.graph.ending.found import Ending, read_endings
from rehome.graph.status import Status, find_undeclared, read_statuses, undeclared
from rehome.importing import verifying
from rehome.importing.declaration import Import
from rehome.importing.discovery import find_imports
from rehome.importing.ledger import ImportLedger
from rehome.importing.verifying import Verification, find_runs
from rehome.management.base import DatabaseCommand, add_format, as_json, as_table
from rehome.management.base import choose as choose_moves
from rehome.models import ImportRun, MoveRun, Phase
from rehome.moves.steps import open_session
from rehome.parts import stranded
from rehome.plan.ledger import Ledger
from rehome.plan.phases import standing
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.postgres.session import Session
from rehome.preflight import rights
from rehome.verify.probe import Probe, try_writes
from rehome.verify.problems import find_problems
from rehome.verify.report import Report, verify, verify_in_place, verify_views
from rehome.verify.roles import KINDS

COMPARED = ["source_rows", "target_rows", "missing", "extra", "different"]
COLUMNS = ["move", *COMPARED, "orphans", "unvalidated", "sequence_ok", "sync", "identity_ok", "seconds", "ok"]
IMPORT_COLUMNS = ["import", *COMPARED, "seconds", "ok"]
UNCHECKED: dict[str, Any] = {
    "ok": False, **dict.fromkeys([*COMPARED, "orphans"]), "unvalidated": [],
    **dict.fromkeys(["sequence_ok", "sync", "identity_ok"]), "view": [], "defects": [], "triggers": [], "probe": None,
    "hidden": [], "stranded": {}, "seconds": None, "differences": [],
}  # fmt: skip
"""The report of a move that was not compared."""
Runs = list[tuple[Import, ImportRun]]
WAYS: dict[Phase, Callable[..., Report]] = {
    Phase.MOVED: verify,
    Phase.LIVE: verify,
    Phase.FROZEN: verify,
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
            "--probe",
            action="store_true",
            help="Also try a write of each kind through each name as each role that may write, and undo it.",
        )
        parser.add_argument(
            "--limit", type=natural, default=10, metavar="N", help="Differences to name for each table. Default: 10."
        )

    def handle_database(self, connection: BaseDatabaseWrapper, **options: Any) -> str | None:
        rights.refuse_unreadable_records(connection)
        loader = MigrationLoader(connection, ignore_no_migrations=True)
        found = read_statuses(find_moves(loader), connection)
        ran = find_runs(find_imports(), connection.alias)
        endings = [one for one in read_endings(loader, connection) if one.is_meant(options["move"])]
        statuses, ran = choose(found, ran, options["move"], endings)
        ledger = Ledger(connection.alias)
        if options["probe"]:
            refuse_unwritable(statuses)
        reports = [(status, self.verify(status, ledger, options)) for status in statuses]
        imports = [self.verify_import(declared, run, connection.alias, options) for declared, run in ran]
        failure = what_failed(reports, imports, endings, named=options["move"] is not None)
        if options["move"] is None and (unknown := list(map(undeclared, find_undeclared(loader, connection)))):
            failure = " ".join(filter(None, [failure, "Not checked:", *unknown]))
        if options["format"] == "json":
            moves = [*(describe(*pair) for pair in reports), *map(describe_ending, endings)]
            shown = {"moves": moves, "imports": [one.as_json() for one in imports]}
            self.stdout.write(as_json({"ok": failure is None, **shown}))
        else:
            self.tell(reports, imports, endings)
        if failure:
            raise CommandError(failure)
        return None if options["format"] == "json" else f"\n{what_is_proved(reports, imports)}"

    def tell(
        self, reports: list[tuple[Status, Report | None]], imports: list[Verification], endings: list[Ending]
    ) -> None:
        ended = [{**describe_ending(one), "unvalidated": None} for one in endings]
        moves = [*(row_of(*pair) for pair in reports), *ended]
        found = [(COLUMNS, moves), (IMPORT_COLUMNS, [one.as_json() for one in imports])]
        if tables := [as_table(columns, rows) for columns, rows in found if rows]:
            self.stdout.write("\n\n".join(tables))
        self.explain(reports)
        for ending in endings:
            self.stdout.write(f"\n{ending}: not checked. {why_not(ending)}")
        for one in imports:
            if one.ways:
                self.stdout.write(f"\n{one}, how its columns were compared:\n{one.ways}")
            if not one.ok:
                self.stdout.write(f"\n{one}: {one.explanation}")

    def verify(self, status: Status, ledger: Ledger, options: dict[str, Any]) -> Report | None:
        """None for a move that can't be compared, because only one of its tables is in use or known."""
        if status.plan is None or status.run is None or not status.verifiable:
            return None
        if options["verbosity"]:
            self.say(f"Comparing {status} ...")
        rights.refuse_unreadable(status.plan)
        compare, session = WAYS[Phase(status.run.phase)], open_session(status.plan)
        writes = status.writes
        report = compare(status.plan, session, Record.of(status.run), limit=options["limit"])
        if options["probe"]:
            report = dataclasses.replace(report, probe=self.probe(status.plan, status.run, session))
        if self.record(ledger, status.run, report) and writes and writes.total is not None:
            ledger.record_count(status.run, writes.counted)
        return report

    def probe(self, plan: Plan, run: MoveRun, session: Session) -> Probe:
        found = try_writes(plan, session, Record.of(run), views=standing(run).compared == "view")
        Ledger(plan.connection.alias).record_probe(run, found.counted)
        return found

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

    def tell_probe(self, status: Status, probe: Probe) -> None:
        self.stdout.write(f"\n{status}: writes that were tried, and undone")
        tried = [trial for trial in probe.trials if trial.kind]
        rows = [
            {"role": role, "name": name, **dict.fromkeys(KINDS), **{trial.kind: trial.worked for trial in own}}
            for (role, name), own in itertools.groupby(tried, key=lambda trial: (trial.role, trial.name))
        ]
        if rows:
            self.stdout.write(textwrap.indent(as_table(["role", "name", *KINDS], rows), "  "))
        for trial in probe.untried:
            self.stdout.write(f"  {trial}")
        self.stdout.write("  Not undone: numbers that they drew from sequences, and effects outside the database.")

    def explain(self, reports: list[tuple[Status, Report | None]]) -> None:
        for status, report in reports:
            if status.plan and status.edited:
                self.stdout.write(f"\n{status}: {status.edited}")
            if report and report.probe:
                self.tell_probe(status, report.probe)
            if report and report.stranded and status.plan and status.run:
                told = stranded.told(status.plan, report.stranded, Record.of(status.run))
                self.stdout.write("\n".join(["", *(f"{status}: {sentence}" for sentence in told)]))
            if report is None:
                self.stdout.write(f"\n{status}: not checked. {why_unchecked(status)}")
            elif not report.ok and status.plan and status.run:
                problems = find_problems(report, status.plan, status.declared.key, Record.of(status.run))
                self.stdout.write(f"\n{status}:")
                for line in [*report.comparison.differences, *problems]:
                    self.stdout.write(textwrap.indent(str(line), "  "))


def refuse_unwritable(statuses: list[Status]) -> None:
    """A probe needs the rights of the tables' owner, as a move does."""
    for plan in (status.plan for status in statuses if status.plan and status.verifiable):
        for pair in plan.pairs:
            rights.refuse_strangers_table(pair.target, plan.connection)
            rights.refuse_read_only(pair.target, plan.connection)


def natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of differences; give 0 or more.")
    return int(text)


def choose(statuses: list[Status], ran: Runs, name: str | None, endings: list[Ending]) -> tuple[list[Status], Runs]:
    """All, or the moves and imports that `name` means."""
    if name is None:
        return statuses, ran
    if imports := [(declared, run) for declared, run in ran if declared.answers_to(name)]:
        return [status for status in statuses if status.declared.move.answers_to(name)], imports
    return [] if endings else choose_moves(statuses, name), []


def what_failed(
    reports: list[tuple[Status, Report | None]], imports: list[Verification], endings: list[Ending], *, named: bool
) -> str | None:
    """Why the verification as a whole is no proof; None when it is."""
    compared = [report for _, report in reports if report]
    unread = [status for status, report in reports if report is None and status.phase != Phase.ENDED]
    missing = [status for status in unread if named or status.verifiable or status.faked]
    unknown = [f"{status}: {why_unchecked(status)}" for status in missing]
    unknown += [f"{one}: {one.problem}" for one in imports if one.comparison is None]
    unknown += [f"{one}: {one.note}" for one in endings if not one.ended]
    different = [report.move for report in compared if not report.ok]
    different += [str(one) for one in imports if one.comparison and not one.ok]
    if different:
        return f"Not in order: {', '.join(different)}."
    if unknown:
        return f"Not checked: {'; '.join(unknown)}"
    comparisons = [report.comparison for report in compared] + [one.comparison for one in imports if one.comparison]
    if not comparisons and (reports or endings) and all(status.phase == Phase.ENDED for status, _ in reports):
        return None
    if not comparisons:
        return "Nothing was checked: no move is live and no import has run on this database."
    if not any(one.source_rows or one.target_rows for one in comparisons):
        return "Nothing was compared: every table is empty."
    return None


def what_is_proved(reports: list[tuple[Status, Report | None]], imports: list[Verification]) -> str:
    compared = bool(imports) or any(report for _, report in reports)
    return "Equal." if compared else "Nothing is left to compare: every move has ended on this database."


def why_unchecked(status: Status) -> str:
    if status.verifiable:
        return status.problem
    if status.faked:
        return status.faked
    if status.phase == Phase.ENDED:
        return f"It has ended on this database: nothing is left of {status.declared.move.source}."
    if status.ended:
        return "It was retired on this database; its old table and the view are dropped."
    return f"It is {status.phase} on this database, not live: only one of its tables is in use."


def why_not(ending: Ending) -> str:
    return ending.note or f"It has ended on this database, with {ending.place}."


def describe_ending(ending: Ending) -> dict[str, Any]:
    return {"move": str(ending), **UNCHECKED, "ok": ending.ended, "problem": why_not(ending)}


def describe(status: Status, report: Report | None) -> dict[str, Any]:
    if report:
        return report.as_json()
    ended = status.phase == Phase.ENDED
    return {"move": str(status), **UNCHECKED, "ok": ended, "problem": why_unchecked(status)}


def row_of(status: Status, report: Report | None) -> dict[str, Any]:
    shown = describe(status, report)
    return {**shown, "unvalidated": len(shown["unvalidated"]) if report else None}
