"""What every source is read through, whatever its server: blocks of COPY's text, in one snapshot."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet

from rehome.importing.plan import ImportPlan

BLOCK_SIZE = 16 * 1024
"""Of what is written at a time. Less costs calls; more is moved about in the driver while the server takes it."""
NULL = b"\\N"
Block = bytes | bytearray | memoryview
Report = Callable[[int, str, str], None]
"""Told the number of a row, counted from 1, a column of the target, and why the row's value for it can't be carried."""


class Reader(Protocol):
    """One kind of server that rows are read from."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None: ...

    def snapshot(self) -> AbstractContextManager[None]:
        """A read-only transaction in which every query sees the same moment."""
        ...

    def rows(self, plan: ImportPlan, query: "QuerySet[Any, Any]", report: Report | None = None) -> Iterable[Block]:
        """The query's rows as COPY text, as they come: memory does not grow with their number.

        With `report`, a value that is no text comes as null and is reported; otherwise it is an error, here or there.
        """
        ...
