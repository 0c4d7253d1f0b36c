"""Stages the source's rows as text, casts each value to its column's type, and names those that fail.

The tables are the session's own: `text` holds the rows as they came, `read` the same rows with values of the right type
and null for a bad one, and `rejects` the reason of each bad value.
"""

import tempfile
from collections.abc import Callable, Generator, Iterator
from typing import IO

from rehome.importing import local_times, moments, tables
from rehome.importing.moments import Doubtful
from rehome.importing.plan import ImportPlan, Taken
from rehome.importing.rejected import normalising
from rehome.importing.rejected.catching import create_function
from rehome.importing.sources.reader import BLOCK_SIZE, NULL, Reader, Report, escaped
from rehome.importing.sources.reading import count, read
from rehome.importing.staging import receive
from rehome.importing.tables import LINE, temporary
from rehome.postgres import sql
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL, Identifier, Literal, Statement

TEXTS = {"text", "character varying"}
"""Types that take every text."""


def stage(plan: ImportPlan, reader: Reader, session: Session, report: Callable[[str], None]) -> None:
    """As `staging.stage`, but it fails for no value of the source."""
    session.execute_all(create_tables(plan))
    with session.transaction(), tempfile.TemporaryFile() as rejects:
        session.execute(tables.understand(plan.source.timezone_name))
        receive(copy_in(plan), read(plan, reader, reporter(rejects)), count(plan), session, report)
        rejects.seek(0)
        receive(tables.copy_in(temporary(plan, "rejects")), blocks_of(rejects), 0, session, report)
        take_all(plan, session)
        if doubtful := moments.find(plan, reader):
            with moments.looked_at(doubtful, session):
                session.execute_all(reject_unclear(one) for one in doubtful)
                session.execute_all(forget_unclear(one) for one in doubtful if one.taken.column.name in plan.key)
            session.execute_all(settle_local(one) for one in doubtful if one.local)
    session.execute_all(tables.analyze(temporary(plan, name)) for name in ("text", "read"))


def blocks_of(file: IO[bytes]) -> Generator[bytes, None, None]:
    while block := file.read(BLOCK_SIZE):
        yield block


def reporter(file: IO[bytes]) -> Report:
    """Writes each report as a line of COPY."""

    def report(number: int, column: str, reason: str) -> None:
        cells = [b"%d" % number, escaped(column.encode()), escaped(reason.encode()), NULL]
        file.write(b"\t".join(cells) + b"\n")

    return report


def take_all(plan: ImportPlan, session: Session) -> None:
    """Fill `read` from `text`, and reject each value that is none of its column's type."""
    kinds = {t.arrives_as: number for number, t in enumerate(plan.taken) if t.arrives_as not in TEXTS}
    bases = {kind: base for kind in kinds if (base := moments.base_type(plan, kind))}
    session.execute(create_read(plan, bases))
    for kind, number in kinds.items():
        session.execute(create_taking(function("taking", number), kind, bases.get(kind, kind), "taken", "NULL"))
        session.execute(create_taking(function("fault", number), kind, "text", "NULL", "SQLERRM"))
    session.execute_all(normalising.create_faults(plan))
    session.execute(take(plan, kinds))
    session.execute_all(filter(None, (reject_untaken(plan, taken, kinds) for taken in plan.taken)))
    for number in kinds.values():
        session.execute(SQL("DROP FUNCTION {}, {}").format(function("taking", number), function("fault", number)))


# ----- SQL


def given(one: Doubtful) -> Statement:
    """The texts of a column, by line, and what they are as times; of those alone that could be taken."""
    # In a CASE: whatever is no time is not taken for one.
    return SQL(
        "(SELECT {line}, CASE WHEN taken.{column} IS NOT NULL THEN given.{column} END AS text, "
        "CASE WHEN taken.{column} IS NOT NULL AND {local} THEN given.{column}::timestamp END AS time "
        "FROM {text} AS given JOIN {read} AS taken USING ({line})) AS given"
    ).format(
        line=Identifier(LINE),
        local=Literal(one.local),
        column=Identifier(one.column),
        text=temporary(one.plan, "text"),
        read=temporary(one.plan, "read"),
    )


def reject_unclear(one: Doubtful) -> Statement:
    """Name the times that are no moment or might be two."""
    zone, text, time = one.plan.source.timezone_name, Identifier("given", "text"), Identifier("given", "time")
    return SQL(
        "INSERT INTO {rejects} SELECT given.{line}, {name}, {reason}, given.text FROM {given} WHERE {unclear} "
        "ON CONFLICT DO NOTHING"
    ).format(
        rejects=temporary(one.plan, "rejects"),
        line=Identifier(LINE),
        name=Literal(one.taken.column.name),
        given=given(one),
        reason=local_times.reason(time, zone) if one.local else one.reason(text),
        unclear=local_times.is_unclear(time, zone, one.plan.declared.fold) if one.local else one.is_unclear(text),
    )


