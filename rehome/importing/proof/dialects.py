"""How a server hashes and counts, in its own SQL: pure functions from texts of SQL to texts of SQL.

A row is hashed as one text: the canonical forms of its values, `~` for a null, and the number of its bytes before each
that may hold anything. So two rows with different values are different texts.
"""

from collections.abc import Iterable
from typing import Protocol

NULL, BETWEEN = "~", "/"
NOT_TAKEN = "!"
"""In place of a text that the target takes for no value: no canonical form is so."""
DIGITS = 16
"""Of a hash in hexadecimal digits, which make 64 bits."""
BUCKET = 3
"""Digits by which the keys are divided into buckets."""


class Dialect(Protocol):
    settings: tuple[str, ...]
    """What the session needs, each a statement that writes nothing."""

    def framed(self, value: str) -> str:
        """A text with the number of its bytes in UTF-8."""

    def row(self, values: Iterable[str]) -> str:
        """Canonical forms, one text of them all."""

    def md5(self, value: str) -> str: ...

    def xor(self, value: str) -> str:
        """The aggregate of the hashes of texts, in which their order does not matter."""

    def text(self, value: str) -> str:
        """What an aggregate gives, as text."""


class PostgreSQL:
    settings: tuple[str, ...] = (
        "SELECT pg_catalog.set_config('datestyle', 'ISO, YMD', true), "
        "pg_catalog.set_config('intervalstyle', 'postgres', true), "
        "pg_catalog.set_config('extra_float_digits', '1', true), pg_catalog.set_config('bytea_output', 'hex', true), "
        "pg_catalog.set_config('jit', 'off', true)",
    )

    def __init__(self, *, utf8: bool = True) -> None:
        self.utf8 = utf8
        """Whether a text is UTF-8 in the server itself."""

    def stored(self, value: str) -> str:
        return value if self.utf8 else f"convert_to({value}, 'UTF8')"

    def framed(self, value: str) -> str:
        return f"octet_length({self.stored(value)}) || ':' || {value}"

    def row(self, values: Iterable[str]) -> str:
        return f" || '{BETWEEN}' || ".join(f"coalesce({value}, '{NULL}')" for value in values) or "''"

    def md5(self, value: str) -> str:
        return f"md5({self.stored(value)})"

    def xor(self, value: str) -> str:
        return f"bit_xor(('x' || left({self.md5(value)}, {DIGITS}))::bit(64)::bigint)"

    def text(self, value: str) -> str:
        return f"({value})::text"


class MySQL:
    settings: tuple[str, ...] = ()

    def framed(self, value: str) -> str:
        return f"CONCAT(LENGTH({value}), ':', {value})"

    def row(self, values: Iterable[str]) -> str:
        listed = ", ".join(f"COALESCE({value}, '{NULL}')" for value in values)
        return f"CONCAT_WS('{BETWEEN}', {listed})" if listed else "''"

    def md5(self, value: str) -> str:
        return f"MD5({value})"

    def xor(self, value: str) -> str:
        return f"BIT_XOR(CAST(CONV(LEFT({self.md5(value)}, {DIGITS}), 16, 10) AS UNSIGNED))"

    def text(self, value: str) -> str:
        return f"CONVERT({value} USING utf8mb4)"
