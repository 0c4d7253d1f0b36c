"""Whether PostgreSQL enforces what the tables of a move declare: lost keys, disabled checks, invalid indexes."""

from collections.abc import Iterator
from typing import Any

from django.db import models

from rehome.parts import foreign_keys
from rehome.parts.defect import Defect
from rehome.plan.plan import Model, Plan, TablePair
from rehome.postgres import asking, sql
from rehome.postgres.session import Group
from rehome.postgres.sql import SQL, Identifier, place, readable
from rehome.postgres.tables import ForeignKey, Table

# Of a foreign key both ends have some. An index that is being built now is no broken one.
DISABLED = """
SELECT DISTINCT n.nspname, t.relname, c.conname, c.contype = 'f'
  FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
  JOIN pg_trigger r ON r.tgconstraint = c.oid
 WHERE (c.conrelid = ANY(%(oids)s) OR c.confrelid = ANY(%(oids)s)) AND r.tgisinternal AND r.tgenabled NOT IN ('O', 'A')
 ORDER BY 1, 2, 3
"""
INVALID = """
SELECT n.nspname, i.relname, x.indrelid::regclass::text
  FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_namespace n ON n.oid = i.relnamespace
 WHERE x.indrelid = ANY(%(oids)s) AND NOT (x.indisvalid AND x.indisready)
   AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = x.indexrelid)
 ORDER BY 1, 2
"""

LONGEST_NAME, KEY_SUFFIX = 63, "_pkey"
"""Bytes of an identifier, and how PostgreSQL ends the name of a primary key."""


def find_defects(plan: Plan) -> list[Defect]:
    """One for each thing that a row could break unseen, or that a write relies on."""
    return [*without_keys(plan), *not_enforced(plan), *invalid(plan), *unlogged(plan), *without_values(plan)]


def without_values(plan: Plan) -> Iterator[Defect]:
    live = [pair for pair in plan.pairs if plan.reversible and pair.source.kind == "r"]
    for flow in (flow for pair in live for flow in (pair.forward, pair.backward)):
        for column in flow.unfilled:
            yield Defect(
                f"{flow.destination}.{column.name} must have a value, and a row that is inserted into {flow.origin} "
                "has none for it: every such insert fails.",
                f"Run ALTER TABLE {place(flow.destination)} ALTER COLUMN {readable(column.name)} SET DEFAULT ..., or "
                "DROP NOT NULL.",
            )


def unlogged(plan: Plan) -> Iterator[Defect]:
    for pair in plan.pairs:
        for table, other in ((pair.source, pair.target), (pair.target, pair.source)):
            if table.persistence == "u" and other.persistence != "u":
                yield Defect(
                    f"{table} is unlogged: a crash of the server would empty it.",
                    f"Run ALTER TABLE {place(table)} SET LOGGED.",
                )


def without_keys(plan: Plan) -> Iterator[Defect]:
    for table, _ in lost_keys(plan):
        yield Defect(f"{table} has lost its primary key: rows are found by nothing else, and writes fail.")
    for pair in plan.pairs:
        if pair.source.kind == "r":
            yield from unfit_keys(pair)
            yield from without_unique(pair)


def lost_keys(plan: Plan) -> Iterator[tuple[Table, list[str]]]:
    """Tables without a primary key, each with the columns that should be it."""
    for pair in plan.pairs:
        for model, table in ((pair.source_model, pair.source), (pair.target_model, pair.target)):
            if table.kind == "r" and not any(c.kind == "p" for c in table.constraints):
                yield table, key_of(model)


def key_of(model: Model) -> list[str]:
    return [str(field.column) for field in model._meta.pk_fields]


def unfit_keys(pair: TablePair) -> Iterator[Defect]:
    """Another primary key than the move's may be meant, as long as something keeps that one unique at once."""
    for model, table in ((pair.source_model, pair.source), (pair.target_model, pair.target)):
        key = key_of(model)
        unique = [set(c.columns) for c in table.constraints if c.kind in "pu" and not c.deferrable]
        unique += [set(index.columns) for index in table.indexes if index.unique]
        for found in (c for c in table.constraints if c.kind == "p" and set(key) not in unique):
            listed = ", ".join(map(readable, key))
            yield Defect(
                f"Nothing keeps {listed} of {table} unique at once, by which the triggers find a row: its primary key "
                f"{found.name} is another one or deferrable, and writes fail.",
                f"Run ALTER TABLE {place(table)} ADD UNIQUE ({listed}).",
            )


