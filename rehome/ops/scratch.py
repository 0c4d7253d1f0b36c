"""Databases for a while: made beside the project's own, and dropped when the block ends. What a killed process has left
is found by its name, and by nobody holding the lock that whoever made it holds.
"""

import contextlib
import dataclasses
import datetime
import hashlib
import os
import secrets
import socket
import sys
from collections.abc import Iterator

import psycopg
from psycopg import sql

from rehome.errors import BackupFailed, one_line
from rehome.ops import servers
from rehome.ops.servers import Server, Session

MARK = "rehome_scratch"
NO_OPTIONS = sql.SQL("")
HELD = """
SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1
                AND (classid::bigint << 32 | objid::bigint) = %s)
"""
FOUND = """
SELECT datname, pg_database_size(oid), coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database
 WHERE starts_with(datname, %s) AND has_database_privilege(oid, 'CONNECT')
   AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = pg_database.oid) ORDER BY datname
"""


@dataclasses.dataclass(frozen=True)
class Leftover:
    """A database that a killed process has left."""

    name: str
    size: int
    comment: str
    """Who made it, and when."""

    def __str__(self) -> str:
        return f"{self.name} ({self.comment})" if self.comment else self.name


@contextlib.contextmanager
def made(
    server: Server, purpose: str, *, template: str = "template0", options: sql.Composable = NO_OPTIONS
) -> Iterator[Server]:
    """A database beside `server`'s own, made from `template`, and dropped when the block ends, unless it has another
    name by then. Sessions in it set off no event trigger of what is restored there, where the role may say so.
    """
    name = f"{MARK}_{datetime.datetime.now(datetime.UTC):%Y%m%d_%H%M%S}_{secrets.token_hex(3)}"
    with server.outside() as session:
        # Held by the session, which ends with this process: whoever finds the database knows whether it is in use.
        session.execute("SELECT pg_advisory_lock(%s)", [key(name)])
        try:
            servers.create(session, name, template=template, options=options)
            # While it is empty: whoever may not connect to the project's database may not read a copy of it either.
            servers.close_to_public(session, name)
            servers.comment(session, name, describe(purpose))
            copy = server.on(name)
            yield copy.quieted(session) if servers.may_be_quiet(session) else copy
        finally:
            end(server, session, name)


def end(server: Server, session: Session, name: str) -> None:
    """Drop it; by another session, where this one was lost while it had nothing to do for hours. Raises BackupFailed
    where the server is lost: with what failed before, and the name, by which the next run finds it.
    """
    failed = sys.exception()
    try:
        servers.drop(session, name)
    except psycopg.OperationalError:
        try:
            with server.outside() as another:
                servers.drop(another, name)
        except psycopg.OperationalError as error:
            first = failed if isinstance(failed, Exception) else error
            raise BackupFailed(
                f"{one_line(first)}. The server can't be reached now, and database {name!r} may be left on it: run the "
                "command again when the server runs, and it names what is left."
            ) from first


def describe(purpose: str) -> str:
    now = datetime.datetime.now(datetime.UTC)
    return f"rehome: {purpose}, by process {os.getpid()} of {socket.gethostname()} since {now:%Y-%m-%d %H:%M:%S} UTC"


def leftovers(server: Server) -> list[Leftover]:
    """Those that nobody uses any more: whoever made it is gone, and nobody is in it."""
    with server.outside() as session:
        found = [Leftover(*row) for row in session.execute(FOUND, [MARK])]
        return [one for one in found if not is_held(session, one.name)]


def is_held(session: Session, name: str) -> bool:
    (held,) = session.execute(HELD, [key(name)]).fetchone() or (False,)
    return bool(held)


def drop(server: Server, leftover: Leftover) -> None:
    with server.outside() as session:
        servers.drop(session, leftover.name)


def key(name: str) -> int:
    """Of the advisory lock that says that a database is in use."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
