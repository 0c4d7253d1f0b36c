#!/usr/bin/env python
"""Measures imports from PostgreSQL and MariaDB against psql's COPY and pgloader, on the same servers, in one run.

Both sources are started for this and hold the same rows; the target is the project's own server. Figures are ratios
within the run; absolute seconds say something about the machine only.
"""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.core.management import CommandError
from django.db import connection

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import benching  # noqa: E402
from scripts.benching import Figures, Line, copied  # noqa: E402

# isort: split
# Django is set up by now.
from rehome.importing import running, verifying  # noqa: E402
from scripts import people  # noqa: E402
from tests.servers import mariadb, postgis  # noqa: E402
from tests.servers.starting import Database, NotInstalled  # noqa: E402

TURNS = 3
SOURCE = "BENCH_SOURCE"
"""Environment variable in which a child finds its source."""

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
INSERT INTO new_person (legacy_id, name, email, city, balance, active, born, seen) SELECT {people.COLUMNS} FROM arrived
 WHERE NOT EXISTS (SELECT FROM new_person AS held WHERE held.legacy_id = arrived.id);
COMMIT;
"""  # noqa: S608


# ----- the ways


def source() -> Database:
    return Database(**json.loads(os.environ[SOURCE]))


def by_import() -> None:
    with source().alias("older"):
        (report,) = running.run([people.PEOPLE], running.Options(), source="older", apps=people.models_of_both().apps)
    if report.counts.read == 0 or not report.comparison.equal:
        raise CommandError("The import brought nothing.")


def by_verification() -> None:
    """Of rows that the import has brought before."""
    with source().alias("older"):
        ((declared, ran),) = verifying.find_runs([people.PEOPLE], connection.alias)
        found = verifying.verify(declared, ran, connection.alias, apps=people.models_of_both().apps)
    if not found.ok or not found.comparison or not found.comparison.source_rows:
        raise CommandError(f"The verification failed: {found.explanation}")


def by_psql() -> None:
    """COPY out of one server into another, and the merge by hand."""
    older = source()
    away = {"PGHOST": older.host, "PGPORT": str(older.port), "PGUSER": older.user, "PGPASSWORD": older.password}
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(BY_HAND)
        script.flush()
        read = ["psql", "-X", "-q", "-d", older.name, "-c", f"COPY person ({people.COLUMNS}) TO STDOUT"]
        sender = subprocess.Popen(read, env=os.environ | away, stdout=subprocess.PIPE)
        write = ["psql", "-X", "-q", "-o", os.devnull, "-v", "ON_ERROR_STOP=1", "-d", target_url(), "-f", script.name]
        done = subprocess.run(write, stdin=sender.stdout, stderr=subprocess.PIPE, text=True)
        if sender.wait() or done.returncode:
            raise CommandError(f"psql failed: {done.stderr}")


def by_pgloader() -> None:
    """As its manual begins: tables, rows, then indexes, which are fewer than the import's target has."""
    older = source()
    origin = f"mysql://{older.user}:{quote(older.password)}@{older.host}:{older.port}/{older.name}"
    done = subprocess.run(["pgloader", "--quiet", origin, target_url(pgloader=True)], capture_output=True, text=True)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {older.name}.person")  # noqa: S608
        if done.returncode or not cursor.fetchone()[0]:
            raise CommandError(f"pgloader failed: {done.stdout}{done.stderr}")


def target_url(*, pgloader: bool = False) -> str:
    """Of the default database. pgloader has a spelling of its own for sockets."""
    place = connection.get_connection_params()
    login = f"{place['user']}:{quote(place.get('password') or 'none', safe='')}"
    if not place["host"].startswith("/"):
        return f"postgresql://{login}@{place['host']}:{place['port']}/{place['dbname']}"
    if pgloader:
        return f"postgresql://{login}@unix:{place['host']}:{place.get('port') or 5432}/{place['dbname']}"
    return f"postgresql://{login}@/{place['dbname']}?host={quote(place['host'], safe='')}"


WAYS: dict[str, Callable[[], None]] = {
    "import": by_import,
    "verify": by_verification,
    "psql": by_psql,
    "pgloader": by_pgloader,
}


