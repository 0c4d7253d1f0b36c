"""SQL of an import's temporary tables and of its merge: pure functions from an ImportPlan and a Flow."""

import dataclasses
import typing
from collections.abc import Iterable, Mapping

from rehome.importing.lookups import Found, constant
from rehome.importing.plan import ImportPlan, Taken, has_spellings
from rehome.parts import rows
from rehome.plan.expressions import ROW
from rehome.plan.plan import Assignment, Flow
from rehome.postgres import sql
from rehome.postgres.sql import SQL, Identifier, Literal, Statement

LINE = "rehome line"
"""The number of a row among those that were read, where each row may have to be named."""

NULL_KEY = "is null, so that no later run could find the row again"
"""The reason of a row with null in its key: it is no row that was imported before."""

MUCH_LARGER = 10
"""How many rows of the target for each that was read make an index worth its while."""

Temporary = typing.Literal[
    "read",  # The source's rows as they arrive.
    "found",  # The same rows after their lookups.
    "arrived",  # A view of the target's rows that belong to the import.
    "text",  # The rows as the source writes them, where each value may have to be named.
    "rejects",  # What is wrong with the rows.
    "left",  # The rows that were taken out of those that arrived.
    "changed",  # The keys of rows that were changed before they were linked.
]


def temporary(plan: ImportPlan, table: Temporary) -> Identifier:
    return sql.temporary(f"rehome_{table}_{plan.number}")


def key_columns(plan: ImportPlan) -> list[str]:
    """Where each row that may have to be named has the parts of its key, as the source's server writes them."""
    return [f"rehome key {number}" for number, _ in enumerate(plan.key)]


def create_read(plan: ImportPlan, kinds: Mapping[str, str]) -> Statement:
    """The columns of `kinds` arrive as these types."""
    columns = (arriving_column(taken, kinds.get(taken.column.name)) for taken in plan.taken)
    return SQL("CREATE TEMPORARY TABLE {} ({})").format(temporary(plan, "read"), SQL(", ").join(columns))


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


def plan_joins(plan: ImportPlan) -> Statement:
    """For this transaction: no nested loops where the target's statistics name few rows for each that was read.

    They may be those of an empty table, and a loop over a table that the statement itself fills takes the square of
    its time. Beside a much larger target a loop over its index is the quick way, and its statistics say so.
    """
    read = Literal(temporary(plan, "read").as_string())
    return SQL(
        "SELECT set_config('enable_nestloop', CASE WHEN target.reltuples > {} * arrived.reltuples THEN "
        "(SELECT reset_val FROM pg_settings WHERE name = 'enable_nestloop') ELSE 'off' END, true) "
        "FROM pg_class AS target, pg_class AS arrived WHERE target.oid = {} AND arrived.oid = {}::regclass"
    ).format(Literal(MUCH_LARGER), Literal(plan.target.oid), read)


def update_changed(flow: Flow) -> Statement | None:
    """Rows whose values differ; None where the import has no column but the key."""
    rest = beside_key(flow)
    if not rest:
        return None
    return SQL("UPDATE {} AS kept SET {} FROM {} AS {} WHERE {}").format(
        sql.name(flow.destination),
        SQL(", ").join(SQL("{} = {}").format(Identifier(a.column.name), rows.written(a)) for a in rest),
        sql.name(flow.origin),
        Identifier(ROW),
        is_changed(flow),
    )


def beside_key(flow: Flow) -> list[Assignment]:
    """What an update writes: of the key, only what may be equal to another spelling of it."""
    return [a for a in flow.carried if a.column.name not in dict(flow.key) or has_spellings(a.column)]


def is_changed(flow: Flow) -> Statement:
    """Whether row `kept` of the target has other values than the row that arrived with its key."""
    rest = beside_key(flow)
    return SQL("{} AND {}").format(
        rows.same_key(flow, ROW, "kept"),
        sql.differ(sql.of("kept", rows.names(rest)), rows.typed_values(rest)),
    )


def create_changed(plan: ImportPlan, flow: Flow) -> Statement:
    """The keys of the rows that `update_changed` would write."""
    return SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} AS kept, {} AS {} WHERE {}").format(
        temporary(plan, "changed"),
        sql.of("kept", plan.key),
        sql.name(flow.destination),
        sql.name(flow.origin),
        Identifier(ROW),
        is_changed(flow),
    )


