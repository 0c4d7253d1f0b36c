#!/usr/bin/env python
"""Measures what a move costs those who go on writing: while it is under way, and once both tables live.

The figures are ratios within one run: the same writers before and during the online move, and updates of a table
in a move and of its twin in none, in blocks that take turns.
"""

import argparse
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from django.core.management import CommandError
from django.db import connection

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import benching, farm, scratch  # noqa: E402
from scripts.benching import Line, copied  # noqa: E402

WRITERS = 4
BEFORE_S = 20
"""How long the writers are measured before the move."""
WARM_UP_S = 3
BLOCKS, UPDATES = 31, 2_000
PLACES = {"old": "portal_printer", "new": "printers_printer"}
"""Which table the code before and after the move writes to."""
WITHOUT, DURING = "without a move", "during an online move"
HOT_BLOCKS, HOT_UPDATES = 5, 500
DEADLOCK_TIMEOUT_MS = 1000
"""PostgreSQL's own default."""
KEPT = 20
"""Rows of its own that a writer has before it deletes one."""

TABLE = (
    Line("p99 during / without", "<= 2", lambda of: of[DURING]["p99"] / of[WITHOUT]["p99"]),
    Line("throughput during / without", ">= 0.6", lambda of: of[DURING]["rate"] / of[WITHOUT]["rate"]),
    Line("longest wait, ms", "< 300", lambda of: of[DURING]["max"]),
    *(
        Line(
            f"{code} code, synchronous_commit {setting}",
            ">= 0.65",
            lambda of, code=code, setting=setting: of["updates"][code, setting],
        )
        for setting, code in itertools.product(("off", "on"), PLACES)
    ),
    Line("one hot row, through both names / through one table", "none", lambda of: of["hot"]["rate"]),
    Line("one hot row, deadlocks for 100 updates through both names", "none", lambda of: of["hot"]["deadlocks"]),
)


def connect(database: str, synchronous_commit: str = "on") -> "psycopg.Connection[Any]":
    scratch.use(database)
    parameters = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    opened = psycopg.connect(**{name: parameters[name] for name in names if parameters.get(name)}, autocommit=True)
    opened.execute(f"SET synchronous_commit = {synchronous_commit}")
    return opened


# ----- writers beside an online move


def write(database: str, rows: int) -> None:
    """In a process of its own: single-row transactions until its input is closed; prints when each began, and how
    long it took.
    """
    stopped = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stopped.set()), daemon=True).start()
    own: list[int] = []
    taken = []
    with connect(database) as client:
        write_once(client, rows, own)
        print("ready", flush=True)
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


def measure_writers(base: str, rows: int) -> dict[str, Any]:
    share = min(1, rows / benching.ENOUGH)
    with copied("bench_writers", base) as name:
        scratch.use(name)
        farm.forward("accounts")
        with writing(name, rows) as writers:
            # They write for so long, and the rate is what is measured.
            time.sleep(WARM_UP_S * share)
            began = time.monotonic()
            time.sleep(max(BEFORE_S * share, 1))
            moves = time.monotonic()
            benching.measure(__file__, "online", name, rows)
            ended = time.monotonic()
            taken = list(itertools.chain(*(benching.finish(writer, "a writer") for writer in writers)))
    return {WITHOUT: describe(WITHOUT, taken, began, moves), DURING: describe(DURING, taken, moves, ended)}


