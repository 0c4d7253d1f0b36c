"""Rows of the target that are gone at the source: counted, named, and deleted where that is meant."""

import dataclasses
from collections.abc import Iterator

from rehome.errors import ImportFailed
from rehome.importing import tables
from rehome.importing.plan import ImportPlan, describe_key
from rehome.plan.plan import Flow
from rehome.postgres import catalog, sql
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL, Statement
from rehome.postgres.tables import ForeignKey, Table

NAMED = 10
"""How many of the rows that are gone are named."""
MOST = 0.5
"""Which part of an import's rows may go unless more is meant: a source that has lost its rows looks the same."""
MEANT = "Look whether the source is the right one and has its rows; if that is meant, run it with --delete-all."


@dataclasses.dataclass(frozen=True)
class Gone:
    """Rows of the target that came with an import."""

    gone: int | None
    """Rows that are gone at the source; None where that is unknown."""
    gone_keys: tuple[str, ...] = ()
    """The first of them."""
    deleted: int = 0
    kept: int = 0
    """Rows of whose keys the source has none, and that don't count as gone: each may be a row whose key is unknown."""
    unknown_key: str = ""
    """The key of the first such row, as the source has it."""


def settle(
    plan: ImportPlan, flow: Flow, session: Session, left: Statement | None, *, delete: bool, every: bool
) -> Gone:
    """Count the rows that are gone, and delete them where `delete` says so.

    Raises ImportFailed instead of deleting more than half of the import's rows, or any that take rows of other tables
    along, unless `every` says that it is meant.
    """
    if plan.partial:
        return Gone(None)
    gone = tables.gone(plan, flow, left)
    ((count,),) = session.rows(SQL("SELECT count(*) FROM {}").format(gone))
    kept, unknown = count_kept(plan, flow, session, left) if left else (0, "")
    if not count:
        return Gone(0, kept=kept, unknown_key=unknown)
    first = tuple(key for (key,) in session.rows(tables.first_keys(plan, gone, NAMED)))
    if delete and not every:
        refuse_most(plan, session, count)
        refuse_company(plan, gone, session)
    deleted = session.execute(SQL("DELETE FROM {}").format(gone)) if delete else 0
    return Gone(count, first, deleted, kept, unknown)


def count_kept(plan: ImportPlan, flow: Flow, session: Session, left: Statement) -> tuple[int, str]:
    for parts in session.rows(tables.first_unknown(plan, left)):
        ((kept,),) = session.rows(tables.count_kept(plan, flow, left))
        return kept, describe_key(dict(zip(plan.declared.key, parts, strict=True)))
    return 0, ""


def refuse_most(plan: ImportPlan, session: Session, count: int) -> None:
    imported = SQL("SELECT count(*) FROM {} AS held WHERE {}").format(
        sql.name(plan.target), tables.imported(plan, "held")
    )
    ((held,),) = session.rows(imported)
    if count > held * MOST:
        raise ImportFailed(
            f"{plan}: {count:,} of {held:,} rows are gone at the source, and --delete would delete them. "
            f"Nothing is committed. {MEANT}"
        )


def refuse_company(plan: ImportPlan, gone: Statement, session: Session) -> None:
    """What the database itself would delete along with them."""
    found = [
        (place, rows)
        for place, counted in find_company(plan.target, SQL("SELECT gone.* FROM {}").format(gone), plan, set())
        for ((rows,),) in [session.rows(counted)]
        if rows
    ]
    if found:
        named = ", ".join(f"{rows:,} of {place}" for place, rows in found)
        raise ImportFailed(
            f"{plan}: with the rows that are gone at the source, the database would delete rows of other tables by ON "
            f"DELETE CASCADE: {named}. Nothing is committed. {MEANT}"
        )


def find_company(
    table: Table, gone: Statement, plan: ImportPlan, seen: set[tuple[str, str]]
) -> Iterator[tuple[str, Statement]]:
    """Each foreign key's table, and the query that counts its rows, over any number of tables; each key once."""
    for key in table.incoming:
        if key.terms.on_delete == "CASCADE" and (str(key), key.name) not in seen:
            seen.add((str(key), key.name))
            rows = follow(key, gone)
            yield str(key), SQL("SELECT count(*) FROM ({}) AS company").format(rows)
            child = catalog.read_table(plan.connection, sql.Identifier(key.schema, key.table).as_string())
            if child:
                yield from find_company(child, rows, plan, seen)


def follow(key: ForeignKey, gone: Statement) -> Statement:
    return SQL("SELECT child.* FROM {} AS child WHERE EXISTS (SELECT FROM ({}) AS parent WHERE {})").format(
        sql.Identifier(key.schema, key.table), gone, sql.leads_to(key, "child", "parent")
    )
