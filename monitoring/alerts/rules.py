"""What a rule says, whether it covers a printer, and when it is quiet: plain functions of plain values."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.core.exceptions import ObjectDoesNotExist

from core import times
from monitoring.alerts.models import TOLD, Event, Rule
from printers.states import State

NOBODY: frozenset[int] = frozenset()
PLURAL = {
    State.FINISHED: "finished prints",
    State.FAILED: "failed prints",
    State.CANCELLED: "cancelled prints",
    State.ERROR: "errors",
    State.ATTENTION: "printers that ask for a hand",
    State.REFUSED: "refused keys",
    State.PAUSED: "pauses",
    State.DISCONNECTED: "printers switched off",
    State.UNREACHABLE: "printers out of reach",
}


@dataclass(frozen=True)
class Facts:
    """What rules ask of a printer."""

    printer: int
    place: str = ""
    tags: frozenset[str] = frozenset()
    groups: frozenset[int] = field(default=NOBODY)


def covers(rule: Rule, facts: Facts) -> bool:
    """Whether the printer is one of the rule's; who may view it is asked elsewhere."""
    return (
        rule.printer_id in (None, facts.printer)
        and rule.place.casefold() in ("", facts.place.casefold())
        and (not rule.tag or rule.tag.casefold() in {tag.casefold() for tag in facts.tags})
        and (rule.group_id is None or rule.group_id in facts.groups)
    )


def wants(rule: Rule, event: Event, facts: Facts) -> bool:
    """Whether the rule tells of the event, once it has lasted."""
    return not rule.paused and event.state in rule.states and event.began_at >= rule.since and covers(rule, facts)


def due_at(rule: Rule, event: Event) -> datetime:
    return event.began_at + timedelta(minutes=rule.minutes)


def lasted(rule: Rule, event: Event) -> bool:
    """Whether an event that has ended was there for as long as the rule says."""
    return event.ended_at is None or event.ended_at >= due_at(rule, event)


def is_quiet(rule: Rule, now: datetime, zone: ZoneInfo) -> bool:
    """By the clock on the wall of whoever made the rule, so that it means the same on the days when clocks change."""
    if rule.quiet_from is None or rule.quiet_until is None:
        return False
    wall = now.astimezone(zone).time()
    if rule.quiet_from <= rule.quiet_until:
        return rule.quiet_from <= wall < rule.quiet_until
    return wall >= rule.quiet_from or wall < rule.quiet_until


def sentence(rule: Rule) -> str:
    """Errors in Hall A, after 5 min, not from 22:00 to 06:00"""
    parts = [f"{states_of(rule.states)} {where(rule)}".strip()]
    if rule.minutes:
        parts.append(f"after {times.duration(timedelta(minutes=rule.minutes))}")
    parts.append(hours(rule.quiet_from, rule.quiet_until))
    text = ", ".join(parts)
    return text[:1].upper() + text[1:]


def states_of(values: Iterable[str]) -> str:
    words = [PLURAL[state] for state in TOLD if state in set(values)]
    return together(words) if len(words) < len(TOLD) else "everything that happens"


def where(rule: Rule) -> str:
    if rule.printer_id is not None:
        return f"of {name_of(rule)}"
    parts = [f"in {rule.place}"] if rule.place else []
    parts += [f"with the tag {rule.tag}"] if rule.tag else []
    parts += [f"in {group_of(rule)}"] if rule.group_id is not None else []
    return " ".join(parts) or "anywhere"


def name_of(rule: Rule) -> str:
    """The old side deletes printers without asking for rules; the poller sweeps those."""
    if not rule.sees_printer:
        return "a printer that you may not view"
    try:
        return str(rule.printer.name) if rule.printer else "a printer that is gone"
    except ObjectDoesNotExist:
        return "a printer that is gone"


def group_of(rule: Rule) -> str:
    return f"the group {rule.group}" if rule.sees_group else "a group that you may not view"


def hours(start: time | None, end: time | None) -> str:
    return "at any hour" if start is None or end is None else f"not from {start:%H:%M} to {end:%H:%M}"


def together(words: list[str]) -> str:
    """one, two and three"""
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)
