"""The same on MariaDB, and on a MySQL where there is one."""

import pytest
from pytest_django import DjangoDbBlocker

from tests.rehome.checkschema.menagerie import MARIADB, REAL_MYSQL, Menagerie
from tests.rehome.checkschema.test_mariadb import ALIAS, Shop
from tests.servers.mariadb import MariaDB


@pytest.mark.timeout(900)
@pytest.mark.long
def test_every_remedy_on_mariadb(mariadb: MariaDB, django_db_blocker: DjangoDbBlocker) -> None:
    with django_db_blocker.unblock(), mariadb.database() as database, database.alias(ALIAS):
        Menagerie(Shop(ALIAS), MARIADB).check()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_every_remedy_on_mysql(mysql: MariaDB, django_db_blocker: DjangoDbBlocker) -> None:
    with django_db_blocker.unblock(), mysql.database() as database, database.alias(ALIAS):
        Menagerie(Shop(ALIAS), REAL_MYSQL).check()
