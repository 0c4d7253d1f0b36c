"""Says which database's server failed an import, what it said, and what to do."""

import contextlib
from collections.abc import Iterator

from django.db import DatabaseError, InterfaceError, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.errors import DoubtfulRows, ImportFailed, one_line, visible
from rehome.postgres import states

NOT_THERE = states.NOT_THERE | {1146, 1054}
NOT_ALLOWED = states.NOT_ALLOWED | {1044, 1142, 1143}
FULL = states.FULL | {1021, 1114}
LOST = states.LOST | {2006, 2013, 2055, 1927}
"""What PostgreSQL says by a state and MySQL by a number."""


def state_of(error: BaseException) -> str | int:
    """PostgreSQL's SQLSTATE or MySQL's number; an empty string where neither is said."""
    number = error.args[0] if error.args else None
    return states.state_of(error) or (number if isinstance(number, int) else "")


def is_about_rows(error: BaseException) -> bool:
    """Whether some row may be the cause, and not the connection, a right or the declaration."""
    return isinstance(error, DoubtfulRows) or (isinstance(error, DatabaseError) and states.is_of_rows(error))


def is_lost(error: BaseException) -> bool:
    """Whether the connection is lost. Django connects again soon, so only the error can tell: one without a server's
    state comes from a driver that lost its server.
    """
    state = state_of(error)
    return state in LOST if state else isinstance(error, OperationalError | InterfaceError)


@contextlib.contextmanager
def explained(connection: BaseDatabaseWrapper, *, of_rows: bool = True) -> Iterator[None]:
    """Errors of this database become ImportFailed; without `of_rows`, those that some row may have caused stay."""
    try:
        yield
    except (DatabaseError, InterfaceError) as error:
        if is_about_rows(error) and not of_rows:
            raise
        raise ImportFailed(describe(connection, error)) from error


def message(error: Exception) -> str:
    """What the server said with its detail, without the statement that it quotes."""
    diagnosis = getattr(error.__cause__, "diag", None)
    if diagnosis is None or not diagnosis.message_primary:
        return one_line(error)
    return visible(
        ". ".join(part.rstrip(".") for part in (diagnosis.message_primary, diagnosis.message_detail) if part)
    )


def describe(connection: BaseDatabaseWrapper, error: DatabaseError | InterfaceError) -> str:
    name, state = f"database {connection.alias!r}", state_of(error)
    problem, cure = f"The {name} refused a statement", "correct what it names, and run the import again"
    if connection.connection is None:
        problem = f"The {name} can't be reached"
        cure = "check that its server runs, and HOST, PORT, NAME, USER and PASSWORD of its settings"
    elif state in FULL:
        problem, cure = f"The disk of {name} is full", "free space there, and run the import again"
    elif state in NOT_THERE:
        problem = f"The {name} lacks what the import names"
        cure = f"correct the model: `manage.py inspectdb --database {connection.alias}` shows the tables there"
    elif state in NOT_ALLOWED:
        problem, cure = f"The {name} denied a right", "grant it, or connect as another user"
    elif is_lost(error):
        problem, cure = f"The connection to {name} was lost", "run the import again"
    return f"{problem}: {message(error)}. Nothing is committed; {cure}."
