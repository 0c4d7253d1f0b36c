"""The writes that still arrive through a source while both tables live: how many, and which sessions made them.

The trigger that carries a row draws a number from a sequence, which makes no writer wait for another and is not
undone by a rollback, and lets the session share an advisory lock until it disconnects.
"""

import dataclasses
import datetime

from django.utils import timezone

from rehome.models import MoveRun
from rehome.parts.triggers import WRITERS, trigger_name
from rehome.plan.plan import Plan, TablePair
from rehome.plan.record import Counted, Record
from rehome.postgres import acl, asking, resolution
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL, Identifier, Literal, Statement

COUNTED = """
SELECT coalesce(CASE WHEN has_sequence_privilege(c.oid, 'SELECT') THEN pg_sequence_last_value(c.oid) ELSE -1 END, 0)
  FROM pg_class c WHERE c.oid = to_regclass(%s) AND c.relkind = 'S'
"""

SESSIONS = """
SELECT a.application_name, a.usename, count(DISTINCT a.pid)
  FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
 WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.classid::bigint = %s AND l.objid::bigint = ANY(%s)
   AND l.granted AND l.pid <> pg_backend_pid()
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
 GROUP BY a.application_name, a.usename ORDER BY a.application_name, a.usename
"""

RELEASE = """
SELECT pg_advisory_unlock_shared(%(group)s, %(table)s::oid::integer)
  FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory' AND objsubid = 2 AND granted
   AND classid::bigint = %(group)s AND objid::bigint = %(table)s AND database = (
       SELECT oid FROM pg_database WHERE datname = current_database())
"""


@dataclasses.dataclass(frozen=True)
class Writer:
    """Connected sessions of one program and one user that have written through the source since they connected."""

    application_name: str
    user: str
    sessions: int

    def __str__(self) -> str:
        name = self.application_name or "(no application_name)"
        return f"{name} (user {self.user}, {self.sessions} session{'' if self.sessions == 1 else 's'})"


@dataclasses.dataclass(frozen=True)
class Writes:
    """Rows that were written through each source, by its name; None where that is not known."""

    since_move: dict[str, int | None]
    since_verification: dict[str, int | None]
    counted_at: str | None
    """When verifymoves last counted them, as ISO 8601; None for never."""
    writers: tuple[Writer, ...]

    @property
    def total(self) -> int | None:
        return total(self.since_move)

    @property
    def fresh(self) -> int | None:
        return total(self.since_verification)

    @property
    def arrive(self) -> bool:
        """Whether old code may still write, as far as the counts and the connected sessions tell."""
        return bool(self.writers) or self.fresh != 0

    def __str__(self) -> str:
        """How many, since when and by whom, as a sentence."""
        counts = [
            f"{'an unknown number of' if count is None else f'{count:,}'} rows were written through {table}"
            for table, count in self.since_verification.items()
        ]
        since = f"since verifymoves last counted, {shown(self.counted_at)}" if self.counted_at else "since the move"
        who = f"; connected sessions that did: {self.programs}" if self.writers else ""
        return f"{' and '.join(counts)} {since}{who}."

    @property
    def told(self) -> str:
        """Which connected programs made them, as a sentence; empty where none is connected."""
        if not self.writers:
            return ""
        return f"connected sessions that wrote through {' or '.join(self.since_move)}: {self.programs}."

    @property
    def programs(self) -> str:
        return ", ".join(map(str, self.writers))

    @property
    def counted(self) -> Counted:
        """What the ledger keeps of this count."""
        return Counted(timezone.now().isoformat(), self.since_move)


def total(counts: dict[str, int | None]) -> int | None:
    """Of all tables; None where one is unknown."""
    known = [count for count in counts.values() if count is not None]
    return sum(known) if len(known) == len(counts) else None


def shown(moment: str) -> str:
    when = datetime.datetime.fromisoformat(moment)
    return f"{timezone.localtime(when) if timezone.is_aware(when) else when:%Y-%m-%d %H:%M:%S}"


def read(plan: Plan, run: MoveRun) -> Writes:
    """What was counted since the move, and since the last count that `run` keeps."""
    kept = Record.of(run)
    last = kept.looked
    sources = [pair.source.oid for pair in plan.pairs]
    since_move = {str(pair.source): count(pair, plan, kept) for pair in plan.pairs}
    return Writes(
        since_move=since_move,
        since_verification={
            table: None if now is None else now - (last.counts.get(table) or 0 if last else 0)
            for table, now in since_move.items()
        },
        counted_at=last.at if last else None,
        writers=tuple(Writer(*row) for row in asking.query(plan.connection, SESSIONS, [WRITERS, sources])),
    )


def release(session: Session, pair: TablePair) -> int:
    """Forget that this session has written through the source; return how many writes it had made that are counted."""
    counted = 0
    while asking.query(session.connection, RELEASE, {"group": WRITERS, "table": pair.source.oid}):
        counted += 1
    return counted


def count(pair: TablePair, plan: Plan, record: Record) -> int | None:
    """None where there is no counter, as after a move by an older version, or it may not be read."""
    found = asking.query(plan.connection, COUNTED, [place(pair).as_string()])
    return found[0][0] - record.probed.get(str(pair.source), 0) if found and found[0][0] >= 0 else None


def restart(plan: Plan) -> list[Statement]:
    """Count from the beginning. A move without a way back counts nothing."""
    counted = plan.pairs if plan.reversible else ()
    return [SQL("SELECT setval({}::regclass, 1, false)").format(Literal(place(pair).as_string())) for pair in counted]


def close(plan: Plan) -> list[Statement]:
    """Nobody counts while the sources are views."""
    counters = map(place, plan.pairs)
    there = [one for one in counters if resolution.exists(plan.connection, one.as_string())]
    return [acl.withdraw("SEQUENCE", one) for one in there]


def forget(plan: Plan) -> list[Statement]:
    return [SQL("DROP SEQUENCE IF EXISTS {}").format(place(pair)) for pair in plan.pairs]


def place(pair: TablePair) -> Statement:
    return Identifier(pair.source.schema, trigger_name("writes", pair))
