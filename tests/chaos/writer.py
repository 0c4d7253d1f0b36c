"""A program that writes to both sides at random, in a process of its own: python -m tests.chaos.writer CONFIGURATION

It says "ready" when it has made as many operations as it was asked for, goes on until its standard input ends, and
then prints what it committed: one line of JSON with its writes, how many operations they came from, and what was
refused. Any refusal that a farm would not expect ends it.
"""

import collections
import contextlib
import dataclasses
import itertools
import json
import random
import sys
import threading
import time
from typing import Any

import psycopg

from tests.chaos import statements
from tests.chaos.journal import Write
from tests.chaos.statements import HOT, PRINTERS, PROFILES, SIDES, write_of
from tests.waiting import LIMIT_S

LEVELS = ["READ COMMITTED"] * 6 + ["REPEATABLE READ", "SERIALIZABLE"]
FENCED = "55000"
KEYLESS = "42P10"
"""Of an ON CONFLICT: the primary key of a target that is not in use is put away."""
REFUSALS = {
    "40P01": "deadlock",
    "40001": "serialization",
    "23503": "no such profile",
    "23505": "key taken",
    FENCED: "fenced",
}
PATIENCE = 30
"""Transactions for which a writer keeps to the old side after the new one was fenced."""

Script = list[tuple[str, dict[str, Any]]]


@dataclasses.dataclass
class Configuration:
    number: int
    seed: int
    quota: int
    """Operations after which it is ready."""
    conninfo: str
    marked: bool = False
    """Whether each transaction leaves a mark, by which it is known whether it committed when the answer is lost."""


class Writer:
    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.random = random.Random(configuration.seed)  # noqa: S311
        self.births = itertools.count(configuration.number * 10**8, 10)
        self.marks = itertools.count(configuration.number * 10**8)
        self.writes: list[Write] = []
        self.operations = 0
        self.refusals: collections.Counter[str] = collections.Counter()
        self.wary = 0
        self.connection = self.connect()

    def connect(self) -> "psycopg.Connection[Any]":
        """Again and again, for the server may be starting."""
        deadline = time.monotonic() + LIMIT_S
        while True:
            try:
                connection = psycopg.connect(self.configuration.conninfo, autocommit=True)
                connection.execute("SET deadlock_timeout = '10ms'")
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return connection

    def work(self, stopped: threading.Event) -> None:
        while not stopped.is_set():
            before, self.operations = self.operations, self.operations + self.transact()
            if before < self.configuration.quota <= self.operations:
                print("ready", flush=True)  # noqa: T201

    def transact(self) -> int:
        """One transaction; returns how many operations it committed, and logs what they wrote."""
        mark = next(self.marks)
        try:
            operations, writes = self.alone() if self.is_plain() else self.together(mark)
        except psycopg.Error as error:
            if self.connection.closed:
                return self.recover(mark)
            # Inside a trigger nothing may be missing.
            state = FENCED if error.sqlstate == KEYLESS and not error.diag.context else error.sqlstate
            self.refusals[REFUSALS[state or ""]] += 1
            self.wary = PATIENCE if state == FENCED else self.wary
            return 0
        # A connection that is lost in a rollback, be it to a savepoint, raises nothing, nor does the end of its block.
        if self.connection.closed:
            return self.recover(mark)
        self.wary -= 1
        self.writes += writes
        return operations

    def is_plain(self) -> bool:
        return not self.configuration.marked and self.random.random() < 0.6

    def alone(self) -> tuple[int, list[Write]]:
        """A statement that is its own transaction, as most are."""
        writes = self.play([self.statement()])
        return bool(writes), writes

    def together(self, mark: int) -> tuple[int, list[Write]]:
        """Several scripts in one transaction, each in a savepoint or not; some of it may be rolled back."""
        self.pending: tuple[int, list[Write]] = (0, [])
        operations, writes = 0, []
        with self.connection.transaction(force_rollback=self.random.random() < 0.1) as transaction:
            self.connection.execute(f"SET TRANSACTION ISOLATION LEVEL {self.random.choice(LEVELS)}")
            if self.configuration.marked:
                self.connection.execute("INSERT INTO chaos_mark VALUES (%s)", [mark])
            for _ in range(self.random.choice([1, 1, 2, 3])):
                script = self.random.choices([[self.statement()], self.reborn(), self.cascade()], [8, 2, 1])[0]
                undone = self.random.random() < 0.1
                with (
                    self.connection.transaction(force_rollback=undone)
                    if undone or self.random.random() < 0.3
                    else contextlib.nullcontext()
                ):
                    written = self.play(script)
                if written and not undone:
                    operations, writes = operations + 1, writes + written
            if not transaction.force_rollback:
                self.pending = operations, writes
        return self.pending

    def recover(self, mark: int) -> int:
        """The connection was lost, and nobody has said whether the last transaction committed: its mark says it."""
        self.refusals["connection lost"] += 1
        self.connection = self.connect()
        if not self.connection.execute("SELECT FROM chaos_mark WHERE mark = %s", [mark]).rowcount:
            return 0
        self.refusals["committed without an answer"] += 1
        operations, writes = self.pending
        self.writes += writes
        return operations

    # ----- what it does

    def play(self, script: Script) -> list[Write]:
        """The writes that the statements of a script returned, and those that a cascade made."""
        found = [self.connection.execute(text, values).fetchall() for text, values in script]
        if len(script) == len(statements.CASCADE):
            _, printers, gone = found
            found = [gone, [(*row[:2], row[2] + 1, None, None) for row in printers] if gone else []]
        return [write_of(row) for rows in found for row in rows if row[1] is not None]

    def statement(self) -> tuple[str, dict[str, Any]]:
        groups = [statements.UPDATES, statements.BIRTHS, statements.DEATHS, [statements.DRAWN]]
        (group,) = self.random.choices(groups, [10, 4, 3, 1])
        return self.fill(self.random.choice(group))

    def reborn(self) -> Script:
        values, side = self.values(), self.side()
        return [self.fill(text, values, side) for text in statements.REBORN]

    def cascade(self) -> Script:
        values, side = self.values(), self.side()
        return [self.fill(text, values, side) for text in statements.CASCADE]

    def fill(
        self, text: str, values: dict[str, Any] | None = None, side: str | None = None
    ) -> tuple[str, dict[str, Any]]:
        printers, profiles = SIDES[side or self.side()]
        return text.format(t=printers, p=profiles), values or self.values()

    def side(self) -> str:
        return "old" if self.wary > 0 else self.random.choice(["old", "new"])

    def values(self) -> dict[str, Any]:
        keys = range(1, HOT if self.random.random() < 0.3 else PRINTERS)
        key, other = self.random.sample(keys, 2)
        return {
            "key": key,
            "other": other,
            "owner": self.random.randint(1, PROFILES),
            "born": next(self.births),
        }


def main() -> None:
    stopped = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stopped.set()), daemon=True).start()
    writer = Writer(Configuration(**json.loads(sys.argv[1])))
    writer.work(stopped)
    report = {
        "writes": [dataclasses.astuple(write) for write in writer.writes],
        "operations": writer.operations,
        "refusals": writer.refusals,
    }
    print(json.dumps(report))  # noqa: T201


if __name__ == "__main__":
    main()
