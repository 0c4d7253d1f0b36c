from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from tests.farm import farm
from tests.farm.databases import WORKER, connected_to, database
from tests.rehome.importing.workshop import OLDER, Workshop, connect
from tests.servers.mariadb import ENGINE, MariaDB


@pytest.fixture(scope="session")
def target(planned_house: str, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """The name of a database with the tables of this project, for workshops to make more in."""
    with django_db_blocker.unblock(), database(f"test_target_{WORKER}", template=planned_house) as name:
        with connected_to(name):
            farm.prepare_everything()  # Whoever deletes a user asks all of their tables.
        yield name


@pytest.fixture(scope="session")
def older(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """The name of an empty database to import from."""
    with django_db_blocker.unblock(), database(f"test_older_{WORKER}") as name:
        yield name


@pytest.fixture
def shop(target: str, older: str, django_db_blocker: DjangoDbBlocker) -> Iterator[Workshop]:
    """A target on the default database, and an older PostgreSQL to import from."""
    with django_db_blocker.unblock(), connected_to(target), connect(OLDER, NAME=older):
        workshop = Workshop(OLDER)
        yield workshop
        workshop.clean()
        workshop.query("DROP SCHEMA public CASCADE")
        workshop.query("CREATE SCHEMA public")


@pytest.fixture
def mysql_engine() -> str:
    """Django's, of which there is one with geometries."""
    return ENGINE


@pytest.fixture
def mysql_shop(
    mariadb: MariaDB, mysql_engine: str, target: str, django_db_blocker: DjangoDbBlocker
) -> Iterator[Workshop]:
    """A target on the default database, and a MariaDB to import from."""
    with (
        django_db_blocker.unblock(),
        connected_to(target),
        mariadb.database(engine=mysql_engine) as older,
        older.alias(OLDER),
    ):
        workshop = Workshop(OLDER)
        yield workshop
        workshop.clean()
