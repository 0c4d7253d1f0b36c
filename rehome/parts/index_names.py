"""Names of indexes go aside while a second table needs them: PostgreSQL has each once in a schema."""

import hashlib
from collections.abc import Iterable

from rehome.postgres.sql import SQL, Identifier, Statement
from rehome.postgres.tables import PREFIX, Table

LONGEST = 63
"""Bytes of a name; PostgreSQL leaves out the rest."""


def as_stored(name: str) -> str:
    return name.encode()[:LONGEST].decode(errors="ignore")


def aside(name: str, table: str) -> str:
    """What the index of that name of a table is called meanwhile: readable where it is short enough. Others of the name
    may be aside too, of tables from which the rows came before.
    """
    return shortened(f"{table}_{name}")


def shortened(name: str) -> str:
    if len(name.encode()) + len(PREFIX) <= LONGEST:
        return f"{PREFIX}{name}"
    return f"{PREFIX}{hashlib.sha256(name.encode()).hexdigest()[:40]}"


def put_aside(table: Table, names: Iterable[str]) -> list[Statement]:
    """Idempotent, and no statement for what the table does not have."""
    return rename(table, {name: aside(name, table.name) for name in names})


def revert(table: Table, names: Iterable[str]) -> list[Statement]:
    """Also from the names that an earlier version gave."""
    wanted = list(names)
    return rename(table, {made: name for name in wanted for made in (aside(name, table.name), shortened(name))})


def rename(table: Table, names: dict[str, str]) -> list[Statement]:
    """A unique or exclusion constraint is renamed with its index, which blocks nobody who reads or writes rows."""
    there = {index.name for index in table.indexes} | {c.name for c in table.constraints if c.kind in "ux"}
    return [
        SQL("ALTER INDEX {} RENAME TO {}").format(Identifier(table.schema, before), Identifier(after))
        for before, after in names.items()
        if before in there
    ]


def rename_at(table: str, before: str, after: str) -> str:
    """As one statement; `table` is as Django quotes its name, with a schema where its model names one."""
    schema = table.rpartition('"."')[0] + '".' if '"."' in table else ""
    old, new = (Identifier(name).as_string() for name in (before, after))
    return f"ALTER INDEX IF EXISTS {schema}{old} RENAME TO {new}"
