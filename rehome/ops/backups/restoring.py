"""Puts a backup in a database's place: restored beside it and compared, then both renamed in one transaction.

Nothing is ever restored into a database that is in use. The old one stays under a dated name, and undoing is the same
swap again.
"""

import concurrent.futures
import contextlib
import dataclasses
import datetime
import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql

from rehome.errors import BackupFailed, Refused, one_line
from rehome.ops import properties, scratch, servers
from rehome.ops.backups import proving
from rehome.ops.backups.dumping import Step
from rehome.ops.backups.manifest import Manifest
from rehome.ops.servers import Server, Session, Where

BEFORE, UNDONE = "before", "undone"
"""What became of a database that was swapped: in its name."""
KEPT = re.compile(rf"_({BEFORE}|{UNDONE})_\d{{8}}_\d{{6}}$")
TRIES, PAUSE_S = 10, 0.05
OTHERS = """
SELECT format('pid %%s (%%s, %%s)', pid, coalesce(nullif(application_name, ''), backend_type), usename)
  FROM pg_stat_activity WHERE datname = %(name)s AND pid <> pg_backend_pid()
 UNION ALL SELECT format('the prepared transaction %%L (%%s)', gid, owner) FROM pg_prepared_xacts
     WHERE database = %(name)s
 ORDER BY 1
"""
THEIRS = "SELECT pid FROM pg_stat_activity WHERE datname = ANY(%s)"
END = "SELECT pg_terminate_backend(%s)"
PREPARED = """
SELECT database, string_agg(format('%%L', gid), ', ' ORDER BY prepared) FROM pg_prepared_xacts
 WHERE database = ANY(%s) GROUP BY database
"""
FOLLOWERS = """
SELECT 'replication slot ' || slot_name FROM pg_replication_slots WHERE database = %(name)s
 UNION ALL SELECT 'subscription ' || subname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid
     WHERE d.datname = %(name)s
 ORDER BY 1
"""
# Whoever may make databases may comment on theirs, so the owner has to be the same.
NAMED = """
SELECT datname FROM pg_database d WHERE starts_with(shobj_description(d.oid, 'pg_database'), %s)
   AND d.datdba = coalesce((SELECT datdba FROM pg_database WHERE datname = %s), d.datdba)
"""
MAY = """
SELECT r.rolsuper OR r.rolcreatedb, r.rolsuper OR d.oid IS NULL OR pg_has_role(d.datdba, 'USAGE')
  FROM pg_roles r LEFT JOIN pg_database d ON d.datname = %s WHERE r.rolname = current_user
"""


@dataclasses.dataclass(frozen=True)
class Swapped:
    """A database in another's place."""

    database: str
    kept: str
    """The name of the one that was there; empty where there was none."""


def look(server: Server) -> Where | None:
    """The database in whose place a backup is put; None where the server has none of the name. One that is so broken
    that nobody can connect to it is looked at from outside.
    """
    with server.outside() as session:
        if server.database not in servers.names(session):
            return None
        try:
            with server.session() as own:
                return servers.look(own)
        except psycopg.OperationalError:
            return servers.look_from_outside(session, server.database)


def refuse_unable(server: Server) -> None:
    """Raises Refused where the role may not do what a swap needs, or the server is a standby."""
    with server.outside() as session:
        ((standby,),) = session.execute("SELECT pg_is_in_recovery()").fetchall()
        if standby:
            raise Refused("This server is a standby, where no database can be made.", "Restore on its primary.")
        for may_create, may_rename in session.execute(MAY, [server.database]):
            if not may_create:
                raise Refused("This role may not create databases.", "ALTER ROLE … CREATEDB, or use another role.")
            if not may_rename:
                raise Refused(
                    f"This role does not own {server.database!r}.", "Connect as its owner, or as a superuser."
                )
        if session.info.dbname == server.database:
            raise Refused(
                f"This role can connect to no database of the server besides {server.database!r}, from which that one "
                "could be renamed.",
                f"Let it connect to {servers.OUTSIDE[0]!r}.",
            )
        refuse_prepared(session, server.database)


def refuse_prepared(session: Session, *databases: str) -> None:
    """Raises Refused where a database has prepared transactions: they stay when everybody is disconnected."""
    for database, prepared in session.execute(PREPARED, [list(databases)]):
        raise Refused(
            f"{database!r} has prepared transactions, with which it can't be renamed: {prepared}.",
            "Connect to it, and COMMIT PREPARED or ROLLBACK PREPARED each first. Nothing is changed.",
        )


def refuse_other(manifest: Manifest, where: Where) -> None:
    """Raises Refused where the backup is of another database than the one whose place it would take."""
    if (manifest.system_identifier, manifest.database) != (where.system_identifier, where.database):
        raise Refused(
            f"{manifest.name} is of {manifest.database!r} on {manifest.host}, system {manifest.system_identifier}; "
            f"this is {where}, system {where.system_identifier}.",
            "Choose a backup of this database, or add --from-other if that one is meant.",
        )


@contextlib.contextmanager
def restored(manifest: Manifest, archive: Path, server: Server, step: Step) -> Iterator[Server]:
    """A new database with what the backup has, compared, until the block ends or it takes another's place."""
    options = manifest.properties.creation(proving.refuse_unfit(manifest, server))
    purpose = f"restorebackup of {manifest.name}"
    with scratch.made(server, purpose, options=options) as database:
        proof = proving.try_out(manifest, archive, database, step)
        if not proof.ok:
            listed = "; ".join(proof.differences[:5])
            raise BackupFailed(
                f"{manifest.name} was restored, and is not what was dumped: {listed}. Nothing is changed."
            )
        with step("analyze it"), database.session() as session:
            session.execute("ANALYZE")  # No archive has statistics, without which every plan would be a guess.
        yield database


