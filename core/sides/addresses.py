"""One map of the addresses of both sides: where a page of one side is on the other."""

import re

from core.sides.models import Side

OLD, NEW = "/portal/printers/", "/printers/"
# Pages of the new side beside those of its printers.
_MORE = re.compile(r"/(?:wall/|(?:prints|alerts)/.*)?", re.DOTALL)
# What both sides have, after the beginning; a page of the same printer or the list stands for what one of them lacks.
_TAIL = re.compile(r"(?:add/|export/|\d+/(?:edit/|delete/)?)?")
_PRINTER = re.compile(r"\d+/")
# Adding and importing in several steps: what was typed in the first is kept under a number until the last.
_BEGUN = re.compile(rf"{NEW}(?:add|import)/\d+/")


def side_of_page(path: str) -> Side | None:
    """None for a page that both sides have in common."""
    if path.startswith(OLD):
        return Side.OLD
    return Side.NEW if path.startswith(NEW) or _MORE.fullmatch(path) else None


def is_begun(path: str) -> bool:
    """Whether somebody has begun here what the other side has no page for: they end it where they began."""
    return bool(_BEGUN.match(path))


def counterpart(path: str) -> str:
    """The address on the other side: the same page, else the same printer's, else the list."""
    beginning, other = (OLD, NEW) if path.startswith(OLD) else (NEW, OLD)
    tail = path.removeprefix(beginning) if path.startswith(beginning) else ""
    if _TAIL.fullmatch(tail):
        return other + tail
    printer = _PRINTER.match(tail)
    return other + (printer[0] if printer else "")
