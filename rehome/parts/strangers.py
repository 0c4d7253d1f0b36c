"""Code of other roles that rehome itself would run, as whoever migrates, verifies or writes: what the values of a move
call, and what somebody may yet create where names of them and of types are found.
"""

import contextlib
import secrets
from collections.abc import Iterator

from django.db import DataError, ProgrammingError, transaction

from rehome.parts import functions, lent
from rehome.parts.defect import Defect
from rehome.parts.functions import Value
from rehome.parts.lent import Objection, Reached
from rehome.plan.expressions import ROW
from rehome.plan.plan import Plan, TablePair
from rehome.postgres import asking, sql
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL, Identifier, Statement, readable
from rehome.postgres.tables import PREFIX

# Whoever may become an owner needs no way around that.
CREATORS = """
SELECT coalesce(r.rolname, '')
  FROM pg_namespace n
 CROSS JOIN LATERAL aclexplode(n.nspacl) a
  LEFT JOIN pg_roles r ON r.oid = a.grantee
 WHERE n.nspname = %(schema)s AND a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner AND r.rolsuper IS NOT TRUE
   AND (r.oid IS NULL OR EXISTS (SELECT FROM unnest(%(owners)s::text[]) AS owner
                                  WHERE NOT pg_has_role(r.oid, owner::name, 'MEMBER')))
 ORDER BY 1
"""
# An owner of either table has code of his own run by each write as it is.
NEITHER_OWNER = """
WITH RECURSIVE strangers (oid, name) AS (
  SELECT r.oid, r.rolname FROM pg_catalog.pg_roles r
   WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class t WHERE t.oid = ANY(%(tables)s)
                        AND pg_catalog.pg_has_role(r.oid, t.relowner, 'MEMBER'))
)
"""
WHERE = """
SELECT CASE WHEN current_setting('transaction_read_only')::boolean THEN NULL
            WHEN has_schema_privilege(%s, 'CREATE') THEN %s
            WHEN has_database_privilege(current_database(), 'TEMPORARY') THEN 'pg_temp' END
"""


def find(plan: Plan) -> Iterator[Objection]:
    """Creates views and undoes that; safe in a transaction and out of one."""
    yield from in_open_schemas(plan)
    for number, pair in enumerate(plan.pairs):
        for value in functions.compute(pair, plan.search_path)[1]:
            yield from called_by(value, plan, number)


def find_defects(plan: Plan) -> list[Defect]:
    return [Defect(one.problem, one.hint) for one in find(plan)]


def in_open_schemas(plan: Plan) -> Iterator[Objection]:
    """What rehome runs for the tables' owner looks names up there, so nobody else may create what fits better."""
    owners = sorted({table.owner for pair in plan.pairs for table in (pair.source, pair.target)})
    for schema in plan.search_path:
        for role in asking.column(plan.connection, CREATORS, {"schema": schema, "owners": owners}):
            who = f"The role {role!r}" if role else "Everybody"
            yield Objection(
                f"{who} may create objects in schema {schema!r}, where types of {plan.main.source} come from, and "
                "could so run code with the rights of its owner.",
                f"Run REVOKE CREATE ON SCHEMA {readable(schema)} FROM {readable(role) if role else 'PUBLIC'}.",
            )


def called_by(value: Value, plan: Plan, number: int) -> Iterator[Objection]:
    pair, computed = plan.pairs[number], f"The value of {value.column.name}"
    tables = [pair.source.oid, pair.target.oid]
    for one in read_calls(value, plan, computed, tables):
        if one.stranger and not one.definer:
            yield Objection(
                f"{one.what} is computed by the {one.named}, which the role {one.stranger!r} can change at any time: "
                "it would run as whoever moves, verifies or writes rows.",
                f"Run {one.cure(value.table)}.",
            )


def in_writes(plan: Plan, pair: TablePair) -> str:
    """What a write to one of two tables would run that belongs to neither owner, in short; empty for nothing."""
    tables = [pair.source.oid, pair.target.oid]
    for table in (pair.source, pair.target):
        for one in lent.read_reached(plan, NEITHER_OWNER, "pg_class", table.oid, tables):
            if one.stranger and not one.definer:
                what = f"{one.what} of {table}{f', whose {one.named}' if one.named else ', which'}"
                return f"{what} the role {one.stranger!r} can change at any time,"
    return ""


def read_calls(value: Value, plan: Plan, computed: str, tables: list[int]) -> list[Reached]:
    """What the expression calls, as PostgreSQL itself understands it: it is asked with a view that is never read. Where
    the connection may create none, that of the function which stands.
    """
    schema = asking.value(plan.connection, WHERE, [value.table.schema, value.table.schema])
    if schema is None:
        found = asking.value(plan.connection, "SELECT to_regprocedure(%s)::oid::bigint", [value.signature.as_string()])
        return lent.read_reached(plan, NEITHER_OWNER, "pg_proc", found, tables, computed, value.search_path)
    view = Identifier(schema, f"{PREFIX}asked_{secrets.token_hex(6)}")
    with contextlib.suppress(ProgrammingError, DataError), transaction.atomic(using=plan.connection.alias):
        Session(plan.connection).execute(sql.Within(question(view, value), value.search_path))
        found = asking.value(plan.connection, "SELECT to_regclass(%s)::oid::bigint", [view.as_string()])
        calls = lent.read_reached(plan, NEITHER_OWNER, "pg_class", found, tables, computed, value.search_path)
        transaction.set_rollback(True, using=plan.connection.alias)
        return calls
    return []  # What is no expression is refused where its rows are looked at.


def question(view: Identifier, value: Value) -> Statement:
    row = sql.aliased((functions.typed_null(column), column.name) for column in value.reads)
    origin = SQL("(SELECT {}) AS {}").format(row, Identifier(ROW))
    return SQL("CREATE VIEW {} AS SELECT ({}) AS value FROM {}").format(view, SQL(value.expression), origin)
