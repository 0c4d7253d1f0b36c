"""Texts that the target refuses, among many others: as many statements for one of them as for all."""

from collections.abc import Callable, Sequence

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from rehome.importing.proof import trying
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL
from tests.rehome.importing.workshop import Workshop

QUESTION = "SELECT number * text::int FROM unnest(%s::text[]) WITH ORDINALITY AS given (text, number) ORDER BY number"


def asking(session: Session) -> Callable[[Sequence[str]], list[str]]:
    return lambda texts: [str(made) for (made,) in session.rows(QUESTION, [list(texts)])]


def tried(session: Session, texts: Sequence[str], made: str = "given.text::int") -> tuple[list[str], int]:
    """What is made of the texts, and in how many statements."""
    with CaptureQueriesContext(connection) as asked:
        found = trying.each(asking(session), texts, SQL(made), session, refused="!")
    return found, len(asked)


def test_each_is_named_and_no_other_costs_a_statement(shop: Workshop) -> None:
    session = Session(connection)
    hostile = ["'", "\\", "{}", "%s", "$$", '"', "x; ROLLBACK", "٧"]
    with transaction.atomic():
        assert tried(session, ["2", "2"])[0] == ["2", "4"]
        found, one = tried(session, ["1", "x", "1"])
        assert found == ["1", "!", "2"]
        found, many = tried(session, ["1", *hostile * 40, "1"])
        assert found == ["1", *["!"] * len(hostile) * 40, "2"]
        assert tried(session, ["x", "y"])[0] == ["!", "!"]
        assert tried(session, ["1", "\0", "1"])[0] == ["1", "!", "2"]
    assert many == one


def test_what_no_text_is_to_blame_for_is_raised(shop: Workshop) -> None:
    session = Session(connection)
    shop.sql(
        "CREATE FUNCTION stopped(given text) RETURNS int LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE 'stopped' USING ERRCODE = '53000'; END $$"
    )
    try:
        for made in ("stopped(given.text)", "given.nothing"):
            with transaction.atomic(), pytest.raises(DatabaseError), transaction.atomic():
                tried(session, ["x"], made)
    finally:
        shop.sql("DROP FUNCTION stopped")
