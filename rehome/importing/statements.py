"""SQL of an import's temporary tables and of its merge: pure functions from an ImportPlan and a Flow."""

from collections.abc import Iterable

from rehome import sql
from rehome.expressions import ROW
from rehome.importing.lookups import Found, constant
from rehome.importing.resolve import ImportPlan, Taken
from rehome.plan import Flow
from rehome.sql import OTHER_RECORD, SQL, Identifier, Literal, Statement


def read_name(plan: ImportPlan) -> str:
    """The temporary table that the source's rows arrive in."""
    return f"rehome_read_{plan.number}"


def found_name(plan: ImportPlan) -> str:
    """The temporary table of the same rows after their lookups."""
    return f"rehome_found_{plan.number}"


def arrived_name(plan: ImportPlan) -> str:
    """The temporary view of the target's rows that the import has to do with."""
    return f"rehome_arrived_{plan.number}"


def create_read(plan: ImportPlan) -> Statement:
    return SQL("CREATE TEMPORARY TABLE {} ({})").format(
        Identifier(read_name(plan)), SQL(", ").join(map(arriving_column, plan.taken))
    )


def arriving_column(taken: Taken) -> Statement:
    collation = f" COLLATE {taken.column.collation}" if taken.column.collation and not taken.lookup else ""
    return SQL("{} {}{}").format(Identifier(taken.arrives_in), SQL(taken.arrives_as), SQL(collation))


def copy_in(plan: ImportPlan) -> Statement:
    return SQL("COPY {} FROM STDIN").format(Identifier(read_name(plan)))


def understand(timezone: str) -> Statement:
    """For this transaction: times without a zone are the source's, and dates are as ISO writes them."""
    return SQL("SELECT set_config('TimeZone', {}, true), set_config('datestyle', 'ISO, YMD', true)").format(
        Literal(timezone)
    )


def drop(name: str) -> Statement:
    return SQL("DROP TABLE IF EXISTS {}").format(Identifier("pg_temp", name))


def analyze(name: str) -> Statement:
    return SQL("ANALYZE {}").format(Identifier("pg_temp", name))


def rounded(plan: ImportPlan, taken: Taken) -> Statement:
    """The number of values that are not the same as the column's type, and one of them."""
    return SQL("SELECT count(*), min({0}) FROM {1} WHERE {0} <> {0}::{2}").format(
        Identifier(taken.arrives_in), Identifier("pg_temp", read_name(plan)), SQL(taken.column.type)
    )


def create_found(plan: ImportPlan, found: Iterable[Found]) -> Statement:
    """The rows as they arrived, with a column more for each lookup."""
    found = list(found)
    return SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {}.*, {} FROM {} AS {} {}").format(
        Identifier(found_name(plan)),
        Identifier(ROW),
        SQL(", ").join(
            SQL("{} AS {}").format(one.value, Identifier(one.taken.column.name)) for one in found
        ),
        Identifier("pg_temp", read_name(plan)),
        Identifier(ROW),
        SQL(" ").join(one.join for one in found),
    )  # fmt: skip


def as_many_rows(flow: Flow) -> Statement:
    return SQL("SELECT (SELECT count(*) FROM {}) = (SELECT count(*) FROM {})").format(
        sql.name(flow.origin), sql.name(flow.destination)
    )


def create_arrived(plan: ImportPlan, flow: Flow, *, alone: bool) -> Statement:
    """With `alone`, the target has as many rows as arrived: none has to be left out, nor looked for."""
    every = SQL("CREATE TEMPORARY VIEW {} AS SELECT * FROM {} AS arrived").format(
        Identifier(arrived_name(plan)), sql.name(flow.destination)
    )
    if alone:
        return every
    return SQL("{} WHERE EXISTS (SELECT FROM {} AS {} WHERE {})").format(
        every, sql.name(flow.origin), Identifier(ROW), sql.same_key(flow, ROW, "arrived")
    )


def drop_arrived(plan: ImportPlan) -> Statement:
    return SQL("DROP VIEW {}").format(Identifier("pg_temp", arrived_name(plan)))


# ----- the merge


def update_changed(flow: Flow) -> Statement | None:
    """Rows that are there and say something else; None where there is nothing beside the key."""
    rest = [a for a in flow.carried if a.column.name not in dict(flow.key)]
    if not rest:
        return None
    return SQL("UPDATE {} AS kept SET {} FROM {} AS {} WHERE {} AND ROW({})::record {} ROW({})::record").format(
        sql.name(flow.destination),
        SQL(", ").join(SQL("{} = {}").format(Identifier(a.column.name), sql.written(a)) for a in rest),
        sql.name(flow.origin),
        Identifier(ROW),
        sql.same_key(flow, ROW, "kept"),
        sql.of("kept", sql.names(rest)),
        OTHER_RECORD,
        sql.typed_values(rest),
    )


def gone(plan: ImportPlan, flow: Flow) -> Statement:
    """FROM and WHERE of the target's rows that came with this import and that the source has no more."""
    present = [SQL("{} IS NOT NULL").format(Identifier("gone", column)) for column in plan.key]
    return SQL("{} AS gone WHERE {} AND NOT EXISTS (SELECT FROM {} AS origin WHERE {})").format(
        sql.name(flow.destination),
        SQL(" AND ").join([*present, *own(plan)]),
        sql.name(flow.origin),
        sql.same_key(flow, "origin", "gone"),
    )


def own(plan: ImportPlan) -> list[Statement]:
    """Conditions that keep out what came with other imports."""
    return [
        SQL("{} = {}").format(Identifier("gone", taken.column.name), constant(plan, taken)) for taken in plan.constants
    ]


def count_gone(plan: ImportPlan, flow: Flow) -> Statement:
    return SQL("SELECT count(*) FROM {}").format(gone(plan, flow))


def first_gone(plan: ImportPlan, flow: Flow, limit: int) -> Statement:
    keys = sql.of("gone", plan.key)
    return SQL("SELECT concat_ws(', ', {}) FROM {} ORDER BY {} LIMIT {}").format(
        keys, gone(plan, flow), keys, Literal(limit)
    )


def delete_gone(plan: ImportPlan, flow: Flow) -> Statement:
    return SQL("DELETE FROM {}").format(gone(plan, flow))
