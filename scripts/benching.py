"""What the benchmarks share: copies of a database, each way in a process of its own, the table, the command line."""

import argparse
import dataclasses
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "core.settings")
os.environ["DEBUG"] = "false"  # With it Django keeps the statements.

import django  # noqa: E402
from django.core.exceptions import ImproperlyConfigured  # noqa: E402

try:
    django.setup()
except ImproperlyConfigured as error:
    sys.exit(str(error))

from django.core.management import CommandError  # noqa: E402
from django.db import DatabaseError, connection, connections  # noqa: E402

from scripts import scratch  # noqa: E402

LEAST = 10
"""Rows, for some are measured with a tenth of them."""
ENOUGH = 200_000
"""Rows from which on measurements take the time that they need. With fewer they show that the scripts work."""


@dataclasses.dataclass(frozen=True)
class Figures:
    """What one way took for so many rows."""

    seconds: float
    peak_mb: float
    rows: int

    @property
    def rate(self) -> float:
        return self.rows / self.seconds


@dataclasses.dataclass(frozen=True)
class Line:
    """Of a script's table, which docs/benchmarks.md has under the same label."""

    label: str
    goal: str
    figure: Callable[[Any], float]


# ----- databases


def run(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@contextmanager
def copied(purpose: str, template: str) -> Iterator[str]:
    """A copy of a filled database that is gone afterwards."""
    with scratch.made(purpose, template=template) as name:
        # What the copy left to write would be charged to whoever comes next.
        scratch.use(name)
        run("CHECKPOINT")
        connections.close_all()
        yield name


# ----- measuring


def child(way: Callable[[], None], database: str) -> None:
    """Run one way in this process, which has done nothing else, and print what it took as JSON."""
    scratch.use(database)
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
        [sys.executable, script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], what: str) -> Any:
    """Close its input and return what it printed in its last line. Raises CommandError when it failed."""
    out, err = process.communicate()
    if process.returncode:
        raise CommandError(f"{what} failed: {' '.join(err.splitlines()[-1:])}")
    return json.loads(out.splitlines()[-1])


def measure(script: str, way: str, database: str, rows: int) -> Figures:
    found = finish(start(script, "--child", way, "--database", database), way)
    figures = Figures(**found, rows=rows)
    print(f"  {way:22} {figures.seconds:9.2f} s   peak {figures.peak_mb:5.0f} MB", flush=True)
    return figures


def report(table: tuple[Line, ...], measured: Mapping[str, Any]) -> None:
    print()
    for line in table:
        print(f"{line.label:60} {line.figure(measured):9.2f}   (goal {line.goal})")


# ----- the command line


def number_of_rows(text: str) -> int:
    if not text.isdecimal() or int(text) < LEAST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of rows; give {LEAST} or more.")
    return int(text)


def parser(description: str, ways: Mapping[str, Callable[[], None]], *, rows: int, of: str) -> argparse.ArgumentParser:
    """The same options for each script, so that `make bench` can pass them on to all."""
    made = argparse.ArgumentParser(description=description.splitlines()[0])
    made.add_argument("--rows", type=number_of_rows, default=rows, help=f"{of} (default {rows})")
    made.add_argument("--child", choices=ways, help=argparse.SUPPRESS)
    made.add_argument("--database", help=argparse.SUPPRESS)
    return made


@contextmanager
def one_sentence() -> Iterator[None]:
    """What a person can do something about ends the script with a sentence, on one line."""
    try:
        yield
    except (CommandError, DatabaseError) as error:
        sys.exit(" ".join(str(error).split()))
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        sys.exit(130)


def introduce(rows: int) -> None:
    print(f"{os.cpu_count()} processors, load {', '.join(f'{load:.1f}' for load in os.getloadavg())}", flush=True)
    if rows < ENOUGH:
        print(f"With fewer than {ENOUGH:,} rows all is measured briefly, and the figures say little.", flush=True)
