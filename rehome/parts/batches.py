"""Copies a table in batches of heap blocks beside live writers.

Every change that was made after the sync trigger went in is carried by the trigger, wherever the row lies. So each
block is read once, in order, and what the trigger has carried already is left alone. This stops being sound when
the table is rewritten, so the checkpoint keeps the file that its blocks are counted in.
"""

import collections
import dataclasses
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

from rehome.parts import rows
from rehome.plan.plan import TablePair
from rehome.plan.record import Checkpoint
from rehome.postgres import sql
from rehome.postgres.session import Session

TARGET_SECONDS = 0.15
"""How long a batch should take: a session that waits for one of its rows waits no longer."""
BESIDE_WRITERS_SECONDS = 0.03
"""The same while others write: whoever commits waits until the log of the batch before him is on the disk, too."""
LONGEST_MS = 250
"""A batch that has not ended by then is undone, and tried again with fewer blocks."""
LOCK_TIMEOUT_MS = 50
"""How long a batch waits for a row that a writer holds, while other writers may be waiting for the batch."""
FIRST_BLOCKS = 64
MOST_BLOCKS = 16_384
SHARE = 200
"""A batch is at most this part of the table: a writer seldom meets a row that is being copied."""
LARGE_BLOCKS = 50
"""From this size on a row is always looked up by its key."""
SAMPLES = 10
LARGEST_GROWTH = 1.5


class BatchSize:
    """Blocks a batch: after ten batches scaled by target / median, up to 1.5 times; too long a batch divides it by ten.

    The rule is that of block/spirit, which takes the ninth longest. On a busy server that one has waited for the
    processor, which fewer blocks would not change.
    """

    def __init__(self, table_blocks: int) -> None:
        self.most = max(1, min(MOST_BLOCKS, table_blocks // SHARE))
        self.blocks = min(FIRST_BLOCKS, self.most)
        self.seconds: collections.deque[float] = collections.deque(maxlen=SAMPLES)
        self.target = TARGET_SECONDS

    def record(self, seconds: float) -> None:
        self.seconds.append(seconds)
        if len(self.seconds) == SAMPLES:
            median = statistics.median(self.seconds)
            self.resize(min(LARGEST_GROWTH, self.target / max(median, 0.001)))

    def aim(self, target: float) -> None:
        """How long a batch should take from now on."""
        if target < self.target:
            self.resize(target / self.target)
        self.target = target

    def shrink(self) -> None:
        self.resize(0.1)

    def resize(self, factor: float) -> None:
        self.blocks = max(1, min(self.most, int(self.blocks * factor)))
        self.seconds.clear()


class Rewritten(Exception):  # noqa: N818
    """The table was rewritten while its blocks were copied; the batch is undone."""


def start(session: Session, pair: TablePair) -> Checkpoint:
    """Where the copy of a pair begins; valid only once the sync trigger is in."""
    ((filenode, blocks),) = session.rows(sql.heap(pair.source))
    return Checkpoint(filenode=filenode, block=0, blocks=blocks, rows=0)


def copy(
    session: Session,
    pair: TablePair,
    checkpoint: Checkpoint,
    save: Callable[[Checkpoint], Any],
    between: Callable[[Checkpoint], bool],
) -> Checkpoint:
    """Copy from `checkpoint` to the end. `save` is called in the transaction of each batch, `between` before each; it
    says whether others write.

    Raises Rewritten, LockNotObtained.
    """
    size, due = BatchSize(checkpoint.blocks), 0.0
    while not checkpoint.done:
        size.aim(BESIDE_WRITERS_SECONDS if between(checkpoint) else TARGET_SECONDS)
        checkpoint = copy_batch(session, pair, checkpoint, save, size)
        if checkpoint.block >= due:
            session.execute(analysis(pair))
            due = checkpoint.block * 10 if checkpoint.block < LARGE_BLOCKS else math.inf
    return checkpoint


def analysis(pair: TablePair) -> sql.Statement:
    """Lets writers' sessions plan the trigger's statements anew: a plan that was made for a table of a few blocks reads
    all of them for each row.
    """
    return sql.analyze(pair.target, (there for _, there in pair.forward.key))


def copy_batch(
    session: Session, pair: TablePair, checkpoint: Checkpoint, save: Callable[[Checkpoint], Any], size: BatchSize
) -> Checkpoint:
    """One batch in one transaction, tried again while a row is locked. What counts is the time of its one statement:
    that of the others does not depend on its size.
    """

    def attempt() -> tuple[Checkpoint, float]:
        end = min(checkpoint.block + size.blocks, checkpoint.blocks)
        with session.transaction():
            for setting in settings(pair, limited=size.blocks > 1):
                session.execute(setting)
            began = time.monotonic()
            copied = session.execute(rows.copy_blocks(pair.forward, checkpoint.block, end))
            seconds = time.monotonic() - began
            # Asked after the rows were locked: until the commit no session can rewrite the table.
            ((filenode, _),) = session.rows(sql.heap(pair.source))
            if filenode != checkpoint.filenode:
                raise Rewritten
            reached = dataclasses.replace(checkpoint, block=end, rows=checkpoint.rows + copied)
            save(reached)
        return reached, seconds

    reached, seconds = session.retry(attempt, lock_timeout_ms=LOCK_TIMEOUT_MS, too_long=size.shrink)
    size.record(seconds)
    return reached


def settings(pair: TablePair, *, limited: bool) -> list[sql.Statement]:
    """For the transaction of a batch: it may pass the fence, and what a crash takes of it goes with its checkpoint."""
    return [
        rows.pass_fence(pair),
        sql.set_local("synchronous_commit", "off"),
        sql.set_local("lock_timeout", LOCK_TIMEOUT_MS),
        *([sql.set_local("statement_timeout", LONGEST_MS)] if limited else []),
    ]
