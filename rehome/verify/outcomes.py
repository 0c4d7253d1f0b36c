"""One write through one name as one role: what becomes of it, and whether an error of it is rehome's doing."""

import contextlib
import dataclasses
import itertools
import re
import uuid
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import psycopg
from django.db import DatabaseError, transaction

from rehome.errors import one_line
from rehome.parts import carry
from rehome.plan.plan import TablePair
from rehome.plan.record import SharedSequence
from rehome.postgres import asking, settings
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL, Identifier, Statement, name
from rehome.postgres.states import NOT_ALLOWED, RETRIED, TOO_LONG, state_of
from rehome.postgres.tables import PREFIX
from rehome.verify import attempts, confined, queries, roles
from rehome.verify.attempts import Name, Write
from rehome.verify.roles import Writer
from rehome.verify.samples import Key

CANDIDATES = 8
"""How many writes of one kind are tried until one breaks no constraint."""
RAISED = "P0001"
"""What a function raises on purpose: one of the project's, for those of rehome's own errors have other states."""
EXHAUSTED = "2200H"
BEGIN = SQL("SAVEPOINT rehome_trial")
UNDO = (SQL("ROLLBACK TO SAVEPOINT rehome_trial"), SQL("RELEASE SAVEPOINT rehome_trial"))
DUPLICATE = "23505"

FACTS = """
SELECT c.relkind = 'v',
       c.relrowsecurity OR EXISTS (SELECT FROM pg_rewrite WHERE ev_class = c.oid AND rulename <> '_RETURN')
       OR EXISTS (SELECT FROM pg_trigger
                   WHERE tgrelid = c.oid AND NOT tgisinternal AND tgname !~ '^rehome_[a-z_]+_[0-9a-f]{12}$')
  FROM pg_class c WHERE c.oid = to_regclass(%s)
"""
# Of other tables, a check that waits for the end of a transaction is not asked: no trial gets there.
WAITING = """
SELECT format('%%I.%%I', n.nspname, c.conname) FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace
 WHERE c.condeferrable AND c.conrelid IN (SELECT to_regclass(given) FROM unnest(%s::text[]) given)
"""
KEYS = "SELECT conname FROM pg_constraint WHERE contype = 'p' AND conrelid = to_regclass(%s)"


@dataclasses.dataclass(frozen=True)
class Outcome:
    worked: bool | None
    """None where it was not tried, or proves nothing."""
    reason: str = ""
    said: str = ""
    """By PostgreSQL, of a table that would refuse the write without rehome, too."""
    final: bool = False
    """Whether other values would end like this as well."""


@dataclasses.dataclass(frozen=True)
class Tables:
    """What is known of the two tables, or of a view and its table, before a write is tried."""

    pair: TablePair
    names: tuple[Name, ...]
    """Those that may be written to, the new one last."""
    live: bool
    """Whether each of two tables has the rows."""
    guarded: bool
    """Whether a policy, a rule or a trigger of the project's may decide what becomes of a row."""
    check_now: tuple[Statement, ...]
    """What asks the constraints of both that wait for the end of a transaction."""
    shared: SharedSequence | None
    """What the keys were numbered by before the move."""

    @property
    def places(self) -> list[str]:
        return [one.place for one in self.names]


def read_tables(
    session: Session, pair: TablePair, shared: SharedSequence | None, *, views: bool, reversible: bool
) -> Tables:
    """Of a move whose old names are `views` or tables. Where it has no way back, nobody may write to the source; a view
    that is gone is told by other means.
    """
    found = [
        (old, place, is_view, guarded)
        for old, place in ((True, name(pair.source).as_string()), (False, name(pair.target).as_string()))
        if not old or views or reversible
        for is_view, guarded in asking.query(session.connection, FACTS, [place])
    ]
    places = [place for _, place, _, _ in found]
    waiting = asking.column(session.connection, WAITING, [places])
    return Tables(
        pair=pair,
        names=tuple(attempts.read_name(pair, old=old, is_view=is_view) for old, _, is_view, _ in found),
        live=reversible and not views,
        guarded=any(guarded for *_, guarded in found),
        check_now=tuple(SQL("SET CONSTRAINTS {} IMMEDIATE").format(SQL(constraint)) for constraint in waiting),
        shared=shared,
    )


def read_old(session: Session, pair: TablePair) -> Tables:
    """The old table as one that nothing is known of but what is written to it: the only name, as the new one is where
    there is no way back.
    """
    turned = dataclasses.replace(
        pair,
        source=pair.target,
        target=pair.source,
        source_model=pair.target_model,
        target_model=pair.source_model,
        forward=pair.backward,
        backward=pair.forward,
        dropped=(),
    )
    return read_tables(session, turned, None, views=False, reversible=False)


@contextlib.contextmanager
def undone(session: Session) -> Iterator[None]:
    """A savepoint, or a transaction, that is rolled back."""
    alias = session.connection.alias
    with transaction.atomic(using=alias):
        try:
            yield
        finally:
            transaction.set_rollback(True, using=alias)


