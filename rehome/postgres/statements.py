"""Statements as plain text: the little that can be told of those that a project has written, and two for any vendor."""

import re
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

DROPPED = re.compile(r"\bDROP\s+(?:TABLE|VIEW)\s+(?:IF\s+EXISTS\s+)?([^;]*)", re.IGNORECASE)


def text_of(statements: Any) -> str:
    """All that a RunSQL runs."""
    if isinstance(statements, str):
        return statements
    return ";\n".join(str(one[0] if isinstance(one, list | tuple) else one) for one in statements)


def drops(text: str, table: str) -> bool:
    """Whether it drops a table or a view of this name."""
    named = re.compile(rf'(?<![\w"])(?:"{re.escape(table)}"|{re.escape(table)})(?![\w"])')
    return any(named.search(listed) for listed in DROPPED.findall(text))


def has_rows(table: str, connection: BaseDatabaseWrapper) -> bool:
    """Of any vendor that Django knows."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT EXISTS (SELECT 1 FROM {connection.ops.quote_name(table)})")  # noqa: S608
        return bool(cursor.fetchone()[0])


def drop_constraint(place: str, constraint: str) -> str:
    """Both quoted; nothing happens where the constraint is missing."""
    return f"ALTER TABLE {place} DROP CONSTRAINT IF EXISTS {constraint}"
