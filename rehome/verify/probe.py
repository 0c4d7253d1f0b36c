"""A write of each kind, through each name, as each role that may write, in savepoints that are rolled back.

What cannot work is found before a customer's write finds it. Numbers that the writes draw from sequences, and effects
outside the database, are not undone.
"""

import dataclasses
import time
from collections.abc import Collection, Iterator
from typing import Any

from django.db import DatabaseError, OperationalError, transaction

from rehome.errors import one_line
from rehome.parts import sequences, strangers, writes
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.postgres import asking, conf, settings, sql
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL
from rehome.postgres.states import RETRIED, state_of
from rehome.verify import outcomes, roles, samples
from rehome.verify.attempts import Attempts, Name, Write
from rehome.verify.outcomes import Outcome, Tables
from rehome.verify.roles import KEY, Need, Rights, Writer
from rehome.verify.samples import Sample

STATEMENT_MS = 1000
"""How long one write may take, with all that it fires, where nobody waits for it."""
quick_ms = conf.lock_timeout_ms
"""The same where others wait."""
LATE = "the time for it was up; `manage.py verifymoves --probe` takes the time that it needs."
Refusal = tuple[str, str, str]
"""A role, a kind of write, and what PostgreSQL says of it."""
Refused = frozenset[Refusal]
WRITING = ("SELECT", "INSERT", "UPDATE", "DELETE")
# Whether what carries a write has the rights of whoever writes, and whether that is a trigger.
ASKS_WRITER = """
SELECT coalesce(NOT carries.definer, (SELECT option_value::boolean FROM pg_options_to_table(c.reloptions)
                                       WHERE option_name = 'security_invoker'), false),
       carries.definer IS NOT NULL
  FROM pg_class c
  LEFT JOIN LATERAL (SELECT p.prosecdef FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
                      WHERE t.tgrelid = c.oid AND t.tgname ~ '^rehome_(forward|backward|view)_[0-9a-f]+$'
                      LIMIT 1) AS carries (definer) ON true
 WHERE c.oid = to_regclass(%s)
"""


@dataclasses.dataclass(frozen=True)
class Trial:
    """One kind of write through one name as one role; `kind` is empty where none was tried."""

    role: str
    name: str
    kind: str
    worked: bool | None
    """None where it was not tried, or proves nothing."""
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.role}, {f'{self.kind} through ' if self.kind else ''}{self.name}: {self.reason}"


@dataclasses.dataclass(frozen=True)
class Probe:
    """What trying to write to one move's tables said."""

    trials: tuple[Trial, ...]
    counted: dict[str, int]
    """By source: how many of these writes were counted as old code's."""

    @property
    def faults(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.worked is False]

    @property
    def untried(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.worked is None]

    @property
    def failure(self) -> str:
        """The faults in short; empty where there is none."""
        by_reason: dict[str, list[Trial]] = {}
        for fault in self.faults:
            by_reason.setdefault(fault.reason, []).append(fault)
        return " ".join(f"{describe(faults)}: {reason}" for reason, faults in by_reason.items())

    def as_json(self) -> list[dict[str, Any]]:
        return [dataclasses.asdict(trial) for trial in self.trials]


def describe(trials: list[Trial]) -> str:
    """Who, what and where, each once."""
    who, kinds, where = (dict.fromkeys(getattr(t, part) for t in trials) for part in ("role", "kind", "name"))
    return f"{', '.join(who)}, {', '.join(filter(None, kinds)) or 'writes'} through {', '.join(where)}"


def try_writes(
    plan: Plan,
    session: Session,
    record: Record,
    *,
    views: bool = False,
    within_s: float | None = None,
    refused: Refused = frozenset(),
) -> Probe:
    """Try the tables of a move, whose old names are `views` or tables; in a transaction of its own for each table.

    With `within_s`, in the transaction that is open, which has locked the tables: what their own sequences have drawn
    is undone as well, and what has not been begun after so many seconds is not tried. What the old tables have
    `refused` by themselves before is no fault.
    """
    until = None if within_s is None else time.monotonic() + within_s
    trials: list[Trial] = []
    counted = {}
    for pair in plan.pairs:
        with settings.own(session.connection, *plan.search_path):
            writes.release(session, pair)
            shared = record.sequences.get(str(pair.target))
            tables = outcomes.read_tables(session, pair, shared, views=views, reversible=plan.reversible)
            lent = strangers.in_writes(plan, pair)
            trials += Trying(session, tables, until=until, refused=refused, lent=lent).run()
            counted[str(pair.source)] = writes.release(session, pair)
    return Probe(tuple(trials), counted)


