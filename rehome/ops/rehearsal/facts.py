"""What is compared of the source and its copy: size, rows, version, and settings that decide how long a move takes."""

from collections.abc import Iterator, Sequence

from rehome.ops import servers
from rehome.ops.rehearsal import report
from rehome.ops.servers import Server

NAMES = (
    *("shared_buffers", "work_mem", "maintenance_work_mem", "effective_cache_size", "max_wal_size", "wal_buffers"),
    *(
        "checkpoint_timeout",
        "checkpoint_completion_target",
        "wal_level",
        "wal_compression",
        "full_page_writes",
        "fsync",
    ),
    *("synchronous_commit", "synchronous_standby_names", "archive_mode", "max_parallel_maintenance_workers"),
    *("max_parallel_workers", "max_parallel_workers_per_gather", "max_worker_processes", "random_page_cost"),
    *("effective_io_concurrency", "autovacuum", "jit", "default_transaction_isolation", "data_checksums"),
    *("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout", "max_slot_wal_keep_size"),
    *(
        "default_transaction_read_only",
        "session_replication_role",
        "track_activities",
        "max_connections",
        "shared_preload_libraries",
    ),
)
SETTINGS = """
SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY(%s)
 UNION ALL SELECT 'collation', datcollate || coalesce(' ' || datcollversion, '') FROM pg_database
     WHERE datname = current_database()
 UNION ALL SELECT 'encoding', pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()
"""
ROWS = """
SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint FROM pg_class c
 WHERE c.oid IN (SELECT to_regclass(given) FROM unnest(%s::text[]) AS given)
"""
CANT_SHOW = (
    "A copy shows how long the server works, and not how long it waits: nobody else uses a copy. It has no old row "
    "versions, its tables lie in other places of the disk, and its cache has what was just restored. Who would "
    "keep the move waiting is what was seen on the source."
)


def read(server: Server, tables: Sequence[str]) -> report.Server:
    with server.session() as session:
        where = servers.look(session)
        settings = dict(session.execute(SETTINGS, [list(NAMES)]).fetchall())
        (rows,) = session.execute(ROWS, [list(tables)]).fetchone() or (0,)
    return report.Server(
        host=where.host,
        port=where.port,
        database=where.database,
        system_identifier=where.system_identifier,
        version=where.version,
        size=where.size,
        rows=rows,
        settings=dict(sorted(settings.items())),
    )


def differences(source: report.Server, copy: report.Server) -> Iterator[tuple[str, str, str]]:
    """(what, of the source, of the copy)."""
    if source.version != copy.version:
        yield "version", release(source.version), release(copy.version)
    for name in sorted({*source.settings, *copy.settings}):
        here, there = source.settings.get(name, "-"), copy.settings.get(name, "-")
        if here != there:
            yield name, here, there


def release(version: int) -> str:
    return f"{version // 10_000}.{version % 10_000}"
