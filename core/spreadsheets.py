"""Cells for programs that take some texts for formulas, and run them."""

from typing import Any

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A cell that begins with one of these is a formula to a spreadsheet; an apostrophe before it makes it text."""


def as_text(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def from_text(cell: str) -> str:
    """What `as_text` was given."""
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(FORMULA) else cell
