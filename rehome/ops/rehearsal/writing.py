"""Writes through both names of a move that stands, on a copy: committed, so that a way back has to keep them."""

import dataclasses
import itertools
from collections.abc import Iterator

from django.db import DatabaseError

from rehome.models import MoveRun
from rehome.plan.phases import standing
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.postgres import asking, settings, sql
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL
from rehome.verify import outcomes, roles, samples
from rehome.verify.attempts import Attempts, Name, Write
from rehome.verify.outcomes import CANDIDATES, Tables

KINDS = ("INSERT", "UPDATE", "DELETE")


@dataclasses.dataclass(frozen=True)
class Written:
    """One kind of write through one name."""

    name: str
    kind: str
    done: bool
    problem: str = ""
    """What is wrong after it; empty where nothing is, and where every value that was tried broke a constraint."""


def write_all(plan: Plan, session: Session, run: MoveRun) -> list[Written]:
    """A write of each kind through each name that may be written to; each is looked at under the other name."""
    views = standing(run).compared == "view"
    found: list[Written] = []
    for pair in plan.pairs:
        with settings.own(session.connection, *plan.search_path, held=True):
            shared = Record.of(run).sequences.get(str(pair.target))
            tables = outcomes.read_tables(session, pair, shared, views=views, reversible=plan.reversible)
            found += [write(session, tables, one, kind) for one in tables.names for kind in KINDS]
    return found


def write(session: Session, tables: Tables, one: Name, kind: str) -> Written:
    """The first write that breaks no constraint is kept."""
    for candidate in itertools.islice(candidates(session, tables, one, kind), CANDIDATES):
        try:
            with session.transaction():
                problem = carry_out(session, tables, candidate)
        except DatabaseError as error:
            if error.__cause__ is None:
                raise
            continue
        return Written(str(one), kind, done=True, problem=problem)
    return Written(str(one), kind, done=False)


def candidates(session: Session, tables: Tables, one: Name, kind: str) -> Iterator[Write]:
    with session.transaction():
        sample = samples.find(session, tables.pair, live=tables.live)
        if sample is None:
            return
        rights = roles.read_rights(session, asking.value(session.connection, "SELECT current_user"), one.place)
        types = samples.read_types(session, one.table)
        values = samples.read_values(session, one.table, one.key, sample.key)
        neighbours = samples.read_neighbours(session, one.table)
    yield from Attempts(one, sample, values, neighbours, types).kinds[kind](rights)


def carry_out(session: Session, tables: Tables, candidate: Write) -> str:
    """Within a transaction; what is wrong with what both names show of the row then."""
    if candidate.instead is not None:
        session.execute(sql.Firing(candidate.instead))
    returned = None
    if candidate.drawn:
        ((returned,),) = session.rows(sql.Firing(candidate.statement))
    else:
        session.execute(sql.Firing(candidate.statement))
    key = tuple(returned) if returned else candidate.key
    looks = [outcomes.agreed(wanted, tables) for wanted in (key, candidate.gone) if wanted]
    looks += [outcomes.shown(key, tables, there=True)] if key else []
    looks += [outcomes.shown(candidate.gone, tables, there=False)] if candidate.gone else []
    ((same,),) = session.rows(SQL("SELECT {}").format(SQL(" AND ").join(looks)))
    if same or tables.guarded:
        return ""
    return f"row {', '.join(key or candidate.gone or ())} is not the same under both names."
