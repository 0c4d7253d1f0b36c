"""The SQLSTATEs by which PostgreSQL says why it refused."""

RETRIED = {"55P03": "lock timeout", "40P01": "deadlock", "40001": "serialization failure"}
"""Failures that leave a transaction which can be tried again."""
TOO_LONG = {"57014": "statement timeout"}

NOT_THERE = {"42P01", "42703", "3F000"}
"""A table, a column or a schema that the database does not have."""
NOT_ALLOWED = {"42501"}
FULL = {"53100"}
LOST = {"57P01", "57P02", "57P03", "08006", "08003"}
"""What a server that is ended says as its last, and what the driver says of one that is gone."""

OF_ROWS = {"22", "23", "44", "P0", "XX"}
"""Classes of errors that a row may be to blame for; the last is what extensions such as PostGIS say."""
NOT_OF_ROWS = ("40", "53", "57", "58")
"""Classes of errors that no value is to blame for: rolled back, no resources, an operator, the machine."""


def state_of(error: BaseException) -> str:
    """Of an error of Django's; empty where the server said none."""
    return getattr(error.__cause__, "sqlstate", None) or ""
