"""SQL that finds the rows of an import that the target's constraints would refuse: questions as those of `values`."""

import re
from collections.abc import Iterator, Sequence

from rehome.importing.plan import ImportPlan
from rehome.importing.tables import is_gone, temporary
from rehome.importing.uniques import Unique, find_uniques
from rehome.importing.values import TIMES, ask, ask_of, cell, counted, projection, together
from rehome.parts import rows
from rehome.plan.plan import Flow
from rehome.postgres import sql
from rehome.postgres.sql import SQL, Identifier, Literal, Statement
from rehome.postgres.tables import Constraint, ForeignKey


def ask_constraints(
    plan: ImportPlan, flow: Flow, left: Sequence[tuple[ImportPlan, Flow]], *, delete: bool
) -> Iterator[Statement]:
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
            yield from ask_unique(plan, flow, unique, delete=delete)
    for key in plan.target.foreign_keys:
        if set(key.columns) <= columns and is_plain(key):
            yield orphans(plan, flow, key, left)


def ask_beside(plan: ImportPlan, flow: Flow, left: Sequence[tuple[ImportPlan, Flow]]) -> Iterator[Statement]:
    """New rows of which another import of the run gives other columns, and cannot: half a row is not imported."""
    for other, known in left:
        if other is not plan and other.target.oid == plan.target.oid and set(other.key) == set(plan.key):
            reason = Literal(f"is the key of a row that {other} cannot import")
            beside = SQL(
                "EXISTS (SELECT FROM {} AS origin WHERE {}) AND NOT EXISTS (SELECT FROM {} AS held WHERE {})"
            ).format(
                temporary(other, "left"),
                rows.same_key(known, "origin", "projected"),
                sql.name(flow.destination),
                rows.same_key(flow, "projected", "held"),
            )
            yield ask(flow, ", ".join(plan.key), reason, together(plan.key), beside)


def is_plain(constraint: Constraint | ForeignKey) -> bool:
    """Whether it is enforced and has no period: both may be otherwise since PostgreSQL 18."""
    return re.search(r" NOT ENFORCED\b|[(,] ?PERIOD ", constraint.definition) is None


def ask_unique(plan: ImportPlan, flow: Flow, unique: Unique, *, delete: bool) -> Iterator[Statement]:
    name, value = ", ".join(unique.columns), together(unique.columns)
    known = SQL("true") if unique.nulls_equal else sql.present(unique.columns, "projected")
    said = Literal(f" rows of the source have it, and {unique.name} allows one")
    times = SQL("{} || {}").format(Identifier(TIMES), said)
    twice = SQL("{} > 1 AND {}").format(Identifier(TIMES), known)
    yield ask_of(counted(flow, unique.columns), name, times, value, twice)
    stays = SQL("NOT EXISTS (SELECT FROM {} AS origin WHERE {})").format(
        sql.name(flow.origin), rows.same_key(flow, "origin", "gone")
    )
    if delete:
        stays = SQL("{} AND NOT ({})").format(stays, is_gone(plan, flow, temporary(plan, "left")))
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
        rows.same_key(flow, "projected", "held"),
    )


def orphans(plan: ImportPlan, flow: Flow, key: ForeignKey, left: Sequence[tuple[ImportPlan, Flow]]) -> Statement:
    same = sql.leads_to(key, "projected", "parent")

    def in_any(*relations: Statement) -> Statement:
        exist: list[Statement] = [
            SQL("EXISTS (SELECT FROM {} AS parent WHERE {})").format(relation, same) for relation in relations
        ]
        return SQL("({})").format(SQL(" OR ").join(exist or [SQL("false")]))

    own = [SQL("({})").format(projection(flow))] if key.referenced_oid == plan.target.oid and gives(flow, key) else []
    skipped = [temporary(p, "left") for p, f in left if p.target.oid == key.referenced_oid and gives(f, key)]
    reason = SQL("CASE WHEN {} THEN {} ELSE {} END").format(
        in_any(*skipped),
        Literal(f"refers to a row of {key.referenced} that cannot be imported itself"),
        Literal(f"refers to no row of {key.end}"),
    )
    condition = SQL("{} AND NOT {}").format(sql.present(key.columns, "projected"), in_any(SQL(key.referenced), *own))
    return ask(flow, ", ".join(key.columns), reason, together(key.columns), condition)


def gives(flow: Flow, key: ForeignKey) -> bool:
    return set(key.end.columns) <= {a.column.name for a in flow.carried}