def find_refused(plan: Plan, session: Session, roles: Collection[str]) -> tuple[Refused, dict[str, int]]:
    """What the old tables refuse by themselves to these roles, and by source how many of the writes were counted."""
    found: set[Refusal] = set()
    counted = {}
    for pair in plan.pairs:
        with settings.own(session.connection, *plan.search_path):
            writes.release(session, pair)
            found.update(Trying(session, outcomes.read_old(session, pair)).find_refused(roles))
            counted[str(pair.source)] = writes.release(session, pair)
    return frozenset(found), counted


class Trying:
    """The trials of one pair of tables."""

    def __init__(
        self,
        session: Session,
        tables: Tables,
        *,
        until: float | None = None,
        refused: Refused = frozenset(),
        lent: str = "",
    ) -> None:
        self.session = session
        self.tables = tables
        self.pair = tables.pair
        self.types = {one.place: samples.read_types(session, one.table) for one in tables.names}
        self.until = until
        self.refused = refused
        self.lent = lent

    @property
    def is_late(self) -> bool:
        return self.until is not None and time.monotonic() > self.until

    def run(self) -> Iterator[Trial]:
        for writer in roles.find_writers(self.session, self.tables.places):
            if not writer.usable:
                yield self.compare_rights(writer, "this connection may not become the role")
                continue
            if self.is_late:
                yield self.not_tried(writer, LATE)
                continue
            if self.lent and writer.trusted:
                yield self.not_tried(writer, f"{self.lent} would run with its rights.")
                continue
            writer = roles.with_settings(self.session, writer)
            if why := outcomes.why_not_as(self.session, writer):
                yield self.compare_rights(writer, why)
                continue
            try:
                yield from self.try_role(writer)
            except DatabaseError as error:
                if not state_of(error):
                    raise
                yield self.not_tried(writer, f"no row can be read to try it with: {one_line(error)}.")

    def find_refused(self, roles_: Collection[str]) -> Iterator[Refusal]:
        for writer in roles.find_writers(self.session, self.tables.places):
            if writer.usable and writer.role in roles_:
                with_settings = roles.with_settings(self.session, writer)
                if not outcomes.why_not_as(self.session, with_settings):
                    found = self.try_names(with_settings)
                    for _, kind, outcome in found if isinstance(found, list) else ():
                        if outcome.worked is None and outcome.said:
                            yield writer.role, kind, outcomes.said_alike(outcome.said, self.pair)

    def not_tried(self, writer: Writer, reason: str) -> Trial:
        return Trial(writer.role, str(self.pair.target), "", None, f"not tried: {reason}")

    # ----- a role that this connection may become

    def try_role(self, writer: Writer) -> list[Trial]:
        found = self.try_names(writer)
        if isinstance(found, Trial):
            return [found]
        before = {(kind, said) for role, kind, said in self.refused if role == writer.role}
        return [
            Trial(writer.role, str(one), kind, outcome.worked, outcome.reason)
            for one, kind, outcome in outcomes.blame(found, self.tables, before, strict=self.until is not None)
        ]

    def try_names(self, writer: Writer) -> Trial | list[tuple[Name, str, Outcome]]:
        session = self.session
        with outcomes.undone(session):
            self.set_limits()
            sample = samples.find(session, self.pair, live=self.tables.live) or self.make_row(writer)
            if isinstance(sample, Trial):
                return sample
            return [(one, *tried) for one in self.tables.names for tried in self.try_name(writer, one, sample)]

    def set_limits(self) -> None:
        """While others wait, nothing takes longer than a try to get a lock."""
        local = {
            "lock_timeout": conf.lock_timeout_ms(),
            "statement_timeout": quick_ms() if self.until else STATEMENT_MS,
        }
        limits = [sql.set_local(setting, value) for setting, value in local.items()]
        # A move sets it for itself.
        outcomes.execute_together(self.session, [*limits, SQL("SET LOCAL row_security TO DEFAULT")])
        if self.until:
            self.undo_numbers()

    def undo_numbers(self) -> None:
        """A sequence that somebody else has drawn from, in a transaction that goes on, is left as it is."""
        tables = [one.table for one in self.tables.names]
        for own in {name: own for table in tables for name, own in table.sequences.items()}.values():
            try:
                with transaction.atomic(using=self.session.connection.alias):
                    self.session.execute(sequences.hold(own))
            except OperationalError as error:
                if state_of(error) not in RETRIED:
                    raise

    def make_row(self, writer: Writer) -> Sample | Trial:
        """Where the tables are empty, as this connection's role."""
        new = self.tables.names[-1]
        if self.session.rows(sql.has_rows(new.table)) == [(True,)]:
            return self.not_tried(writer, "each of the first rows is locked, or differs between the two tables.")
        statement = samples.make(self.session, self.pair)
        if statement is None:
            return self.not_tried(writer, "the table is empty, and no row could be made of default values.")
        try:
            with transaction.atomic(using=self.session.connection.alias):
                ((key,),) = self.session.rows(sql.Firing(statement))
        except DatabaseError as error:
            if not state_of(error):
                raise
            made = Write(statement, known=False)
            outcome = outcomes.judge(self.session, error, made, writer, new, self.tables)
            if outcome.worked is False:
                return Trial(writer.role, str(new), "INSERT", False, outcome.reason)
            return self.not_tried(writer, f"the table is empty, and a row could not be made: {outcome.reason}")
        return Sample(tuple(key), removable=True)

    def try_name(self, writer: Writer, one: Name, sample: Sample) -> Iterator[tuple[str, Outcome]]:
        session = self.session
        rights = roles.read_rights(session, writer.role, one.place)
        values = samples.read_values(session, one.table, one.key, sample.key)
        neighbours = samples.read_neighbours(session, one.table)
        tried = Attempts(one, sample, values, neighbours, self.types[one.place])
        may = rights.kinds(one.key)
        for kind, candidates in tried.kinds.items():
            if kind not in may:
                continue
            if self.is_late:
                yield kind, Outcome(None, f"not tried: {LATE}")
            elif kind != "INSERT" and not rights.select.issuperset(one.key):
                yield kind, Outcome(None, "not tried: the role may not read the key, which names one row.")
            else:
                yield kind, outcomes.first_outcome(session, candidates(rights), writer, one, self.tables)

    # ----- a role that nothing is tried as

    def compare_rights(self, writer: Writer, why: str) -> Trial:
        """Whether it has what its writes need."""
        needed: list[Need] = []
        for one in self.tables.names:
            rights = roles.read_rights(self.session, writer.role, one.place)
            needed += self.needed(writer, one, rights)
        if lacking := roles.find_lacking(self.session, writer.role, list(dict.fromkeys(needed))):
            missing = f"its writes fail, because it lacks {', '.join(lacking)}."
            return Trial(writer.role, str(self.pair.target), "", False, missing)
        return self.not_tried(writer, f"{why}. Its rights are as they should be.")

    def needed(self, writer: Writer, one: Name, rights: Rights) -> Iterator[Need]:
        """What its writes need beside the right to them."""
        kinds = [kind for kind in rights.kinds(one.key) if kind != KEY]
        ((asks_writer, by_trigger),) = asking.query(self.session.connection, ASKS_WRITER, [one.place])
        places = self.tables.places
        if asks_writer and kinds and by_trigger:
            yield from ((place, right, "") for place in places for right in WRITING)
        elif asks_writer and one.is_view:
            yield from self.needed_below(rights, places[-1])
        if asks_writer and kinds and self.tables.live:
            yield writes.place(self.pair).as_string(), "USAGE", ""
        if "INSERT" in kinds and (sequence := outcomes.drawn_from(self.session, writer, one, self.tables)):
            yield sequence, "USAGE", ""

    def needed_below(self, rights: Rights, table: str) -> Iterator[Need]:
        """Of the table that a view shows column by column: what its reader may write, column by column."""
        there = {a.column.name: column for a in self.pair.backward.assignments if a.plain for column in a.reads}
        for kind, columns in (("INSERT", rights.insert), ("UPDATE", rights.update)):
            yield from ((table, kind, there[column]) for column in sorted(columns & there.keys()))
        if rights.delete:
            yield table, "DELETE", ""
