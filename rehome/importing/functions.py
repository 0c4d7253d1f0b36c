"""Expressions for the source's server that Django lacks."""

from typing import Any

from django.db.models import BinaryField, Func


class StoredBytes(Func):
    """The bytes of a text that MySQL keeps in a column of the wrong character set.

    `StoredBytes("name", charset="latin1")` reads UTF-8 that an application wrote to a latin1 column over a latin1
    connection. The reader takes the bytes for UTF-8; where they are not, the row cannot be imported.
    """

    template = "CAST(CONVERT(%(expressions)s USING %(charset)s) AS BINARY)"
    arity = 1
    output_field = BinaryField()

    def __init__(self, expression: Any, *, charset: str = "latin1") -> None:
        if not charset.isidentifier():
            raise ValueError(f"{charset!r} is no character set; name one of SHOW CHARACTER SET, such as 'latin1'.")
        super().__init__(expression, charset=charset)
