#!/usr/bin/env python
"""Measures what a move costs those who go on writing: while it is under way, and once both tables live.

The figures are ratios within one run: the same writers before and during the online move, and updates of a table
in a move and of its twin in none, in blocks that take turns.
"""

import argparse
import itertools
import json
import random
import statistics
import subprocess
import threading
import time
import uuid
from typing import Any

import benching
import psycopg
from benching import Figures, copied
from django.db import connection

WRITERS = 4
BEFORE_S = 20
"""How long the writers are measured before the move."""
WARM_UP_S = 3
BLOCKS, UPDATES = 31, 2_000
KEPT = 20
"""Rows of its own that a writer has before it deletes one."""


def connect(database: str, synchronous_commit: str = "on") -> "psycopg.Connection[Any]":
    benching.use(database)
    parameters = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    opened = psycopg.connect(**{name: parameters[name] for name in names if parameters.get(name)}, autocommit=True)
    opened.execute(f"SET synchronous_commit = {synchronous_commit}")
    return opened


# ----- writers beside an online move


def write(database: str, rows: int) -> None:
    """In a process of its own: single-row transactions until somebody writes a line to us; prints when each began,
    and how long it took.
    """
    stopped = threading.Event()
    threading.Thread(target=lambda: (input(), stopped.set()), daemon=True).start()
    own: list[int] = []
    taken = []
    with connect(database) as client:
        while not stopped.is_set():
            began = time.monotonic()
            write_once(client, rows, own)
            taken.append((began, time.monotonic() - began))
    print(json.dumps(taken))


def write_once(client: "psycopg.Connection[Any]", rows: int, own: list[int]) -> None:
    """Seven updates, two inserts and a delete of ten, and more deletes where many rows have been inserted."""
    choice = random.random()  # noqa: S311
    if choice < 0.7:
        key = random.randint(1, rows)  # noqa: S311
        client.execute("UPDATE portal_printer SET ping = NOT ping WHERE id = %s", [key])
    elif choice < 0.9 and len(own) < KEPT or not own:
        born = client.execute(
            "INSERT INTO portal_printer (profile_id, ip_address, api_key, ping, printing)"
            " VALUES (1, '192.0.2.1', %s, true, false) RETURNING id",
            [uuid.uuid4().hex],
        ).fetchone()
        own += born or []
    else:
        client.execute("DELETE FROM portal_printer WHERE id = %s", [own.pop()])


def measure_writers(rows: int) -> list[tuple[str, float, str]]:
    with copied("bench_writers") as name:
        benching.use(name)
        benching.forward("accounts")
        arguments = ["--writer", "--rows", str(rows), "--database", name]
        writers = [
            subprocess.Popen(
                [benching.sys.executable, __file__, *arguments],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for _ in range(WRITERS)
        ]  # fmt: skip
        time.sleep(WARM_UP_S)
        began = time.monotonic()
        time.sleep(BEFORE_S)
        moves = time.monotonic()
        benching.measure(__file__, "online", name)
        ended = time.monotonic()
        taken = list(itertools.chain(*(json.loads(writer.communicate("\n")[0]) for writer in writers)))
    before = describe("without a move", taken, began, moves)
    during = describe("during an online move", taken, moves, ended)
    return [
        ("4 writers during an online move: p99 / without", during["p99"] / before["p99"], "<= 2"),
        ("4 writers during an online move: throughput / without", during["rate"] / before["rate"], ">= 0.6"),
        ("4 writers during an online move: longest wait, ms", during["max"], "< 300"),
    ]


def describe(label: str, taken: list[tuple[float, float]], began: float, ended: float) -> Figures:
    """Of the writes that ended between two moments."""
    milliseconds = sorted(1000 * seconds for moment, seconds in taken if began <= moment + seconds < ended)
    found = {f"p{p}": milliseconds[int(len(milliseconds) * p / 100)] for p in (50, 95, 99, 99.9)}
    found |= {"max": milliseconds[-1], "rate": len(milliseconds) / (ended - began)}
    shown = ", ".join(f"{name} {value:.2f}" for name, value in found.items() if name != "rate")
    print(f"  {label:22} {found['rate']:7.0f} writes/s; ms: {shown}", flush=True)
    return found


def online() -> None:
    benching.os.environ["REHOME_ONLINE"] = "1"
    benching.forward("printers")


# ----- both tables live


def measure_sync(rows: int) -> list[tuple[str, float, str]]:
    """Updates through each side, against the monolith's table in a database that has not moved."""
    lines = []
    with copied("bench_alone") as alone, copied("bench_moved") as moved:
        benching.use(moved)
        benching.forward()
        for setting, (table, code) in itertools.product(
            ("off", "on"), (("portal_printer", "old"), ("printers_printer", "new"))
        ):
            ratio = compare_updates(alone, moved, table, rows, setting)
            label = f"updates/s by {code} code in both tables / in one, synchronous_commit {setting}"
            lines.append((label, ratio, ">= 0.65"))
    return lines


def compare_updates(alone: str, moved: str, table: str, rows: int, synchronous_commit: str) -> float:
    """The median of blocks that take turns, so that whatever else the machine does meets both alike."""
    ratios = []
    with connect(alone, synchronous_commit) as one, connect(moved, synchronous_commit) as both:
        for _ in range(BLOCKS):
            rate = update(one, "portal_printer", rows)
            ratios.append((update(both, table, rows) / rate, rate))
    ratio, rate = statistics.median(ratio for ratio, _ in ratios), statistics.median(rate for _, rate in ratios)
    print(
        f"  {table:22} {rate:7.0f} updates/s alone, x {ratio:.2f}; synchronous_commit {synchronous_commit}", flush=True
    )
    return ratio


def update(client: "psycopg.Connection[Any]", table: str, rows: int) -> float:
    """Updates a second of single rows, each in a transaction of its own."""
    statement = f"UPDATE {table} SET ping = NOT ping WHERE id = %s"  # noqa: S608
    began = time.perf_counter()
    for _ in range(UPDATES):
        client.execute(statement, [random.randint(1, rows)])  # noqa: S311
    return UPDATES / (time.perf_counter() - began)


def main(rows: int) -> None:
    print(f"Filling {rows:,} printers and {rows // 10:,} profiles ...", flush=True)
    benching.make_base(rows)
    lines = [*measure_writers(rows), *measure_sync(rows)]
    benching.drop(benching.BASE)
    benching.report(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000_000, help="printers (default 5000000)")
    parser.add_argument("--writer", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--child", choices=["online"], help=argparse.SUPPRESS)
    parser.add_argument("--database", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.writer:
        write(options.database, options.rows)
    elif options.child:
        benching.child(online, options.database)
    else:
        benching.show_machine()
        main(options.rows)
