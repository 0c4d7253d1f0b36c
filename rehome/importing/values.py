"""SQL that finds the rows of an import that cannot be imported: pure functions from an ImportPlan and a Flow.

A question gives (line, column, reason, value) of each such row. It reads the rows, with the values that they would have
in the target, under the name `projected`.
"""

from collections.abc import Iterable, Iterator, Sequence

from rehome.importing import unreadable
from rehome.importing.lookups import Found
from rehome.importing.plan import ImportPlan
from rehome.importing.tables import LINE, NULL_KEY, temporary
from rehome.importing.uniques import find_uniques
from rehome.parts import rows
from rehome.plan.expressions import ROW
from rehome.plan.plan import Flow
from rehome.postgres import sql
from rehome.postgres.sql import SQL, Identifier, Literal, Statement
from rehome.postgres.tables import Column

TIMES = "rehome times"
"""How many rows have the same values."""


def reject(plan: ImportPlan, question: Statement) -> Statement:
    """Keep the answers of a question, except for values that are rejected already."""
    return SQL("INSERT INTO {} {} ON CONFLICT DO NOTHING").format(temporary(plan, "rejects"), question)


def ask(flow: Flow, column: str, reason: Statement, value: Statement, condition: Statement) -> Statement:
    return ask_of(projection(flow), column, reason, value, condition)


def ask_of(rows: Statement, column: str, reason: Statement, value: Statement, condition: Statement) -> Statement:
    return SQL("SELECT projected.{}, {}::text, {}, ({})::text FROM ({}) AS projected WHERE {}").format(
        Identifier(LINE), Literal(column), reason, value, rows, condition
    )


def projection(flow: Flow) -> Statement:
    """The rows with the number of each, as they would be in the target."""
    line, values = (
        Identifier(ROW, LINE),
        sql.aliased((sql.typed(SQL(a.value), a.column), a.column.name) for a in flow.carried),
    )
    return SQL("SELECT {}, {} FROM {} AS {}").format(line, values, sql.name(flow.origin), Identifier(ROW))


def cell(column: str) -> Statement:
    return Identifier("projected", column)


def together(columns: Iterable[str]) -> Statement:
    return SQL("concat_ws(', ', {})").format(sql.of("projected", columns))


# ----- a value by itself


def ask_values(flow: Flow, named: Iterable[Found]) -> Iterator[Statement]:
    """Values that no lookup finds, numbers that would be rounded, texts that are too long: of rows as they arrived."""
    arrived = SQL("SELECT * FROM {}").format(sql.name(flow.origin))
    for found in named:
        hits, lookup = cell(found.hits_in), found.taken.lookup
        several, none = Literal(f" rows of {lookup} have it"), Literal(f"is not found in {lookup}")
        reason = SQL("CASE WHEN {0} > 1 THEN {0} || {1} ELSE {2} END").format(hits, several, none)
        yield ask_of(arrived, found.taken.column.name, reason, cell(found.taken.arrives_in), unanswered(found))
    for a in flow.carried:
        value = cell(a.column.name)
        if beyond := unreadable.condition(value, a.column):
            yield ask_of(arrived, a.column.name, unreadable.WHY, value, beyond)
        if is_cut(a.column):
            lost = "a time of day" if a.column.type == "date" else "more digits"
            kept = Literal(f"has {lost}, which {a.column.type} does not keep")
            yield ask_of(arrived, a.column.name, kept, value, is_inexact(value, a.column))
        if a.limit is not None:
            fits = Literal(f"is longer than the {a.limit} characters that fit")
            yield ask_of(arrived, a.column.name, fits, value, sql.is_longer(value, a.column, a.limit))


def unanswered(found: Found) -> Statement:
    arrived, hits = cell(found.taken.arrives_in), cell(found.hits_in)
    return SQL("{} IS NOT NULL AND coalesce({}, 2) > 1").format(arrived, hits)


def is_cut(column: Column) -> bool:
    """Whether PostgreSQL keeps only a part of a value, without an error."""
    return column.type == "date" or (column.base_type.removesuffix("[]") == "numeric" and len(column.modifiers) == 2)


def is_inexact(value: Statement, column: Column) -> Statement:
    """Whether a number, or one of an array, would be rounded or has too many digits, or a date has a time of day."""
    if column.type == "date":
        return SQL("{0} <> date_trunc('day', {0})").format(value)
    precision, scale = column.modifiers
    number = Identifier("item") if column.base_type.endswith("[]") else value
    wrong = SQL("({0} <> round({0}, {1}) OR (abs({0}) >= 10::numeric ^ {2} AND {0} <> 'NaN'))").format(
        number, Literal(scale), Literal(precision - scale)
    )
    return wrong if number is value else SQL("EXISTS (SELECT FROM unnest({}) AS item WHERE {})").format(value, wrong)


# ----- a row among the others


def ask_keys(plan: ImportPlan, flow: Flow) -> Iterator[Statement]:
    for column in plan.key:
        yield ask(flow, column, Literal(NULL_KEY), cell(column), SQL("{} IS NULL").format(cell(column)))
    name = ", ".join(plan.key)
    times = SQL("{} || ' rows of the source have this key'").format(Identifier(TIMES))
    several = SQL("{} > 1 AND {}").format(Identifier(TIMES), sql.present(plan.key, "projected"))
    yield ask_of(counted(flow, plan.key), name, times, together(plan.key), several)
    if not is_unique(plan):
        reason = Literal(f"is the key of more than one row of {flow.destination}")
        twice = SQL("SELECT {0} FROM {1} GROUP BY {0} HAVING count(*) > 1").format(
            sql.columns(plan.key), sql.name(flow.destination)
        )
        held = SQL("EXISTS (SELECT FROM ({}) AS held WHERE {})").format(twice, rows.same_key(flow, "projected", "held"))
        yield ask(flow, name, reason, together(plan.key), held)


def is_unique(plan: ImportPlan) -> bool:
    """Whether a unique constraint of the target covers the key."""
    return any(set(unique.columns) <= set(plan.key) for unique in find_uniques(plan.target))


def counted(flow: Flow, columns: Sequence[str]) -> Statement:
    """The rows, with how many of them have the same values in `columns`."""
    return SQL("SELECT *, count(*) OVER (PARTITION BY {}) AS {} FROM ({}) AS projected").format(
        sql.of("projected", columns), Identifier(TIMES), projection(flow)
    )


# ----- what a good run has to ask, since no constraint refuses it


def any_doubt(plan: ImportPlan, flow: Flow, named: Iterable[Found]) -> Statement:
    """Whether some key is null, or a value is not found, would be rounded or can't be read; and the number of rows."""
    wrong: list[Statement] = [SQL("{} IS NULL").format(cell(column)) for column in plan.key]
    wrong += [unanswered(found) for found in named]
    wrong += filter(None, (unreadable.condition(cell(a.column.name), a.column) for a in flow.carried))
    wrong += [is_inexact(cell(a.column.name), a.column) for a in flow.carried if is_cut(a.column)]
    return SQL("SELECT coalesce(bool_or({}), false), count(*) FROM {} AS projected").format(
        SQL(" OR ").join(wrong), sql.name(flow.origin)
    )


def key_twice(plan: ImportPlan, flow: Flow) -> Statement:
    return SQL("SELECT EXISTS (SELECT FROM {} GROUP BY {} HAVING count(*) > 1)").format(
        sql.name(flow.origin), sql.columns(plan.key)
    )
