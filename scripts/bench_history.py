#!/usr/bin/env python
"""Measures charts of a year's history through gunicorn, and how long an hour takes to be rolled up.

Each printer prints a third of the time, eight hours at once. One worker, one person who owns all printers and is no
staff, one request after the other, each for another printer.
"""

import logging
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import benching, scratch  # noqa: E402, I001  The first sets Django up.
from scripts.bench_portal import Person, free_port, gunicorn, percentile  # noqa: E402
from scripts.benching import Line, run  # noqa: E402
from django.conf import settings  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from tests.database import url_of  # noqa: E402
from tests.monitoring.history.rows import partitions, rolled_until, rolling  # noqa: E402

MOST = 1000
"""Printers: a year of more of them takes an hour to write."""
YEAR, DAYS = timedelta(days=365), timedelta(days=9)
"""Of fewer printers some days are enough: they show that this works."""
RANGES = ("hour", "day", "week")
ROUNDS = 200

TABLE = (
    Line("chart of a week, p95 ms", "< 100", lambda of: of["week"]),
    Line("chart of a day, p95 ms", "< 100", lambda of: of["day"]),
    Line("chart of an hour, p95 ms", "< 100", lambda of: of["hour"]),
    Line("page of a printer with its chart, p95 ms", "< 150", lambda of: of["page"]),
    Line("an hour rolled up, s", "< 5", lambda of: of["roll"]),
    Line("a year on disk, GB", "-", lambda of: of["size"]),
)

PRINTERS = [
    "INSERT INTO accounts_profile (user_id, name) SELECT id, 'Owner' FROM auth_user WHERE username = 'owner'"
    " ON CONFLICT DO NOTHING",
    """
    INSERT INTO printers_printer (profile_id, ip_address, api_key, ping, printing)
    SELECT p.id, 'http://10.' || k / 65536 || '.' || k / 256 % 256 || '.' || k % 256, md5(k::text), true, true
      FROM generate_series(1, {printers}) AS k, accounts_profile p
    """,
]
QUARTERS = """
DO $$
DECLARE hour timestamptz;
BEGIN
    FOR hour IN SELECT generate_series('{start}', '{rolled}'::timestamptz - interval '1 hour', interval '1 hour') LOOP
        INSERT INTO history_quarter (printer_id, part, at, low, mean, high, target)
        SELECT id, part, hour + q * interval '15 minutes', hot - 1, hot, hot + 1, hot
        FROM printers_printer, (VALUES ('bed', 60), ('tool0', 215)) AS parts (part, hot), generate_series(0, 3) AS q
        WHERE (id + extract(epoch FROM hour)::bigint / 28800) % 3 = 0 OR (q = 0 AND extract(hour FROM hour) = 0)
        ORDER BY id, part, q;
    END LOOP;
END $$
"""
"""As rolling up writes them, hour by hour."""
STATES = """
INSERT INTO history_statechange (printer_id, at, state)
SELECT id, at, (ARRAY['heating', 'printing', 'finished', 'ready'])[1 + extract(epoch FROM at)::bigint / 7200 % 4]
FROM generate_series('{start}'::timestamptz, '{now}', interval '2 hours') AS at, printers_printer
"""
WHOLE = """
INSERT INTO history_temperature (printer_id, part, at, actual, target)
SELECT id, part, at, hot + random(), hot
FROM generate_series('{rolled}'::timestamptz, '{now}', interval '30 seconds') AS at, printers_printer,
    (VALUES ('bed', 60), ('tool0', 215)) AS parts (part, hot)
WHERE (id + extract(epoch FROM at)::bigint / 28800) % 3 = 0
"""


def main() -> None:
    logging.getLogger("core.logs").setLevel(logging.ERROR)
    options = benching.parser(str(__doc__), {}, rows=MOST, of="printers with a year's history").parse_args()
    with benching.one_sentence():
        benching.introduce(options.rows)
        benching.report(TABLE, measure(min(options.rows, MOST)))


def measure(printers: int) -> dict[str, float]:
    with scratch.made("bench_history") as database:
        scratch.use(database)
        call_command("migrate", verbosity=0)
        User.objects.create_user("owner")
        print("Writing history", flush=True)
        now = datetime.now(UTC)
        fill(printers, now)
        found = {"size": size()}
        print("Measuring charts", flush=True)
        return found | measure_charts(database) | {"roll": measure_rolling(now)}


def fill(printers: int, now: datetime) -> None:
    rolled = rolling.full_hour(now - rolling.KEPT_WHOLE)
    start = rolled - (YEAR if printers >= MOST else DAYS)
    partitions.ensure(start + timedelta(days=days) for days in range(0, (now - start).days + 15, 14))
    moments = {"start": start.isoformat(), "rolled": rolled.isoformat(), "now": now.isoformat()}
    run(*(statement.format(printers=printers, **moments) for statement in (*PRINTERS, QUARTERS, STATES, WHOLE)))
    rolled_until(rolled)
    run("VACUUM (ANALYZE)", "CHECKPOINT")


def size() -> float:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(pg_total_relation_size(name::regclass)) FROM unnest(%s::text[]) AS name",
            [partitions.existing()],
        )
        return float(cursor.fetchone()[0]) / 2**30


def measure_charts(database: str) -> dict[str, float]:
    client = Client()
    client.force_login(User.objects.get(username="owner"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM printers_printer ORDER BY md5(id::text) LIMIT %s", [ROUNDS])
        keys = [key for (key,) in cursor.fetchall()]
    port = free_port()
    with gunicorn(port, url_of(database)):
        person = Person(port, client.cookies[settings.SESSION_COOKIE_NAME].value)
        asked = {word: [f"/printers/{key}/history/?range={word}" for key in keys] for word in RANGES}
        asked["page"] = [f"/printers/{key}/" for key in keys]
        return {name: p95(person, addresses) for name, addresses in asked.items()}


def p95(person: Person, addresses: list[str]) -> float:
    """In milliseconds, after a first request that is not counted."""
    person.ask("GET", addresses[0])
    seconds = []
    for address in addresses:
        began = time.perf_counter()
        person.ask("GET", address)
        seconds.append(time.perf_counter() - began)
    return percentile(seconds, 0.95)


def measure_rolling(now: datetime) -> float:
    began = time.perf_counter()
    rolling.roll_up(now + timedelta(hours=1), seconds=0.001)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
