"""What a message says: made when it is sent, for what its reader may view then, in the reader's zone."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from unicodedata import bidirectional
from zoneinfo import ZoneInfo

from django.template.loader import render_to_string
from django.utils import timezone

from core import times
from monitoring.alerts import links, rules
from monitoring.alerts.models import ENDED_BY_PEOPLE, Event, Mention, Rule
from monitoring.models import Print
from printers.models import Printer
from printers.states import GROUPS, OFF, WAITING, State

SHOWN = 20
"""So many are named; the page that the link leads to has all of them."""
ONE = {
    State.FINISHED: "{} has finished",
    State.FAILED: "The print on {} failed",
    State.CANCELLED: "The print on {} was cancelled",
    State.ERROR: "{} has an error",
    State.ATTENTION: "{} asks for a hand",
    State.REFUSED: "{} refuses the key",
    State.PAUSED: "{} is paused",
    State.DISCONNECTED: "{} is switched off",
    State.UNREACHABLE: "{} is out of reach",
}
MANY = {
    State.FINISHED: "{} printers have finished",
    State.FAILED: "{} prints failed",
    State.CANCELLED: "{} prints were cancelled",
    State.ERROR: "{} printers have an error",
    State.ATTENTION: "{} printers ask for a hand",
    State.REFUSED: "{} printers refuse the key",
    State.PAUSED: "{} printers are paused",
    State.DISCONNECTED: "{} printers are switched off",
    State.UNREACHABLE: "{} printers are out of reach",
}
WELL_ONE, WELL_MANY = "{} is well again", "{} printers are well again"
COLOURS = {
    WAITING: ("#7d1f74", "#ffffff"),
    OFF: ("#545b63", "#ffffff"),
    State.ERROR: ("#b3171f", "#ffffff"),
    State.ATTENTION: ("#ffb524", "#261700"),
    State.REFUSED: ("#ffb524", "#261700"),
    State.PAUSED: ("#6a5a00", "#ffffff"),
}
WELL_COLOURS = ("#1c6b46", "#ffffff")
SIGNS = {State.FINISHED: "↑", State.FAILED: "×", State.CANCELLED: "■", State.PAUSED: "‖"}
CALLS = re.compile(r"@(?=everyone|here|channel|all)", re.IGNORECASE)
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")


@dataclass(frozen=True)
class Item:
    """One printer in a message."""

    printer: Printer
    event: Event
    rule: Rule | None
    end: bool
    """It tells that something has ended; else that it began."""
    print: Print | None = None
    """That was on it, where it is known."""

    @property
    def state(self) -> State:
        return State(self.event.state)

    @property
    def name(self) -> str:
        return isolated(plain(self.printer.name))

    @property
    def over(self) -> bool:
        return self.event.ended_at is not None and self.event.state not in ENDED_BY_PEOPLE

    @property
    def title(self) -> str:
        if self.end:
            return WELL_ONE.format(self.name)
        if self.state == State.ERROR and self.event.progress:
            return f"{self.name} stopped at {self.event.progress:.0f}{times.NBSP}%"
        return ONE[self.state].format(self.name)

    @property
    def says(self) -> str:
        """What the machine said, and how long it lasted where it is over."""
        said = plain(self.event.message) if not self.end else ""
        if said and said[-1] not in ".!?…":
            said += "."
        return " ".join(part for part in (said, self.lasting) if part)

    @property
    def lasting(self) -> str:
        if not self.over or self.event.ended_at is None:
            return ""
        span = times.duration(self.event.ended_at - self.event.began_at)
        what = self.state.word if self.end else "It was over"
        how_long = "less than a minute" if span == "now" else span
        since, until = times.clock(self.event.began_at), times.clock(self.event.ended_at)
        if self.end:
            return f"{what} from {since} to {until}, {how_long}. Now: {word_of(self.event.became)}."
        return f"{what} at {until}, after {how_long}."

    @property
    def facts(self) -> list[tuple[str, str]]:
        known = [("Place", self.printer.known.place), ("File", self.event.file), ("Started", self.started)]
        return [(label, plain(value)) for label, value in known if value]

    @property
    def started(self) -> str:
        """13:10 by Sindre Lind"""
        if not self.print or self.end:
            return ""
        who = self.print.started_by
        by = f" by {who.get_full_name() or who.get_username()}" if who else ""
        return f"{times.clock(self.print.started_at)}{by}"

    @property
    def at(self) -> datetime:
        return self.event.ended_at if self.end and self.event.ended_at else self.event.began_at


@dataclass(frozen=True)
class Letter:
    """A message in words."""

    title: str
    text: str
    html: str
    told: frozenset[int] = frozenset()
    """Keys of the mentions that it says."""
    told_both: frozenset[int] = frozenset()
    """Those of them that say that what began is over again."""


NOTHING = Letter("", "", "")


def letter(mentions: Sequence[Mention], user: Any, zone: ZoneInfo) -> Letter | None:
    """None if nothing is left: what its reader may not view any more and what is out of order is left out."""
    with timezone.override(zone):
        items = items_of(mentions, user)
        if not items:
            return None
        title = title_of(list(items.values()))
        context = context_of(list(items.values()), title, zone)
        both = frozenset(key for key, item in items.items() if not item.end and item.over)
        html = render_to_string("alerts/mail.html", context)
        text = render_to_string("alerts/message.txt", context).strip() + "\n"
        return Letter(title, text, html, frozenset(items), both)


def items_of(mentions: Sequence[Mention], user: Any) -> dict[int, Item]:
    """By the mention's key. Of a printer that is told to have come out of one trouble and into another, the latter."""
    keys = {mention.event.printer_id for mention in mentions}
    visible = Printer.objects.for_user(user, "view").whole().filter(pk__in=keys)
    printers = {printer.pk: printer for printer in visible if printer.state != State.OUTOFORDER}
    told = [mention for mention in mentions if mention.event.printer_id in printers]
    on_it = print_of(told[0].event) if len(told) == 1 else None
    found = {
        mention.pk: Item(printers[mention.event.printer_id], mention.event, mention.rule, mention.end, on_it)
        for mention in told
    }
    troubled = {item.printer.pk for item in found.values() if not item.end}
    return {key: item for key, item in found.items() if not item.end or item.printer.pk not in troubled}


