"""Foreign keys that a migration leads to an old name while that is a view: they lead to the table that has the rows.

Such a key is as if the retirement had moved it: its comment keeps where it belongs, for the way back.
"""

import dataclasses
import re
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.errors import Refused
from rehome.parts import foreign_keys
from rehome.plan.ledger import Ledger
from rehome.plan.record import Record
from rehome.postgres import catalog, resolution, sql
from rehome.postgres.sql import SQL, Identifier, Literal, Statement
from rehome.postgres.tables import End, Table

NAME = r'(?:"(?:[^"]|"")+"|[A-Za-z_][\w$]*)'
PLACE = rf"(?:{NAME}\.)?{NAME}"
REFERENCE = re.compile(rf"\bREFERENCES ({PLACE}) ?\(({NAME}(?:, ?{NAME})*)\)")
ADDING = re.compile(rf"\s*ALTER TABLE (?:ONLY )?({PLACE}) ADD .*?\bCONSTRAINT ({NAME}) [^;]*?\bREFERENCES ", re.DOTALL)
"""As Django writes one, with the constraint or with its column."""


@dataclasses.dataclass(frozen=True)
class Redirected:
    """A statement that adds a foreign key, as it can be run, and what is to be run after it."""

    statement: str
    comment: Statement | None = None


class Redirect:
    """Wraps the statements of a connection on which migrations run."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    def __call__(self, execute: Any, statement: Any, params: Any, many: bool, context: Any) -> Any:
        if not isinstance(statement, str) or not ADDING.match(statement) or params or many:
            return execute(statement, params, many, context)
        redirected = redirect(statement, self.connection)
        result = execute(redirected.statement, params, many, context)
        if redirected.comment is not None:
            with self.connection.cursor() as cursor:
                cursor.execute(redirected.comment.as_string(), None)
        return result


def start(connection: BaseDatabaseWrapper) -> None:
    """From now on, migrations on this connection can lead foreign keys to old names."""
    if connection.vendor == "postgresql" and not any(
        isinstance(wrapper, Redirect) for wrapper in connection.execute_wrappers
    ):
        # First, for Django takes the last one away at the end of a block.
        connection.execute_wrappers.insert(0, Redirect(connection))


def stop(connection: BaseDatabaseWrapper) -> None:
    kept = [wrapper for wrapper in connection.execute_wrappers if not isinstance(wrapper, Redirect)]
    connection.execute_wrappers[:] = kept


def redirect(statement: str, connection: BaseDatabaseWrapper) -> Redirected:
    """The same statement, unless it adds a foreign key to a view that replaces a table of some move.

    Raises Refused where the table that the view shows can't be pointed at instead.
    """
    added, reference = ADDING.match(statement), REFERENCE.search(statement)
    view = find_view(reference[1], connection) if added and reference else None
    if added is None or reference is None or view is None:
        return Redirected(statement)
    home = End(view.schema, view.name, tuple(map(unquoted, re.findall(NAME, reference[2]))))
    end = end_of(home, connection)
    if end is None:
        return Redirected(statement)
    place = SQL("REFERENCES {} ({})").format(Identifier(end.schema, end.table), sql.columns(end.columns))
    changed = statement[: reference.start()] + place.as_string() + statement[reference.end() :]
    return Redirected(changed, comment(added[1], added[2], home))


def find_view(place: str, connection: BaseDatabaseWrapper) -> Table | None:
    oid = resolution.find_view(connection, place)
    return None if oid is None else catalog.read(connection, oid)


def end_of(home: End, connection: BaseDatabaseWrapper) -> End | None:
    """What a key to `home`, a view, leads to by now; None where no move has made it one."""
    ledger = Ledger(connection.alias)
    found = home
    while run := ledger.successor(str(found)):
        end = Record.of(run).ends.get(str(found))
        if end is None:
            break
        view = catalog.read_table(connection, Identifier(found.schema, found.table).as_string())
        if view is None or catalog.read_base(connection, view) != (end.schema, end.table):
            raise foreign_keys.strange_view(found, "", run)
        for column in found.columns:
            if not end.columns.get(column):
                raise Refused(
                    f"{found} is a view of {end.schema}.{end.table}, which has no column that is {found}.{column}, so "
                    "no foreign key can lead there.",
                    "Re-point the field at another unique field of the new model.",
                )
        found = End(end.schema, end.table, tuple(end.columns[column] for column in found.columns))
    return found if found != home else None


def comment(table: str, name: str, home: End) -> Statement:
    return SQL("COMMENT ON CONSTRAINT {} ON {} IS {}").format(SQL(name), SQL(table), Literal(foreign_keys.origin(home)))


def unquoted(name: str) -> str:
    """As the catalog has it."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()
