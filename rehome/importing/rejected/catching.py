"""PL/pgSQL that goes on where a value is refused."""

from rehome.postgres.sql import SQL, Identifier, Literal, Statement
from rehome.postgres.states import NOT_OF_ROWS

CATCH = SQL("EXCEPTION WHEN others THEN IF left(SQLSTATE, 2) IN ({}) THEN RAISE; END IF;").format(
    SQL(", ").join(map(Literal, NOT_OF_ROWS))
)
"""Runs what follows where a value may be the cause, and raises any other error again."""


def create_function(name: Identifier, body: str, returns: str, bad: str) -> Statement:
    """Of a text `given`: runs `body`, and returns `bad` where that fails. The same text gives the same all through a
    statement, so that rows can be joined by it.
    """
    whole = SQL("BEGIN {} {} RETURN {}; END").format(SQL(body), CATCH, SQL(bad))
    return SQL("CREATE FUNCTION {} (given text) RETURNS {} LANGUAGE plpgsql STABLE AS {}").format(
        name, SQL(returns), Literal(whole.as_string())
    )
