"""A whole rehearsal: the copy is made, the stages run on it, the source is looked at meanwhile, and all is reported."""

import contextlib
import dataclasses
import datetime
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from rehome.errors import Refused
from rehome.graph.discovery import DeclaredMove
from rehome.ops import servers, space
from rehome.ops.backups.dumping import Step
from rehome.ops.rehearsal import copying, facts, page, sampling, steps
from rehome.ops.rehearsal.looks import Onlooker
from rehome.ops.rehearsal.recording import Recorder
from rehome.ops.rehearsal.redirecting import reading_alone, redirected
from rehome.ops.rehearsal.report import Report, Stage
from rehome.ops.servers import Server, Where
from rehome.plan.historical import get_model
from rehome.postgres import resolution
from rehome.postgres.sql import Identifier

ROOM = 2.5
"""How many times the size of the database a copy of it needs with all that happens to it."""


@dataclasses.dataclass(frozen=True)
class Wish:
    """What is asked for."""

    alias: str
    there: Server | None
    """The server that the copy is made on; None for the source's own."""
    backup: str | None
    """None for a fresh one."""
    online: bool
    keep: bool


@dataclasses.dataclass(frozen=True)
class Rehearsed:
    report: Report
    kept: str
    """The name of the copy that stays; empty where it is dropped."""


def rehearse(wish: Wish, step: Step, say: Callable[[str], object], *, verbosity: int = 1) -> Rehearsed:
    """Raises Refused or BackupFailed where no copy can be made; whatever fails on the copy is in the report."""
    connection = connections[wish.alias]
    source = Server.of(connection)
    with reading_alone():
        tables = find_tables(steps.moves_among(steps.planned(wish.alias), wish.alias), connection)
        with source.session() as session:
            where = servers.look(session)
            free = space.free(session)
        role = ""
        if wish.there is None:
            refuse_full(free, where)
        else:
            role = copying.acting(source, wish.there)
        there = wish.there or source
        began = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        times: list[Stage] = []
        timed = timing(step, times)
        with (
            copying.fetched(connection, where, wish.backup, timed) as origin,
            # Not before, for a fresh backup is a dump of the rehearsal's own.
            sampling.sampled(source, tables) as seen,
            copying.made(origin, there, where, timed) as copy,
        ):
            known = facts.read(source, tables), facts.read(copy, tables)
            elsewhere = wish.there is not None
            with redirected(wish.alias, copy, elsewhere=elsewhere, role=role), settled(wish):
                recorder = Recorder(connections[wish.alias], Onlooker(connections[wish.alias], sizes=True))
                # What code of the project's prints is no part of the report.
                with recorder.onlooker, contextlib.redirect_stdout(sys.stderr):
                    rehearsal = steps.Rehearsal(wish.alias, recorder, say, verbosity=verbosity)
                    rehearsal.run()
            kept = copying.keep(copy, where.database) if wish.keep else ""
    report = Report(
        kind="rehearsal",
        began=began.isoformat(),
        source=known[0],
        copy=known[1],
        origin=origin.said,
        migrations=tuple(rehearsal.migrations),
        moves=tuple(map(str, rehearsal.moves)),
        online=wish.online,
        stages=(*times, *recorder.stages),
        seen=seen.seen,
    )
    return Rehearsed(report, kept)


def refuse_full(free: int | None, where: Where) -> None:
    """Copy, target and log of a rehearsal on the source's own server must not stop its other users."""
    needed = int(where.size * ROOM)
    if free is not None and free < needed:
        raise Refused(
            f"A rehearsal here needs about {page.size(needed)} of disk, and the server has {page.size(free)} left.",
            "Rehearse on another server: --on URL. Nothing was copied.",
        )


def find_tables(moves: list[DeclaredMove], connection: BaseDatabaseWrapper) -> list[str]:
    if not moves:
        raise Refused(
            f"`migrate` would run no move on database {connection.alias!r}.",
            "There is nothing to rehearse; `manage.py showmoves` says how the moves stand.",
        )
    return [table for pair in find_pairs(moves, connection) for table in pair if table]


def find_pairs(moves: list[DeclaredMove], connection: BaseDatabaseWrapper) -> list[tuple[str, str]]:
    """Source and target of each table that moves, qualified and quoted; a target that is not there is empty."""

    def place(table: str) -> str:
        oid = resolution.find(connection, connection.ops.quote_name(table))
        return Identifier(*resolution.place_of(connection, oid)).as_string() if oid else ""

    found = []
    for declared in moves:
        sides = [tables_of(get_model(declared.apps, label)) for label in (declared.move.source, declared.move.target)]
        # A many-to-many field of the source's that the target does not have goes nowhere.
        found += [(place(source), place(target)) for source, target in zip(*sides, strict=False)]
    return [pair for pair in found if pair[0]]


def tables_of(model: type[Model]) -> list[str]:
    """Its own, and those that its many-to-many fields made."""
    through = (field.remote_field.through for field in model._meta.local_many_to_many)
    return [model._meta.db_table, *(one._meta.db_table for one in through if one and one._meta.auto_created)]


def timing(step: Step, times: list[Stage]) -> Step:
    """The same steps, each of which is a stage of the report as well."""

    @contextlib.contextmanager
    def timed(name: str) -> Iterator[None]:
        began = time.monotonic()
        with step(name):
            yield
        times.append(Stage(name, round(time.monotonic() - began, 2)))

    return timed


@contextlib.contextmanager
def settled(wish: Wish) -> Iterator[None]:
    """Until the block ends, moves that do not say it themselves go online, where that is asked for; and a backup of the
    copy, of which there is none, is not required.
    """
    wanted: dict[str, Any] = {"REHOME_REQUIRE_BACKUP": 0, **({"REHOME_ONLINE": True} if wish.online else {})}
    missing = object()
    before = {name: getattr(settings, name, missing) for name in wanted}
    for name, value in wanted.items():
        setattr(settings, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is missing:
                delattr(settings, name)
            else:
                setattr(settings, name, value)
