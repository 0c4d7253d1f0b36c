"""Proves a backup: restored into a database of its own, and compared with its manifest there."""

import datetime
import time
from collections.abc import Iterable
from pathlib import Path

from psycopg import sql

from rehome.errors import Refused
from rehome.ops import clients, fingerprints, properties, scratch, space
from rehome.ops.backups.dumping import Step
from rehome.ops.backups.manifest import Manifest, Proof
from rehome.ops.servers import Server, sized

JOBS = 2
"""Sessions that restore at the same time."""
# Servers before 17 have no such column.
ON_LOGIN = """
SELECT session_user FROM pg_database d WHERE datname = %s AND (to_jsonb(d) ->> 'dathasloginevt')::boolean
"""


def refuse_unfit(manifest: Manifest, server: Server) -> int:
    """Before anything is done: raises Refused where the backup can't be restored on this server. Returns its major."""
    with server.outside() as session:
        major: int = session.info.server_version // 10_000
        if major < manifest.server_major:
            raise Refused(
                f"The backup is of PostgreSQL {manifest.server_major}, and this server is {major}, which is older.",
                f"Restore it on PostgreSQL {manifest.server_major} or newer.",
            )
        clients.to_restore(major, manifest.client)
        properties.refuse_missing(manifest.properties, session)
        return major


def short_of_room(manifest: Manifest, server: Server) -> str:
    """A sentence where the server's disk is known, and has less room than the database took that was dumped: a full one
    would stop its other databases, too.
    """
    with server.outside() as session:
        free = space.free(session)
    if free is None or free >= manifest.database_size:
        return ""
    return f"The database took {sized(manifest.database_size)}, and the server's disk has {sized(free)} left."


def prove(manifest: Manifest, archive: Path, server: Server, step: Step) -> Proof:
    """Restore it into a scratch database of `server`, and compare."""
    options = manifest.properties.creation(refuse_unfit(manifest, server))
    if short := short_of_room(manifest, server):
        raise Refused(short, "Free some, or prove it on another server: --on URL.")
    purpose = f"checkbackup of {manifest.name}"
    with scratch.made(server, purpose, options=options) as database:
        return try_out(manifest, archive, database, step)


def try_out(manifest: Manifest, archive: Path, database: Server, step: Step) -> Proof:
    """Restore it into an empty database, and compare there."""
    began = time.monotonic()
    with step("restore it into a database of its own"):
        restore(archive, manifest, database)
    refuse_trigger_on_login(database)
    restored = time.monotonic()
    with step("compare every table"):
        found = compare(manifest, database)
    with database.session() as session:
        version: int = session.info.server_version
    return Proof(
        name=manifest.name,
        sha256=manifest.sha256,
        proved_at=datetime.datetime.now(datetime.UTC),
        server_version=version,
        restore_seconds=round(restored - began, 1),
        compare_seconds=round(time.monotonic() - restored, 1),
        differences=tuple(found),
        manifest_sha256=manifest.digest,
    )


def restore(archive: Path, manifest: Manifest, database: Server) -> None:
    """Into an empty database. Raises BackupFailed at the first error."""
    with database.session() as session:
        client = clients.to_restore(session.info.server_version // 10_000, manifest.client)
    options = ["--exit-on-error", f"--jobs={JOBS}", *database.arguments(), str(archive)]
    client.run(options, database.environment())


def refuse_trigger_on_login(database: Server) -> None:
    """Whoever connects sets it off, and it may write before anything is compared: so it is asked from outside."""
    if database.quiet:
        return
    with database.outside() as session:
        for (role,) in session.execute(ON_LOGIN, [database.database]):
            raise Refused(
                "The backup has an event trigger on login, which would change what was restored before it is compared: "
                f"the role {role!r} may not turn it off.",
                f"Let it: GRANT SET ON PARAMETER event_triggers TO {sql.Identifier(role).as_string()}; or connect as a "
                "superuser.",
            )


def compare(manifest: Manifest, database: Server) -> Iterable[str]:
    """A sentence for each difference between what was dumped and what is there."""
    with database.session() as session, session.transaction():
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return fingerprints.differences(manifest.fingerprint, fingerprints.take(session))
