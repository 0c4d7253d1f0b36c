"""The SQL that locks tables, with timeouts that keep the queue of writers behind it short."""

from rehome.postgres import conf, sql
from rehome.postgres.sql import Statement
from rehome.postgres.tables import Table

PATIENT_MS = 3000
"""An autovacuum gives way to a session that has waited for a lock for a second."""
CROSSED_MS = 20
"""How long a lock is waited for while another is held that writers may be waiting for."""


def lock(tables: list[Table], mode: str) -> list[Statement]:
    """Lock tables, in a transaction; a try that fails is the caller's to repeat.

    A second's wait, after which an autovacuum gives way, is too long in a queue of writers. So it is waited for with a
    lock that keeps no writer waiting. A session that writes to the second table meanwhile waits, in the trigger that
    carries it, for the first: such a try can't succeed, and ends sooner.
    """
    first, *others = tables
    timeout = conf.lock_timeout_ms()
    return [
        sql.set_local("lock_timeout", PATIENT_MS),
        sql.lock(tables, "SHARE UPDATE EXCLUSIVE"),
        sql.set_local("lock_timeout", timeout),
        sql.lock([first], mode),
        *([sql.set_local("lock_timeout", min(timeout, CROSSED_MS)), sql.lock(others, mode)] if others else []),
        *([sql.set_local("lock_timeout", timeout)] if others else []),
    ]
