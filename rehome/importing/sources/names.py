"""Names of a source that have a percent sign, in queries that Django writes."""

import contextlib
from collections.abc import Iterator
from typing import Any

from django.db import connections


@contextlib.contextmanager
def escaped(alias: str) -> Iterator[None]:
    """Until the block ends, queries of this thread have the percent signs of names doubled: Django writes a name as it
    is, and the driver takes a percent sign in it for the place of a parameter.
    """
    operations: Any = connections[alias].ops
    quote = operations.quote_name
    operations.quote_name = lambda name: quote(name).replace("%", "%%")
    try:
        yield
    finally:
        del operations.quote_name
