"""What the benchmarks share: one filled database, copies of it, and each way of moving in a process of its own."""

import importlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "core.settings")

import django  # noqa: E402

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection, connections  # noqa: E402

BASE = "bench_base"
FIRST = [("accounts", "0001"), ("printers", "0001"), ("auth", None), ("admin", None), ("contenttypes", None)]
MOVES = {"accounts": ("0001", "0002", "profile"), "printers": ("0001", "0002", "printer")}
"""By app: the migration before the move, that of the move, and the name of the Move in it."""

FILL = (
    """
    INSERT INTO auth_user (password, is_superuser, username, first_name, last_name, email,
                           is_staff, is_active, date_joined)
    SELECT '', false, 'user' || n, '', '', '', false, true, now() FROM generate_series(1, %(profiles)s) n
    """,
    """
    INSERT INTO portal_profile (user_id, name, username, email, organization)
    SELECT id, 'Name ' || id, username, username || '@example.com', 'Farm ' || id %% 500 FROM auth_user
    """,
    """
    INSERT INTO portal_printer (profile_id, ip_address, api_key, ping, printing)
    SELECT 1 + n::bigint * 7919 %% %(profiles)s,
           '10.' || n %% 250 || '.' || n / 250 %% 250 || '.' || n %% 254,
           md5(n::text), n %% 3 = 0, n %% 5 = 0
      FROM generate_series(1, %(printers)s) n
    """,
)

Figures = dict[str, float]


# ----- databases


def use(name: str) -> None:
    connections.close_all()
    connection.settings_dict["NAME"] = name


def on_server(statement: str) -> None:
    use("postgres")
    with connection.cursor() as cursor:
        cursor.execute(statement)
    connections.close_all()


def run(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def make_base(rows: int, name: str = BASE) -> None:
    """The monolith with `rows` printers and a tenth as many profiles, and the new apps' empty tables."""
    drop(name)
    on_server(f"CREATE DATABASE {name}")
    use(name)
    for app, migration in [("portal", None), *FIRST]:
        call_command("migrate", app, *filter(None, [migration]), verbosity=0)
    sizes = {"printers": rows, "profiles": max(rows // 10, 1)}
    with connection.cursor() as cursor:
        for statement in FILL:
            cursor.execute(statement, sizes)
    run("VACUUM ANALYZE")
    connections.close_all()


def fresh_copy(name: str, template: str = BASE) -> None:
    drop(name)
    on_server(f"CREATE DATABASE {name} TEMPLATE {template}")
    # What the copy left to write would be charged to whoever comes next.
    use(name)
    run("CHECKPOINT")
    connections.close_all()


def drop(name: str) -> None:
    on_server(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextmanager
def copied(name: str, template: str = BASE) -> Iterator[str]:
    """A copy of the filled database that is gone afterwards."""
    fresh_copy(name, template)
    try:
        yield name
    finally:
        drop(name)


# ----- moves


def forward(*apps: str) -> None:
    for app in apps or MOVES:
        call_command("migrate", app, MOVES[app][1], verbosity=0)


def backward() -> None:
    for app in reversed(MOVES):
        call_command("migrate", app, MOVES[app][0], verbosity=0)


def declare(**attributes: Any) -> None:
    """Give the project's own moves other attributes, in this process."""
    for app, (_, number, name) in MOVES.items():
        folder = ROOT / app / "migrations"
        [path] = folder.glob(f"{number}_*.py")
        move = getattr(importlib.import_module(f"{app}.migrations.{path.stem}"), name)
        for attribute, value in attributes.items():
            assert hasattr(move, attribute)  # noqa: S101
            setattr(move, attribute, value)


# ----- measuring


def child(way: Callable[[], None], database: str) -> None:
    """Run one way in this process, which has done nothing else, and print what it took as JSON."""
    use(database)
    run("SELECT 1")
    started = time.perf_counter()
    way()
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "peak_mb": peak_mb()}))


def peak_mb() -> float:
    """The most memory that this process has had."""
    status = Path("/proc/self/status")
    if status.exists():
        # getrusage would count that of the process which started this one.
        [peak] = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(peak) / 1024
    peak_rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak_rss / (1024 * 1024 if sys.platform == "darwin" else 1024)


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, script, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen[str]) -> Any:
    """What a process that has succeeded printed in its last line."""
    out, err = process.communicate()
    if process.returncode:
        sys.exit(f"{' '.join(map(str, process.args))} failed:\n{out}{err}")  # type: ignore[arg-type]
    return json.loads(out.strip().splitlines()[-1])


def measure(script: str, way: str, database: str) -> Figures:
    figures: Figures = finish(start(script, "--child", way, "--database", database))
    print(f"  {way:22} {figures['seconds']:9.2f} s   peak {figures['peak_mb']:5.0f} MB", flush=True)
    return figures


def report(lines: list[tuple[str, float, str]]) -> None:
    print()
    for name, value, goal in lines:
        print(f"{name:60} {value:9.2f}   (goal {goal})")


def show_machine() -> None:
    print(f"{os.cpu_count()} processors, load {', '.join(f'{load:.1f}' for load in os.getloadavg())}", flush=True)
