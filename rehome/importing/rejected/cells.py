"""Stages the source's rows as text, and lets each value be taken by its column's type or be named.

The tables are the session's own: `text` holds the rows as they came, `read` those with values of the right type, in
which a bad one is null, and `rejects` says of each bad value what is wrong.
"""

import tempfile
from collections.abc import Callable, Generator, Iterator
from typing import IO

from rehome.importing import tables
from rehome.importing.plan import ImportPlan, Taken
from rehome.importing.sources.reading import Reader, count, read
from rehome.importing.sources.spoilt import NULL, Report
from rehome.importing.staging import receive
from rehome.importing.tables import LINE, read_name, rejects_name, text_name
from rehome.postgres import catalog
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL, Identifier, Literal, Statement, columns

TEXTS = {"text", "character varying"}
"""Types that take every text."""
BLOCK_SIZE = 65536
NOT_THE_ROW = SQL("('40', '53', '57', '58')")
"""Classes of errors that no value is to blame for: rolled back, no resources, an operator, the machine."""
BASE = """
WITH RECURSIVE based (oid, modifier, basic) AS (
    SELECT %s::regtype::oid, NULL::integer, false
    UNION ALL SELECT t.typbasetype, nullif(t.typtypmod, -1), b.typtype <> 'd'
      FROM based JOIN pg_type t ON t.oid = based.oid AND t.typtype = 'd' JOIN pg_type b ON b.oid = t.typbasetype
) SELECT format_type(oid, modifier) FROM based WHERE basic
"""


def stage(plan: ImportPlan, reader: Reader, session: Session, report: Callable[[str], None]) -> None:
    """As `staging.stage`, but no value of the source makes it fail."""
    for statement in create_tables(plan):
        session.execute(statement)
    with session.transaction(), tempfile.TemporaryFile() as spoilt:
        session.execute(tables.understand(plan.source.timezone_name))
        receive(copy_in(plan), read(plan, reader, reporter(spoilt)), count(plan), session, report)
        spoilt.seek(0)
        receive(copy_rejects(plan), blocks_of(spoilt), 0, session, report)
        take_all(plan, session)
    for name in (text_name(plan), read_name(plan)):
        session.execute(tables.analyze(name))


def blocks_of(file: IO[bytes]) -> Generator[bytes, None, None]:
    while block := file.read(BLOCK_SIZE):
        yield block


def reporter(file: IO[bytes]) -> Report:
    """Keeps what is reported, however much it is, as COPY takes it."""

    def report(number: int, column: str, reason: str) -> None:
        cells = [str(number).encode(), escaped(column), escaped(reason), NULL]
        file.write(b"\t".join(cells) + b"\n")

    return report


def escaped(text: str) -> bytes:
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r").encode()


def take_all(plan: ImportPlan, session: Session) -> None:
    """Fill `read` from `text`, and reject each value that its column's type does not take."""
    kinds = {t.arrives_as: number for number, t in enumerate(plan.taken) if t.arrives_as not in TEXTS}
    bases = {kind: base for kind in kinds for (base,) in catalog.query(plan.connection, BASE, [kind])}
    session.execute(create_read(plan, bases))
    for kind, number in kinds.items():
        session.execute(create_taking(number, kind, bases.get(kind, kind)))
        session.execute(create_fault(number, kind))
    session.execute(take(plan, kinds))
    for taken in plan.taken:
        if taken.arrives_as in kinds:
            session.execute(reject_untaken(plan, taken, kinds[taken.arrives_as]))
    for number in kinds.values():
        for name in (taking_name(number), fault_name(number)):
            session.execute(SQL("DROP FUNCTION {}").format(Identifier("pg_temp", name)))


# ----- SQL


