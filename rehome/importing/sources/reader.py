"""How every source is read, whatever its server: as blocks of COPY's text, in one snapshot."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from django.db.models import QuerySet

from rehome.importing.plan import ImportPlan

BLOCK_SIZE = 16 * 1024
"""Of one write. Less costs calls; more is moved about in the driver while the server reads it."""
NULL = b"\\N"
SPECIAL = {b"\\": b"\\\\", b"\t": b"\\t", b"\n": b"\\n", b"\r": b"\\r"}
"""Characters that mean something in COPY's text; the backslash comes first, since the others add one."""
LONGEST = 1_000_000_000
"""How many bytes a row may have in COPY's text, of which PostgreSQL takes a gigabyte at most."""
Block = bytes | bytearray | memoryview
Report = Callable[[int, str, str], None]
"""Called with a row's number, from 1, a column of the target, and why the row's value for it cannot be imported."""


def too_long(size: int, beside: int = 0) -> str:
    others = f" beside {in_mb(beside)} of other columns" if beside else ""
    return f"is too long: {in_mb(size)} as text{others}, and a row has at most {in_mb(LONGEST)}"


def in_mb(size: int) -> str:
    return f"{size // 1_000_000:,} MB"


def escaped(value: bytes) -> bytes:
    for special, replacement in SPECIAL.items():
        value = value.replace(special, replacement)
    return value


class Reader(Protocol):
    """One kind of server that rows are read from."""

    def snapshot(self, plans: Iterable[ImportPlan]) -> AbstractContextManager[None]:
        """A read-only transaction in which every query of these plans sees the same moment, and times mean in it what
        they mean to Django: queries of the alias that this thread makes meanwhile are in it too.
        """
        ...

    def times(self, query: "QuerySet[Any, Any]") -> Mapping[int, str]:
        """By number, counted from 0, which columns of the query are times: `local` for dates and single times without a
        zone, `moment` for all values that say theirs.
        """
        ...

    def rows(self, plan: ImportPlan, query: "QuerySet[Any, Any]", report: Report | None = None) -> Iterable[Block]:
        """The query's rows as COPY text; memory does not grow with their number, but with the largest of them.

        With `report`, a value that is no text becomes null and is reported; otherwise one of the servers refuses it.
        Then the parts of the key follow in each row, as the source's server writes them, and where the plan has `only`
        some keys, written so, other rows are left out.
        """
        ...
