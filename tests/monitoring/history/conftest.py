"""Somebody with printers, as pages of printers have them.

No month is there when a test begins: tests outside of transactions leave theirs behind.
"""

import pytest
from django.db import connection
from psycopg.sql import SQL, Identifier

from monitoring.history import partitions
from tests.printers.pages.conftest import make, maren, page  # noqa: F401  Fixtures.


@pytest.fixture(autouse=True)
def _no_months(db: None) -> None:
    with connection.cursor() as cursor:
        for name in partitions.existing():
            cursor.execute(SQL("DROP TABLE {}").format(Identifier(name)))
