"""Copies a table in batches of heap blocks beside live writers.

Every change that was made after the sync trigger went in is carried by the trigger, wherever the row lies. So each
block is read once, in order, and what the trigger has carried already is left alone. This stops being sound when
the table is rewritten, so the checkpoint keeps the file that its blocks are counted in.
"""

import collections
import dataclasses
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
LONGEST_MS = 250
"""A batch that has not ended by then is undone, and tried again with fewer blocks."""
LOCK_TIMEOUT_MS = 50
"""How long a batch waits for a row that a writer holds, while other writers may be waiting for the batch."""
FIRST_BLOCKS = 64
MOST_BLOCKS = 16_384
SHARE = 200
"""A batch is at most this part of the table: a writer seldom meets a row that is being copied."""
SAMPLES = 10
LARGEST_GROWTH = 1.5


class BatchSize:
    """Blocks a batch: after ten batches scaled by target / p90, up to 1.5 times; too long a batch divides it by ten.

    The rule is that of block/spirit.
    """

    def __init__(self, table_blocks: int) -> None:
        self.most = max(1, min(MOST_BLOCKS, table_blocks // SHARE))
        self.blocks = min(FIRST_BLOCKS, self.most)
        self.seconds: collections.deque[float] = collections.deque(maxlen=SAMPLES)

    def record(self, seconds: float) -> None:
        self.seconds.append(seconds)
        if len(self.seconds) == SAMPLES:
            p90 = sorted(self.seconds)[int(SAMPLES * 0.9) - 1]
            self.resize(min(LARGEST_GROWTH, TARGET_SECONDS / max(p90, 0.001)))

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
    between: Callable[[Checkpoint], Any],
) -> Checkpoint:
    """Copy from `checkpoint` to the end. `save` is called in the transaction of each batch, `between` before each.

    Raises Rewritten, LockNotObtained.
    """
    size = BatchSize(checkpoint.blocks)
    while not checkpoint.done:
        between(checkpoint)
        checkpoint = copy_batch(session, pair, checkpoint, save, size)
    return checkpoint


def copy_batch(
    session: Session, pair: TablePair, checkpoint: Checkpoint, save: Callable[[Checkpoint], Any], size: BatchSize
) -> Checkpoint:
    """One batch in one transaction, tried again while a row is locked."""

    def attempt() -> tuple[Checkpoint, float]:
        began = time.monotonic()
        end = min(checkpoint.block + size.blocks, checkpoint.blocks)
        with session.transaction():
            for setting in settings(limited=size.blocks > 1):
                session.execute(setting)
            copied = session.execute(rows.copy_blocks(pair.forward, checkpoint.block, end))
            # Asked after the rows were locked: until the commit no session can rewrite the table.
            ((filenode, _),) = session.rows(sql.heap(pair.source))
            if filenode != checkpoint.filenode:
                raise Rewritten
            reached = dataclasses.replace(checkpoint, block=end, rows=checkpoint.rows + copied)
            save(reached)
        return reached, time.monotonic() - began

    reached, seconds = session.retry(attempt, lock_timeout_ms=LOCK_TIMEOUT_MS, too_long=size.shrink)
    size.record(seconds)
    return reached


def settings(*, limited: bool) -> list[sql.Statement]:
    """For the transaction of a batch: it may pass the fence, and what a crash takes of it goes with its checkpoint."""
    return [
        rows.pass_fence(),
        sql.set_local("synchronous_commit", "off"),
        sql.set_local("lock_timeout", LOCK_TIMEOUT_MS),
        *([sql.set_local("statement_timeout", LONGEST_MS)] if limited else []),
    ]