def without_unique(pair: TablePair) -> Iterator[Defect]:
    """Both tables live with the models that the move knows; what later migrations take from both is meant so."""
    model, table = pair.target_model, pair.target
    dropped = [set(columns) for _, columns in lacking_unique(pair.source_model, pair.source)]
    here = {target.name: source.name for source, target in pair.plain_columns}
    for name, columns in lacking_unique(model, table):
        if {here.get(column, column) for column in columns} not in dropped:
            listed = sql.columns(columns).as_string()
            named = f"CONSTRAINT {readable(name)} " if name else ""
            yield Defect(
                f"{table} does not keep {', '.join(columns)} unique, as {model._meta.label} says.",
                f"Run ALTER TABLE {place(table)} ADD {named}UNIQUE ({listed}).",
            )


def lacking_unique(model: Model, table: Table) -> Iterator[tuple[str, list[str]]]:
    """Of what the model keeps unique, what the table does not."""
    unique = [set(part.columns) for part in table.constraints if part.kind in "pu"]
    unique += [set(part.columns) for part in table.indexes if part.unique]
    names = {part.name for part in table.constraints} | {part.name for part in table.indexes}
    for name, columns in wanted_unique(model):
        if set(columns) not in unique and name not in names:
            yield name, columns


def wanted_unique(model: Model) -> Iterator[tuple[str, list[str]]]:
    """(name, columns) of what the model keeps unique among all of its rows; an empty name is Django's to choose."""

    def columns(fields: Any) -> list[str]:
        return [str(model._meta.get_field(field).column) for field in fields]  # type: ignore[union-attr]

    for field in model._meta.local_concrete_fields:
        if field.unique and not field.primary_key:
            yield "", [str(field.column)]
    for fields in model._meta.unique_together:
        yield "", columns(fields)
    for constraint in model._meta.constraints:
        if isinstance(constraint, models.UniqueConstraint) and constraint.fields and constraint.condition is None:
            yield constraint.name, columns(constraint.fields)


# ----- what is there, and does nothing


def oids(plan: Plan) -> dict[str, list[int]]:
    return {"oids": [table.oid for pair in plan.pairs for table in (pair.source, pair.target)]}


def not_enforced(plan: Plan) -> Iterator[Defect]:
    for schema, table, name, is_key in asking.query(plan.connection, DISABLED, oids(plan)):
        yield Defect(
            f"The constraint {name} of {schema}.{table} is not enforced: its own triggers are disabled.",
            "" if is_key else f"Run ALTER TABLE {readable(schema, table)} ENABLE TRIGGER ALL as a superuser.",
        )


def invalid(plan: Plan) -> Iterator[Defect]:
    for schema, index, table in asking.query(plan.connection, INVALID, oids(plan)):
        yield Defect(
            f"The index {schema}.{index} of {table} is invalid: no query uses it, and it may keep nothing unique."
        )


def repair(plan: Plan) -> list[Group]:
    """Build invalid indexes again beside writers, and lost primary keys, and make foreign keys again whose triggers are
    disabled, which only a superuser could enable; each by itself, and safe to repeat.
    """
    rebuilt = [
        Group([SQL("REINDEX INDEX CONCURRENTLY {}").format(Identifier(schema, index))], alone=True)
        for schema, index, _ in asking.query(plan.connection, INVALID, oids(plan))
    ]
    disabled = {
        (schema, table, name)
        for schema, table, name, is_key in asking.query(plan.connection, DISABLED, oids(plan))
        if is_key
    }
    keys = [key for key in foreign_keys.read(plan) if (key.schema, key.table, key.name) in disabled]
    lost = [group for table, columns in lost_keys(plan) for group in key_again(table, columns)]
    return [*rebuilt, *lost, *(group for key in keys for group in make_again(key))]


def key_again(table: Table, columns: list[str]) -> list[Group]:
    """Under the name that PostgreSQL would give it. An index that an earlier try has left behind is used."""
    index = Identifier(f"{cut(table.name, LONGEST_NAME - len(KEY_SUFFIX))}{KEY_SUFFIX}")
    build = SQL("CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {} ON {} ({})")
    adopt = SQL("ALTER TABLE {} ADD CONSTRAINT {} PRIMARY KEY USING INDEX {}").format(sql.name(table), index, index)
    return [Group([build.format(index, sql.name(table), sql.columns(columns))], alone=True), Group((adopt,))]


def cut(text: str, size: int) -> str:
    """Its first bytes, as far as they are whole characters."""
    return text.encode()[:size].decode(errors="ignore")


def make_again(key: ForeignKey) -> list[Group]:
    return [Group((foreign_keys.drop(key), *foreign_keys.add(key))), foreign_keys.validate(key)]
