"""What a look says of a print: whether it goes on, how it has ended, and whether there was one that nobody saw."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from monitoring.models import Print
from printers.signals import Change, Known
from printers.states import ENDED, State

BEGINS_WITHIN = timedelta(minutes=2)
"""A machine that was told to print may still say for so long that it is ready, or how its last print ended."""
FELL_BY = 5.0
"""Per cent by which progress falls where the same file was begun again."""
NEARLY = 99.0
SILENT = frozenset({State.UNREACHABLE, State.REFUSED, State.ATTENTION})
"""States that say nothing of a print: nobody was there to ask, or something else answered."""
NOBODY_SAW = "Nobody saw its end."


@dataclass(frozen=True)
class End:
    """How a print ended, and in which words."""

    outcome: Print.Outcome
    reason: str = ""


def is_another(running: Print, change: Change) -> bool:
    """Whether what runs now is not the print that is known: another file, or the same one from its beginning."""
    before, after = change.before, change.after
    if not running.seen_running:
        return False
    if running.file and after.file and running.file != after.file:
        return True
    known = before and before.progress
    return known is not None and after.progress is not None and after.progress < known - FELL_BY


def is_resumed(latest: Print, change: Change) -> bool:
    """Whether a print that was lost runs on: its machine says that it has printed since before that.

    Klipper goes on while Moonraker in front of it is restarted.
    """
    after = change.after
    if latest.outcome != Print.Outcome.LOST or latest.signed_off_at or latest.file != after.file:
        return False
    took = after.took_s
    return took is not None and latest.ended_at is not None and after.at - timedelta(seconds=took) <= latest.ended_at


def end_of(running: Print, change: Change) -> End | None:
    """How a print that was running has ended; None while it goes on, or as long as nobody can tell."""
    after = change.after
    if after.prints or after.state in SILENT or not after.answered or is_beginning(running, change):
        return None
    match after.state:
        case State.FINISHED | State.FAILED | State.CANCELLED:
            return End(Print.Outcome(after.state.value), after.message)
        case State.ERROR:
            return End(Print.Outcome.FAILED, after.message)
        case State.DISCONNECTED:
            return End(Print.Outcome.LOST, after.message or "Its printer was disconnected.")
    return stopped(change)


def is_beginning(running: Print, change: Change) -> bool:
    """Whether the machine has not begun what it was told: it is ready, or still where its last print has left it."""
    if running.seen_running or change.after.at - running.started_at > BEGINS_WITHIN:
        return False
    before, after = change.before, change.after
    return after.state == State.READY or (before is not None and same_end(before, after))


def same_end(before: Known, after: Known) -> bool:
    return before.state == after.state and before.file == after.file


def stopped(change: Change) -> End:
    """Ready: OctoPrint says the same of what was cancelled and of what was finished and cleared at once."""
    done = change.before.progress if change.before else None
    if done is not None and done >= NEARLY:
        return End(Print.Outcome.FINISHED)
    return End(Print.Outcome.CANCELLED, "" if done is None else f"It stopped at {done:.0f} %.")


def unseen(latest: Print | None, change: Change) -> End | None:
    """A print that began and ended between two looks, or before the first one."""
    before, after = change.before, change.after
    if after.state not in ENDED or (before and same_end(before, after)):
        return None
    # A machine says how its last print ended for as long as it likes, also after the network was away for a while.
    if latest and before and before.state != State.READY and said_before(latest, after):
        return None
    return End(Print.Outcome(after.state.value), after.message)


def said_before(latest: Print, after: Known) -> bool:
    return latest.outcome == after.state.value and latest.file == after.file


def seconds_of(started_at: datetime, after: Known) -> float:
    """As the machine says, else by the clock."""
    return after.took_s if after.took_s is not None else max((after.at - started_at).total_seconds(), 0.0)
