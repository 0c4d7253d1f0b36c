"""Each move as the staff's page shows it: read from rehome's statuses, never written."""

import dataclasses
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from core.moves import verifying
from core.moves.models import Check, Discrepancy
from core.moves.overdue import is_overdue
from rehome.errors import Refused
from rehome.graph.discovery import find_moves
from rehome.graph.status import PLANNED, Status, find_undeclared, read_statuses, undeclared
from rehome.management.commands.showmoves import note_on
from rehome.models import MoveRun, Phase
from rehome.parts.writes import Writes
from rehome.plan.ledger import Ledger
from rehome.plan.phases import INTERRUPTED
from rehome.plan.record import Record


@dataclasses.dataclass(frozen=True)
class Badge:
    """What core/_state.html takes: the look of a printer's state for a move's phase."""

    value: str
    word: str
    icon: str


ABOUT = {
    PLANNED: (Badge("disconnected", "Planned", "clock"), "It has not run here yet."),
    Phase.PREPARED: (Badge("printing", "Prepared", "printing"), "No row is copied yet. migrate resumes it."),
    Phase.COPYING: (
        Badge("printing", "Copying", "printing"),
        "Writes are carried while rows are copied. If it is interrupted, migrate resumes it from here.",
    ),
    Phase.BUILDING: (Badge("printing", "Building", "printing"), "Every row is copied; indexes are being built."),
    Phase.MOVED: (Badge("ready", "Moved", "ready"), "Both tables are in use; migrate validates the foreign keys."),
    Phase.LIVE: (Badge("ready", "Live", "ready"), "Both tables are in use, and in sync."),
    Phase.FROZEN: (Badge("disconnected", "Frozen", "ready"), "The target is in use, and the source is read-only."),
    Phase.IN_PLACE: (Badge("ready", "In place", "ready"), "The target has the table; the old name is a view of it."),
    Phase.RETIRED: (
        Badge("disconnected", "Retired", "ready"),
        "The target alone has the rows; the old name is a view of it.",
    ),
    Phase.BACK: (Badge("disconnected", "Back", "cancelled"), "The source has every row again; the target is empty."),
    Phase.ENDED: (Badge("disconnected", "Ended", "ready"), "Nothing is left of the source."),
}
MOST_DISCREPANCIES = 20
UNKNOWN = Badge("attention", "Unknown phase", "attention"), "Another version of rehome has written its record."


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a copy is. The end is where it will be if the rest goes as fast."""

    rows: int
    of: int
    percent: int
    ends_at: datetime | None


@dataclasses.dataclass(frozen=True)
class Shown:
    """One move on the page."""

    status: Status
    badge: Badge
    about: str
    note: str
    """What is wrong, and the command that helps."""
    verifiable: bool
    sync: str | None
    writes: Writes | None
    progress: Progress | None
    check: Check | None
    """The last verification that somebody asked for here."""
    running: bool
    """Whether it is being compared now."""
    history: list[MoveRun]
    discrepancies: list[Discrepancy]
    """What verifications have found, the last first."""

    @property
    def name(self) -> str:
        return str(self.status)

    @property
    def anchor(self) -> str:
        return self.name.replace(" -> ", "-").replace(".", "-").lower()

    @property
    def run(self) -> MoveRun | None:
        return self.status.run

    @property
    def rows(self) -> int | None:
        """As last counted, by a verification or by the move itself."""
        if self.run is None:
            return None
        return (self.run.verification or {}).get("target_rows", self.run.rows)

    @property
    def overdue(self) -> bool:
        return self.run is not None and is_overdue(self.run)

    @property
    def differences(self) -> list[dict[str, object]]:
        """Rows and names of columns. What stands in them is not shown: one of them is a key."""
        return (self.run.verification or {}).get("differences", []) if self.run else []

    @property
    def failed(self) -> str:
        """Why the last verification from here has no result, or a bad one."""
        return self.check.said if self.check and not self.running else ""


@dataclasses.dataclass(frozen=True)
class Page:
    moves: list[Shown]
    notes: list[str]

    @property
    def title(self) -> str:
        """The sentence that an operator would say first."""
        for phase in (Phase.COPYING, Phase.BUILDING):
            if found := [one for one in self.moves if one.status.phase == phase]:
                return f"{len(found)} {'is' if len(found) == 1 else 'are'} {phase}"
        if wrong := [one for one in self.moves if one.run and (one.run.verification or {}).get("ok") is False]:
            return f"{len(wrong)} {'differs' if len(wrong) == 1 else 'differ'}"
        overdue = [one for one in self.moves if one.overdue]
        return f"{len(overdue)} to verify" if overdue else "all in order" if self.moves else "there are none"

    @property
    def busy(self) -> bool:
        """Whether something runs whose progress is worth looking at again."""
        return any(one.running or one.status.phase in INTERRUPTED for one in self.moves)


def read_page() -> Page:
    """Raises Refused where the records can't be read."""
    loader = MigrationLoader(connection)
    checks = {check.move: check for check in Check.objects.all()}
    runs = Ledger(connection.alias).all()
    moves = [show(status, checks, runs) for status in read_statuses(find_moves(loader), connection)]
    return Page(moves, [undeclared(run) for run in find_undeclared(loader, connection)])


def show(status: Status, checks: dict[str, Check], runs: list[MoveRun]) -> Shown:
    badge, about = ABOUT.get(status.phase, UNKNOWN)
    check = checks.get(str(status))
    return Shown(
        status=status,
        badge=badge,
        about=about,
        **read_facts(status),
        check=check,
        running=bool(check) and verifying.is_running(str(status)),
        history=[run for run in reversed(runs) if run.move == str(status)],
        discrepancies=list(
            Discrepancy.objects.filter(move=str(status)).order_by("-found_at", "-pk")[:MOST_DISCREPANCIES]
        ),
    )


def read_facts(status: Status) -> dict[str, Any]:
    """What rehome reads of the tables, or why it can't."""
    try:
        return {
            "note": note_on(status),
            "verifiable": status.verifiable and status.plan is not None,
            "sync": status.sync,
            "writes": status.writes,
            "progress": progress_of(status.run) if status.run and status.phase == Phase.COPYING else None,
        }
    except Refused as error:
        return {"note": str(error), "verifiable": False, "sync": None, "writes": None, "progress": None}


def progress_of(run: MoveRun) -> Progress | None:
    """Of all tables of the move; None before the first batch."""
    copied = Record.of(run).copied.values()
    done, blocks = sum(one.block for one in copied), sum(one.blocks for one in copied)
    if not done or not blocks:
        return None
    rows, share = sum(one.rows for one in copied), done / blocks
    passed = timezone.now() - run.started_at
    ends_at = run.started_at + timedelta(seconds=passed.total_seconds() / share)
    return Progress(rows, round(rows / share), int(100 * share), ends_at)
