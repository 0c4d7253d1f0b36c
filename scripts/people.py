"""The people whom imports bring over: the same in two older databases, and an empty table for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management import CommandError
from django.db import connection, connections, models
from django.db.migrations import CreateModel
from django.db.migrations.state import ProjectState

from rehome import Import
from scripts import scratch
from tests.servers import mariadb, postgis
from tests.servers.starting import Database, Failed

COLUMNS = "id, name, email, city, balance, active, born, seen"
FIELDS: dict[str, models.Field] = {
    "name": models.CharField(max_length=80),
    "email": models.CharField(max_length=80, null=True),
    "city": models.CharField(max_length=20),
    "balance": models.DecimalField(max_digits=12, decimal_places=2),
    "active": models.BooleanField(),
    "born": models.DateField(null=True),
    "seen": models.DateTimeField(),
}
PEOPLE = Import("old.Person", "new.Person", key={"legacy_id": "id"})

POSTGRESQL = (
    "CREATE TABLE person (id integer PRIMARY KEY, name varchar(80) NOT NULL, email varchar(80), "
    "city varchar(20) NOT NULL, balance numeric(12, 2) NOT NULL, active boolean NOT NULL, born date, "
    "seen timestamptz NOT NULL)",
    "INSERT INTO person SELECT n, 'نام ' || n, CASE WHEN n %% 7 > 0 THEN 'user' || n || '@example.com' END, "
    "(ARRAY['Tehran', 'Isfahan', 'Shiraz'])[1 + n %% 3], n * 0.37, n %% 2 = 0, "
    "CASE WHEN n %% 100 > 0 THEN date '1950-01-01' + n %% 20000 END, "
    "timestamptz '2001-01-01 00:00:00+00' + n * interval '1 second' FROM generate_series(1, {rows}) n",
    "VACUUM ANALYZE person",
)
MARIADB = (
    "CREATE TABLE person (id int unsigned PRIMARY KEY, name varchar(80) NOT NULL, email varchar(80), "
    "city enum('Tehran', 'Isfahan', 'Shiraz') NOT NULL, balance decimal(12, 2) NOT NULL, active tinyint(1) NOT NULL, "
    "born date, seen datetime NOT NULL)",
    "INSERT INTO person SELECT seq, concat('نام ', seq), if(seq %% 7 > 0, concat('user', seq, '@example.com'), NULL), "
    "1 + seq %% 3, seq * 0.37, seq %% 2 = 0, "
    "if(seq %% 100 > 0, date '1950-01-01' + INTERVAL seq %% 20000 DAY, NULL), "
    "timestamp '2001-01-01 00:00:00' + INTERVAL seq SECOND FROM seq_1_to_{rows}",
    "ANALYZE TABLE person",
)


def models_of_both() -> ProjectState:
    state = ProjectState()
    key = ("id", models.BigAutoField(primary_key=True))
    older = CreateModel("Person", [key, *FIELDS.items()], {"managed": False, "db_table": "person"})
    older.state_forwards("old", state)
    make_target().state_forwards("new", state)
    return state


def make_target() -> CreateModel:
    key = [("id", models.BigAutoField(primary_key=True)), ("legacy_id", models.BigIntegerField(unique=True, null=True))]
    return CreateModel("Person", [*key, *FIELDS.items()])


@contextmanager
def started() -> Iterator[dict[str, Any]]:
    """Both servers of the older databases. Raises CommandError when one does not start."""
    try:
        with postgis.started() as postgresql, mariadb.started() as mysql:
            yield {"postgresql": postgresql, "mariadb": mysql}
    except Failed as error:
        raise CommandError(f"A server of the older databases did not start: {str(error)[-300:]}") from error


@contextmanager
def filled(servers: dict[str, Any], rows: int) -> Iterator[dict[str, Database]]:
    """The same people in PostgreSQL and in MariaDB."""
    print(f"Filling {rows:,} people, twice ...", flush=True)
    with (
        servers["postgresql"].database(engine=postgis.PLAIN_ENGINE) as postgresql,
        servers["mariadb"].database() as mysql,
    ):
        for older, statements in ((postgresql, POSTGRESQL), (mysql, MARIADB)):
            with older.alias("older"), connections["older"].cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement.format(rows=rows), [])
        print("Measuring, each way into its own copy of the target:", flush=True)
        yield {"postgresql": postgresql, "mariadb": mysql}


@contextmanager
def target() -> Iterator[str]:
    """A database with an empty table for the people."""
    with scratch.made("bench_target") as name:
        scratch.use(name)
        state = ProjectState()
        make_target().state_forwards("new", state)
        with connection.schema_editor() as editor:
            make_target().database_forwards("new", editor, ProjectState(), state)
        connections.close_all()
        yield name
