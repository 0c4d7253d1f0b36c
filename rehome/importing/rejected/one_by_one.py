"""Tries the rows of an import one by one, to find those that PostgreSQL alone refuses, such as by a trigger."""

from typing import Any

from django.db import transaction

from rehome.importing import lookups, merging, tables, values
from rehome.importing.plan import ImportPlan
from rehome.importing.rejected import looked_in
from rehome.importing.rejected.catching import CATCH
from rehome.importing.tables import LINE, temporary
from rehome.parts import rows
from rehome.plan.plan import Flow
from rehome.postgres import sql
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL, Identifier, Literal, Statement

Found = list[tuple[Any, ...]]
"""Line, column, reason and value of each row that was refused."""


BY_INDEX = {"enable_nestloop": "on", "enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}
"""For statements of one row: their plans are made once, by what is known of a table that they fill."""


def try_each(plan: ImportPlan, flow: Flow, session: Session, *, prepare: list[Statement]) -> Found:
    """The rows that the target refuses, after `prepare`; everything is rolled back."""
    with transaction.atomic(using=session.connection.alias):
        session.execute_all([*prepare, *check_at_once(plan), index(flow)])
        with session.settings(**BY_INDEX):
            session.execute(one_by_one(plan, merging.unlinked(plan, flow)))
        if plan.own_lookups and not looked_in.reject_own(plan, flow, session):
            flow = merging.look_up(plan, session)
            questions = values.ask_values(flow, lookups.find(plan, own=True))
            session.execute_all(values.reject(plan, question) for question in questions)
            session.execute(index(flow))
            with session.settings(**BY_INDEX):
                session.execute(one_by_one(plan, flow))
        # Of rows that are not taken out yet.
        new = SQL('SELECT {0}, "column", reason, value FROM {1} WHERE {0} IN (SELECT {0} FROM {2})')
        found = session.rows(new.format(Identifier(LINE), temporary(plan, "rejects"), temporary(plan, "read")))
        transaction.set_rollback(True, using=session.connection.alias)
    return found


def check_at_once(plan: ImportPlan) -> list[Statement]:
    """Deferred constraints too, but not foreign keys, which may refer to a row that comes later."""
    return [
        SQL("SET CONSTRAINTS {} IMMEDIATE").format(Identifier(plan.target.schema, constraint.name))
        for constraint in plan.target.constraints
        if constraint.deferrable
    ]


def index(flow: Flow) -> Statement:
    """Finds one row by its number."""
    return SQL("CREATE INDEX ON {} ({})").format(sql.name(flow.origin), Identifier(LINE))


def one_by_one(plan: ImportPlan, flow: Flow) -> Statement:
    """Write each row by itself, and reject it where that is refused."""
    writes = filter(None, [tables.update_changed(flow), rows.insert_missing(flow)])
    this = SQL("{} = rehome.line").format(Identifier("new", LINE))
    body = SQL(
        "#variable_conflict use_column\n<<rehome>> DECLARE line bigint; said text; details text; place text; "
        "BEGIN FOR line IN SELECT {row}.{line} FROM {origin} AS {row} ORDER BY 1 LOOP BEGIN {writes} "
        "{catch} GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, details = PG_EXCEPTION_DETAIL, place = COLUMN_NAME; "
        "IF left(SQLSTATE, 2) <> '23' OR details LIKE 'Failing row%' THEN details := ''; END IF; "
        "INSERT INTO {rejects} VALUES (rehome.line, rehome.place, concat_ws('. ', rehome.said, "
        "nullif(rtrim(rehome.details, '.'), '')), NULL) ON CONFLICT DO NOTHING; END; END LOOP; END"
    ).format(
        row=Identifier("new"),
        line=Identifier(LINE),
        origin=sql.name(flow.origin),
        writes=SQL(" ").join(SQL("{} AND {};").format(write, this) for write in writes),
        catch=CATCH,
        rejects=temporary(plan, "rejects"),
    )
    return SQL("DO {}").format(Literal(body.as_string()))
