"""The copy on which is rehearsed: restored from a backup, or from a fresh one, into a database of its own."""

import contextlib
import dataclasses
import datetime
from collections.abc import Iterator
from pathlib import Path

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from rehome.errors import Refused
from rehome.ops import properties, scratch, servers
from rehome.ops.backups import dumping, proving, store
from rehome.ops.backups.dumping import Step
from rehome.ops.backups.manifest import Manifest
from rehome.ops.backups.store import ARCHIVE, MANIFEST, Store
from rehome.ops.backups.work import part
from rehome.ops.servers import Server, Where

LATEST = "latest"
"""Instead of the name of a backup."""
FRESH = "a fresh backup"
ACTS = "SELECT rolname, rolsuper FROM pg_roles WHERE rolname = current_user"


@dataclasses.dataclass(frozen=True)
class Origin:
    """What the copy is made of."""

    said: str
    manifest: Manifest
    archive: Path


@contextlib.contextmanager
def fetched(connection: BaseDatabaseWrapper, source: Where, backup: str | None, step: Step) -> Iterator[Origin]:
    """The archive of a backup by its name in the storage or its path, or of a fresh one; local until the block ends."""
    if backup is None:
        with dumping.dumped(connection, step) as (manifest, archive):
            yield Origin(FRESH, manifest, archive)
    elif Path(backup).is_file():
        manifest = read_beside(Path(backup))
        refuse_other(manifest, source)
        with Path(backup).open("rb") as file:
            store.refuse_other(manifest, *store.digest(file))
        yield Origin(f"the backup {Path(backup).name}", manifest, Path(backup))
    else:
        kept = Store.default()
        manifest = choose(kept, source, backup)
        with part(manifest.name) as archive:
            with step("fetch the archive"):
                kept.fetch(manifest, archive)
            yield Origin(f"the backup {manifest.name}", manifest, archive)


def read_beside(archive: Path) -> Manifest:
    manifest = archive.with_name(archive.name.removesuffix(ARCHIVE) + MANIFEST)
    if not manifest.is_file():
        raise Refused(
            f"{archive} has no manifest {manifest.name} beside it, so it is no backup.",
            "Give one that `manage.py backup` has made.",
        )
    return Manifest.from_json(manifest.read_text(encoding="utf-8"), archive.name)


def choose(kept: Store, source: Where, name: str) -> Manifest:
    found = [one.manifest for one in kept.of(source.system_identifier, source.database)]
    meant = found[-1:] if name == LATEST else [one for one in found if name in {one.name, one.name.rpartition("/")[2]}]
    if meant:
        return meant[0]
    if not found:
        raise Refused(f"There is no backup of {source.database!r} in the storage.", "Run `manage.py backup` first.")
    raise Refused(
        f"There is no backup {name!r} of {source.database!r}; the last ones are "
        f"{', '.join(one.name for one in found[-3:])}.",
        "Give the name of one, the path of an archive, or `latest`.",
    )


def refuse_other(manifest: Manifest, source: Where) -> None:
    if (manifest.system_identifier, manifest.database) != (source.system_identifier, source.database):
        raise Refused(
            f"{manifest.name} is a backup of database {manifest.database!r} of server {manifest.system_identifier}, "
            f"and what is to move is {source.database!r} of server {source.system_identifier}.",
            "Give a backup of the database that is to move.",
        )


@contextlib.contextmanager
def made(origin: Origin, there: Server, source: Where, step: Step) -> Iterator[Server]:
    """A database of its own that is what the backup was, and dropped when the block ends, unless it was renamed.

    It knows its rows, for a planner without statistics would take other ways. Raises Refused where the server can't
    have it, with what it lacks.
    """
    own = origin.manifest.properties
    options = own.creation(proving.refuse_unfit(origin.manifest, there))
    with scratch.made(there, f"rehearsemoves of {source.database}", options=options) as copy:
        with step("restore"):
            proving.restore(origin.archive, origin.manifest, copy)
            with copy.outside() as session:
                properties.apply(own, copy.database, session)
        with step("analyze"), copy.session() as session:
            session.execute("ANALYZE")
        yield copy


def acting(source: Server, there: Server) -> str:
    """The role that migrates on the source, as which the copy is migrated as well; empty for a superuser, whose rights
    are those of the one that connects to the copy.
    """
    with source.session() as session:
        role, is_super = session.execute(ACTS).fetchone() or ("", True)
    if is_super:
        return ""
    with there.outside() as session:
        known = session.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    if not known:
        created = sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)).as_string()
        raise Refused(
            f"The role {role!r}, which migrates on the source, is not on the server of the copy.",
            f"Run there: {created}; nobody has to log in as it. GRANT it the roles that it has on the source.",
        )
    return str(role)


def keep(copy: Server, database: str) -> str:
    """Give the copy a name under which nobody drops it; returns it."""
    with copy.outside() as session:
        name = servers.dated(database, "rehearsed", datetime.datetime.now(datetime.UTC), servers.names(session))
        session.execute(
            sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(copy.database), sql.Identifier(name))
        )
    return name
