#!/usr/bin/env python
"""Measures imports from PostgreSQL and MariaDB against psql's COPY and pgloader, on the same servers, in one run.

Both sources are started for this and hold the same rows; the target is the project's own server. Figures are ratios
within the run; absolute seconds say something about the machine only.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import quote

import benching
from benching import copied
from django.db import connection, connections, models
from django.db.migrations import CreateModel
from django.db.migrations.state import ProjectState

from rehome import Import
from rehome.importing import running
from rehome.importing.running import Options
from tests.servers import mariadb, postgis
from tests.servers.starting import Database, NotInstalled

FEW = 10
"""The memory of a run with so many times fewer rows is what the memory of the whole one is compared with."""
TURNS = 3
BASE = "bench_target"
SOURCE = "BENCH_SOURCE"
"""Environment variable in which a child finds its source."""

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

# The steps of an import as an expert would type them for this table.
BY_HAND = f"""
CREATE TEMPORARY TABLE arrived (id bigint, name varchar, email varchar, city varchar, balance numeric, active boolean,
                                born date, seen timestamptz);
\\copy arrived FROM pstdin
ANALYZE arrived;
BEGIN;
SELECT count(*) FROM new_person AS gone
 WHERE legacy_id IS NOT NULL AND NOT EXISTS (SELECT FROM arrived WHERE id = gone.legacy_id);
UPDATE new_person AS kept SET name = a.name, email = a.email, city = a.city, balance = a.balance, active = a.active,
       born = a.born, seen = a.seen FROM arrived AS a
 WHERE kept.legacy_id = a.id AND ROW(kept.name, kept.email, kept.city, kept.balance, kept.active, kept.born, kept.seen)
       IS DISTINCT FROM ROW(a.name, a.email, a.city, a.balance, a.active, a.born, a.seen);
INSERT INTO new_person (legacy_id, name, email, city, balance, active, born, seen) SELECT {COLUMNS} FROM arrived
 WHERE NOT EXISTS (SELECT FROM new_person AS held WHERE held.legacy_id = arrived.id);
COMMIT;
"""  # noqa: S608


# ----- databases


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
def filled(rows: int) -> Iterator[dict[str, Database]]:
    """The same people in PostgreSQL and in MariaDB, and an empty table for them at the target."""
    with ExitStack() as stack:
        older = {
            "postgresql": stack.enter_context(
                stack.enter_context(postgis.started()).database(engine=postgis.PLAIN_ENGINE)
            ),
            "mariadb": stack.enter_context(stack.enter_context(mariadb.started()).database()),
        }
        for kind, statements in (("postgresql", POSTGRESQL), ("mariadb", MARIADB)):
            with older[kind].alias("older"), connections["older"].cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement.format(rows=rows), [])
        benching.drop(BASE)
        benching.on_server(f"CREATE DATABASE {BASE}")
        benching.use(BASE)
        state = ProjectState()
        make_target().state_forwards("new", state)
        with connection.schema_editor() as editor:
            make_target().database_forwards("new", editor, ProjectState(), state)
        connections.close_all()
        yield older
        benching.drop(BASE)


# ----- the ways


def source() -> Database:
    return Database(**json.loads(os.environ[SOURCE]))


def by_import() -> None:
    with source().alias("older"):
        (report,) = running.run([PEOPLE], Options(), source="older", apps=models_of_both().apps)
    if report.counts.read == 0 or not report.comparison.equal:
        sys.exit("The import brought nothing.")


def by_psql() -> None:
    """COPY out of one server into another, and the merge by hand."""
    older = source()
    away = {"PGHOST": older.host, "PGPORT": str(older.port), "PGUSER": older.user, "PGPASSWORD": older.password}
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(BY_HAND)
        script.flush()
        read = ["psql", "-X", "-q", "-d", older.name, "-c", f"COPY person ({COLUMNS}) TO STDOUT"]
        sender = subprocess.Popen(read, env=os.environ | away, stdout=subprocess.PIPE)
        write = ["psql", "-X", "-q", "-o", os.devnull, "-v", "ON_ERROR_STOP=1", "-d", target_url(), "-f", script.name]
        subprocess.run(write, stdin=sender.stdout, check=True)
        if sender.wait():
            sys.exit("psql could not read the source.")


def by_pgloader() -> None:
    """As its manual begins: tables, rows, then indexes, which are fewer than the import's target has."""
    older = source()
    origin = f"mysql://{older.user}:{quote(older.password)}@{older.host}:{older.port}/{older.name}"
    done = subprocess.run(["pgloader", "--quiet", origin, target_url(pgloader=True)], capture_output=True, text=True)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {older.name}.person")  # noqa: S608
        if done.returncode or not cursor.fetchone()[0]:
            sys.exit(f"pgloader failed:\n{done.stdout}{done.stderr}")


