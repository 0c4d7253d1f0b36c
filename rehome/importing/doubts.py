"""SQL that asks the rows of an import what is wrong with them: pure functions from an ImportPlan and a Flow.

A question gives (line, column, reason, value) of each row that can't go in. It reads the rows as they would stand in
the target under the name `projected`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from rehome import sql
from rehome.catalog import Column, Constraint
from rehome.expressions import ROW
from rehome.historical import column_of, concrete_fields
from rehome.importing import lookups, statements
from rehome.importing.lookups import Found
from rehome.importing.resolve import ImportPlan
from rehome.importing.statements import LINE
from rehome.importing.uniques import Unique, find_uniques
from rehome.plan import Flow
from rehome.sql import SQL, Identifier, Literal, Statement


def ask(flow: Flow, column: str, reason: Statement, value: Statement, condition: Statement) -> Statement:
    return ask_of(projection(flow), column, reason, value, condition)


def ask_of(rows: Statement, column: str, reason: Statement, value: Statement, condition: Statement) -> Statement:
    return SQL("SELECT projected.{}, {}::text, {}, ({})::text FROM ({}) AS projected WHERE {}").format(
        Identifier(LINE), Literal(column), reason, value, rows, condition
    )


def projection(flow: Flow) -> Statement:
    """The rows with the number of each, as they would stand in the target."""
    return SQL("SELECT {}, {} FROM {} AS {}").format(
        Identifier(ROW, LINE),
        SQL(", ").join(
            SQL("{} AS {}").format(sql.typed(SQL(a.value), a.column), Identifier(a.column.name)) for a in flow.carried
        ),
        sql.name(flow.origin),
        Identifier(ROW),
    )


def cell(column: str) -> Statement:
    return Identifier("projected", column)


def present(columns: Iterable[str]) -> Statement:
    return SQL(" AND ").join(SQL("{} IS NOT NULL").format(cell(column)) for column in columns)


def together(columns: Iterable[str]) -> Statement:
    return SQL("concat_ws(', ', {})").format(SQL(", ").join(map(cell, columns)))


# ----- a value by itself


def of_values(flow: Flow, named: Iterable[Found]) -> Iterator[Statement]:
    """Values without an answer, numbers that would be rounded, texts that are too long: of rows as they arrived."""
    arrived = SQL("SELECT * FROM {}").format(sql.name(flow.origin))
    for found in named:
        yield ask_of(
            arrived, found.taken.column.name, why_unanswered(found), cell(found.taken.arrives_in), unanswered(found)
        )
    for a in flow.carried:
        value = cell(a.column.name)
        if is_cut(a.column):
            reason = Literal(
                f"has {'a time of day' if a.column.type == 'date' else 'more digits'}, which {a.column.type} "
                "does not keep"
            )
            yield ask_of(arrived, a.column.name, reason, value, is_inexact(value, a.column))
        if a.limit is not None:
            reason = Literal(f"is longer than the {a.limit} characters that fit")
            yield ask_of(arrived, a.column.name, reason, value, sql.is_longer(value, a.column, a.limit))


def unanswered(found: Found) -> Statement:
    return SQL("{} IS NOT NULL AND coalesce({}, 2) > 1").format(
        cell(found.taken.arrives_in), cell(found.hits_in)
    )  # fmt: skip


def why_unanswered(found: Found) -> Statement:
    return SQL("CASE WHEN {hits} > 1 THEN {hits} || {several} ELSE {none} END").format(
        hits=cell(found.hits_in),
        several=Literal(f" rows of {found.taken.lookup} answer to it"),
        none=Literal(f"is not found in {found.taken.lookup}"),
    )


def is_cut(column: Column) -> bool:
    """Whether PostgreSQL keeps a part of a value alone, and says nothing."""
    return column.type == "date" or (column.base_type.removesuffix("[]") == "numeric" and len(column.modifiers) == 2)


def is_inexact(value: Statement, column: Column) -> Statement:
    """Whether a number, or an element of an array of numbers, would be rounded or has too many digits, and whether a
    date has a time of day.
    """
    if column.type == "date":
        return SQL("{0} <> date_trunc('day', {0})").format(value)
    precision, scale = column.modifiers
    number = Identifier("item") if column.base_type.endswith("[]") else value
    wrong = SQL("({0} <> round({0}, {1}) OR (abs({0}) >= 10::numeric ^ {2} AND {0} <> 'NaN'))").format(
        number, Literal(scale), Literal(precision - scale)
    )
    if not column.base_type.endswith("[]"):
        return wrong
    return SQL("EXISTS (SELECT FROM unnest({}) AS item WHERE {})").format(value, wrong)


# ----- a row among the others


def of_keys(plan: ImportPlan, flow: Flow) -> Iterator[Statement]:
    for column in plan.key:
        reason = Literal("is null, so that no later run could find the row again")
        yield ask(flow, column, reason, cell(column), SQL("{} IS NULL").format(cell(column)))
    name = ", ".join(plan.key)
    times = SQL("times || ' rows of the source have this key'")
    yield ask_of(counted(flow, plan.key), name, times, together(plan.key), several(plan.key))
    if not is_unique(plan):
        reason = Literal(f"more than one row of {flow.destination} has this key")
        twice = SQL("SELECT {0} FROM {1} GROUP BY {0} HAVING count(*) > 1").format(
            sql.columns(plan.key), sql.name(flow.destination)
        )
        held = SQL("EXISTS (SELECT FROM ({}) AS held WHERE {})").format(twice, sql.same_key(flow, "projected", "held"))
        yield ask(flow, name, reason, together(plan.key), held)


def is_unique(plan: ImportPlan) -> bool:
    """Whether the target itself makes sure that a key names one row."""
    return any(set(unique.columns) <= set(plan.key) for unique in find_uniques(plan.target))


def counted(flow: Flow, columns: Sequence[str]) -> Statement:
    """The rows, with how many of them have the same values in `columns`."""
    return SQL("SELECT *, count(*) OVER (PARTITION BY {}) AS times FROM ({}) AS projected").format(
        sql.of("projected", columns), projection(flow)
    )


def several(columns: Sequence[str]) -> Statement:
    return SQL("times > 1 AND {}").format(present(columns))


def of_rows(plan: ImportPlan, flow: Flow, left: Sequence[tuple[ImportPlan, Flow]], *, delete: bool) -> Iterator[
    Statement
]:  # fmt: skip
    """What NOT NULL, checks, unique constraints and foreign keys refuse, as far as the source gives their columns."""
    columns = {a.column.name for a in flow.carried}
    for a in flow.carried:
        if not a.column.nullable:
            reason = Literal("is null, and the column is NOT NULL")
            yield ask(flow, a.column.name, reason, cell(a.column.name), SQL("{} IS NULL").format(cell(a.column.name)))
    for check in plan.target.constraints:
        if check.kind == "c" and check.expression and set(check.columns) <= columns and is_plain(check):
            reason = Literal(f"violates {check.name}: {check.definition}")
            condition = SQL("NOT ({})").format(SQL(check.expression))
            yield ask(flow, ", ".join(check.columns), reason, together(check.columns), condition)
    for unique in find_uniques(plan.target):
        if set(unique.columns) <= columns:
            yield from of_unique(plan, flow, unique, delete=delete)
    for key in plan.target.foreign_keys:
        if set(key.columns) <= columns and is_plain(key):
            yield orphans(plan, flow, key, left)


def is_plain(constraint: Constraint) -> bool:
    """Whether it is enforced, and each of its values is by itself: both may be otherwise since PostgreSQL 18."""
    return re.search(r" NOT ENFORCED\b|[(,] ?PERIOD ", constraint.definition) is None


def of_unique(plan: ImportPlan, flow: Flow, unique: Unique, *, delete: bool) -> Iterator[Statement]:
    name, value = ", ".join(unique.columns), together(unique.columns)
    known = SQL("true") if unique.nulls_equal else present(unique.columns)
    times = SQL("times || {}").format(Literal(f" rows of the source have it, and {unique.name} allows one"))
    yield ask_of(counted(flow, unique.columns), name, times, value, SQL("times > 1 AND {}").format(known))
    stays = SQL("NOT EXISTS (SELECT FROM {} AS origin WHERE {})").format(
        sql.name(flow.origin), sql.same_key(flow, "origin", "gone")
    )
    if delete:
        stays = SQL("{} AND NOT ({})").format(stays, statements.is_gone(plan, flow, statements.left_name(plan)))
    reason = Literal(f"is the value of another row of {flow.destination}, and {unique.name} allows one")
    taken = SQL("{} AND EXISTS (SELECT FROM {} AS gone WHERE {} AND {})").format(
        known, sql.name(flow.destination), unique.same("gone", "projected"), stays
    )
    yield ask(flow, name, reason, value, taken)


def exchanged(flow: Flow, unique: Unique) -> Statement:
    """Whether a row is to have the value that another row of the target has until this run."""
    return SQL("SELECT EXISTS (SELECT FROM ({}) AS projected JOIN {} AS held ON {} AND NOT ({}))").format(
        projection(flow),
        sql.name(flow.destination),
        unique.same("held", "projected"),
        sql.same_key(flow, "projected", "held"),
    )


def orphans(
    plan: ImportPlan, flow: Flow, key: Constraint, left: Sequence[tuple[ImportPlan, Flow]]
) -> Statement:  # fmt: skip
    def lead_to(relation: Statement) -> Statement:
        return SQL("EXISTS (SELECT FROM {} AS parent WHERE {})").format(
            relation,
            SQL(" AND ").join(
                SQL("{} = {}").format(Identifier("parent", there), cell(here))
                for here, there in zip(key.columns, key.referenced_columns, strict=True)
            ),
        )

    held = [lead_to(SQL(str(key.referenced)))]
    if key.referenced_oid == plan.target.oid and gives(flow, key):
        held.append(lead_to(SQL("({})").format(projection(flow))))
    skipped = [
        lead_to(Identifier("pg_temp", statements.left_name(other)))
        for other, others in left
        if other.target.oid == key.referenced_oid and gives(others, key)
    ]
    reason = SQL("CASE WHEN {} THEN {} ELSE {} END").format(
        SQL(" OR ").join(skipped) if skipped else SQL("false"),
        Literal(f"leads to a row of {key.referenced} that can't go in itself"),
        Literal(f"leads to no row of {key.referenced}"),
    )
    condition = SQL("{} AND NOT ({})").format(present(key.columns), SQL(" OR ").join(held))
    return ask(flow, ", ".join(key.columns), reason, together(key.columns), condition)


def gives(flow: Flow, key: Constraint) -> bool:
    return set(key.referenced_columns) <= {a.column.name for a in flow.carried}


# ----- where a good run has to look, as no constraint would


def any_doubt(plan: ImportPlan, flow: Flow, named: Iterable[Found]) -> Statement:
    """Whether some key is null, or some value found no answer or would be rounded."""
    wrong: list[Statement] = [SQL("{} IS NULL").format(cell(column)) for column in plan.key]
    wrong += [unanswered(found) for found in named]
    wrong += [is_inexact(cell(a.column.name), a.column) for a in flow.carried if is_cut(a.column)]
    return SQL("SELECT EXISTS (SELECT FROM {} AS projected WHERE {})").format(
        sql.name(flow.origin), SQL(" OR ").join(wrong)
    )


def key_twice(plan: ImportPlan, flow: Flow) -> Statement:
    keys = sql.of(ROW, plan.key)
    return SQL("SELECT EXISTS (SELECT FROM {} AS {} GROUP BY {} HAVING count(*) > 1)").format(
        sql.name(flow.origin), Identifier(ROW), keys
    )


def blame(found: Found, plan: ImportPlan, other: ImportPlan, flow: Flow) -> Statement | None:
    """Says of values without an answer that the row which would answer can't go in itself; None where nothing tells.

    `flow` is that of `other`, an import into the model that was looked in.
    """
    lookup = found.taken.lookup
    field = concrete_fields(other.target_model).get(str(lookup.by)) if lookup else None
    if not lookup or not field or str(lookup.among).lower() != other.target_model._meta.label_lower:
        return None
    if column_of(field) not in {a.column.name for a in flow.carried}:
        return None
    by = SQL("{}::text").format(Identifier("parent", column_of(field)))
    return SQL(
        'UPDATE {rejects} AS rejected SET reason = {reason} WHERE "column" = {column} AND EXISTS '
        "(SELECT FROM {left} AS parent WHERE {natural} = {given})"
    ).format(
        rejects=Identifier("pg_temp", statements.rejects_name(plan)),
        reason=Literal(f"leads to a row of {other.target} that can't go in itself"),
        column=Literal(found.taken.column.name),
        left=Identifier("pg_temp", statements.left_name(other)),
        natural=SQL(lookups.as_looked_up(other, lookup, by)),
        given=SQL(lookups.as_looked_up(plan, lookup, Identifier("rejected", "value"))),
    )
