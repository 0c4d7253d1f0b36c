"""What other apps may hear of: what a look has changed, and who has started a print."""

from dataclasses import dataclass, field
from datetime import datetime

from django.dispatch import Signal

from printers.clients.base import Temperatures
from printers.states import State


@dataclass(frozen=True)
class Known:
    """What is kept of a printer."""

    state: State
    since: datetime
    at: datetime
    """When it was asked."""
    answered: bool = True
    misses: int = 0
    """Looks in a row that nobody answered, up to `changes.ENOUGH`."""
    file: str = ""
    progress: float | None = None
    ends_at: datetime | None = None
    temperatures: Temperatures = field(default_factory=dict)
    message: str = ""
    took_s: float | None = field(default=None, compare=False)
    """How long the print has taken, and its filament, where the machine said so in this look; neither is kept."""
    filament_mm: float | None = field(default=None, compare=False)

    @property
    def prints(self) -> bool:
        """Whether a print is on it. Without progress, Attention may be a router's page that answers as well."""
        return self.state.runs and (self.state != State.ATTENTION or self.progress is not None)


@dataclass(frozen=True)
class Change:
    """What one look has changed of one printer."""

    printer: int
    before: Known | None
    """None for the first look."""
    after: Known

    @property
    def state_changed(self) -> bool:
        return self.before is None or self.before.state != self.after.state


kept = Signal()
"""With `changes`, a list of Change: in the transaction that writes them, for printers of which something changed."""

started = Signal()
"""With `printer` (its key), `file` and `user`: the machine has taken somebody's order to print, and no look was kept
since.
"""
