"""Rows that cannot be imported, and how they are named."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from rehome.errors import ImportFailed, visible
from rehome.importing.plan import ImportPlan, Key, describe_key
from rehome.importing.tables import LINE, key_columns, temporary
from rehome.postgres import sql
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL, Identifier, Literal, Statement

SHOWN = 1_000
"""How many characters of a value and of a reason are named."""


@dataclasses.dataclass(frozen=True)
class Reject:
    """One wrong column of a row that cannot be imported; a row may have several."""

    name: str
    """Of the import."""
    key: Key
    column: str
    """Empty where the whole row was refused."""
    reason: str
    value: str | None

    def __str__(self) -> str:
        value = [] if self.value is None else [f"'{visible(self.value)}'"]
        where = [self.column, *value] if self.column else ["the row"]
        return f"{self.name}, {describe_key(self.key)}: {' '.join(where)}: {visible(self.reason)}"

    def as_json(self) -> dict[str, Any]:
        shown = dataclasses.asdict(self)
        return {"import": shown.pop("name"), **shown}


def refuse(rows: int, found: Iterator[Reject], named: int | None) -> ImportFailed:
    """The error that names `named` of the reasons, or all of them."""
    lines = [str(reject) for reject in itertools.islice(found, named)]
    if more := sum(1 for _ in found):
        lines.append(f"... and {more:,} more; --verbosity 2 names all.")
    shown = "\n".join(f"  {line}" for line in lines)
    return ImportFailed(
        f"{count(rows)} cannot be imported. Nothing is committed.\n{shown}\nCorrect them at the source, or run again "
        "with --skip-bad FILE, which writes them to a file and imports the others."
    )


def count(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"


def find(plans: Iterable[ImportPlan], session: Session) -> Iterator[Reject]:
    """All of them, in the order of the source; memory does not grow with their number."""
    for plan in plans:
        names = list(plan.declared.key)
        with session.connection.chunked_cursor() as cursor:
            cursor.execute(list_rejects(plan).as_string(), None)
            for *key, column, reason, value in cursor:
                yield Reject(str(plan), dict(zip(names, key, strict=True)), column, reason, value)


def list_rejects(plan: ImportPlan) -> Statement:
    return SQL(
        'SELECT {keys}, rejected."column", {reason}, {value} '
        'FROM {rejects} AS rejected JOIN {text} AS given USING ({line}) ORDER BY {line}, rejected."column"'
    ).format(
        keys=sql.of("given", key_columns(plan)),
        reason=shortened("reason"),
        value=shortened("value"),
        rejects=temporary(plan, "rejects"),
        text=temporary(plan, "text"),
        line=Identifier(LINE),
    )


def shortened(column: str) -> Statement:
    """A value of many megabytes is known by its beginning and its length."""
    return SQL(
        "CASE WHEN length({0}) > {1} THEN left({0}, {1}) || '... (' || length({0}) || ' characters)' ELSE {0} END"
    ).format(Identifier("rejected", column), Literal(SHOWN))