# ----- measuring

TABLE = (
    Line(
        "PostgreSQL: rate / of psql and the merge by hand",
        ">= 0.85",
        lambda of: of["psql"].seconds / of["postgresql"].seconds,
    ),
    Line("MariaDB: rate / of pgloader", ">= 1.4", lambda of: of["pgloader"].seconds / of["mariadb"].seconds),
    Line("PostgreSQL: thousand rows a second", "none", lambda of: of["postgresql"].rate / 1000),
    Line("MariaDB: thousand rows a second", "none", lambda of: of["mariadb"].rate / 1000),
    Line(
        "the same import again / the first",
        "none",
        lambda of: of["postgresql again"].seconds / of["postgresql"].seconds,
    ),
    Line(
        "PostgreSQL: time of the verification / of the import",
        "<= 1",
        lambda of: of["postgresql verified"].seconds / of["postgresql"].seconds,
    ),
    Line(
        "MariaDB: time of the verification / of the import",
        "<= 1",
        lambda of: of["mariadb verified"].seconds / of["mariadb"].seconds,
    ),
    Line(
        "MB more than with a tenth of the rows",
        "< 10",
        lambda of: max(of[kind].peak_mb - of[f"{kind}, a tenth"].peak_mb for kind in ("postgresql", "mariadb")),
    ),
    Line(
        "peak memory of the process, MB",
        "<= 120",
        lambda of: max(of[kind].peak_mb for kind in ("postgresql", "mariadb")),
    ),
)


def missing_programs() -> list[str]:
    """What this machine lacks, by the names under which it is installed."""
    missing = [program for program in ("psql", "pgloader") if shutil.which(program) is None]
    for programs in (postgis.programs, mariadb.programs):
        try:
            programs()
        except NotInstalled as error:
            missing.append(str(error))
    return missing


def main(rows: int) -> None:
    if missing := missing_programs():
        raise CommandError(f"Imports are measured with {', '.join(missing)}, not installed here; run `make servers`.")
    benching.introduce(rows)
    turns = TURNS if rows >= benching.ENOUGH else 1
    with people.target() as base, people.started() as servers:
        figures = measure_tenth(servers, base, rows // 10) | measure(servers, base, rows, turns)
    benching.report(TABLE, figures)


def measure_tenth(servers: dict[str, Any], base: str, rows: int) -> dict[str, Figures]:
    """Imports of fewer rows, with whose memory that of the others is compared."""
    found = {}
    with people.filled(servers, rows) as older:
        for kind in older:
            with copied("bench_import", base) as name:
                found[f"{kind}, a tenth"] = measure_way("import", name, older[kind], rows)
    return found


def measure(servers: dict[str, Any], base: str, rows: int, turns: int) -> dict[str, Figures]:
    """The ways take turns, so that what else the machine does meets all of them; of each, the median."""
    found: dict[str, list[Figures]] = defaultdict(list)
    with people.filled(servers, rows) as older:
        for kind, other in (("postgresql", "psql"), ("mariadb", "pgloader")) * turns:
            with copied("bench_import", base) as name:
                found[kind].append(measure_way("import", name, older[kind], rows))
                found[f"{kind} verified"].append(measure_way("verify", name, older[kind], rows))
                found[f"{kind} again"].append(measure_way("import", name, older[kind], rows))
            with copied(f"bench_{other}", base) as name:
                found[other].append(measure_way(other, name, older[kind], rows))
    return {way: sorted(runs, key=lambda run: run.seconds)[len(runs) // 2] for way, runs in found.items()}


def measure_way(way: str, database: str, origin: Database, rows: int) -> Figures:
    values = {field.name: getattr(origin, field.name) for field in dataclasses.fields(Database)}
    os.environ[SOURCE] = json.dumps(values)
    return benching.measure(__file__, way, database, rows)


if __name__ == "__main__":
    options = benching.parser(__doc__, WAYS, rows=2_000_000, of="people at each source").parse_args()
    with benching.one_sentence():
        if options.child:
            benching.child(WAYS[options.child], options.database)
        else:
            main(options.rows)