def count_changed_again(plan: ImportPlan, flow: Flow) -> Statement:
    """How many of these rows `update_changed` would write once more."""
    return SQL("SELECT count(*) FROM {} AS kept, {} AS {}, {} AS changed WHERE {} AND {}").format(
        sql.name(flow.destination),
        sql.name(flow.origin),
        Identifier(ROW),
        temporary(plan, "changed"),
        is_changed(flow),
        sql.equal("changed", "kept", zip(plan.key, plan.key, strict=True)),
    )


def is_gone(plan: ImportPlan, flow: Flow, left: Statement | None = None) -> Statement:
    """Whether row `gone` came with this import and is no longer at the source, where the rows of `left` still are.

    A row of `left` of whose key a part is unknown may be any row that has the other parts.
    """
    missing = is_missing(plan, flow, left)
    return SQL("{} AND NOT {}").format(missing, may_be_left(plan, flow, left)) if left else missing


def is_missing(plan: ImportPlan, flow: Flow, left: Statement | None = None) -> Statement:
    """Whether row `gone` came with this import and has the key of no row that was read."""
    same = rows.same_key(flow, "origin", "gone")
    read = [sql.name(flow.origin), *([left] if left else [])]
    missing = [SQL("NOT EXISTS (SELECT FROM {} AS origin WHERE {})").format(one, same) for one in read]
    return SQL(" AND ").join([imported(plan, "gone"), *missing])


def may_be_left(plan: ImportPlan, flow: Flow, left: Statement) -> Statement:
    """Whether row `gone` may be one of `left` of whose key a part is unknown."""
    return SQL("EXISTS (SELECT FROM {} AS origin WHERE {})").format(left, may_be(flow, unknown_keys(plan)))


def count_kept(plan: ImportPlan, flow: Flow, left: Statement) -> Statement:
    """How many rows don't count as gone only because they may be one of these."""
    return SQL("SELECT count(*) FROM {} AS gone WHERE {} AND {}").format(
        sql.name(flow.destination), is_missing(plan, flow, left), may_be_left(plan, flow, left)
    )


def first_unknown(plan: ImportPlan, left: Statement) -> Statement:
    """The key of the first of these, as the source's server writes it."""
    return SQL("SELECT {} FROM {} AS given JOIN {} AS origin USING ({line}) WHERE {} ORDER BY {line} LIMIT 1").format(
        sql.of("given", key_columns(plan)),
        temporary(plan, "text"),
        left,
        SQL(" OR ").join(unknown_keys(plan).values()),
        line=Identifier(LINE),
    )


def unknown_keys(plan: ImportPlan) -> dict[str, Statement]:
    """By column of the key, whether nobody knows what row `origin` of `left` has there: it can't be read, or the column
    or a lookup does not take it, or a lookup answers it with no row or with several.
    """
    # A domain, or a column that was narrowed, may hold what it does not take any more.
    unknown = SQL(
        "({value} IS NULL AND ({arrived} IS NOT NULL OR EXISTS (SELECT FROM {rejects} AS bad "
        'WHERE bad.{line} = origin.{line} AND bad."column" = {column} AND bad.reason <> {null})))'
    )
    return {
        taken.column.name: unknown.format(
            value=Identifier("origin", taken.column.name),
            arrived=Identifier("origin", taken.arrives_in),
            rejects=temporary(plan, "rejects"),
            line=Identifier(LINE),
            column=Literal(taken.column.name),
            null=Literal(NULL_KEY),
        )
        for taken in plan.taken
        if taken.column.name in plan.key
    }


def may_be(flow: Flow, lost: Mapping[str, Statement]) -> Statement:
    """Whether row `origin`, of whose key something is lost, may be row `gone`."""
    parts = [
        SQL("({} OR {})").format(
            rows.same_key(dataclasses.replace(flow, key=(pair,)), "origin", "gone"), lost.get(pair[1], SQL("false"))
        )
        for pair in flow.key
    ]
    return SQL("({}) AND {}").format(SQL(" OR ").join(lost.values()), SQL(" AND ").join(parts))


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
