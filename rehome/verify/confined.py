"""Runs a write as another role, so that nothing which the write sets off can become the role of this connection.

SET ROLE is no boundary: code that runs after it may say RESET ROLE. PostgreSQL refuses that within a function that is
SECURITY DEFINER, so the write is made by such a function, which the role itself owns. Whatever it fires can change
every other setting, the function, and what the session has prepared: it is called once, what the session is has to be
said again after it, and its savepoint is rolled back.
"""

from collections.abc import Iterable

from rehome.postgres.sql import SQL, Identifier, Literal, Statement
from rehome.verify.roles import Writer, set_config

NAME = "made_as_another_role"
FUNCTION = Identifier("pg_temp", NAME)
MARK = "/* tried */ "
CALL = SQL("SELECT touched, returned FROM {}()").format(FUNCTION)
"""The number of rows, and the key that one of them was given."""

# Under the role's own search path: no operator, and no name without its schema.
CREATE = """CREATE FUNCTION {function}(OUT touched bigint, OUT returned pg_catalog.text[])
 LANGUAGE plpgsql SECURITY DEFINER AS {body}"""
BODY = """BEGIN
    {enter}EXECUTE {write}{into};
    GET DIAGNOSTICS touched = ROW_COUNT;
    {check}END"""


def create(writer: Writer, write: Statement, *, returns: bool, check: Iterable[Statement] = ()) -> list[Statement]:
    """What makes the function, which takes the role's settings, writes, and asks the constraints in `check`."""
    body = SQL(BODY).format(
        enter=SQL("").join(SQL("PERFORM {};\n    ").format(set_config(*setting)) for setting in writer.settings),
        write=marked(write),
        into=SQL(" INTO returned" if returns else ""),
        check=SQL("").join(SQL("EXECUTE {};\n    ").format(marked(statement)) for statement in check),
    )
    return [
        SQL("SELECT {}").format(set_config("role", writer.role)),
        SQL(CREATE).format(function=FUNCTION, body=Literal(body.as_string())),
        SQL("GRANT EXECUTE ON FUNCTION {}() TO PUBLIC").format(FUNCTION),
        SQL("SELECT {}").format(set_config("role", writer.before)),
    ]


def marked(statement: Statement) -> Statement:
    return Literal(MARK + statement.as_string())


def without_frame(context: str) -> str:
    """Where an error came from, within the write."""
    for own in (NAME, MARK):
        if own in context:
            context = context.rpartition(own)[0].rpartition("\n")[0]
    return context
