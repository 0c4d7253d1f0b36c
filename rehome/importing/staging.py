"""Lets the source's rows arrive in a temporary table of the target's session."""

import contextlib
import time
from collections.abc import Callable, Generator, Iterable, Iterator

from rehome.importing import tables
from rehome.importing.plan import ImportPlan
from rehome.importing.sources.reader import Block, Reader
from rehome.importing.sources.reading import count
from rehome.importing.sources.reading import read as read_rows
from rehome.postgres.session import Session
from rehome.postgres.sql import Statement
from rehome.terminal import Pace

BETWEEN_REPORTS_S = 0.2


def stage(plan: ImportPlan, reader: Reader, session: Session, report: Callable[[str], None]) -> int:
    """Copy what the source has by now, in the reader's snapshot; returns the number of rows.

    The table is the session's own and no other session's business, so no lock is held on the target meanwhile.
    """
    arrived = tables.temporary(plan, "read")
    session.execute_all([tables.drop(arrived), tables.create_read(plan)])
    with session.transaction():
        session.execute(tables.understand(plan.source.timezone_name))
        read = receive(tables.copy_in(arrived), read_rows(plan, reader), count(plan), session, report)
    session.execute(tables.analyze(arrived))
    return read


def receive(
    copy_in: Statement,
    blocks: Generator[Block, None, None],
    total: int,
    session: Session,
    report: Callable[[str], None],
) -> int:
    """Let lines arrive by a COPY statement; returns their number. Their source is let go of, whatever happens."""
    connection = session.connection
    with connection.wrap_database_errors, connection.cursor() as cursor:
        with contextlib.closing(blocks), cursor.copy(copy_in.as_string()) as copy:
            for block in watched(blocks, total, report):
                copy.write(block)
        read: int = cursor.rowcount
    return read


def watched(blocks: Iterable[Block], total: int, report: Callable[[str], None]) -> Iterator[Block]:
    """The same blocks; now and then how far they have come is told."""
    pace, rows, next_report = Pace(), 0, time.monotonic() + BETWEEN_REPORTS_S
    for block in blocks:
        rows += bytes(block).count(b"\n")
        if (now := time.monotonic()) >= next_report:
            report(pace.describe(rows, done=rows, whole=total))
            next_report = now + BETWEEN_REPORTS_S
        yield block


@contextlib.contextmanager
def cleared(plans: list[ImportPlan], session: Session) -> Iterator[None]:
    """What was read is dropped in the end, unless the connection, which it was part of, is gone already."""
    try:
        yield
    finally:
        if not session.connection.is_usable():
            session.connection.close()
        elif not session.connection.in_atomic_block:
            for plan in plans:
                session.execute_all(tables.drop(tables.temporary(plan, name)) for name in ("read", "text", "rejects"))