def target_url(*, pgloader: bool = False) -> str:
    """Of the default database. pgloader has a spelling of its own for sockets."""
    place = connection.get_connection_params()
    login = f"{place['user']}:{quote(place.get('password') or 'none', safe='')}"
    if not place["host"].startswith("/"):
        return f"postgresql://{login}@{place['host']}:{place['port']}/{place['dbname']}"
    if pgloader:
        return f"postgresql://{login}@unix:{place['host']}:{place.get('port') or 5432}/{place['dbname']}"
    return f"postgresql://{login}@/{place['dbname']}?host={quote(place['host'], safe='')}"


WAYS: dict[str, Callable[[], None]] = {"import": by_import, "psql": by_psql, "pgloader": by_pgloader}


# ----- measuring


def measure(way: str, database: str, origin: Database) -> benching.Figures:
    values = {name: getattr(origin, name) for name in ("engine", "name", "password", "port", "user", "host")}
    os.environ[SOURCE] = json.dumps(values)
    return benching.measure(__file__, way, database)


def main(rows: int) -> None:
    if shutil.which("pgloader") is None:
        raise NotInstalled("pgloader")
    few, all_of_them = measure_with(rows // FEW, turns=1), measure_with(rows, turns=TURNS)
    benching.report(compare(rows, few, all_of_them))


def measure_with(rows: int, *, turns: int) -> dict[str, benching.Figures]:
    """The ways take turns, so that what else the machine does meets all of them; of each, the median."""
    print(f"Filling {rows:,} people, twice ...", flush=True)
    found: dict[str, list[benching.Figures]] = defaultdict(list)
    with filled(rows) as older:
        print("Measuring, each way into its own copy of the target:")
        for _ in range(turns):
            for kind, other in (("postgresql", "psql"), ("mariadb", "pgloader")):
                with copied("bench_import", BASE) as name:
                    found[kind].append(measure("import", name, older[kind]))
                    found[f"{kind} again"].append(measure("import", name, older[kind]))
                with copied(f"bench_{other}", BASE) as name:
                    found[other].append(measure(other, name, older[kind]))
    return {way: sorted(runs, key=lambda run: run["seconds"])[len(runs) // 2] for way, runs in found.items()}


def compare(
    rows: int, few: dict[str, benching.Figures], figures: dict[str, benching.Figures]
) -> list[tuple[str, float, str]]:
    seconds = {way: figure["seconds"] for way, figure in figures.items()}
    grown = {kind: figures[kind]["peak_mb"] - few[kind]["peak_mb"] for kind in ("postgresql", "mariadb")}
    return [
        ("PostgreSQL: rate / of psql COPY | COPY and the merge", seconds["psql"] / seconds["postgresql"], ">= 0.7"),
        ("MariaDB: rate / of pgloader", seconds["pgloader"] / seconds["mariadb"], ">= 1"),
        ("PostgreSQL: rows a second", rows / seconds["postgresql"], "none"),
        ("MariaDB: rows a second", rows / seconds["mariadb"], "none"),
        (
            "PostgreSQL: time again, with nothing new / first time",
            seconds["postgresql again"] / seconds["postgresql"],
            "none",
        ),
        (f"PostgreSQL: MB more than for a {FEW}th of the rows", grown["postgresql"], "< 10"),
        (f"MariaDB: MB more than for a {FEW}th of the rows", grown["mariadb"], "< 10"),
        ("peak memory of the process, MB", max(figures[kind]["peak_mb"] for kind in grown), "<= 120"),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000, help="people at each source (default 2000000)")
    parser.add_argument("--child", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--database", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        benching.child(WAYS[options.child], options.database)
    else:
        try:
            main(options.rows)
        except NotInstalled as missing:
            sys.exit(f"{missing} must be installed: make servers && scripts/install_servers.sh requirements/bench.txt")