def dress(new: Server, manifest: Manifest, server: Server, where: Where | None) -> list[str]:
    """Give a new database the owner, settings and grants of the one whose place it takes; or those of the backup, where
    there is none, or none that can be asked. Returns the statements that this role may not run.
    """
    own = manifest.properties
    if where:
        with contextlib.suppress(psycopg.OperationalError), server.session() as session:
            own = properties.read(session)
    with server.outside() as session:
        return properties.apply(own, new.database, session, later=server.database)


def swap(server: Server, new: str, what: str = BEFORE) -> Swapped:
    """Give the database `new` the name of the server's own, which is kept under a dated one; both or neither.

    Whoever is connected is disconnected; whoever connects meanwhile waits, and is told that the database was renamed.
    Raises BackupFailed where others can't be disconnected, and Refused, before anybody is, for prepared transactions.
    """
    with server.outside() as session, server.outside() as ending:
        present = servers.names(session)
        refuse_prepared(session, server.database, new)
        if server.database not in present:
            rename(session, {new: server.database}, {server.database: None})
            return Swapped(server.database, "")
        moment = later_than(kept_ones(server), session)
        kept = servers.dated(server.database, what, moment, present)
        comment = comment_of(session, server.database)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            # The first rename takes a lock that keeps everybody out, and waits for those who are in to be gone.
            renaming = pool.submit(
                rename,
                session,
                {server.database: kept, new: server.database},
                {
                    kept: f"{remark(server.database)}{moment:%Y-%m-%d %H:%M:%S} UTC",
                    server.database: comment,
                },
            )
            # What goes wrong here alone is no reason to say that nothing was renamed.
            with contextlib.suppress(psycopg.OperationalError):
                while not concurrent.futures.wait([renaming], PAUSE_S).done:
                    end_others(ending, [server.database, new])
            try:
                renaming.result()
            except psycopg.OperationalError as error:
                if not is_done(server, kept, error):
                    raise
    return Swapped(server.database, kept)


def end_others(session: Session, databases: list[str]) -> None:
    """Those that this role may end; the others are waited for, and named where they don't leave."""
    for (pid,) in session.execute(THEIRS, [databases]).fetchall():
        with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
            session.execute(END, [pid])


def is_done(server: Server, kept: str, error: Exception) -> bool:
    """Whether a swap was committed whose answer was lost."""
    try:
        with server.outside() as session:
            return kept in servers.names(session)
    except psycopg.OperationalError as another:
        raise BackupFailed(
            f"The server was lost during the swap: {one_line(error)}. Both databases are renamed, or none: if there is "
            f"a database {kept!r}, {server.database!r} is the restored one."
        ) from another


def later_than(kept: list[str], session: Session) -> datetime.datetime:
    """By the server's clock, and behind all that were kept whatever it says: undoing takes the last one."""
    (found,) = session.execute("SELECT clock_timestamp() AT TIME ZONE 'UTC'").fetchone() or (None,)
    now: datetime.datetime = found.replace(tzinfo=datetime.UTC)
    stamps = [datetime.datetime.strptime(name[-15:], "%Y%m%d_%H%M%S").replace(tzinfo=datetime.UTC) for name in kept]
    return max([now, *(one + datetime.timedelta(seconds=1) for one in stamps)])


def rename(session: Session, names: dict[str, str], comments: dict[str, str | None] | None = None) -> None:
    """All of them in one transaction. A session that comes in between is ended, and it is tried again."""
    for tries_left in reversed(range(TRIES)):
        try:
            with session.transaction():
                for old, new in names.items():
                    session.execute(
                        sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new))
                    )
                for name, text in (comments or {}).items():
                    servers.comment(session, name, text)
            return
        except psycopg.errors.ObjectInUse as error:
            if not tries_left:
                first = next(iter(names))
                raise BackupFailed(
                    f"Database {first!r} can't be renamed: {error.diag.message_primary}, {error.diag.message_detail} "
                    f"Connected: {others(session, first)}. Nothing is changed; stop them, and run the command again."
                ) from error


def others(session: Session, database: str) -> str:
    """Who is connected to a database or has prepared something in it, as part of a sentence."""
    found = session.execute(OTHERS, {"name": database}).fetchall()
    return ", ".join(who for (who,) in found) or "nobody"


def followers(session: Session, database: str) -> str:
    """What stays with a database that is renamed, whose name others know it by; as part of a sentence."""
    found = session.execute(FOLLOWERS, {"name": database}).fetchall()
    return ", ".join(name for (name,) in found) or "nothing"


def comment_of(session: Session, database: str) -> str | None:
    query = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s"
    found: list[tuple[str | None]] = session.execute(query, [database]).fetchall()
    return found[0][0]


def kept_ones(server: Server) -> list[str]:
    """The databases that were swapped out of the server's own place, the last one last. Their comments tell, for a name
    that begins alike may be another's, or cut.
    """
    with server.outside() as session:
        found = session.execute(NAMED, [remark(server.database), server.database]).fetchall()
    return sorted((name for (name,) in found if KEPT.search(name)), key=lambda name: name[-15:])


def remark(database: str) -> str:
    """How the comment of a database begins that was swapped out of this one's place."""
    return f"rehome: what {database} was until "
