"""Makes a backup: dump and manifest from one snapshot, and the archive read to its end."""

import contextlib
import datetime
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.errors import BackupFailed, Refused
from rehome.ops import clients, fingerprints, properties, scratch, servers
from rehome.ops.backups import store
from rehome.ops.backups.manifest import Manifest
from rehome.ops.backups.work import part
from rehome.ops.fingerprints import Fingerprint
from rehome.ops.servers import Server, Where
from rehome.plan.ledger import Ledger
from rehome.postgres import holders
from rehome.postgres.session import ONE_MOVE, Session

LOCK_WAIT_MS = 60_000
"""How long pg_dump waits for its locks, which keep nobody waiting meanwhile."""
CLOCK = """
SELECT date_trunc('second', clock_timestamp() AT TIME ZONE 'UTC'),
       date_trunc('second', pg_last_xact_replay_timestamp() AT TIME ZONE 'UTC')
"""
TOO_LONG = "statement timeout"
"""How pg_dump says that it has waited for that long."""
Step = Callable[[str], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def dumped(connection: BaseDatabaseWrapper, step: Step) -> Iterator[tuple[Manifest, Path]]:
    """The manifest of a backup, and its archive, which is gone when the block ends. Raises BackupFailed or Refused."""
    server, started = Server.of(connection), time.monotonic()
    with contextlib.ExitStack() as opened:
        session = opened.enter_context(server.session())
        where, own = servers.look(session), properties.read(session)
        client = clients.to_dump(where.major)
        reader = clients.to_read(client.major)
        now, taken_at = clock(session, where)
        name = opened.enter_context(alone(session, where, now))
        archive = opened.enter_context(part(name))
        with step("dump, and count what is dumped"), moment(connection) as snapshot:
            fingerprint, moves = dump(client, server, archive, snapshot, connection)
        with step("read the archive to its end"):
            read(reader, archive)
        with archive.open("rb") as file:
            size, sha256 = store.digest(file)
        yield (
            Manifest(
                name=name,
                database=where.database,
                system_identifier=where.system_identifier,
                host=where.host,
                server_version=where.version,
                client=client.major,
                taken_at=taken_at,
                seconds=round(time.monotonic() - started, 1),
                size=size,
                sha256=sha256,
                database_size=where.size,
                moves=moves,
                properties=own,
                fingerprint=fingerprint,
                database_oid=where.oid,
            ),
            archive,
        )


def clock(session: servers.Session, where: Where) -> tuple[datetime.datetime, datetime.datetime]:
    """By the server, which several machines may back up: now, and the moment as of which it has everything, which lies
    before any snapshot that is taken later. A standby may be behind for any time.
    """
    (found,) = session.execute(CLOCK).fetchall()
    now, replayed = (moment and moment.replace(tzinfo=datetime.UTC) for moment in found)
    if where.in_recovery and replayed is None:
        raise Refused("This standby can't tell how old its contents are.", "Back up its primary, or wait for a commit.")
    return now, min(now, replayed) if where.in_recovery else now


@contextlib.contextmanager
def alone(session: servers.Session, where: Where, now: datetime.datetime) -> Iterator[str]:
    """A name that no other backup of the database has that runs meanwhile, on whichever machine."""
    while True:
        name = store.named(where.system_identifier, where.database, now)
        ((free,),) = session.execute("SELECT pg_try_advisory_lock(%s)", [scratch.key(name)]).fetchall()
        if free:
            yield name  # The lock ends with the session.
            return
        now += datetime.timedelta(seconds=1)


@contextlib.contextmanager
def moment(connection: BaseDatabaseWrapper) -> Iterator[str]:
    """A snapshot that pg_dump takes over, and in which no move is at work; others move nothing until the block ends."""
    session = Session(connection)
    with session.snapshot():
        ((free,),) = session.rows("SELECT pg_try_advisory_xact_lock_shared(%s)", [ONE_MOVE])
        if not free:
            who = session.running_move() or "it has just ended"
            raise Refused(f"A move is running here, and a dump would block it: {who}.", "Back up when it has ended.")
        ((snapshot,),) = session.rows("SELECT pg_export_snapshot()")
        yield snapshot


def dump(
    client: clients.Client, server: Server, archive: Path, snapshot: str, connection: BaseDatabaseWrapper
) -> tuple[Fingerprint, dict[str, str]]:
    """Write the archive, and read what must be in it from the same snapshot meanwhile."""
    options = [
        "--format=custom", f"--file={archive}", f"--snapshot={snapshot}", f"--lock-wait-timeout={LOCK_WAIT_MS}",
        "--no-subscriptions", *server.arguments(),
    ]  # fmt: skip
    drawn = fingerprints.read_sequences(connection.connection)  # Before pg_dump can have read any.
    with client.running(options, server.environment()) as running:
        fingerprint = fingerprints.take(connection.connection)
        moves = {run.move: run.phase for run in Ledger(connection.alias).all()}
        try:
            running.finish()
        except BackupFailed as error:
            if TOO_LONG not in str(error):
                raise
            who = holders.exclusive(connection) or "it has gone by now"
            raise BackupFailed(
                f"{client} waited {LOCK_WAIT_MS // 1000} s for a lock of another session: {who}."
            ) from error
        return fingerprints.with_sequences(fingerprint, drawn, connection.connection), moves


def read(client: clients.Client, archive: Path) -> None:
    """To its end, as a restore would: a list of its contents is there in one that is cut off, too."""
    if not archive.stat().st_size:
        raise BackupFailed(f"{archive.name} is empty.")
    client.run(["--file=/dev/null", str(archive)], {})
