"""Values that PostgreSQL keeps and Python has none for: rows that have one fail whenever Django reads them."""

from rehome.postgres.sql import SQL, Identifier, Literal, Statement
from rehome.postgres.tables import Column

DAYS = "{0} NOT BETWEEN '0001-01-01' AND '9999-12-31'"
MOMENTS = "{0} NOT BETWEEN '0001-01-01' AND '9999-12-31 23:59:59.999999'"
IN_UTC = "{0} NOT BETWEEN '0001-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999999+00'"
BEYOND = {
    "date": DAYS,
    "timestamp without time zone": MOMENTS,
    "timestamp with time zone": IN_UTC,
    "time without time zone": "{0} = '24:00:00'",
    # As many days as a timedelta has.
    "interval": "abs(extract(epoch FROM {0})) >= 86400000000000",
}
RANGES = {"daterange": DAYS, "tsrange": MOMENTS, "tstzrange": IN_UTC}
WHY = Literal("is outside of what Python has, so that Django could not read the row")


def condition(value: Statement, column: Column) -> Statement | None:
    """Whether Django could not read a value of this column; None where it can read every one."""
    kind = column.base_type
    if kind in RANGES:
        ends = SQL("(SELECT bool_or({}) FROM (VALUES (lower({})), (upper({}))) AS ends (item))")
        return ends.format(SQL(RANGES[kind]).format(Identifier("item")), value, value)
    if kind in BEYOND:
        return SQL(BEYOND[kind]).format(value)
    if kind.removesuffix("[]") in BEYOND:
        beyond = SQL(BEYOND[kind.removesuffix("[]")]).format(Identifier("item"))
        return SQL("EXISTS (SELECT FROM unnest({}) AS item WHERE {})").format(value, beyond)
    return None
