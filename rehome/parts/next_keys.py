"""The next keys of a move that stands: what somebody has changed since so that they are other ones, and its repair."""

import dataclasses
import re
from collections.abc import Iterator

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.parts import grants, sequences
from rehome.parts.defect import Defect
from rehome.plan.plan import Plan, TablePair
from rehome.plan.record import Record
from rehome.postgres import asking
from rehome.postgres.session import Session
from rehome.postgres.sql import EQUAL, SQL, Identifier, Literal, Statement, name, place
from rehome.postgres.tables import LARGEST, Grant, Sequence, Table

PLAIN = re.compile(r"nextval\('(?:[^']|'')*'::regclass\)")


def find_defects(plan: Plan, session: Session, record: Record) -> list[Defect]:
    """One for each thing that makes the next keys other ones, or keeps a role from taking them."""
    return [defect for pair in plan.pairs for defect in find_defects_of(pair, session, record)]


def find_defects_of(pair: TablePair, session: Session, record: Record) -> Iterator[Defect]:
    for source_column, target_column in pair.forward.key:
        if sequence := pair.target.sequences.get(target_column):
            yield from changed_options(sequence, pair, record)
            yield from unfit_next_key(sequence, pair, target_column, session)
            for table, column in ((pair.source, source_column), (pair.target, target_column)):
                if table.kind == "r" and not draws(table, column):
                    yield Defect(f"{table}.{column} does not take the next key as its sequence gives it.")
            if str(pair.target) in record.sequences:
                yield from changed_grants(sequence, pair, record, session.connection)


def with_options(sequence: Sequence, pair: TablePair, record: Record) -> Sequence:
    """As the move made it; bounds may have been widened since."""
    kept = record.sequences.get(str(pair.target))
    if kept is None:
        return sequence
    made = sequences.named_after(kept.target.sequence, kept.source.sequence)
    return dataclasses.replace(
        sequence,
        increment=made.increment,
        minimum=min(made.minimum, sequence.minimum),
        maximum=max(made.maximum, sequence.maximum),
        cycle=made.cycle,
    )


def changed_options(sequence: Sequence, pair: TablePair, record: Record) -> Iterator[Defect]:
    right = with_options(sequence, pair, record)
    words = {"increment": "INCREMENT BY", "minimum": "MINVALUE", "maximum": "MAXVALUE", "cycle": "CYCLE"}
    changed = [
        f"{word} is {now} instead of {then}"
        for option, word in words.items()
        if (now := getattr(sequence, option)) != (then := getattr(right, option))
    ]
    if changed:
        yield Defect(f"The sequence {place(sequence)} is not what the move made: {', '.join(changed)}.")


def unfit_next_key(sequence: Sequence, pair: TablePair, column: str, session: Session) -> Iterator[Defect]:
    ((last, called),) = asking.query(
        session.connection, SQL("SELECT last_value, is_called FROM {}").format(name(sequence)).as_string()
    )
    following = last + sequence.increment if called else last
    if not sequence.minimum <= following <= sequence.maximum:
        if sequence.cycle:
            following = sequence.minimum if sequence.increment > 0 else sequence.maximum
        else:
            yield Defect(
                f"The sequence {place(sequence)} has no key left: it ends at {last}, and every insert fails.",
                f"Run ALTER SEQUENCE {place(sequence)} MAXVALUE with a larger number, or give the key a larger type by "
                "a migration.",
            )
            return
    # Beside others that draw, it is the next key still where the sequence has not been drawn from since.
    taken = SQL("SELECT FROM {0}, {1} AS numbers WHERE {0}.{2} {5} {3} AND numbers.last_value {5} {4}").format(
        name(pair.target), name(sequence), Identifier(column), Literal(following), Literal(last), EQUAL
    )
    if following <= LARGEST.get(pair.target.column(column).base_type, following) and asking.query(
        session.connection, taken.as_string()
    ):
        yield Defect(
            f"The next key of the sequence {place(sequence)} is {following}, which a row of {pair.target} has: the "
            "next insert fails."
        )


