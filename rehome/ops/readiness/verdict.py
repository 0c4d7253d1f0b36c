"""All lines in order, and whether they say go."""

from collections.abc import Callable, Collection, Sequence

import psycopg

from rehome.errors import one_line
from rehome.ops.readiness import others, proofs, server
from rehome.ops.readiness.day import Day
from rehome.ops.readiness.line import Line, unknown

CHECKS: dict[str, Callable[[Day], Line]] = {
    "backup": proofs.backup,
    "rehearsal": proofs.rehearsal,
    "restore time": proofs.restore_time,
    "window": proofs.window,
    "long transactions": others.transactions,
    "dumps": others.dumps,
    "replicas": others.lag,
    "slots": others.slots,
    "disk": server.disk,
    "keys": server.keys,
    "wraparound": server.wraparound,
    "writers": others.writers,
    "settings": server.settings,
}
"""By the name of the line."""


def judge(day: Day) -> list[Line]:
    return [ask(name, check, day) for name, check in CHECKS.items()]


def ask(name: str, check: Callable[[Day], Line], day: Day) -> Line:
    """What this role may not ask is not known, nor what somebody has locked."""
    try:
        return check(day)
    except psycopg.errors.LockNotAvailable as error:
        return unknown(name, one_line(error), "Run this again when whoever holds the lock has ended.")
    except psycopg.Error as error:
        return unknown(name, one_line(error), "Run this as the owner of the tables, with pg_read_all_stats.")


def left(lines: Sequence[Line], accepted: Collection[str]) -> list[Line]:
    """Those that speak against it: what is not known counts, until somebody says that he has looked himself."""
    return [line for line in lines if line.state == "no" or (line.state == "unknown" and line.name not in accepted)]
