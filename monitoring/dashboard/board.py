"""What the page of the farm shows: numbers by state, and tiles in sections. All are counted, some are shown."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.db.models import Count
from django.http import QueryDict
from django.urls import reverse
from django.utils import timezone

from monitoring.dashboard import tiles
from monitoring.dashboard.places import BY, Share, shares
from monitoring.dashboard.tiles import Tile
from printers.fleet.models import Kind
from printers.models import Printer
from printers.states import NOT_ASKED, Group, NotAsked, State

COMPACT_FROM = 60
"""So many printers are found more easily on less room."""
NAMES = 12
"""Of printers that are off, beside their number."""
HINTS = {
    Group.WAITING: "oldest first · nothing starts on these before you say how it went",
    Group.ATTENTION: "stopped until somebody goes there",
    Group.PRINTING: "next to end comes first",
    Group.READY: "plate clear, nothing to do",
    Group.OFF: "",
}
WITHOUT = {"place": "Without a place", "tag": "Without a tag"}


@dataclasses.dataclass(frozen=True)
class Limits:
    """How many tiles there are at most; the rest is one click away."""

    tiles: Mapping[Group, int] = dataclasses.field(default_factory=lambda: dict.fromkeys(Group, 24))
    chosen: int = 96
    """Of the one state that somebody has chosen."""
    grouped: int = 144
    """In all sections together, where there is one for each place, kind or tag."""
    sections: int = 48


WALL = Limits({Group.WAITING: 48, Group.ATTENTION: 24, Group.PRINTING: 24, Group.READY: 16, Group.OFF: 48})


class Chosen(forms.Form):
    """The address of the page. What is wrong in it is left out."""

    by = forms.ChoiceField(required=False, choices=list(BY.items()))
    state = forms.ChoiceField(required=False, choices=Group.choices)

    @classmethod
    def read(cls, address: Any) -> dict[str, str]:
        form = cls(address)
        form.is_valid()
        return {name: form.cleaned_data.get(name) or "" for name in form.fields}


@dataclasses.dataclass
class Section:
    """Some printers under one heading, of which the first get a tile."""

    key: str
    word: str
    query: dict[str, str]
    """Of the list that has all of them."""
    shares: list[Share]
    limit: int
    group: Group | None = None
    """Where the section is one of a state."""
    tiles: list[Tile] = dataclasses.field(default_factory=list)

    @property
    def number(self) -> int:
        return sum(share.number for share in self.shares)

    @property
    def hint(self) -> str:
        return HINTS[self.group] if self.group else ""

    @property
    def shown(self) -> list[int]:
        """The keys of those that get a tile."""
        return [key for share in self.shares for key in share.first][: self.limit]

    @property
    def more(self) -> bool:
        return self.number > self.limit

    @property
    def href(self) -> str:
        return f"{reverse('printers:list')}?{query_of(self.query | {'view': 'tiles'}).urlencode()}"

    @property
    def names(self) -> list[str]:
        return [printer.name for printer in self.tiles[:NAMES]]

    @property
    def counts(self) -> list[tuple[Group, int]]:
        """By state, without those of which there is none."""
        return [(share.group, share.number) for share in self.shares]


class Board:
    """The farm as `user` may see it, now."""

    BY = BY

    def __init__(self, user: Any, chosen: dict[str, str], limits: Limits) -> None:
        self.user, self.chosen, self.limits, self.now = user, chosen, limits, timezone.now()
        numbers = dict.fromkeys(Group, 0)
        self.shares = shares(user, chosen["by"], self.most())
        for share in self.shares:
            numbers[share.group] += share.number
        # A printer with two tags is in two sections, and counted once.
        if chosen["by"] == "tag":
            numbers = count_by_group(user)
        self.counts, self.total = list(numbers.items()), sum(numbers.values())
        self.needs_you = numbers[Group.WAITING] + numbers[Group.ATTENTION]
        self.sections = self.by_word() if chosen["by"] else self.by_state()
        self.printers = tiles.read(user, {key for section in self.sections for key in section.shown})
        for section in self.sections:
            section.tiles = [self.printers[key] for key in section.shown if key in self.printers]

    # ----- sections

    def most(self) -> int:
        """So many keys of a section are asked for."""
        return self.limits.chosen if self.chosen["state"] else max(self.limits.tiles.values())

    def by_state(self) -> list[Section]:
        """One for each state of which there is any, or the chosen one."""
        limits = dict.fromkeys(Group, self.limits.chosen) if self.chosen["state"] else self.limits.tiles
        return [
            Section(one.group.value, one.group.word, {"state": one.group.value}, [one], limits[one.group], one.group)
            for one in self.chosen_shares()
        ]

    def by_word(self) -> list[Section]:
        """One for each place, kind or tag, in their order; of too many, those in which most is to be done."""
        by = self.chosen["by"]
        there: dict[str, list[Share]] = {}
        for share in self.chosen_shares():
            there.setdefault(share.value, []).append(share)
        self.left_out = max(len(there) - self.limits.sections, 0)
        most = sorted(there, key=lambda value: -calls(there[value]))[: self.limits.sections]
        limit = max(self.limits.grouped // max(len(most), 1), 3)
        limit = min(limit, self.limits.tiles[Group.PRINTING])
        kinds = dict(Kind.choices)
        words = {value: kinds.get(value, value) if value else WITHOUT[by] for value in most}
        return [
            Section(str(number), words[value], {by: value, "state": self.chosen["state"]}, there[value], limit)
            for number, value in enumerate(sorted(most, key=lambda value: (not value, words[value].casefold())))
        ]

    def chosen_shares(self) -> Iterable[Share]:
        state = self.chosen["state"]
        return (share for share in self.shares if share.group == state) if state else self.shares

    left_out = 0
    """Sections that are not shown."""

    # ----- in words

    @property
    def query(self) -> QueryDict:
        """Of its address."""
        return query_of(self.chosen)

    @property
    def compact(self) -> bool:
        return self.total >= COMPACT_FROM

    @property
    def title(self) -> str:
        """Of the tab, where the number stands first."""
        number = self.needs_you
        return f"{number:,} need{'s' if number == 1 else ''} you" if number else "Nothing needs you"

    @property
    def sentence(self) -> str:
        """As an operator would say it."""
        number = self.needs_you
        if not self.total:
            return "Your farm has no printers yet"
        if number:
            return f"{number:,} machine{' needs' if number == 1 else 's need'} you"
        return "Nothing needs you"

    @property
    def next_end(self) -> Tile | None:
        """Whose print ends next, and has not ended yet."""
        prints = [(one.ends_at, one) for one in self.printers.values() if one.state.group == Group.PRINTING]
        coming = [(at, one) for at, one in prints if at and at > self.now]
        return min(coming, key=lambda each: each[0], default=(None, None))[1]

    # ----- on the wall

    def tiles_of(self, *groups: Group) -> list[Tile]:
        return [printer for section in self.sections if section.group in groups for printer in section.tiles]

    @property
    def calls(self) -> list[Tile]:
        return self.tiles_of(Group.WAITING, Group.ATTENTION)

    @property
    def runs(self) -> list[Tile]:
        return self.tiles_of(Group.PRINTING)

    @property
    def quiet(self) -> list[tuple[State | NotAsked, list[str]]]:
        """Names of what is ready or off, by state."""
        names: dict[str, list[str]] = {}
        for printer in self.tiles_of(Group.READY, Group.OFF):
            names.setdefault(printer.state.value, []).append(printer.name)
        return [(State(value) if value else NOT_ASKED, some) for value, some in names.items()]


def count_by_group(user: Any) -> dict[Group, int]:
    rows = Printer.objects.for_user(user, "view").by_urgency().order_by().values("urgency").annotate(number=Count("pk"))
    numbers = {row["urgency"]: row["number"] for row in rows}
    return {group: numbers.get(rank, 0) for rank, group in enumerate(Group)}


def query_of(values: Mapping[str, str]) -> QueryDict:
    """Without those that are empty."""
    query = QueryDict(mutable=True)
    query.update({name: value for name, value in values.items() if value})
    return query


def calls(some: Iterable[Share]) -> int:
    return sum(share.number for share in some if share.group in (Group.WAITING, Group.ATTENTION))
