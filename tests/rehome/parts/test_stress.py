"""Old and new code write to the same rows at random while the move goes back and forth; their logs are the oracle."""

import collections
import dataclasses
import itertools
import random
import secrets
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from django.db import models

from rehome import Move
from tests.rehome.support.clients import connect
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Thing")
KEYS = 60
WRITES = 4000
ROUNDS = 4
LONGEST_S = 20
"""Then the writers stop, however many writes they have made."""
REFUSALS = {"40P01": "deadlock", "40001": "serialization", "23505": "key taken", "55000": "fenced"}
LEVELS = ["READ COMMITTED"] * 6 + ["REPEATABLE READ", "SERIALIZABLE"]


@dataclasses.dataclass(frozen=True)
class Write:
    """One row as a committed transaction left it. `born` is the row's own, whatever its key; each write of the row
    counts its version up by one, and the last may delete it.
    """

    born: int
    version: int
    key: int | None
    token: str


class Farm:
    """What the writers share: what they committed, and whether new code may write."""

    def __init__(self) -> None:
        self.log: list[Write] = []
        self.refusals: collections.Counter[str] = collections.Counter()
        self.births = itertools.count(1)
        self.changed = threading.Condition()
        self.live = threading.Event()
        self.stopped = threading.Event()
        self.deadline = time.monotonic() + LONGEST_S

    def commit(self, writes: list[Write]) -> None:
        with self.changed:
            self.log += writes
            self.changed.notify_all()

    def await_writes(self, number: int) -> None:
        with self.changed:
            self.changed.wait_for(lambda: len(self.log) >= number, timeout=max(0, self.deadline - time.monotonic()))


# Each returns the row's identity, its version, and its key, which is null when it was deleted.
STATEMENTS = [
    """UPDATE {t} SET version = version + 1, token = %(token)s WHERE id = %(key)s RETURNING born, version, id""",
    """UPDATE {t} SET version = version + 1, token = %(token)s WHERE id BETWEEN %(key)s AND %(key)s + 3
       RETURNING born, version, id""",
    """UPDATE {t} SET version = version + 1, token = %(token)s, id = %(other)s WHERE id = %(key)s
       RETURNING born, version, id""",
    """DELETE FROM {t} WHERE id = %(key)s RETURNING born, version + 1, NULL""",
    """INSERT INTO {t} (id, born, version, token) VALUES (%(key)s, %(born)s, 0, %(token)s)
       ON CONFLICT (id) DO NOTHING RETURNING born, version, id""",
    """INSERT INTO {t} (id, born, version, token) VALUES (%(key)s, %(born)s, 0, %(token)s)
       ON CONFLICT (id) DO UPDATE SET version = {t}.version + 1, token = excluded.token RETURNING born, version, id""",
    """WITH gone AS (DELETE FROM {t} WHERE id = %(key)s RETURNING *)
       INSERT INTO {t} (id, born, version, token) SELECT id, born, version + 1, %(token)s FROM gone
       RETURNING born, version, id""",
]


class Writer(threading.Thread):
    """Runs random transactions on one table, and logs what it committed."""

    statements = STATEMENTS

    def __init__(self, farm: Farm, lab: Lab, table: str, seed: int) -> None:
        super().__init__(name=f"{table} {seed}")
        self.farm = farm
        self.table = table
        self.random = random.Random(seed)  # noqa: S311
        self.connection = connect(lab)
        # A writer looks for a deadlock once in each wait: late enough to see one with the move, which has one table by
        # then and waits for the other, and well before the move gives up its try.
        self.connection.execute("SET deadlock_timeout = '50ms'")
        self.numbers = itertools.count()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.farm.stopped.is_set():
                self.transact()
        except psycopg.Error as error:
            self.error = error
        finally:
            self.connection.close()

    def transact(self) -> None:
        writes: list[Write] = []
        try:
            with self.connection.transaction(force_rollback=self.random.random() < 0.1) as transaction:
                self.connection.execute(f"SET TRANSACTION ISOLATION LEVEL {self.random.choice(LEVELS)}")
                for _ in range(self.random.choice([1, 1, 1, 2, 3])):
                    with self.connection.transaction(force_rollback=self.random.random() < 0.1) as savepoint:
                        written = list(self.write())
                    writes += [] if savepoint.force_rollback else written
        except psycopg.Error as error:
            self.farm.refusals[REFUSALS[error.sqlstate or ""]] += 1
            if error.sqlstate == "55000":
                self.farm.live.wait(timeout=1)
        else:
            self.farm.commit([] if transaction.force_rollback else writes)

    def write(self) -> Iterator[Write]:
        key, other = self.random.sample(range(KEYS), 2)
        token = f"{self.name}: {next(self.numbers)}"
        row = {"key": key, "other": other, "token": token, "born": next(self.farm.births)}
        statement = self.random.choice(self.statements).format(t=self.table)
        for born, version, at in self.connection.execute(statement, row).fetchall():
            yield Write(born, version, at, token)


def rows_of(log: list[Write]) -> dict[int, tuple[int, int, str]]:
    """The rows that the log says there are; no write of it may be missing or be there twice."""
    lives: dict[int, list[Write]] = collections.defaultdict(list)
    for write in log:
        lives[write.born].append(write)
    rows = {}
    for born, writes in lives.items():
        writes.sort(key=lambda write: write.version)
        assert [write.version for write in writes] == list(range(len(writes))), f"a write to row {born} was lost"
        assert all(write.key is not None for write in writes[:-1]), f"row {born} came back"
        if (last := writes[-1]).key is not None:
            assert last.key not in rows
            rows[last.key] = (born, last.version, last.token)
    return rows


@pytest.mark.long
def test_what_the_writers_committed_is_there_and_nothing_else(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    # Writers who keep both tables busy without a pause may be in the way of both locks for longer than usual.
    monkeypatch.setenv("REHOME_LOCK_TRIES", "300")
    lab.twins(
        lambda app: {"born": models.IntegerField(), "version": models.IntegerField(), "token": models.TextField()}
    )
    farm = Farm()
    seeds = [secrets.randbelow(10**6) for _ in range(4)]
    print(f"seeds: {seeds}")  # noqa: T201
    writers = [
        Writer(farm, lab, table, seed)
        for table, seed in zip(["old_thing", "old_thing", "new_thing", "new_thing"], seeds, strict=True)
    ]
    lab.forward(MOVE)
    farm.live.set()
    for writer in writers:
        writer.start()
    try:
        for number in range(ROUNDS):
            farm.await_writes((number + 1) * WRITES // (ROUNDS + 1))
            farm.live.clear()
            lab.back(MOVE)
            farm.await_writes(len(farm.log) + WRITES // 20)
            lab.forward(MOVE)
            farm.live.set()
        farm.await_writes(WRITES)
    finally:
        farm.stopped.set()
        farm.live.set()
        for writer in writers:
            writer.join()
    print(f"{len(farm.log)} writes, {dict(farm.refusals)}")  # noqa: T201

    assert [writer.error for writer in writers] == [None] * 4
    expected = rows_of(farm.log)
    for table in ("old_thing", "new_thing"):
        found = lab.sql(f"SELECT id, born, version, token FROM {table}")
        assert {key: tuple(row) for key, *row in found} == expected
    report = lab.verify(MOVE)
    assert (report.comparison.equal, report.sync) == (True, "installed")