def create_tables(plan: ImportPlan) -> Iterator[Statement]:
    for name in (text_name(plan), read_name(plan), rejects_name(plan)):
        yield tables.drop(name)
    yield SQL("CREATE TEMPORARY TABLE {} ({} bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, {})").format(
        Identifier(text_name(plan)),
        Identifier(LINE),
        SQL(", ").join(SQL("{} text").format(Identifier(taken.arrives_in)) for taken in plan.taken),
    )
    yield SQL(
        'CREATE TEMPORARY TABLE {} ({} bigint, "column" text, reason text NOT NULL, value text, '
        'PRIMARY KEY ({}, "column"))'
    ).format(Identifier(rejects_name(plan)), Identifier(LINE), Identifier(LINE))


def copy_in(plan: ImportPlan) -> Statement:
    return SQL("COPY {} ({}) FROM STDIN").format(
        Identifier("pg_temp", text_name(plan)), columns(taken.arrives_in for taken in plan.taken)
    )


def copy_rejects(plan: ImportPlan) -> Statement:
    return SQL("COPY {} FROM STDIN").format(Identifier("pg_temp", rejects_name(plan)))


def create_read(plan: ImportPlan, bases: dict[str, str]) -> Statement:
    """As the one of a good run, with the number of each row; a domain's columns are of the type that it is made of."""
    return SQL("CREATE TEMPORARY TABLE {} ({} bigint PRIMARY KEY, {})").format(
        Identifier(read_name(plan)),
        Identifier(LINE),
        SQL(", ").join(tables.arriving_column(t, bases.get(t.arrives_as)) for t in plan.taken),
    )


def taking_name(number: int) -> str:
    return f"rehome_taking_{number}"


def fault_name(number: int) -> str:
    return f"rehome_fault_{number}"


def create_taking(number: int, kind: str, base: str) -> Statement:
    """A function of a text that gives the value as an assignment would; null where that fails."""
    return function(number, kind, taking_name(number), base, "taken", "NULL")


def create_fault(number: int, kind: str) -> Statement:
    """A function of a text that says why it can't be assigned; null where it can."""
    return function(number, kind, fault_name(number), "text", "NULL", "SQLERRM")


def function(number: int, kind: str, name: str, returns: str, good: str, bad: str) -> Statement:
    body = SQL(
        "BEGIN DECLARE taken {kind} := given; BEGIN RETURN {good}; END; "
        "EXCEPTION WHEN others THEN IF left(SQLSTATE, 2) IN {classes} THEN RAISE; END IF; RETURN {bad}; END"
    ).format(kind=SQL(kind), good=SQL(good), bad=SQL(bad), classes=NOT_THE_ROW)
    return SQL("CREATE FUNCTION {} (given text) RETURNS {} LANGUAGE plpgsql AS {}").format(
        Identifier("pg_temp", name), SQL(returns), Literal(body.as_string())
    )


def take(plan: ImportPlan, kinds: dict[str, int]) -> Statement:
    def value(taken: Taken) -> Statement:
        if taken.arrives_as not in kinds:
            return Identifier(taken.arrives_in)
        return SQL("{}({})").format(
            Identifier("pg_temp", taking_name(kinds[taken.arrives_as])), Identifier(taken.arrives_in)
        )

    return SQL("INSERT INTO {} SELECT {}, {} FROM {}").format(
        Identifier("pg_temp", read_name(plan)),
        Identifier(LINE),
        SQL(", ").join(map(value, plan.taken)),
        Identifier("pg_temp", text_name(plan)),
    )


def reject_untaken(plan: ImportPlan, taken: Taken, number: int) -> Statement:
    return SQL(
        "INSERT INTO {rejects} SELECT given.{line}, {column}, {fault}(given.{cell}), given.{cell} "
        "FROM {text} AS given JOIN {read} AS taken USING ({line}) "
        "WHERE given.{cell} IS NOT NULL AND taken.{cell} IS NULL ON CONFLICT DO NOTHING"
    ).format(
        rejects=Identifier("pg_temp", rejects_name(plan)),
        line=Identifier(LINE),
        column=Literal(taken.column.name),
        fault=Identifier("pg_temp", fault_name(number)),
        cell=Identifier(taken.arrives_in),
        text=Identifier("pg_temp", text_name(plan)),
        read=Identifier("pg_temp", read_name(plan)),
    )
