"""Compiles a Django expression over one model into SQL text that reads the row as `"new"`."""

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import FieldError
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Col
from django.db.models.sql import Query

from rehome.errors import Refused
from rehome.postgres.sql import inlined

ROW = "new"
"""In a trigger function this is the row being written, elsewhere the alias of the table that is read."""


@dataclasses.dataclass(frozen=True)
class Compiled:
    sql: str
    reads: frozenset[str]
    """Columns of the row that the value depends on."""
    functions: frozenset[str]
    """Names of the functions that the value is made with."""


def compile_expression(
    expression: Any, model: type[models.Model], connection: BaseDatabaseWrapper, place: str
) -> Compiled:
    """SQL of `expression` with its parameters as literals, so that it can stand in a function's body.

    Raises Refused for joins, aggregates, windows and subqueries, which one row cannot answer.
    """
    query = Query(model)
    try:
        resolved = expression.resolve_expression(query, allow_joins=False)
    except FieldError as error:
        raise Refused(f"{place} can't be computed from one row of {model._meta.label}: {error}.", HINT) from error
    if any(getattr(resolved, f"contains_{kind}", False) for kind in ("aggregate", "over_clause", "subquery")):
        raise Refused(f"{place} has an aggregate, a window or a subquery: {expression!r}.", HINT)
    relabeled = resolved.relabeled_clone({query.get_initial_alias(): ROW})
    compiler = query.get_compiler(connection=connection)
    text, params = compiler.compile(relabeled)
    columns = [node.target.column for node in walk(relabeled) if isinstance(node, Col)]
    reads = {column for column in columns if column is not None}
    # In `text` the literals are still placeholders, so nothing in a string looks like a call.
    functions = re.findall(r"(\w+)\s*\(", text.lower())
    return Compiled(f"({inlined(connection, text, params)})", frozenset(reads), frozenset(functions))


HINT = "Use an expression over the fields of that row alone."


def walk(node: Any) -> Iterator[Any]:
    yield node
    for child in node.get_source_expressions():
        if child is not None:
            yield from walk(child)
