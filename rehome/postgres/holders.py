"""Who holds a lock, in words: sessions, and prepared transactions, which have none."""

from collections.abc import Collection

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.postgres import asking

# A role that isn't a monitor sees of another role's session the pid, the user and the application alone. The locks of a
# prepared transaction are told by the one on its own number: they may stand under the number that its session had.
HELD = """
WITH held AS (
  SELECT l.pid, l.mode, l.locktype, l.database, l.relation, l.transactionid,
         coalesce(p.prepared, a.xact_start) AS since,
         CASE WHEN p.gid IS NULL
              THEN format('pid %%s (%%s)', a.pid,
                          concat_ws(', ', nullif(a.application_name, ''), 'user ' || a.usename, a.state,
                                    'since ' || to_char(a.xact_start, 'HH24:MI:SS')))
              ELSE format('the prepared transaction %%L (user %%s, since %%s; '
                          'COMMIT PREPARED %%1$L or ROLLBACK PREPARED %%1$L ends it)',
                          p.gid, p.owner, to_char(p.prepared, 'HH24:MI:SS')) END AS who
    FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
    LEFT JOIN (pg_prepared_xacts p JOIN pg_locks own
                 ON own.pid IS NULL AND own.transactionid = p.transaction AND own.mode = 'ExclusiveLock')
      ON l.pid IS NULL AND l.virtualtransaction = own.virtualtransaction
   WHERE l.granted AND (a.pid IS NOT NULL OR p.gid IS NOT NULL))
"""

OF_TABLES = """
SELECT format('%%s uses %%s', who, string_agg(DISTINCT relation::regclass::text, ', ')) FROM held
 WHERE relation::bigint = ANY(%s) AND pid IS DISTINCT FROM pg_backend_pid()
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
 GROUP BY who, since ORDER BY since LIMIT 3
"""

# Of a prepared transaction pg_blocking_pids says 0; the lock that is waited for says which one it is.
BLOCKING = """
SELECT DISTINCT who FROM held
 WHERE coalesce(pid, 0) = ANY(pg_blocking_pids(%(pid)s))
   AND (pid IS NOT NULL
        OR EXISTS (SELECT FROM pg_locks w WHERE w.pid = %(pid)s AND NOT w.granted AND w.locktype = held.locktype
                      AND (w.database, w.relation, w.transactionid)
                          IS NOT DISTINCT FROM (held.database, held.relation, held.transactionid)))
"""

# Whoever reads a table, or the definition of one of its views or defaults, waits for these alone.
EXCLUSIVE = """
SELECT format('%%s uses %%s', who, string_agg(DISTINCT relation::regclass::text, ', ')) FROM held
 WHERE mode = 'AccessExclusiveLock' AND relation IS NOT NULL AND pid IS DISTINCT FROM pg_backend_pid()
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
 GROUP BY who, since ORDER BY since LIMIT 3
"""


def of_tables(connection: BaseDatabaseWrapper, tables: Collection[int]) -> str:
    """The first three that hold a lock of any of `tables`; empty where nobody does."""
    return "; ".join(asking.column(connection, HELD + OF_TABLES, [list(tables)]))


def exclusive(connection: BaseDatabaseWrapper) -> str:
    """The first three that let nobody read some table; empty where nobody does."""
    return "; ".join(asking.column(connection, HELD + EXCLUSIVE, []))


def blocking(connection: BaseDatabaseWrapper, pid: int) -> str:
    """Those that the session `pid` waits for; empty where it waits for nobody."""
    return "; ".join(asking.column(connection, HELD + BLOCKING, {"pid": pid}))
