"""Where a class says something in its code, and how that line reads with another argument."""

import ast
import dataclasses
import functools
import inspect
import os
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.db.models import Model

from rehome.graph.drafting.layout import one_line


@dataclasses.dataclass(frozen=True)
class Place:
    path: Path
    line: int

    def __str__(self) -> str:
        return f"{min(str(self.path), os.path.relpath(self.path), key=len)}:{self.line}"


@dataclasses.dataclass(frozen=True)
class Written:
    """A call in the body of a class: a field, an index or a constraint."""

    place: Place
    owner: type
    """The class, which may be an abstract base of the model."""
    begin: str
    """What stands before it: `owner = `."""
    call: ast.Call

    def with_(self, **arguments: str) -> str:
        """The line as it would read; `arguments` are strings."""
        kept = [keyword for keyword in self.call.keywords if keyword.arg not in arguments]
        new = [ast.keyword(name, ast.Constant(value)) for name, value in arguments.items()]
        call = ast.Call(self.call.func, self.call.args, [*kept, *new])
        return f"{self.place}: {self.begin}{one_line(call)}"


def field(model: type[Model], name: str) -> Written | None:
    return next((found for found in every(model) if found.begin == f"{name} = "), None)


def named(model: type[Model], name: str) -> Written | None:
    """An index or constraint."""
    return next((found for found in every(model) if argument(found.call, "name") == name), None)


def argument(call: ast.Call, name: str) -> Any:
    found = next((keyword.value for keyword in call.keywords if keyword.arg == name), None)
    return found.value if isinstance(found, ast.Constant) else None


def every(model: type[Model]) -> Iterator[Written]:
    """Each call in the bodies of the class and of its bases."""
    for owner in model.__mro__:
        if owner.__module__.partition(".")[0] != "builtins":
            yield from calls_in(owner)


@functools.cache
def calls_in(owner: type) -> tuple[Written, ...]:
    try:
        lines, first = inspect.getsourcelines(owner)
        path = Path(inspect.getsourcefile(owner) or "")
        (tree,) = ast.parse(textwrap.dedent("".join(lines))).body
    except (OSError, TypeError, ValueError, SyntaxError):
        return ()  # A class that code has made.
    begins = {
        id(node.value): f"{one_line(node.targets[0])} = " for node in ast.walk(tree) if isinstance(node, ast.Assign)
    }
    return tuple(
        Written(Place(path, first + node.lineno - 1), owner, begins.get(id(node), ""), node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    )