def print_of(event: Event) -> Print | None:
    """Of the file that the event names."""
    begun = Print.objects.filter(printer=event.printer_id, file=event.file, started_at__lte=event.began_at)
    return begun.select_related("started_by").order_by("-started_at", "-pk").first() if event.file else None


def title_of(items: Sequence[Item]) -> str:
    """Kestrel stopped at 43 %; 38 printers are out of reach, 2 printers are well again."""
    if len(items) == 1:
        return items[0].title
    counted = Counter("well" if item.end else item.event.state for item in items)
    parts = [
        (MANY[state].format(n) if n > 1 else only(items, state).title) for state in State if (n := counted[state.value])
    ]
    if n := counted["well"]:
        parts.append(WELL_MANY.format(n) if n > 1 else next(item for item in items if item.end).title)
    return ", ".join(parts)[:300]


def only(items: Iterable[Item], state: State) -> Item:
    return next(item for item in items if not item.end and item.state == state)


def context_of(items: list[Item], title: str, zone: ZoneInfo) -> dict[str, Any]:
    first = min(items, key=lambda item: (item.end, item.state.urgency, item.at))
    ordered = sorted(items, key=lambda item: (item.end, item.state.urgency, item.at))
    ground, ink = WELL_COLOURS if first.end else COLOURS.get(first.state) or COLOURS[GROUPS[first.state]]
    return {
        "title": title,
        "first": first,
        "one": first if len(items) == 1 else None,
        "items": ordered[:SHOWN],
        "more": len(items) - SHOWN if len(items) > SHOWN else 0,
        "sign": "✓" if first.end else SIGNS.get(first.state, "⚠"),
        "word": "Well again" if first.end else first.state.word,
        "ground": ground,
        "ink": ink,
        "link": links.of_items([item.event for item in items]),
        "begun": [item for item in items if not item.end and not item.over and item.state not in ENDED_BY_PEOPLE],
        "rules": list(dict.fromkeys(rules.sentence(item.rule) for item in items if item.rule)),
        "rules_link": links.rules(),
        "zone": zone.key,
    }


def isolated(name: str) -> str:
    """One that runs from right to left turns the sentence around it no more; subjects and texts know no <bdi>."""
    return f"\u2068{name}\u2069" if any(bidirectional(letter) in ("R", "AL") for letter in name) else name


def word_of(state: str) -> str:
    return State(state).word.lower() if state else "gone"


def plain(text: str) -> str:
    """What people or machines have written, so that it means nothing to a service: no marks, no call to a room."""
    text = " ".join(CONTROL.sub(" ", text).split()).replace("<", "‹").replace(">", "›")
    return CALLS.sub("@\N{ZERO WIDTH SPACE}", text)
