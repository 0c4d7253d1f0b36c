"""The thirteen states of a printer: word, icon and look, where each counts, and what may be done in it."""

from django.db import models

WAITING, ATTENTION, PRINTING, READY, OFF = "waiting", "attention", "printing", "ready", "off"


class Group(models.TextChoices):
    """The numbers at the head of a page, in the order of urgency; each state counts under one."""

    WAITING = WAITING, "Waiting for you"
    ATTENTION = ATTENTION, "Attention"
    PRINTING = PRINTING, "Printing"
    READY = READY, "Ready"
    OFF = OFF, "Off"

    @property
    def word(self) -> str:
        return str(self.label)

    @property
    def states(self) -> list["State"]:
        return [state for state in State if state.group == self]

    @property
    def state(self) -> "State":
        """The one whose icon and colour stand for all of the group."""
        return (
            State.DISCONNECTED if self == Group.OFF else self.states[0] if self != Group.ATTENTION else State.ATTENTION
        )


class State(models.TextChoices):
    """What was last seen of a printer; the values are those of `data-state` in the pages.

    In the order of urgency, which lists are sorted by.
    """

    FINISHED = "finished", "Finished"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"
    ERROR = "error", "Error"
    ATTENTION = "attention", "Attention"
    REFUSED = "refused", "Key refused"
    PRINTING = "printing", "Printing"
    HEATING = "heating", "Heating"
    PAUSED = "paused", "Paused"
    READY = "ready", "Ready"
    DISCONNECTED = "disconnected", "Disconnected"
    UNREACHABLE = "unreachable", "Unreachable"
    OUTOFORDER = "outoforder", "Out of order"

    @property
    def word(self) -> str:
        return str(self.label)

    @property
    def icon(self) -> str:
        """The symbol's name without its prefix `i-`."""
        return str(self.value)

    @property
    def look(self) -> str:
        """Filled: somebody must go there. Outlined: nobody must. Dashed: it is away."""
        return {WAITING: "filled", ATTENTION: "filled", OFF: "dashed"}.get(self.group, "outlined")

    @property
    def group(self) -> Group:
        return Group(GROUPS[self])

    @property
    def urgency(self) -> int:
        """0 is the most urgent."""
        return list(State).index(self)

    @property
    def runs(self) -> bool:
        """Whether a print is going on, or stopped in the middle."""
        return self in RUNNING

    def allows(self, what: str) -> bool:
        """Whether a printer in this state may start, pause, resume or cancel a print."""
        return self in ALLOWED[what]


class NotAsked:
    """Instead of a state, where nobody has looked at a printer yet: an ink badge that counts under Off."""

    value, word, icon, look, group = "", "Not asked yet", "clock", "dashed", Group.OFF
    runs = False

    def allows(self, what: str) -> bool:
        return False


NOT_ASKED = NotAsked()

GROUPS = {
    State.FINISHED: WAITING,
    State.FAILED: WAITING,
    State.CANCELLED: WAITING,
    State.ERROR: ATTENTION,
    State.ATTENTION: ATTENTION,
    State.REFUSED: ATTENTION,
    State.PRINTING: PRINTING,
    State.HEATING: PRINTING,
    State.PAUSED: PRINTING,
    State.READY: READY,
    State.DISCONNECTED: OFF,
    State.UNREACHABLE: OFF,
    State.OUTOFORDER: OFF,
}
RUNNING = frozenset({State.PRINTING, State.HEATING, State.PAUSED, State.ATTENTION})
ENDED = frozenset({State.FINISHED, State.FAILED, State.CANCELLED})
"""A print lies on the plate until somebody says how it went."""
FAULTY = frozenset({State.ERROR, State.REFUSED})


def shown(state: State, progress: float | None, waits: str) -> State:
    """What people see where the machine itself was last seen in `state`; `managers.EFFECTIVE` says the same in SQL.

    A print that runs comes before a plate that `waits`, and so does a fault, or what is lost in mid-print.
    """
    if state in RUNNING | FAULTY:
        return state
    if state == State.UNREACHABLE and progress is not None:
        return State.ATTENTION
    if waits:
        return State(waits)
    return State.READY if state in ENDED else state


ALLOWED = {
    "start": frozenset({State.READY}),
    "pause": frozenset({State.PRINTING, State.HEATING}),
    "resume": frozenset({State.PAUSED, State.ATTENTION}),
    "cancel": RUNNING,
}
