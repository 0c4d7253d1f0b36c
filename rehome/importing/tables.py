"""SQL of an import's temporary tables and of its merge: pure functions from an ImportPlan and a Flow."""

import typing
from collections.abc import Iterable

from rehome.importing.lookups import Found, constant
from rehome.importing.plan import ImportPlan, Taken
from rehome.parts import rows
from rehome.plan.expressions import ROW
from rehome.plan.plan import Flow
from rehome.postgres import sql
from rehome.postgres.sql import SQL, Identifier, Literal, Statement

LINE = "rehome line"
"""The number of a row among those that were read, where each row may have to be named."""

Temporary = typing.Literal[
    "read",  # The source's rows as they arrive.
    "found",  # The same rows after their lookups.
    "arrived",  # A view of the target's rows that belong to the import.
    "text",  # The rows as the source writes them, where each value may have to be named.
    "rejects",  # What is wrong with the rows.
    "left",  # The rows that were taken out of those that arrived.
]


def temporary(plan: ImportPlan, table: Temporary) -> Identifier:
    return sql.temporary(f"rehome_{table}_{plan.number}")


def create_read(plan: ImportPlan) -> Statement:
    return SQL("CREATE TEMPORARY TABLE {} ({})").format(
        temporary(plan, "read"), SQL(", ").join(map(arriving_column, plan.taken))
    )


def arriving_column(taken: Taken, kind: str | None = None) -> Statement:
    """As the type that the value has in the target, or as `kind`."""
    collation = f" COLLATE {taken.column.collation}" if taken.column.collation and not taken.lookup else ""
    return SQL("{} {}{}").format(Identifier(taken.arrives_in), SQL(kind or taken.arrives_as), SQL(collation))


def copy_in(table: Identifier) -> Statement:
    return SQL("COPY {} FROM STDIN").format(table)


def understand(timezone: str) -> Statement:
    """For this transaction: times without a zone are in the source's zone, and dates are in ISO's order."""
    return SQL("SELECT set_config('TimeZone', {}, true), set_config('datestyle', 'ISO, YMD', true)").format(
        Literal(timezone)
    )


def drop(table: Identifier) -> Statement:
    return SQL("DROP TABLE IF EXISTS {}").format(table)


def analyze(table: Identifier) -> Statement:
    return SQL("ANALYZE {}").format(table)


def create_found(plan: ImportPlan, found: Iterable[Found]) -> Statement:
    """The rows as they arrived, with a column more for each lookup."""
    found = list(found)
    return SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {}.*, {} FROM {} AS {} {}").format(
        temporary(plan, "found"),
        Identifier(ROW),
        SQL(", ").join(
            SQL("{} AS {}, {} AS {}").format(
                one.value, Identifier(one.taken.column.name), Identifier(one.alias, "hits"), Identifier(one.hits_in)
            )
            for one in found
        ),
        temporary(plan, "read"),
        Identifier(ROW),
        SQL(" ").join(one.join for one in found),
    )  # fmt: skip


def create_arrived(plan: ImportPlan, flow: Flow, condition: Statement) -> Statement:
    return SQL("CREATE TEMPORARY VIEW {} AS SELECT * FROM {} AS arrived WHERE {}").format(
        temporary(plan, "arrived"), sql.name(flow.destination), condition
    )


def was_read(flow: Flow) -> Statement:
    """Whether a row of the target has a key that was read."""
    return SQL("EXISTS (SELECT FROM {} AS {} WHERE {})").format(
        sql.name(flow.origin), Identifier(ROW), rows.same_key(flow, ROW, "arrived")
    )


# ----- the merge


def update_changed(flow: Flow) -> Statement | None:
    """Rows whose values differ; None where the import has no column but the key."""
    rest = [a for a in flow.carried if a.column.name not in dict(flow.key)]
    if not rest:
        return None
    return SQL("UPDATE {} AS kept SET {} FROM {} AS {} WHERE {} AND {}").format(
        sql.name(flow.destination),
        SQL(", ").join(SQL("{} = {}").format(Identifier(a.column.name), rows.written(a)) for a in rest),
        sql.name(flow.origin),
        Identifier(ROW),
        rows.same_key(flow, ROW, "kept"),
        sql.differ(sql.of("kept", rows.names(rest)), rows.typed_values(rest)),
    )


def is_gone(plan: ImportPlan, flow: Flow, left: Statement | None = None) -> Statement:
    """Whether row `gone` came with this import and is no longer at the source, where the rows of `left` still are."""
    missing = [
        SQL("NOT EXISTS (SELECT FROM {} AS origin WHERE {})").format(present, rows.same_key(flow, "origin", "gone"))
        for present in (sql.name(flow.origin), left)
        if present
    ]
    return SQL(" AND ").join([imported(plan, "gone"), *missing])


def gone(plan: ImportPlan, flow: Flow, left: Statement | None = None) -> Statement:
    """FROM and WHERE of these rows."""
    return SQL("{} AS gone WHERE {}").format(sql.name(flow.destination), is_gone(plan, flow, left))


def imported(plan: ImportPlan, row: str) -> Statement:
    """Whether a row of the target has a key of this import; rows of other imports, or made here, have none."""
    own = [SQL("{} = {}").format(Identifier(row, t.column.name), constant(plan, t)) for t in plan.constants]
    return SQL(" AND ").join([sql.present(plan.key, row), *own])


def first_keys(plan: ImportPlan, gone: Statement, limit: int) -> Statement:
    keys = sql.of("gone", plan.key)
    return SQL("SELECT concat_ws(', ', {}) FROM {} ORDER BY {} LIMIT {}").format(keys, gone, keys, Literal(limit))
