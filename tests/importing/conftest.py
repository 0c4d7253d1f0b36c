from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from tests.importing.workshop import OLDER, Workshop, connect
from tests.moves.conftest import WORKER, database
from tests.servers.mariadb import MariaDB


@pytest.fixture
def shop(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Workshop]:
    """A target on the default database, and an older PostgreSQL to import from."""
    with django_db_blocker.unblock(), database(f"test_older_{WORKER}") as name, connect(OLDER, NAME=name):
        workshop = Workshop(OLDER)
        yield workshop
        workshop.clean()


@pytest.fixture
def mysql_shop(mariadb: MariaDB, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Workshop]:
    """A target on the default database, and a MariaDB to import from."""
    with django_db_blocker.unblock(), mariadb.database() as older, older.alias(OLDER):
        workshop = Workshop(OLDER)
        yield workshop
        workshop.clean()
