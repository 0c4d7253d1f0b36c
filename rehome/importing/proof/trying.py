"""What the target makes of many texts at once, though it fails for some of them."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from django.db import DatabaseError, transaction

from rehome.postgres import states
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL, Literal, Statement

Made = TypeVar("Made")

REFUSED = "rehome.refused"
"""The setting in which a block answers, that a standby can run too."""
TRY_EACH = SQL(
    "DECLARE one text; number integer := 0; refused integer[] := '{{}}'; "
    "BEGIN FOREACH one IN ARRAY {}::text[] LOOP "
    "BEGIN PERFORM {} FROM (SELECT one AS text) AS given; "
    "EXCEPTION WHEN others THEN IF left(SQLSTATE, 2) NOT IN ({}) AND SQLSTATE NOT IN ({}) THEN RAISE; END IF; "
    "refused := refused || number; END; "
    "number := number + 1; END LOOP; PERFORM pg_catalog.set_config({}, refused::text, true); END"
)


def each(
    ask: Callable[[Sequence[str]], list[Made]],
    texts: Sequence[str],
    made: Statement,
    session: Session,
    *,
    refused: Made,
) -> list[Made]:
    """What `ask` answers to the texts; where the server fails to make of a `given.text` what `made` says, `refused`.

    The number of statements is the same for one such text and for many. No text of the server's has a NUL.
    """
    if any("\0" in text for text in texts):
        sent = iter(each(ask, [text for text in texts if "\0" not in text], made, session, refused=refused))
        return [refused if "\0" in text else next(sent) for text in texts]
    with session.alone:
        try:
            with transaction.atomic(using=session.connection.alias):
                return ask(texts)
        except DatabaseError as error:
            if not states.is_of_rows(error):
                raise
        wrong = find_refused(texts, made, session)
        answers = iter(ask([text for number, text in enumerate(texts) if number not in wrong]))
        return [refused if number in wrong else next(answers) for number in range(len(texts))]


def find_refused(texts: Sequence[str], made: Statement, session: Session) -> set[int]:
    """Their places among the texts."""
    of_rows = (SQL(", ").join(map(Literal, sorted(known))) for known in (states.OF_ROWS, states.TOO_LARGE))
    block = TRY_EACH.format(Literal(list(texts)), made, *of_rows, Literal(REFUSED))
    session.execute(SQL("DO {}").format(Literal(block.as_string())))
    ((found,),) = session.rows(SQL("SELECT pg_catalog.current_setting({})::integer[]").format(Literal(REFUSED)))
    return set(found)
