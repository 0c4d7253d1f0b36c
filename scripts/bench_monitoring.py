#!/usr/bin/env python
"""Measures polling: all printers asked once by one process, twice over, and the same where nine of ten are dead.

Every printer has a server of its own on loopback, of the three kinds in turn; one process serves them all. Of the dead
a third takes connections and says nothing, a third drops what comes as a machine does that is off, a third refuses.
"""

import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import benching, scratch  # noqa: E402, I001  The first sets Django up.
from scripts.benching import Line, run  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.management import CommandError, call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402
from tests.database import url_of  # noqa: E402
from tests.monitoring.fakes import fakes  # noqa: E402

ROWS = 5000

TABLE = (
    Line("printers polled once, s", "< 10", lambda of: of["first"].seconds),
    Line("the same again, nothing has changed, s", "< 10", lambda of: of["again"].seconds),
    Line("rows written by that", "0", lambda of: of["again"].written),
    Line("those that live where 90 % are dead, never asked before, s", "< 10", lambda of: of["dead first"].alive_s),
    Line("those that live where 90 % are dead, s", "< 10", lambda of: of["dead again"].alive_s),
    Line("most memory of the poller, MB", "< 200", lambda of: max(one.peak_mb for one in of.values())),
)

FILL = """
INSERT INTO printers_printer (ip_address, api_key, ping, printing)
SELECT address, 'k', false, false FROM unnest(%s::text[]) AS address ORDER BY md5(address);
"""
KINDS = """
INSERT INTO fleet_machine (printer_id, name, kind, place, tags, notes, model, "user", password, camera,
                           out_of_order_why)
SELECT id, '', (ARRAY['octoprint', 'moonraker', 'prusalink'])[1 + id % 3], '', '{}', '', '', '', '', '', ''
FROM printers_printer
"""
VERSIONS = """
SELECT p.id, p.ctid::text, p.xmin::text, p.xmax::text, s.ctid::text, s.xmin::text, s.xmax::text
FROM printers_printer p LEFT JOIN fleet_lastseen s ON s.printer_id = p.id
"""


@dataclass(frozen=True)
class Polled:
    """What one run took, until those that live were seen and until it ended; and how many rows it wrote."""

    seconds: float
    alive_s: float
    peak_mb: float
    written: int


def main() -> None:
    logging.getLogger("core.logs").setLevel(logging.ERROR)
    options = benching.parser(str(__doc__), {}, rows=ROWS, of="printers").parse_args()
    with benching.one_sentence():
        benching.introduce(options.rows if options.rows < ROWS else benching.ENOUGH)
        benching.report(TABLE, measure(options.rows))


def measure(rows: int) -> dict[str, Polled]:
    print("Measuring rounds", flush=True)
    live, dead = max(rows // 10, 1), rows - max(rows // 10, 1)
    third = dead // 3
    with fakes(live=rows) as found:
        all_alive = poll_twice(found, rows)
    with fakes(live=live, hung=third, silent=third, closed=dead - 2 * third) as found:
        most_dead = poll_twice(found, live)
    return dict(zip(("first", "again", "dead first", "dead again"), all_alive + most_dead, strict=True))


def poll_twice(found: dict[str, list[str]], live: int) -> list[Polled]:
    with scratch.made("bench_monitoring") as database:
        scratch.use(database)
        call_command("migrate", verbosity=0)
        with connection.cursor() as cursor:
            cursor.execute(FILL, [[address for addresses in found.values() for address in addresses]])
        run(KINDS, "ANALYZE")
        first = poll(database, live)
        if live < sum(map(len, found.values())):
            # So that it is written when each of them was seen again.
            run("UPDATE fleet_lastseen SET message = 'before' WHERE state = 'ready'")
        return [first, poll(database, live)]


def poll(database: str, live: int) -> Polled:
    before, asked_at = versions(), timezone.now()
    began = time.monotonic()
    peak, alive, cpu = 0.0, 0.0, 0.0
    with polling(database) as process:
        while process.poll() is None:
            peak, cpu = max(peak, memory_of(process.pid)), max(cpu, cpu_of(process.pid))
            if not alive and told(asked_at) >= live:
                alive = time.monotonic() - began
            time.sleep(0.05)  # What it has written is asked for, for nobody else says that it has.
    seconds = time.monotonic() - began
    if process.returncode:
        raise CommandError("poll_printers failed.")
    polled = Polled(seconds, alive or seconds, peak, len(versions().items() - before.items()))
    print(f"  {seconds:6.2f} s, {polled.alive_s:6.2f} s for those that live; {cpu:5.2f} s of a processor", flush=True)
    return polled


@contextmanager
def polling(database: str) -> Iterator[subprocess.Popen[bytes]]:
    """One run of it, which doesn't outlive this script."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", "poll_printers", "--once"], cwd=settings.BASE_DIR, start_new_session=True,
        env=os.environ | {"DATABASE_URL": url_of(database)}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def told(since: datetime) -> int:
    """How many of those that live were seen in this run."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM fleet_lastseen WHERE state = 'ready' AND message = '' AND asked_at > %s::timestamptz",
            [since],
        )
        return int(cursor.fetchone()[0])


def versions() -> dict[int, tuple[str, ...]]:
    """Where each row lies, and who wrote or locked it."""
    with connection.cursor() as cursor:
        cursor.execute(VERSIONS)
        return {key: tuple(versions) for key, *versions in cursor.fetchall()}


def memory_of(pid: int) -> float:
    try:
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0


def cpu_of(pid: int) -> float:
    """Seconds; beside others on the machine, a process takes longer than these."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
