"""Line: what one check found, and what to do about it."""

import dataclasses
from typing import Literal

State = Literal["ok", "no", "unknown"]


@dataclasses.dataclass(frozen=True)
class Line:
    name: str
    state: State
    what: str
    """A sentence without its full stop."""
    todo: str = ""
    """What a person does then, with the command; empty where there is nothing to do."""


def ok(name: str, what: str) -> Line:
    return Line(name, "ok", what)


def no(name: str, what: str, todo: str) -> Line:
    return Line(name, "no", what, todo)


def unknown(name: str, what: str, todo: str) -> Line:
    return Line(name, "unknown", what, todo)
