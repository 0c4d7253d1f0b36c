"""Copies the source's rows to a temporary table of the target's session."""

import contextlib
import time
from collections.abc import Callable, Generator, Iterable, Iterator

from rehome.errors import DoubtfulRows
from rehome.importing import lookups, moments, tables
from rehome.importing.moments import Doubtful
from rehome.importing.plan import ImportPlan
from rehome.importing.sources.reader import Block, Reader
from rehome.importing.sources.reading import count
from rehome.importing.sources.reading import read as read_rows
from rehome.postgres.session import Session
from rehome.postgres.sql import Statement
from rehome.terminal import Pace

BETWEEN_REPORTS_S = 0.2
Blocks = Generator[Block, None, None]


def stage(plan: ImportPlan, reader: Reader, session: Session, report: Callable[[str], None]) -> int:
    """Copy the source's rows as of the reader's snapshot; returns their number. No lock is held on the target."""
    arrived, doubtful = tables.temporary(plan, "read"), moments.find(plan, reader)
    arriving = {one.taken.column.name: one.arrives_as for one in doubtful if one.taken.lookup is None}
    session.execute_all([tables.drop(arrived), tables.create_read(plan, arriving)])
    with session.transaction():
        session.execute(tables.understand(plan.source.timezone_name))
        read = receive(tables.copy_in(arrived), read_rows(plan, reader), count(plan), session, report)
        if doubtful:
            settle(plan, doubtful, session)
    session.execute(tables.analyze(arrived))
    return read


def settle(plan: ImportPlan, doubtful: list[Doubtful], session: Session) -> None:
    """Times without a zone become moments. Raises DoubtfulRows for one that is none, or might be two."""
    arrived, zone = tables.temporary(plan, "read"), plan.source.timezone_name
    with moments.looked_at(doubtful, session):
        ((unclear,),) = session.rows(moments.any_unclear(plan, arrived, doubtful))
    if unclear:
        raise DoubtfulRows(f"{plan}: some time comes twice or never in {zone}.")
    if change := moments.settle(plan, arrived, doubtful):
        session.execute(change)


def receive(copy_in: Statement, blocks: Blocks, total: int, session: Session, report: Callable[[str], None]) -> int:
    """Write lines by a COPY statement; returns their number. `blocks` is closed, whatever happens."""
    connection = session.connection
    with connection.wrap_database_errors, connection.cursor() as cursor:
        with contextlib.closing(blocks), cursor.copy(copy_in.as_string()) as copy:
            for block in watched(blocks, total, report):
                copy.write(block)
        read: int = cursor.rowcount
    return read


def watched(blocks: Iterable[Block], total: int, report: Callable[[str], None]) -> Iterator[Block]:
    """The same blocks; reports now and then how many rows they had."""
    pace, rows, next_report = Pace(), 0, time.monotonic() + BETWEEN_REPORTS_S
    for block in blocks:
        rows += bytes(block).count(b"\n")
        if (now := time.monotonic()) >= next_report:
            report(pace.describe(rows, done=rows, whole=total))
            next_report = now + BETWEEN_REPORTS_S
        yield block


@contextlib.contextmanager
def cleared(plans: list[ImportPlan], session: Session) -> Iterator[None]:
    """Drop the temporary tables and functions in the end, unless they went with their connection."""
    try:
        yield
    finally:
        if not session.connection.is_usable():
            session.connection.close()
        elif not session.connection.in_atomic_block:
            for plan in plans:
                session.execute_all(tables.drop(tables.temporary(plan, name)) for name in ("read", "text", "rejects"))
                session.execute_all(lookups.drop_fault(plan, taken) for taken in plan.lookups)