def execute_together(session: Session, statements: Iterable[Statement]) -> list[tuple[Any, ...]]:
    """In one message to the server, since others may wait; returns the rows of the last one that has any."""
    connection = session.connection
    rows: list[tuple[Any, ...]] = []
    with connection.wrap_database_errors:
        # A project may have its connections prepare what they repeat, which several statements can't be.
        cursor = connection.connection.execute(SQL("; ").join(statements).as_string(), prepare=False)
        while True:
            rows = list(cursor.fetchall()) if cursor.description else rows
            if not cursor.nextset():
                return rows


def forget_prepared(session: Session) -> None:
    """Statements that the session has prepared outlast a savepoint, and code that ran in it may have put others in
    their place.
    """
    # The driver looks at the answer, and forgets them too, only where it has not seen the statement before.
    execute_together(session, [SQL(f"DEALLOCATE ALL -- {uuid.uuid4()}")])


def why_not_as(session: Session, writer: Writer) -> str:
    """Why nothing can be tried as a role; empty where it can."""
    try:
        with undone(session):
            execute_together(session, confined.create(writer, SQL("SELECT"), returns=False))
    except DatabaseError as error:
        if not state_of(error):
            raise
        return f"no function of the role's could be made to try it with: {one_line(error)}"
    return ""


def first_outcome(session: Session, candidates: Iterator[Write], writer: Writer, one: Name, tables: Tables) -> Outcome:
    """The first write that breaks no constraint decides."""
    outcome = Outcome(None, "no row or column was found that such a write could change.")
    for write in itertools.islice(candidates, CANDIDATES):
        error = None
        try:
            outcome = carry_out(session, write, writer, one, tables)
        except DatabaseError as refusal:
            if not state_of(refusal):
                raise
            error = refusal
        execute_together(session, UNDO)
        forget_prepared(session)
        if error:
            outcome = judge(session, error, write, writer, one, tables)
        if outcome.worked is not None or outcome.final:
            break
    return outcome


def carry_out(session: Session, write: Write, writer: Writer, one: Name, tables: Tables) -> Outcome:
    """Write, and look what has become of it under both names. What is done since the savepoint is left to be undone."""
    instead = [write.instead] if write.instead else []
    # What waits for the end of a transaction is checked as the role that would end it.
    create = confined.create(writer, write.statement, returns=write.drawn, check=tables.check_now)
    execute_together(session, [BEGIN, *create])
    first = [settings.lend(session.connection), SQL("SELECT {}").format(carry.let_lead("")), *instead]
    forget, look_in_own, fix_formats = settings.reclaim(session.connection)
    # At once, before what comes next is read.
    ((touched, returned),) = execute_together(session, [*first, confined.CALL, forget, look_in_own])
    key: Key | None = tuple(returned) if returned else write.key
    expected = [(key, True)] if key else []
    expected += [(write.gone, False)] if write.gone else []
    looks = [
        is_same(write, tables),
        all_of(agreed(wanted, tables) for wanted, _ in expected),
        all_of(shown(wanted, tables, there=there) for wanted, there in expected),
    ]
    look = SQL("SELECT {}").format(SQL(", ").join(looks))
    ((same, all_agreed, all_shown),) = execute_together(session, [fix_formats, look])
    if not touched and tables.guarded:
        return Outcome(None, "a policy, a rule or a trigger of the table's own left the row alone.")
    if not touched:
        return Outcome(False, "no row was written, and no error was raised.")
    if same:
        return Outcome(None, "no other key was found that the row could get.")
    if key and key == write.taken:
        return Outcome(False, f"the key {', '.join(key)} that the table gave is not new.")
    if all_agreed and not all_shown and tables.guarded:
        return Outcome(None, "a policy, a rule or a trigger of the table's own decides what becomes of the row.")
    if not (all_agreed and all_shown):
        others = [str(other) for other in tables.names if other is not one] or [str(one)]
        return Outcome(False, f"the write raised no error, but is not seen in {others[0]}.")
    return Outcome(True)


def all_of(conditions: Iterable[Statement]) -> Statement:
    return SQL(" AND ").join([SQL("true"), *conditions])


def agreed(key: Key, tables: Tables) -> Statement:
    """Whether both names say the same of the row of this key, or that there is none."""
    if len(tables.names) == 1:
        return SQL("true")
    return SQL("NOT EXISTS ({})").format(queries.differences_of_key(tables.pair, key))


def shown(key: Key, tables: Tables, *, there: bool) -> Statement:
    """Whether the last name has a row of this key, or none, as it should be."""
    new = tables.names[-1]
    exists = SQL("EXISTS (SELECT FROM {} AS one WHERE {})").format(name(new.table), new.has_key(key))
    return exists if there else SQL("NOT {}").format(exists)


