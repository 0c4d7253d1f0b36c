"""Refusals that need a look at the rows, which is taken only where the definitions don't answer."""

from collections.abc import Iterable

from django.db import DataError

from rehome.errors import Refused, one_line
from rehome.plan.plan import Plan, TablePair
from rehome.postgres import asking, settings, sql
from rehome.postgres.sql import SQL, Identifier, Literal, Statement
from rehome.postgres.tables import ForeignKey, Table
from rehome.preflight import questions

NAMED = 3
"""How many rows a refusal names."""
SCHEMAS = "SELECT pg_catalog.unnest(pg_catalog.current_schemas(false))"


def refuse_rows(plan: Plan, query: Statement, problem: str, hint: str, schemas: Iterable[str] = ()) -> None:
    """Refuse when `query` finds rows; `{rows}` in the problem stands for its one column of the first of them.

    `schemas` are those in which the project's functions that it calls look for names.
    """
    first = SQL("SELECT * FROM ({}) AS found LIMIT {}").format(query, Literal(NAMED + 1))
    with settings.own(plan.connection, *dict.fromkeys([*plan.search_path, *schemas])):
        found = [str(row) for (row,) in asking.fetch(plan.connection, first.as_string())]
    if found:
        named = ", ".join([*found[:NAMED], *(["..."] if len(found) > NAMED else [])])
        # No str.format: definitions that are quoted in the problem have braces of their own.
        raise Refused(problem.replace("{rows}", named), hint)


def refuse_uncomputable(pair: TablePair, plan: Plan) -> None:
    for assignment in (a for a in pair.forward.carried if not a.plain):
        try:
            with settings.own(plan.connection, *plan.search_path):
                asking.fetch(plan.connection, questions.evaluated(pair.forward, assignment).as_string())
        except DataError as error:
            raise Refused(
                f"{pair.target}.{assignment.column.name} can't be computed for every row of {pair.source}: "
                f"{one_line(error)}.",
                "Correct those rows, or give another expression in fields={...}.",
            ) from error


def refuse_nulls(pair: TablePair, plan: Plan) -> None:
    proved = {target.name for source, target in pair.plain_columns if not source.nullable}
    for assignment in pair.forward.assignments:
        if assignment.column.nullable or assignment.column.name in proved:
            continue
        refuse_rows(
            plan,
            questions.rows_where(pair.forward, SQL("{} IS NULL").format(Identifier(assignment.column.name))),
            f"{pair.target}.{assignment.column.name} is NOT NULL, but its value is null in rows {{rows}} "
            f"of {pair.source}.",
            f"Fill them, or give an expression: fields={{{assignment.column.name!r}: Coalesce(...)}}.",
        )


def refuse_long_values(pair: TablePair, plan: Plan) -> None:
    for assignment in pair.forward.assignments:
        name, limit = assignment.column.name, assignment.limit
        if limit is not None:
            refuse_rows(
                plan,
                questions.rows_where(pair.forward, sql.is_longer(Identifier(name), assignment.column, limit)),
                f"{pair.target}.{name} holds {limit} characters, but rows {{rows}} of {pair.source} have more.",
                "Widen the field, shorten the values, or give an expression in fields={...}.",
            )


def refuse_violations(pair: TablePair, plan: Plan) -> None:
    known = {c.expression for c in pair.source.constraints if c.kind == "c" and c.validated}
    unchanged = {target.name for source, target in pair.plain_columns if source.name == target.name}
    schemas = [schema for (schema,) in asking.fetch_for_project(plan.connection, SCHEMAS)]
    for check in pair.target.constraints:
        if check.kind != "c" or check.expression is None:
            continue
        if check.expression in known and set(check.columns) <= unchanged:
            continue
        if not set(check.columns) <= {a.column.name for a in pair.forward.assignments}:
            continue  # It looks at a column that the table fills by itself.
        refuse_rows(
            plan,
            questions.rows_where(pair.forward, SQL("NOT ({})").format(SQL(check.expression))),
            f"Rows {{rows}} of {pair.source} violate {check.name!r} of {pair.target}: {check.definition}.",
            "Correct those rows, or give an expression in fields={...}.",
            schemas,
        )


def refuse_duplicates(pair: TablePair, plan: Plan) -> None:
    written = {a.column.name for a in pair.forward.assignments}
    origins = {target.name: source.name for source, target in pair.plain_columns}
    known = set(unique_columns(pair.source))
    for unique in unique_columns(pair.target):
        if frozenset(origins.get(name, "") for name in unique) in known or not unique <= written:
            continue
        names = sorted(unique)
        refuse_rows(
            plan,
            questions.duplicates(pair.forward, names),
            f"{pair.target} is unique over {', '.join(names)}, but rows of {pair.source} share the values {{rows}}.",
            "Make them different, or give an expression in fields={...}.",
        )


def unique_columns(table: Table) -> Iterable[frozenset[str]]:
    yield from (frozenset(c.columns) for c in table.constraints if c.kind in "pu")
    yield from (frozenset(index.columns) for index in table.indexes if index.unique and index.columns)


def refuse_orphans(pair: TablePair, plan: Plan) -> None:
    written = {a.column.name for a in pair.forward.assignments}
    origins = {target.name: source.name for source, target in pair.plain_columns}
    proved = {c.columns for c in pair.source.foreign_keys if c.validated}
    for key in pair.target.foreign_keys:
        if tuple(origins.get(name, "") for name in key.columns) in proved or not set(key.columns) <= written:
            continue
        refuse_rows(
            plan,
            questions.orphans_to_be(pair.forward, key, as_of_now(key, plan)),
            f"{pair.target}.{', '.join(key.columns)} points at rows of {key.end} that do not exist, "
            f"in rows {{rows}} of {pair.source}.",
            "Create the missing rows, or set the column to null, first.",
        )


def refuse_false_inverses(pair: TablePair, plan: Plan) -> None:
    computed = [assignment.column.name for assignment in pair.computed]
    if not plan.reversible or not computed:
        return
    hint = "Correct backwards={...}, so that it undoes fields={...}."
    try:
        refuse_rows(
            plan,
            questions.changed_by_return(pair),
            f"backwards={{...}} does not undo fields={{...}}: {', '.join(computed)} of {pair.target} would change "
            f"if the rows moved there again, in rows {{rows}} of {pair.source}.",
            hint,
        )
    except DataError as error:
        raise Refused(
            f"backwards={{...}} can't be computed for every row that would be in {pair.target}: {one_line(error)}.",
            hint,
        ) from error


def as_of_now(key: ForeignKey, plan: Plan) -> Statement:
    """What a foreign key points at; a target of this same move is still empty, so its source answers."""
    for pair in plan.pairs:
        if key.referenced_oid == pair.target.oid:
            return SQL("({})").format(questions.projection(pair.forward))
    return SQL(key.referenced)
