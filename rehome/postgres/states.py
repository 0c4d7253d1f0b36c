"""The SQLSTATEs by which PostgreSQL says why it refused, and what to do about each."""

import psycopg
from django.db import InterfaceError, OperationalError

RETRIED = {"55P03": "lock timeout", "40P01": "deadlock", "40001": "serialization failure"}
"""Failures that leave a transaction which can be tried again."""
TOO_LONG = {"57014": "statement timeout"}

NOT_THERE = {"42P01", "42703", "3F000"}
"""A table, a column or a schema that the database does not have."""
UNKNOWN = NOT_THERE | {"42704", "42883", "42809"}
"""The same of types and functions, and of what is there as another kind of object."""
READ_ONLY = {"25006"}
NOT_ALLOWED = {"42501"}
FULL = {"53100"}
LOST = {"57P01", "57P02", "57P03", "08006", "08003"}
"""What a server that is ended says as its last, and what the driver says of one that is gone."""

OF_ROWS = {"22", "23", "44", "P0", "XX"}
"""Classes of errors that a row may be to blame for; the last is what extensions such as PostGIS say."""
TOO_LARGE = {"54000"}
"""Of a value or a row that is longer than the server's memory for one."""
NOT_OF_ROWS = ("40", "53", "57", "58")
"""Classes of errors that no value is to blame for: rolled back, no resources, an operator, the machine."""

CURES = (
    (UNKNOWN, "Make the database match the migrations; `manage.py checkschema` with the name of an app compares them."),
    (NOT_ALLOWED, "Grant that right to the connected role, or connect as the owner of the tables."),
    (READ_ONLY, "Connect to a server, and as a role, that may write."),
    (TOO_LONG, "Raise or unset the timeout that ended it, then run the command again."),
    (RETRIED, "Run the command again when the other transaction has ended."),
    (FULL, "Free space on its disk, then run the command again."),
    (LOST, "Check that the server runs, then run the command again."),
)
LOST_CURE = "Check that the server runs, and HOST, PORT, NAME, USER and PASSWORD of its settings; then try again."
"""Where the driver lost the server, or did not find it, and so no state is said."""
OTHER_CURE = "Correct what it names, then run the command again; --traceback shows where it happened."


def cure_of(error: BaseException) -> str:
    """What a person does about an error of Django's or the driver's, in a sentence."""
    lost = OperationalError | InterfaceError | psycopg.OperationalError
    if (state := state_of(error)) or not isinstance(error, lost):
        return next((cure for states, cure in CURES if state in states), OTHER_CURE)
    return LOST_CURE


def is_of_rows(error: BaseException) -> bool:
    """Whether some row or value may be to blame."""
    return state_of(error)[:2] in OF_ROWS or state_of(error) in TOO_LARGE


def state_of(error: BaseException) -> str:
    """Of an error of Django's or the driver's; empty where the server said none."""
    return getattr(error.__cause__, "sqlstate", None) or getattr(error, "sqlstate", None) or ""
