"""Looks that say what a test wants, one after the other, a minute apart."""

from datetime import UTC, datetime, timedelta
from typing import Any

from printers import looking
from printers.clients.base import Seen
from printers.models import Printer
from printers.states import State

NOW = datetime(2026, 3, 14, 16, 3, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FILE = "bracket.gcode"
READY = Seen(State.READY)
AWAY = Seen(State.UNREACHABLE, message="Nothing answers.", answered=False)
REFUSED = Seen(State.REFUSED, message="The key is refused.")


def printing(progress: float = 10.0, file: str = FILE, **more: Any) -> Seen:
    return Seen(State.PRINTING, file, progress, **more)


def ended(state: State = State.FINISHED, file: str = FILE, **more: Any) -> Seen:
    return Seen(state, file, 100.0 if state == State.FINISHED else None, **more)


class Looker:
    """Looks at one printer; each look is a minute after the last."""

    def __init__(self, printer: Printer, start: datetime = NOW) -> None:
        self.printer, self.at = printer, start

    def sees(self, *looks: Seen) -> None:
        for seen in looks:
            looking.keep_changes([looking.Look(self.printer.pk, seen, self.at)])
            self.at += MINUTE

    @property
    def shown(self) -> State:
        return State(Printer.objects.whole().get(pk=self.printer.pk).state)
