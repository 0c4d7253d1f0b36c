"""What the target makes of many texts at once, though it fails for some of them."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from django.db import DatabaseError, transaction

from rehome.postgres import states
from rehome.postgres.session import Session

Made = TypeVar("Made")


def by_halves(
    ask: Callable[[Sequence[str]], list[Made]], texts: Sequence[str], session: Session, *, refused: Made
) -> list[Made]:
    """A text that the server refuses is sought among the others by halves, and becomes `refused`."""
    try:
        with session.alone, transaction.atomic(using=session.connection.alias):
            return ask(texts)
    except DatabaseError as error:
        if not states.is_of_rows(error):
            raise
        if len(texts) == 1:
            return [refused]
    half = len(texts) // 2
    return [
        *by_halves(ask, texts[:half], session, refused=refused),
        *by_halves(ask, texts[half:], session, refused=refused),
    ]
