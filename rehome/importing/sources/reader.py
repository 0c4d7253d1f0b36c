"""How every source is read, whatever its server: as blocks of COPY's text, in one snapshot."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from django.db.models import QuerySet

from rehome.importing.plan import ImportPlan

BLOCK_SIZE = 16 * 1024
"""Of one write. Less costs calls; more is moved about in the driver while the server reads it."""
NULL = b"\\N"
SPECIAL = {b"\\": b"\\\\", b"\t": b"\\t", b"\n": b"\\n", b"\r": b"\\r"}
"""Characters that mean something in COPY's text; the backslash comes first, since the others add one."""
Block = bytes | bytearray | memoryview
Report = Callable[[int, str, str], None]
"""Called with a row's number, from 1, a column of the target, and why the row's value for it cannot be imported."""


def escaped(value: bytes) -> bytes:
    for special, replacement in SPECIAL.items():
        value = value.replace(special, replacement)
    return value


class Reader(Protocol):
    """One kind of server that rows are read from."""

    def snapshot(self) -> AbstractContextManager[None]:
        """A read-only transaction in which every query sees the same moment."""
        ...

    def rows(self, plan: ImportPlan, query: "QuerySet[Any, Any]", report: Report | None = None) -> Iterable[Block]:
        """The query's rows as COPY text; memory does not grow with their number.

        With `report`, a value that is no text becomes null and is reported; otherwise one of the servers refuses it.
        """
        ...