def draws(table: Table, column: str) -> bool:
    """Whether a new row's key is the next number of its sequence, and nothing that is made of it."""
    default = table.column(column).default
    return default is None or PLAIN.fullmatch(default) is not None


def changed_grants(
    sequence: Sequence, pair: TablePair, record: Record, connection: BaseDatabaseWrapper
) -> Iterator[Defect]:
    held, allowed = grants.levels(sequence.grants), grants.levels(may_hold(sequence, pair, record, connection))
    if lacking := grants.roles(one for one in grants.levels(needed(pair, record, connection)) if one not in held):
        yield Defect(f"The sequence {place(sequence)} lacks the privileges that {lacking} needs to insert.")
    if beyond := grants.roles(one for one in held if one not in allowed):
        yield Defect(f"The sequence {place(sequence)} gives privileges to {beyond}, who may not insert.")


def had(pair: TablePair, record: Record, connection: BaseDatabaseWrapper) -> list[Grant]:
    """What roles could do with the sequences that the shared one has replaced."""
    kept = record.sequences[str(pair.target)]
    return grants.of_roles_there([*kept.source.sequence.grants, *kept.target.sequence.grants], connection)


def needed(pair: TablePair, record: Record, connection: BaseDatabaseWrapper) -> list[Grant]:
    """What roles could do before that may still do something with either table, and what inserts ask for by now."""
    kept = record.sequences[str(pair.target)]
    users = {one.grantee for table in (pair.source, pair.target) for one in table.grants}
    identity = bool(kept.source.identity or kept.target.identity)
    before = [one for one in had(pair, record, connection) if one.grantee in users]
    return [*before, *sequences.usage(pair, identity=identity)]


def may_hold(sequence: Sequence, pair: TablePair, record: Record, connection: BaseDatabaseWrapper) -> list[Grant]:
    """The same of all roles, with what the move granted, and what those were given since who may insert into either
    table or read it.
    """
    granted = [*record.grants.get(str(pair.target), ()), *record.grants_before.get(str(pair.target), ())]
    made = [Grant(one.grantee, "USAGE", False, "") for one in granted if one.privilege == "INSERT"]
    may = {(one.grantee, one.privilege) for table in (pair.source, pair.target) for one in table.grants}
    since = [
        one for one in sequence.grants if (one.grantee, "SELECT" if one.privilege == "SELECT" else "INSERT") in may
    ]
    return [*had(pair, record, connection), *needed(pair, record, connection), *made, *since]


# ----- its repair


def repair(plan: Plan, session: Session, record: Record) -> list[Statement]:
    """What `is_ahead` and `find_defects` look for in a move that stands; safe to repeat.

    Others may draw meanwhile, so a sequence is held before it is set.
    """
    statements: list[Statement] = []
    for pair in plan.pairs:
        whole = sequences.is_ahead(session, pair) and not any(find_defects_of(pair, session, record))
        for source_column, target_column in () if whole else pair.forward.key:
            if sequence := pair.target.sequences.get(target_column):
                right = with_options(sequence, pair, record)
                statements.append(sequences.hold(sequence))
                if right != sequence:
                    statements.append(SQL("ALTER SEQUENCE {} {}").format(name(sequence), sequences.options(right)))
                statements.append(sequences.continue_from(right, sequence, pair.source, source_column))
                if not draws(pair.target, target_column):
                    statements += sequences.draw_from(sequence, pair.target, target_column)
                if source_column in pair.source.sequences:
                    statements += sequences.draw_from(sequence, pair.source, source_column)
                statements += repair_grants(sequence, pair, record, plan.connection)
    return statements


def repair_grants(
    sequence: Sequence, pair: TablePair, record: Record, connection: BaseDatabaseWrapper
) -> list[Statement]:
    if str(pair.target) not in record.sequences:
        return []
    allowed = grants.levels(may_hold(sequence, pair, record, connection))
    stays = [one for one in sequence.grants if grants.right(one) in allowed]
    lacking = [one for one in needed(pair, record, connection) if grants.right(one) not in grants.levels(stays)]
    return grants.change("SEQUENCE", name(sequence), sequence.grants, [*stays, *lacking])
