"""Day: what all checks look at, read once and read only: the database, what would be migrated, backups, a rehearsal."""

import dataclasses
import datetime
from collections.abc import Sequence

from django.db import connections

from rehome.errors import RehomeError
from rehome.ops import servers
from rehome.ops.backups.store import Backup, Store
from rehome.ops.rehearsal import facts, reports, sampling, steps
from rehome.ops.rehearsal.redirecting import reading_alone
from rehome.ops.rehearsal.rehearse import find_pairs
from rehome.ops.rehearsal.report import Report, Seen
from rehome.ops.rehearsal.report import Server as Facts
from rehome.ops.servers import Server, Where


@dataclasses.dataclass(frozen=True)
class Limits:
    """What is good enough."""

    backup_hours: float = 24
    rehearsal_days: float = 14
    window: int | None = None
    """Minutes that are announced; None where none are yet."""
    writers: tuple[str, ...] = ()
    """Names of programs or roles that are known to write."""
    seconds: float = 5
    """For how long the sessions of the source are looked at."""


@dataclasses.dataclass(frozen=True)
class Day:
    server: Server
    where: Where
    facts: Facts
    migrations: tuple[str, ...]
    """That `migrate` would apply."""
    moves: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    """The quoted names of each source and target that are there; a target that is not there yet is empty."""
    backups: Sequence[Backup]
    rehearsals: Sequence[Report]
    """Of this database, the newest first."""
    no_storage: str
    """Why neither can be read; empty where they can."""
    seen: Seen
    limits: Limits
    now: datetime.datetime

    @property
    def tables(self) -> list[str]:
        return [name for pair in self.pairs for name in pair if name]

    @property
    def rehearsal(self) -> Report | None:
        """The newest that ran everything that would be migrated."""
        if not self.moves:
            return None
        return next((one for one in self.rehearsals if {*self.migrations} <= {*one.migrations}), None)


def look(alias: str, limits: Limits) -> Day:
    connection = connections[alias]
    with reading_alone():
        server = Server.of(connection)
        migrations = steps.planned(alias)
        moves = steps.moves_among(migrations, alias)
        pairs = find_pairs(moves, connection)
        tables = [name for pair in pairs for name in pair if name]
        with sampling.reading(server) as session:
            where = servers.look(session)
        backups, rehearsals, no_storage = read_store(where)
        return Day(
            server=server,
            where=where,
            facts=facts.read(server, tables),
            migrations=tuple(migrations),
            moves=tuple(map(str, moves)),
            pairs=tuple(pairs),
            backups=backups,
            rehearsals=rehearsals,
            no_storage=no_storage,
            seen=sampling.look_for(server, tables, limits.seconds),
            limits=limits,
            now=datetime.datetime.now(datetime.UTC),
        )


def read_store(where: Where) -> tuple[list[Backup], list[Report], str]:
    try:
        store = Store.default()
        backups = store.of(where.system_identifier, where.database)
        kept = reports.of(store, where.system_identifier, where.database, "rehearsal")
        return backups, [one.report for one in kept], ""
    except RehomeError as error:
        return [], [], str(error)
    except OSError as error:
        return [], [], f"The storage of the backups can't be read: {error}."