@contextmanager
def writing(database: str, rows: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Writers that have all begun; they end with the block, however it ends."""
    arguments = ["--writer", "--rows", str(rows), "--database", database]
    with ExitStack() as stack:
        writers = [stack.enter_context(benching.start(__file__, *arguments)) for _ in range(WRITERS)]
        for writer in writers:
            if writer.stdout and writer.stdout.readline() != "ready\n":
                benching.finish(writer, "a writer")
        yield writers


def describe(label: str, taken: list[tuple[float, float]], began: float, ended: float) -> dict[str, float]:
    """Of the writes that ended between two moments."""
    milliseconds = sorted(1000 * seconds for moment, seconds in taken if began <= moment + seconds < ended)
    if not milliseconds:
        raise CommandError(f"No write ended {label}, in {ended - began:.1f} s; give more --rows for a longer run.")
    found = {f"p{p}": milliseconds[int(len(milliseconds) * p / 100)] for p in (50, 95, 99, 99.9)}
    found |= {"max": milliseconds[-1], "rate": len(milliseconds) / (ended - began)}
    shown = ", ".join(f"{name} {value:.2f}" for name, value in found.items() if name != "rate")
    print(f"  {label:22} {found['rate']:7.0f} writes/s; ms: {shown}", flush=True)
    return found


def online() -> None:
    os.environ["REHOME_ONLINE"] = "1"
    farm.forward("printers")


# ----- both tables live


def measure_sync(base: str, rows: int) -> dict[str, Any]:
    """Updates through each side, against the monolith's table in a database that has not moved."""
    with copied("bench_alone", base) as alone, copied("bench_moved", base) as moved:
        scratch.use(moved)
        farm.forward()
        ratios = {
            (code, setting): compare_updates(alone, moved, PLACES[code], rows, setting)
            for setting, code in itertools.product(("off", "on"), PLACES)
        }
        hot = compare_hot(alone, moved, rows)
    return {"updates": ratios, "hot": hot}


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
    number = min(UPDATES, 1 + UPDATES * rows // benching.ENOUGH)
    began = time.perf_counter()
    for _ in range(number):
        client.execute(statement, [random.randint(1, rows)])  # noqa: S311
    return number / (time.perf_counter() - began)


# ----- one row that everybody updates


def compare_hot(alone: str, moved: str, rows: int) -> dict[str, float]:
    """As many workers as writers, all of the old code, or half of them of the new, in blocks that take turns."""
    before, beside = ["portal_printer"] * WRITERS, list(PLACES.values()) * (WRITERS // len(PLACES))
    rates, met = [], []
    for _ in range(1 if rows < benching.ENOUGH else HOT_BLOCKS):
        rate, _ = update_hot(alone, before, rows)
        both, deadlocks = update_hot(moved, beside, rows)
        rates.append(both / rate)
        met.append(deadlocks)
        print(f"  one hot row: {rate:7.0f} updates/s through one table, {both:7.0f} through both", flush=True)
    return {"rate": statistics.median(rates), "deadlocks": statistics.median(met)}


def update_hot(database: str, tables: list[str], rows: int) -> tuple[float, float]:
    """Updates a second of all workers together, and how many deadlocks came to a hundred of them."""
    number = min(HOT_UPDATES, 1 + HOT_UPDATES * rows // benching.ENOUGH)
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(database)) for _ in tables]
        for client in clients:  # One that finds a deadlock has waited for so long.
            client.execute(f"SET deadlock_timeout = '{DEADLOCK_TIMEOUT_MS}ms'")
        began = time.perf_counter()
        with ThreadPoolExecutor(len(tables)) as pool:
            deadlocks = sum(pool.map(count_up, clients, tables, itertools.repeat(number)))
        seconds = time.perf_counter() - began
    return number * len(tables) / seconds, 100 * deadlocks / (number * len(tables))


def count_up(client: "psycopg.Connection[Any]", table: str, number: int) -> int:
    """Change one row so many times, each in a transaction that is tried until it succeeds; returns the deadlocks."""
    deadlocks = done = 0
    while done < number:
        try:
            client.execute(f"UPDATE {table} SET ping = NOT ping WHERE id = 1")  # noqa: S608
            done += 1
        except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
            deadlocks += 1
    return deadlocks


WAYS = {"online": online}


def main(rows: int) -> None:
    benching.introduce(rows)
    print(f"Filling {rows:,} printers and {rows // 10:,} profiles ...", flush=True)
    with farm.filled("bench_base", rows) as base:
        print("Measuring, on copies of it:", flush=True)
        measured = measure_writers(base, rows) | measure_sync(base, rows)
    benching.report(TABLE, measured)


if __name__ == "__main__":
    parser = benching.parser(__doc__, WAYS, rows=5_000_000, of="printers; a tenth as many profiles")
    parser.add_argument("--writer", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    with benching.one_sentence():
        if options.writer:
            write(options.database, options.rows)
        elif options.child:
            benching.child(WAYS[options.child], options.database)
        else:
            main(options.rows)
