"""Whether the view under a table's old name still is what the move made of it."""

import re
from collections.abc import Iterable, Mapping

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.parts import grants, sequences, views
from rehome.parts.grants import renamed
from rehome.plan.plan import GONE, Plan, TablePair
from rehome.plan.record import Exchanged, Record
from rehome.postgres import catalog, sql
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL, Identifier, Statement
from rehome.postgres.tables import Grant, Table

INSERT_UPDATE_DELETE = 8 | 16 | 4
"""Bits of pg_relation_is_updatable."""

WORD = r"\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'|\w+|[^\w\s]"
"""A name in quotes, a text, a name, number or word of SQL, or a sign."""

STANDING = """
SELECT pg_get_viewdef(c.oid), pg_relation_is_updatable(c.oid, false),
       coalesce((SELECT option_value::boolean FROM pg_options_to_table(c.reloptions)
                  WHERE option_name = 'security_invoker'), false)
  FROM pg_class c WHERE c.oid = %s
"""


def defects_of(
    view: Table,
    table: Table,
    columns: Mapping[str, str],
    given: Iterable[Grant],
    connection: BaseDatabaseWrapper,
) -> list[str]:
    """One sentence for each thing that old code would miss; `columns` are the view's, by which they are the table's.

    `given` are those of the old table that its roles still have.
    """
    if view.oid == GONE:
        return [f"{view}, the view of {table}, is gone."]
    if view.kind != "v":
        return [f"{view} is no view."]
    defects = []
    ((definition, updatable, invoker),) = catalog.query(connection, STANDING, [view.oid])
    if in_short(definition) not in expected(view, table, columns):
        defects.append(f"{view} is not the view of {table} that the move made.")
    elif updatable & INSERT_UPDATE_DELETE != INSERT_UPDATE_DELETE or view.rules or view.triggers:
        defects.append(f"{view} does not carry every write to {table} as it is.")
    if not invoker and not any(g.column and g.privilege == "SELECT" for g in given):
        defects.append(f"{view} has lost security_invoker, so it is read with the rights of its owner.")
    if lacking := sorted({g.grantee or "PUBLIC" for g in given if not holds(view, g)}):
        defects.append(f"{view} lacks privileges that {table} gives to {', '.join(lacking)}.")
    return defects


def holds(table: Table, wanted: Grant) -> bool:
    return any(
        (held.grantee, held.privilege, held.column) == (wanted.grantee, wanted.privilege, wanted.column)
        and held.grantable >= wanted.grantable
        for held in table.grants
    )


def in_short(definition: str) -> str:
    """The words of a view of one table, without what differs between versions of PostgreSQL.

    It decides by version which names it puts in quotes. Version 15 writes the name of the table's row before each
    column, and takes another name than the view was made with.
    """
    text = definition.strip(" ;")
    row = re.escape(re.findall(WORD, text)[-1])
    words = re.findall(rf"(?s)(?:{row}\.(?=.*\sFROM\s))?({WORD})", text)
    return " ".join(re.sub(r'^"([a-z_][a-z0-9_]*)"$', r"\1", word) for word in words[:-1])


def expected(view: Table, table: Table, columns: Mapping[str, str]) -> set[str]:
    """What the view is in short, whether or not the search path finds its table."""
    if {column.name for column in view.columns} != columns.keys():
        return set()
    listed = SQL(", ").join(
        Identifier(columns[c.name])
        if columns[c.name] == c.name
        else SQL("{} AS {}").format(Identifier(columns[c.name]), Identifier(c.name))
        for c in view.columns
    )
    places = [Identifier(table.name), Identifier(table.schema, table.name)]
    return {in_short(SQL("SELECT {} FROM {} new").format(listed, place).as_string()) for place in places}


# ----- of a whole plan


def find_defects(plan: Plan, record: Record) -> list[tuple[TablePair, Exchanged, list[str]]]:
    """Of each pair, what old code would miss in the view under its table's name."""
    found = []
    for pair, kept in zip(plan.pairs, exchanged(record), strict=True):
        columns, given = kept.renaming.columns, old_grants(pair, kept)
        found.append((pair, kept, defects_of(pair.source, pair.target, columns, given, plan.connection)))
    return found


def exchanged(record: Record) -> tuple[Exchanged, ...]:
    return record.in_place.pairs if record.in_place else ()


def old_grants(pair: TablePair, kept: Exchanged) -> list[Grant]:
    """Those of the old table, in its columns, that nobody has taken from the table since."""
    return [g for g in kept.grants if holds(pair.target, renamed(g, kept.renaming.columns))]


def mend(plan: Plan, session: Session, record: Record) -> list[Statement]:
    """Make each view again that is not what the move made, and put a sequence right that fell behind."""
    statements: list[Statement] = []
    for pair, kept, defects in find_defects(plan, record):
        if defects:
            statements += [
                *drop(pair),
                *map(SQL, kept.view),
                *(grants.grant("TABLE", sql.name(pair.source), given) for given in old_grants(pair, kept)),
            ]
        statements += [] if sequences.is_ahead(session, pair) else sequences.mend(pair)
    return statements


def drop(pair: TablePair) -> list[Statement]:
    return [] if pair.source.oid == GONE else views.drop(pair)
