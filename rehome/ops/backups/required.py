"""Whether a migration may begin: one that moves rows, or drops old ones, needs a proved backup that is young."""

import datetime
from collections.abc import Iterable, Iterator

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader

from rehome.errors import Refused
from rehome.graph.discovery import DeclaredMove, moves_of
from rehome.ops import dropping, servers
from rehome.ops.backups.store import Backup, Store
from rehome.ops.servers import Server, Where, elapsed
from rehome.plan.historical import get_model

CURE = "Run `manage.py backup` and then `manage.py checkbackup`."


def refuse_unproved(migrations: Iterable[Migration], connection: BaseDatabaseWrapper, hours: float) -> None:
    """Raises Refused where one of these migrations has rows to move or to drop, and no backup of this database that is
    younger than so many hours has been restored and compared.
    """
    if found := next(touching(migrations, connection), ""):
        try:
            find_proved(Store.default(), where_of(connection), datetime.timedelta(hours=hours))
        except Refused as error:
            raise Refused(f"{found} needs a backup. {error.problem}", f"{error.hint} Nothing is changed.") from error


def find_proved(kept: Store, where: Where, within: datetime.timedelta) -> Backup:
    """The last backup of a database that is proved. Raises Refused where none is young enough."""
    backups = kept.of(where.system_identifier, where.database)
    own = [one for one in backups if is_own(one, where)]
    proved = [one for one in own if one.proved][-1:]
    for one in proved:
        if one.age <= within:
            return one
    cure = CURE
    if proved:
        known = f"the last one is {elapsed(proved[0].age)} old"
    elif own:
        known = f"{own[-1].manifest.name} is there, and is not proved"
        cure = "Prove it with `manage.py checkbackup`."
    elif backups:
        known = (
            f"{len(backups)} are there, all dated by a wrong clock, or of another database that had this name before"
        )
    else:
        known = "there is no backup at all"
    raise Refused(f"No proved backup of {where} is younger than {elapsed(within)}: {known}.", cure)


def is_own(one: Backup, where: Where) -> bool:
    """Whether it is of this very database, and not of one that had its name before a restore, at a known moment."""
    return one.manifest.database_oid == where.oid and not one.of_the_future


def last(kept: Store, connection: BaseDatabaseWrapper) -> Backup:
    """The newest backup of the database. Raises Refused where there is none."""
    where = where_of(connection)
    if backups := kept.of(where.system_identifier, where.database):
        return backups[-1]
    raise Refused(f"There is no backup of {where}.", "Make one with `manage.py backup`.")


def where_of(connection: BaseDatabaseWrapper) -> Where:
    with Server.of(connection).session() as session:
        return servers.look(session)


def touching(migrations: Iterable[Migration], connection: BaseDatabaseWrapper) -> Iterator[str]:
    """What moves rows, or drops old ones, of those that have any."""
    migrations, loader = list(migrations), MigrationLoader(connection, ignore_no_migrations=True)
    for migration in migrations:
        for declared in moves_of(migration, loader):
            if dropping.with_rows(tables_of(declared, connection), connection):
                yield str(declared)
    for ending, _ in dropping.find(migrations, loader, connection):
        yield f"The end of {ending}"


def tables_of(declared: DeclaredMove, connection: BaseDatabaseWrapper) -> list[str]:
    """Both, quoted as in a statement."""
    models = [get_model(declared.apps, label) for label in (declared.move.source, declared.move.target)]
    return [connection.ops.quote_name(model._meta.db_table) for model in models]