def is_same(write: Write, tables: Tables) -> Statement:
    """Whether the key that was to change is the same value in other words, as 0 and 0.00 are."""
    if not (write.key and write.gone):
        return SQL("false")
    new = tables.names[-1]
    before, after = new.has_key(write.gone), new.has_key(write.key)
    return SQL("EXISTS (SELECT FROM {} AS one WHERE {} AND {})").format(name(new.table), before, after)


def judge(session: Session, error: DatabaseError, write: Write, writer: Writer, one: Name, tables: Tables) -> Outcome:
    """Whether PostgreSQL's error is one that a single table would not have had."""
    state = state_of(error)
    diagnosis = diagnosis_of(error)
    said = " ".join((diagnosis.message_primary or "").split())
    if state in RETRIED | TOO_LONG:
        return Outcome(None, f"not tried: {said}.", final=True)
    first, *outer = confined.without_frame(diagnosis.context or "").splitlines() or [""]
    if PREFIX not in first and (state == RAISED or "RAISE" in first):
        return Outcome(None, f"a function of the project's refuses it: {said}.")
    within = one.is_view or PREFIX in " ".join([first, *outer])
    fault = refused(said)
    if state[:2] in {"22", "23"} and state != EXHAUSTED:
        blamed = are_to_blame(session, error, write, one, tables, within=within)
        return Outcome(None, f"no values were found for it that every constraint allows: {said}.") if blamed else fault
    closed = state in NOT_ALLOWED and write.drawn and is_closed(session, writer, one)
    if within or state == EXHAUSTED or (closed and drawn_from(session, writer, one, tables)):
        return fault
    # Whoever may not draw a key may have one of his own.
    return Outcome(None, f"the table itself refuses it: {said}.", "" if closed else said)


def refused(said: str) -> Outcome:
    return Outcome(False, f"PostgreSQL refused it: {said}.", said)


def said_alike(said: str, pair: TablePair) -> str:
    """The same for both tables of a pair, of which a message may name either."""
    return re.sub(rf"\b({re.escape(pair.source.name)}|{re.escape(pair.target.name)})\b", "%", said)


def blame(
    found: list[tuple[Name, str, Outcome]], tables: Tables, before: Collection[tuple[str, str]] = (), *, strict: bool
) -> Iterator[tuple[Name, str, Outcome]]:
    """Judge the writes of one role together: what the old table itself refuses, it refused before the move, and
    refuses as well where it is carried there. `before` has what it refused, where it is a table no more.

    With `strict`, for a switch that is under way, whatever else is refused is a fault: it may not have been before.
    """
    first = tables.names[0]
    old = None if first.is_view or len(tables.names) == 1 else first
    excused = {
        (kind, outcome.said)
        for one, kind, outcome in found
        if outcome.worked is None and outcome.said and (one is old or not (old or strict))
    }
    for one, kind, outcome in found:
        if (kind, outcome.said) in excused or (kind, said_alike(outcome.said, tables.pair)) in before:
            yield one, kind, dataclasses.replace(outcome, worked=None)
        elif outcome.said and strict:
            yield one, kind, refused(outcome.said)
        else:
            yield one, kind, outcome


def are_to_blame(
    session: Session, error: DatabaseError, write: Write, one: Name, tables: Tables, *, within: bool
) -> bool:
    """Whether it is the values of a write that broke a constraint, or do not fit."""
    diagnosis = diagnosis_of(error)
    where = Identifier(diagnosis.schema_name or "", diagnosis.table_name or "").as_string()
    if write.drawn and state_of(error) == DUPLICATE and where in tables.places:
        return diagnosis.constraint_name not in asking.column(session.connection, KEYS, [where])
    if not write.known:
        return True
    # What a row has already fits its own table, and the other one as well.
    elsewhere = where in tables.places and where != one.place and not one.is_view
    return not (elsewhere if state_of(error)[:2] == "23" else within)


def diagnosis_of(error: DatabaseError) -> psycopg.errors.Diagnostic:
    cause = error.__cause__
    assert isinstance(cause, psycopg.Error)  # noqa: S101  It has an SQLSTATE.
    return cause.diag


def is_closed(session: Session, writer: Writer, one: Name) -> bool:
    """Whether a role may not draw the keys of new rows."""
    numbers = [(name(own).as_string(), "USAGE", "") for own in one.table.sequences.values()]
    return bool(roles.find_lacking(session, writer.role, numbers))


def drawn_from(session: Session, writer: Writer, one: Name, tables: Tables) -> str | None:
    """The sequence that a role's new rows draw from, where the role might draw before the move."""
    if tables.shared is None:
        return None
    before = tables.shared.source if one.table is tables.pair.source else tables.shared.target
    grantees = [grant.grantee for grant in before.sequence.grants if grant.privilege in {"USAGE", "UPDATE"}]
    allowed = before.identity or roles.is_member(session, writer.role, grantees)
    return name(tables.shared.target.sequence).as_string() if allowed else None
