"""Columns that become moments though the source gives no zone: times without one, texts, arrays and ranges of them.

The times of a source are read as its zone's, in which some are no moment, and some are two.
"""

import contextlib
import dataclasses
import re
from collections.abc import Iterable, Iterator, Sequence

from rehome.importing import local_times, lookups
from rehome.importing.local_times import among, shifts
from rehome.importing.plan import ImportPlan, Taken
from rehome.importing.sources.reader import Reader
from rehome.importing.sources.reading import find_times
from rehome.postgres import asking, sql
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL, Identifier, Literal, Statement

PARTS = {
    local_times.MOMENT: "ARRAY[{}]",
    f"{local_times.MOMENT}[]": "{}",
    "tstzrange": "(SELECT ARRAY[lower(one), upper(one)] FROM (SELECT {} AS one) AS given)",
    "tstzmultirange": "(SELECT array_agg(bound) FROM unnest({}) AS one, LATERAL (VALUES (lower(one)), (upper(one))) "
    "AS bounds (bound))",
}
"""By type, the moments that a value of it has, as an array."""
BASE = """
WITH RECURSIVE based (oid, modifier, basic) AS (
    SELECT %s::regtype::oid, NULL::integer, false
    UNION ALL SELECT t.typbasetype, nullif(t.typtypmod, -1), b.typtype <> 'd'
      FROM based JOIN pg_type t ON t.oid = based.oid AND t.typtype = 'd' JOIN pg_type b ON b.oid = t.typbasetype
) SELECT format_type(oid, modifier) FROM based WHERE basic
"""
"""The type that a domain is made of; no row for another."""
ELSEWHERE = "Etc/GMT+11"
"""A zone in which a time that says none is another moment than in UTC."""


@dataclasses.dataclass(frozen=True)
class Doubtful:
    """One such column."""

    plan: ImportPlan
    taken: Taken
    kind: str
    """What its values are in the end; a domain's, what it is made of."""
    local: bool
    """Whether the source's server says that each value is a single time without a zone."""

    @property
    def column(self) -> str:
        return self.taken.arrives_in

    @property
    def arrives_as(self) -> str:
        """Its type before anybody has looked at it."""
        return local_times.LOCAL if self.local else "text"

    @property
    def elsewhere(self) -> Identifier:
        """A function that reads a text as in another zone."""
        return sql.temporary(f"rehome_elsewhere_{self.plan.taken.index(self.taken)}")

    def read(self, text: Statement) -> Statement:
        """What a text becomes in the session's zone."""
        if self.taken.lookup:
            return SQL(lookups.as_looked_up(self.plan, self.taken.lookup, text))
        return SQL("{}::{}").format(text, SQL(self.taken.arrives_as))

    def create_elsewhere(self) -> Statement:
        body = SQL("SELECT {}").format(self.read(SQL("given"))).as_string()
        return SQL("CREATE FUNCTION {} (given text) RETURNS {} LANGUAGE sql SET timezone = {} AS {}").format(
            self.elsewhere, SQL(self.kind), Literal(ELSEWHERE), Literal(body)
        )

    def drop_elsewhere(self) -> Statement:
        return SQL("DROP FUNCTION {}").format(self.elsewhere)

    def has_any(self, text: Statement, found: Iterable[local_times.Shift]) -> Statement:
        """Whether one of its times is among those that a zone leaves out or repeats. The session is in UTC."""
        parts = SQL(PARTS[self.kind].replace("{}", "{0}")).format(self.read(text))
        return SQL("EXISTS (SELECT FROM unnest({}) AS part WHERE {})").format(
            parts, among(SQL("(part AT TIME ZONE 'UTC')"), found)
        )

    def is_unclear(self, text: Statement) -> Statement:
        """Whether one of its times is no moment or two of them, and says no zone itself. The session is in UTC."""
        return SQL("CASE WHEN {} THEN {} IS DISTINCT FROM {}({}) ELSE false END").format(
            self.has_any(text, shifts(zone_of(self.plan))), self.read(text), self.elsewhere, text
        )

    def reason(self, text: Statement) -> Statement:
        zone = zone_of(self.plan)
        return SQL("CASE WHEN {} THEN {} ELSE {} END").format(
            self.has_any(text, [shift for shift in shifts(zone) if shift.twice]),
            Literal(f"has a time without a zone that comes twice in {zone}, whose clocks are set back then"),
            Literal(f"has a time that never comes in {zone}, whose clocks are set forward then"),
        )


def zone_of(plan: ImportPlan) -> str:
    return plan.source.timezone_name


def find(plan: ImportPlan, reader: Reader) -> list[Doubtful]:
    """The columns of an import that become moments of times which may say no zone; none where clocks were never set."""
    if not shifts(zone_of(plan)):
        return []
    kinds = {n: kind for n, taken in enumerate(plan.taken) if not taken.constant and (kind := becomes(plan, taken))}
    times = find_times(plan, reader) if kinds else {}
    return [
        Doubtful(plan, plan.taken[n], kind, times.get(n) == "local" and kind == local_times.MOMENT and not looked_up)
        for n, kind in kinds.items()
        if times.get(n) != "moment"
        for looked_up in [plan.taken[n].lookup is not None]
    ]


def becomes(plan: ImportPlan, taken: Taken) -> str:
    """The type of moments, arrays or ranges of moments that its values become; empty for any other."""
    if taken.lookup:
        return local_times.MOMENT if lookups.gives_moment(taken.lookup) else ""
    base = base_type(plan, taken.arrives_as) or taken.arrives_as
    plain = re.sub(r"\(\d+\)", "", base)
    return plain if plain in PARTS else ""


def base_type(plan: ImportPlan, kind: str) -> str | None:
    """What a domain is made of; None for another type."""
    return next((base for (base,) in asking.query(plan.connection, BASE, [kind])), None)


@contextlib.contextmanager
def looked_at(doubtful: Sequence[Doubtful], session: Session) -> Iterator[None]:
    """The session is in UTC, where each time without a zone is one, and has the functions that are asked."""
    asked = [one for one in doubtful if not one.local]
    zone = zone_of(doubtful[0].plan)
    session.execute_all([*(one.create_elsewhere() for one in asked), sql.set_local("TimeZone", "UTC")])
    yield
    session.execute_all([sql.set_local("TimeZone", zone), *(one.drop_elsewhere() for one in asked)])


# ----- SQL


def any_unclear(plan: ImportPlan, table: Statement, doubtful: Iterable[Doubtful]) -> Statement:
    wrong = [
        local_times.is_unclear(Identifier(one.column), zone_of(plan), plan.declared.fold)
        if one.local
        else one.is_unclear(Identifier(one.column))
        for one in doubtful
    ]
    return SQL("SELECT EXISTS (SELECT FROM {} WHERE {})").format(table, SQL(" OR ").join(wrong))


def settle(plan: ImportPlan, table: Statement, doubtful: Iterable[Doubtful]) -> Statement | None:
    """Columns that arrived as times or texts become what they are to be; None where none does."""
    changes = [
        SQL("ALTER COLUMN {0} TYPE {1} USING {2}").format(
            Identifier(one.column),
            SQL(one.taken.arrives_as),
            local_times.moment(Identifier(one.column), zone_of(plan), plan.declared.fold)
            if one.local
            else one.read(Identifier(one.column)),
        )
        for one in doubtful
        if one.taken.lookup is None
    ]
    return SQL("ALTER TABLE {} {}").format(table, SQL(", ").join(changes)) if changes else None
