"""What other apps add to pages about printers. They register here, since this app imports none of them."""

from collections.abc import Callable, Collection, Mapping
from typing import Literal

from django.http import HttpRequest

from printers.models import Printer

Column = Literal["main", "side"]
Write = Callable[[HttpRequest, Printer, set[str]], str]
"""HTML of a section, or "" for none: of the request, the printer, and what the reader may do with it."""
Due = Callable[[Collection[int]], Mapping[int, str]]
"""Of the printers with these keys, those where work is due, each with a sentence."""

_sections: dict[Column, list[tuple[int, Write]]] = {"main": [], "side": []}
_due: list[Due] = []


def register_section(column: Column, order: int, write: Write) -> None:
    """On the page of a printer, under what it does now; a lower `order` comes first. Twice is once."""
    if write not in [known for _, known in _sections[column]]:
        _sections[column].append((order, write))
        _sections[column].sort(key=lambda each: each[0])


def register_due(due: Due) -> None:
    """On tiles, one line each. It is asked once for all tiles of a page."""
    if due not in _due:
        _due.append(due)


def sections(column: Column, request: HttpRequest, printer: Printer, rights: set[str]) -> list[str]:
    return [html for _, write in _sections[column] if (html := write(request, printer, rights))]


def due(printers: Collection[int]) -> dict[int, str]:
    """Of those with these keys where any is, a sentence; who registered first speaks first."""
    found: dict[int, str] = {}
    for ask in reversed(_due) if printers else ():
        found |= ask(printers)
    return found
