"""SQL of what preflight asks of the rows before they are moved: pure functions from a Flow or a TablePair."""

from collections.abc import Iterable, Sequence

from rehome.parts.rows import names
from rehome.plan.expressions import ROW
from rehome.plan.plan import Assignment, Flow, LostColumn, TablePair
from rehome.postgres import sql
from rehome.postgres.sql import SQL, Identifier, Statement, aliased, columns, name, typed
from rehome.postgres.tables import Column, ForeignKey, Table


def projection(flow: Flow) -> Statement:
    """The origin's rows as they would stand in the destination."""
    values = aliased((typed(SQL(a.value), a.column), a.column.name) for a in flow.assignments)
    return SQL("SELECT {} FROM {} AS {}").format(values, name(flow.origin), Identifier(ROW))


def count_rows(table: Table) -> Statement:
    return SQL("SELECT count(*) FROM {}").format(name(table))


def evaluated(flow: Flow, assignment: Assignment) -> Statement:
    """Computes one value for each row of the origin, and fails where one can't be computed."""
    return SQL("SELECT count({}) FROM {} AS {}").format(
        typed(SQL(assignment.value), assignment.column), name(flow.origin), Identifier(ROW)
    )


def rows_where(flow: Flow, condition: Statement) -> Statement:
    """The keys, as text, of the projected rows for which `condition` holds."""
    return SQL("SELECT concat_ws(', ', {}) FROM ({}) AS projected WHERE {}").format(
        columns(there for _, there in flow.key), projection(flow), condition
    )


def orphans_to_be(flow: Flow, foreign_key: ForeignKey, referenced: Statement) -> Statement:
    """Projected rows whose foreign key would name a row that `referenced` does not have."""
    missing = SQL("{} AND NOT EXISTS (SELECT FROM {} AS parent WHERE {})").format(
        sql.present(foreign_key.columns), referenced, sql.leads_to(foreign_key, "projected", "parent")
    )
    return rows_where(flow, missing)


def duplicates(flow: Flow, unique: Sequence[str]) -> Statement:
    """Values that more than one projected row has in the columns `unique`."""
    return SQL("SELECT concat_ws(', ', {0}) FROM ({1}) AS projected WHERE {2} GROUP BY {0} HAVING count(*) > 1").format(
        columns(unique), projection(flow), sql.present(unique)
    )


def changed_by_return(pair: TablePair) -> Statement:
    """Source rows from which the target's row would be another one after a way there, back and there again."""

    def made(assignments: Iterable[Assignment], otherwise: Iterable[tuple[Statement, str]], origin: str) -> Statement:
        """The destination's row, from row `origin`; `otherwise` are the columns that nothing is assigned to."""
        parts = ((typed(SQL(a.value), a.column), a.column.name) for a in assignments)
        return SQL("(SELECT {} FROM (SELECT {}.*) AS {})").format(
            aliased([*parts, *otherwise]), Identifier(origin), Identifier(ROW)
        )

    def others(table: Table, assignments: Iterable[Assignment]) -> list[Column]:
        return [column for column in table.columns if column.name not in names(assignments)]

    forward, backward, computed = pair.forward.assignments, pair.backward.carried, names(pair.computed)
    unknown = ((SQL("NULL::{}").format(SQL(column.type)), column.name) for column in others(pair.target, forward))
    kept = ((Identifier("origin", column.name), column.name) for column in others(pair.source, backward))
    return SQL(
        "SELECT {key} FROM {source} AS origin CROSS JOIN LATERAL {there} AS there CROSS JOIN LATERAL {back} AS back "
        "CROSS JOIN LATERAL {again} AS again WHERE {differ}"
    ).format(
        key=SQL("concat_ws(', ', {})").format(sql.of("origin", (here for here, _ in pair.forward.key))),
        source=name(pair.source),
        there=made(forward, unknown, "origin"),
        back=made(backward, kept, "there"),
        again=made(pair.computed, [], "back"),
        differ=sql.differ(sql.of("there", computed), sql.of("again", computed)),
    )


def written_values(table: Table, key: Iterable[str], lost: LostColumn) -> Statement:
    """Keys of rows in which somebody wrote to a column that the way back would lose."""
    return SQL("SELECT concat_ws(', ', {}) FROM {} WHERE {}").format(
        columns(key), name(table), sql.differ(Identifier(lost.column.name), typed(SQL(lost.untouched), lost.column))
    )


def count_values(table: Table, key: Iterable[str], column: Column, untouched: Iterable[str]) -> Statement:
    """How many rows have none of the values `untouched` in a column, and the key of one of them."""
    known = SQL(" OR ").join(sql.same(Identifier(column.name), typed(SQL(value), column)) for value in untouched)
    query = SQL("SELECT count(*), min(concat_ws(', ', {})) FROM {} WHERE NOT ({})")
    return query.format(columns(key), name(table), known)
