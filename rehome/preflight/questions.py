"""SQL of what preflight asks of the rows before they are moved: pure functions from a Flow or a TablePair."""

from collections.abc import Iterable, Sequence

from rehome.parts.rows import names
from rehome.plan.expressions import ROW
from rehome.plan.plan import Assignment, Flow, LostColumn, TablePair
from rehome.postgres.sql import (
    OTHER_RECORD,
    SAME_RECORD,
    SQL,
    Identifier,
    Statement,
    columns,
    is_longer,
    name,
    of,
    typed,
)
from rehome.postgres.tables import Column, ForeignKey, Table


def projection(flow: Flow, *, typed_as_target: bool) -> Statement:
    """The origin's rows as they would stand in the destination."""
    parts = [
        SQL("{} AS {}").format(
            typed(SQL(a.value), a.column) if typed_as_target else SQL(a.value), Identifier(a.column.name)
        )
        for a in flow.assignments
    ]
    return SQL("SELECT {} FROM {} AS {}").format(SQL(", ").join(parts), name(flow.origin), Identifier(ROW))


def evaluated(flow: Flow, assignment: Assignment) -> Statement:
    """Computes one value for each row of the origin, and fails where one can't be computed."""
    return SQL("SELECT count({}) FROM {} AS {}").format(
        typed(SQL(assignment.value), assignment.column), name(flow.origin), Identifier(ROW)
    )


def projected(flow: Flow, what: Statement, condition: Statement) -> Statement:
    """`what` of the projected rows for which `condition` holds."""
    return SQL("SELECT {} FROM ({}) AS projected WHERE {}").format(
        what, projection(flow, typed_as_target=True), condition
    )


def keys_as_text(flow: Flow) -> Statement:
    return SQL("concat_ws(', ', {})").format(SQL(", ").join(Identifier(there) for _, there in flow.key))


def rows_with_null(flow: Flow, column: str) -> Statement:
    return projected(flow, keys_as_text(flow), SQL("{} IS NULL").format(Identifier(column)))


def rows_longer_than(flow: Flow, column: Column, limit: int) -> Statement:
    return projected(flow, keys_as_text(flow), is_longer(Identifier(column.name), column, limit))


def rows_violating(flow: Flow, check: str) -> Statement:
    return projected(flow, keys_as_text(flow), SQL("NOT ({})").format(SQL(check)))


def orphans_to_be(flow: Flow, foreign_key: ForeignKey, referenced: Statement) -> Statement:
    """Projected rows whose foreign key would name a row that `referenced` does not have."""
    present = SQL(" AND ").join(SQL("{} IS NOT NULL").format(Identifier(c)) for c in foreign_key.columns)
    same = SQL(" AND ").join(
        SQL("parent.{} = projected.{}").format(Identifier(there), Identifier(here))
        for here, there in zip(foreign_key.columns, foreign_key.end.columns, strict=True)
    )
    missing = SQL("{} AND NOT EXISTS (SELECT FROM {} AS parent WHERE {})").format(present, referenced, same)
    return projected(flow, keys_as_text(flow), missing)


def duplicates(flow: Flow, unique: Sequence[str]) -> Statement:
    """Values that more than one projected row has in the columns `unique`."""
    return SQL("SELECT concat_ws(', ', {0}) FROM ({1}) AS projected WHERE {2} GROUP BY {0} HAVING count(*) > 1").format(
        columns(unique),
        projection(flow, typed_as_target=True),
        SQL(" AND ").join(SQL("{} IS NOT NULL").format(Identifier(c)) for c in unique),
    )


def changed_by_return(pair: TablePair) -> Statement:
    """Source rows from which the target's row would be another one after a way there, back and there again."""

    def made(assignments: Iterable[Assignment], otherwise: Iterable[Statement], origin: str) -> Statement:
        """The destination's row, from row `origin`; `otherwise` are the columns that nothing is assigned to."""
        parts = [SQL("{} AS {}").format(typed(SQL(a.value), a.column), Identifier(a.column.name)) for a in assignments]
        return SQL("(SELECT {} FROM (SELECT {}.*) AS {})").format(
            SQL(", ").join([*parts, *otherwise]), Identifier(origin), Identifier(ROW)
        )

    def others(table: Table, assignments: Iterable[Assignment], row: str | None) -> list[Statement]:
        return [
            SQL("{} AS {}").format(
                Identifier(row, column.name) if row else SQL("NULL::{}").format(SQL(column.type)),
                Identifier(column.name),
            )
            for column in table.columns
            if column.name not in names(assignments)
        ]

    forward, backward = pair.forward.assignments, pair.backward.carried

    return SQL(
        "SELECT {key} FROM {source} AS origin CROSS JOIN LATERAL {there} AS there CROSS JOIN LATERAL {back} AS back "
        "CROSS JOIN LATERAL {again} AS again WHERE ROW({first})::record {other_record} ROW({second})::record"
    ).format(
        key=SQL("concat_ws(', ', {})").format(of("origin", (here for here, _ in pair.forward.key))),
        source=name(pair.source),
        there=made(forward, others(pair.target, forward, None), "origin"),
        back=made(backward, others(pair.source, backward, "origin"), "there"),
        again=made(pair.computed, [], "back"),
        first=of("there", names(pair.computed)),
        other_record=OTHER_RECORD,
        second=of("again", names(pair.computed)),
    )


def written_values(table: Table, key: Iterable[str], lost: LostColumn) -> Statement:
    """Keys of rows in which somebody wrote to a column that the way back would lose."""
    return SQL("SELECT concat_ws(', ', {}) FROM {} WHERE ROW({})::record {} ROW({})::record").format(
        columns(key),
        name(table),
        Identifier(lost.column.name),
        OTHER_RECORD,
        typed(SQL(lost.untouched), lost.column),
    )


def count_values(table: Table, key: Iterable[str], column: Column, untouched: Iterable[str]) -> Statement:
    """How many rows have none of the values `untouched` in a column, and the key of one of them."""
    same = SQL(" OR ").join(
        SQL("ROW({})::record {} ROW({})::record").format(
            Identifier(column.name), SAME_RECORD, typed(SQL(value), column)
        )
        for value in untouched
    )
    return SQL("SELECT count(*), min(concat_ws(', ', {})) FROM {} WHERE NOT ({})").format(
        columns(key), name(table), same
    )
