"""Whether it is time to tell of something, and what waits for more to be told along with it: plain functions."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from zoneinfo import ZoneInfo

from monitoring.alerts import rules
from monitoring.alerts.models import Event, Mention, Message, Rule
from printers.states import State

SETTLED = timedelta(seconds=20)
"""So long nothing more has to come before a message is made: a breaker that trips is noticed host by host."""
LONGEST = timedelta(minutes=2)
"""A message waits no longer than that for the next thing to happen."""


class Verdict(Enum):
    TELL = "tell"
    HOLD = "hold"
    FORGET = "forget"


@dataclass(frozen=True)
class Due:
    """Something that may be told now: that an event began, to the rule's channels, or that it ended, to one of them."""

    rule: Rule
    event: Event
    since: datetime
    notice: int | None = None
    channel: int | None = None

    @property
    def end(self) -> bool:
        return self.channel is not None


def beginning(rule: Rule, event: Event, now: datetime, zone: ZoneInfo) -> Verdict:
    """What is over before it may be told is not told, and neither is anything of a machine that is out of order."""
    if rule.paused or event.became == State.OUTOFORDER or not rules.lasted(rule, event):
        return Verdict.FORGET
    if rules.is_quiet(rule, now, zone):
        return Verdict.FORGET if event.ended_at else Verdict.HOLD
    return Verdict.TELL


def ending(mention: Mention, now: datetime, zone: ZoneInfo) -> Verdict:
    """Whether to tell, where it was told that an event began, that it has ended. Nobody is told of an end alone."""
    status = mention.message.status
    if mention.rule is None or mention.told_both or status in (Message.Status.DROPPED, Message.Status.FAILED):
        return Verdict.FORGET
    # What waits is worded when it is sent, and then says both.
    if status == Message.Status.WAITING or rules.is_quiet(mention.rule, now, zone):
        return Verdict.HOLD
    return Verdict.TELL


def ripe(dues: Collection[Due], now: datetime) -> bool:
    moments = [due.since for due in dues]
    return bool(moments) and (now - max(moments) >= SETTLED or now - min(moments) >= LONGEST)
