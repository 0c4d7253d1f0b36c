"""Tiles: what is shown of a printer, and its text, which is written once a minute for everybody who sees the same."""

import dataclasses
import functools
import json
from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db.models import TextField
from django.db.models.functions import Cast
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.safestring import SafeString

from monitoring.dashboard import sight
from monitoring.models import Print
from monitoring.prints.waiting import last_of
from printers import additions
from printers.listing import keys_for
from printers.models import Printer
from printers.states import NOT_ASKED, Group, NotAsked, State

KEPT = 4096
"""Texts of about a kilobyte."""
COLUMNS = (
    "pk", "called", "state_value", "machine__out_of_order_why", "last_seen__since", "last_seen__file",
    "last_seen__progress", "last_seen__ends_at", "last_seen__message", "measured",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Tile:
    """All that its template knows of a printer: tiles that are equal have the same text. It reads as a Printer does."""

    pk: int
    name: str
    state: State | NotAsked
    out_of_order_why: str | None
    since: datetime | None
    file: str | None
    progress: float | None
    ends_at: datetime | None
    message: str | None
    measured: str | None
    operable: bool = False
    print: Print | None = None
    """The one that it waits with."""
    ended_at: datetime | None = None
    """When that was: it may have gone on, and ended again."""
    due: str = ""

    @property
    def known(self) -> "Tile":
        return self

    @property
    def seen(self) -> "Tile | None":
        return self if self.since else None

    @property
    def temperatures(self) -> dict[str, Any]:
        return dict(json.loads(self.measured or "{}"))

    @property
    def text(self) -> SafeString:
        return _text(self, translation.get_language(), timezone.get_current_timezone_name(), sight.minute())


@functools.lru_cache(KEPT)
def _text(tile: Tile, language: str, zone: str, minute: int) -> SafeString:
    """Words are the reader's, and so are clocks; durations are in minutes."""
    return render_to_string("monitoring/_tile.html", {"printer": tile})


def read(user: Any, keys: Collection[int]) -> dict[int, Tile]:
    """With the print that each waits with, what `user` may do about it, and what is due."""
    found = Printer.objects.filter(pk__in=keys).with_name().with_state()
    rows = found.annotate(measured=Cast("last_seen__temperatures", TextField())).values_list(*COLUMNS)
    tiles = [Tile(pk, name, State(state) if state else NOT_ASKED, *rest) for pk, name, state, *rest in rows]
    calling = [tile for tile in tiles if tile.state.look == "filled"]
    operable = keys_for(user, "operate", calling)
    prints = last_of([tile.pk for tile in calling if tile.state.group == Group.WAITING])
    due = additions.due(keys)
    return {tile.pk: completed(tile, tile.pk in operable, prints.get(tile.pk), due.get(tile.pk, "")) for tile in tiles}


def completed(tile: Tile, operable: bool, print: Print | None, due: str) -> Tile:
    ended_at = print.ended_at if print else None
    return dataclasses.replace(tile, operable=operable, print=print, ended_at=ended_at, due=due)
