"""What a server means by refusing a connection or a statement; PostgreSQL says it by state, MySQL by number."""

from typing import Literal

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

Meaning = Literal["no table", "no column", "no right"]

STATES: dict[str, Meaning] = {"42P01": "no table", "42703": "no column", "42501": "no right"}
NUMBERS: dict[int, Meaning] = {1146: "no table", 1054: "no column", 1142: "no right", 1143: "no right"}
MYSQL_CLIENT = range(2000, 3000)
"""Errors of the client library, without an answer of the server."""


def is_refusal(error: DatabaseError) -> bool:
    """Whether a server answered and refused the login."""
    if number := number_of(error):
        return number not in MYSQL_CLIENT
    session = getattr(error.__cause__, "pgconn", None)
    return bool(session and session.used_password) or "FATAL:" in str(error)


def meaning_of(error: DatabaseError) -> Meaning | None:
    """None for anything else, such as a lost connection."""
    return STATES.get(getattr(error.__cause__, "sqlstate", None) or "") or NUMBERS.get(number_of(error))


def number_of(error: DatabaseError) -> int:
    number = error.args[0] if error.args else None
    return number if isinstance(number, int) else 0


def ask(connection: BaseDatabaseWrapper, table: str, *columns: str) -> DatabaseError | None:
    """Select no row of these columns of a table; the server's refusal, or None."""
    quote = connection.ops.quote_name
    wanted = ", ".join(map(quote, columns)) or "1"
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {wanted} FROM {quote(table)} WHERE 1 = 0")  # noqa: S608
    except DatabaseError as error:
        return error
    return None