def forget_unclear(one: Doubtful) -> Statement:
    """Set them to null in a key: nobody knows which moment a row of the target has."""
    return SQL(
        "UPDATE {read} AS kept SET {column} = NULL FROM {rejects} AS rejected "
        'WHERE rejected.{line} = kept.{line} AND rejected."column" = {name}'
    ).format(
        read=temporary(one.plan, "read"),
        column=Identifier(one.column),
        rejects=temporary(one.plan, "rejects"),
        line=Identifier(LINE),
        name=Literal(one.taken.column.name),
    )


def settle_local(one: Doubtful) -> Statement:
    """Correct the times for which one of two moments is chosen."""
    return SQL(
        "UPDATE {read} AS kept SET {column} = {moment} FROM {given} WHERE given.{line} = kept.{line} "
        "AND given.time IS NOT NULL"
    ).format(
        read=temporary(one.plan, "read"),
        column=Identifier(one.column),
        moment=local_times.moment(Identifier("given", "time"), one.plan.source.timezone_name, one.plan.declared.fold),
        given=given(one),
        line=Identifier(LINE),
    )


def create_tables(plan: ImportPlan) -> Iterator[Statement]:
    yield from (tables.drop(temporary(plan, name)) for name in ("text", "read", "rejects"))
    yield SQL("CREATE TEMPORARY TABLE {} ({} bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, {})").format(
        temporary(plan, "text"),
        Identifier(LINE),
        SQL(", ").join(SQL("{} text").format(Identifier(column)) for column in text_columns(plan)),
    )
    yield SQL(
        'CREATE TEMPORARY TABLE {0} ({1} bigint, "column" text, reason text NOT NULL, value text, '
        'PRIMARY KEY ({1}, "column"))'
    ).format(temporary(plan, "rejects"), Identifier(LINE))


def copy_in(plan: ImportPlan) -> Statement:
    return SQL("COPY {} ({}) FROM STDIN").format(temporary(plan, "text"), sql.columns(text_columns(plan)))


def text_columns(plan: ImportPlan) -> list[str]:
    return [*(taken.arrives_in for taken in plan.taken), *tables.key_columns(plan)]


def create_read(plan: ImportPlan, bases: dict[str, str]) -> Statement:
    """As in a good run, with the number of each row; a domain's columns have its base type."""
    return SQL("CREATE TEMPORARY TABLE {} ({} bigint PRIMARY KEY, {})").format(
        temporary(plan, "read"),
        Identifier(LINE),
        SQL(", ").join(tables.arriving_column(t, bases.get(t.arrives_as)) for t in plan.taken),
    )


def function(purpose: str, number: int) -> Identifier:
    """`taking` casts a text as an assignment would, null where that fails; `fault` says why that fails, or null."""
    return sql.temporary(f"rehome_{purpose}_{number}")


def create_taking(name: Identifier, kind: str, returns: str, good: str, bad: str) -> Statement:
    """Assigns a text to a variable of type `kind`, and returns `good` or, where that fails, `bad`."""
    return create_function(name, f"DECLARE taken {kind} := given; BEGIN RETURN {good}; END;", returns, bad)


def take(plan: ImportPlan, kinds: dict[str, int]) -> Statement:
    def value(taken: Taken) -> Statement:
        given, number = Identifier(taken.arrives_in), kinds.get(taken.arrives_as)
        if why := normalising.fault(plan, taken, given):
            return SQL("CASE WHEN {} IS NULL THEN {} END").format(why, given)
        return given if number is None else SQL("{}({})").format(function("taking", number), given)

    return SQL("INSERT INTO {} SELECT {}, {} FROM {}").format(
        temporary(plan, "read"), Identifier(LINE), SQL(", ").join(map(value, plan.taken)), temporary(plan, "text")
    )


def reject_untaken(plan: ImportPlan, taken: Taken, kinds: dict[str, int]) -> Statement | None:
    given = Identifier("given", taken.arrives_in)
    why = normalising.fault(plan, taken, given)
    if taken.arrives_as in kinds:
        why = SQL("{}({})").format(function("fault", kinds[taken.arrives_as]), given)
    if why is None:
        return None
    return SQL(
        "INSERT INTO {rejects} SELECT given.{line}, {column}, {fault}, given.{cell} "
        "FROM {text} AS given JOIN {read} AS taken USING ({line}) "
        "WHERE given.{cell} IS NOT NULL AND taken.{cell} IS NULL ON CONFLICT DO NOTHING"
    ).format(
        rejects=temporary(plan, "rejects"),
        line=Identifier(LINE),
        column=Literal(taken.column.name),
        fault=why,
        cell=Identifier(taken.arrives_in),
        text=temporary(plan, "text"),
        read=temporary(plan, "read"),
    )
