"""What the plan does not know is carried, named or refused, on each way, whichever table it is tied to."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import models

from rehome import Move
from rehome.errors import Refused
from rehome.moves import runner
from rehome.moves.steps import open_session
from rehome.plan.record import Record
from rehome.plan.resolve import resolve
from rehome.postgres import catalog, ties
from rehome.postgres.ties import Kind
from rehome.preflight.fates import FATES, Fate, Part, Way
from rehome.verify.problems import find_problems
from rehome.verify.report import Report, verify, verify_views
from tests.conftest import ROOT
from tests.rehome.support import stopping
from tests.rehome.support.attachments import ELSEWHERE, MADE
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVES = {Way.IN_PLACE: {"in_place": True}, Way.IN_PLACE_BACK: {"in_place": True}, Way.CANCEL: {"online": True}}
GOES = dict.fromkeys(Way, "old_thing") | dict.fromkeys((Way.IN_PLACE, Way.CANCEL, Way.BACK), "new_thing")
REFUSED_ON_THE_OTHER = {
    Way.FORWARD: {
        Kind.RULE, Kind.ROW_SECURITY, Kind.HEIR, Kind.SEQUENCE_USER, Kind.SUBSCRIPTION, Part.COLUMN,
    },
    Way.IN_PLACE: {Kind.HEIR, Kind.SUBSCRIPTION, Part.COLUMN},
    Way.CANCEL: set(),
    Way.BACK: {Kind.RULE, Kind.ROW_SECURITY, Kind.HEIR, Kind.SUBSCRIPTION},
    Way.IN_PLACE_BACK: set(),
    Way.RETIRE: {Kind.ROW_SECURITY},
    Way.UNRETIRE: {Kind.ROW_SECURITY},
    Way.DROP: set(),
}  # fmt: skip
"""Where the table that stays is what it must not be."""
EVERYWHERE = Kind.WIDE_PUBLICATION
"""It sends both tables, so that it is carried; where it sends one alone, it has a test of its own."""


@pytest.fixture(autouse=True)
def _detached(lab: Lab) -> Iterator[None]:
    """What the lab does not drop by itself, nor a run that was killed."""
    detach(lab)
    yield
    detach(lab)


def detach(lab: Lab) -> None:
    lab.sql("DROP SUBSCRIPTION IF EXISTS fed")
    for (name,) in lab.sql(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND reltablespace = (SELECT oid FROM "
        "pg_tablespace WHERE spcname = 'elsewhere')"
    ):
        lab.sql(f"ALTER TABLE {name} SET TABLESPACE pg_default")
    lab.sql("DROP TABLESPACE IF EXISTS elsewhere")
    for kind, name in lab.sql(
        "SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, c.oid::regclass::text FROM pg_depend d "
        "JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid JOIN pg_extension e "
        "ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid WHERE e.extname = 'plpgsql'"
    ):
        lab.sql(f"ALTER EXTENSION plpgsql DROP {kind} {name}")


def declare(way: Way) -> Move:
    return Move("old.Thing", "new.Thing", **MOVES.get(way, {}))


def prepare(lab: Lab, way: Way) -> None:
    """The move stands where the way begins."""
    lab.twins(lambda app: {"name": models.CharField(max_length=60)})
    lab.sql("INSERT INTO old_thing (name) VALUES ('one'), ('two')")
    move = declare(way)
    if way is Way.CANCEL:
        stopping.stop_at(lab, "before the comparison", move=move)
    elif way not in {Way.FORWARD, Way.IN_PLACE}:
        lab.forward(move)
    if way in {Way.UNRETIRE, Way.DROP}:
        lab.retire(move)


def go(lab: Lab, way: Way) -> None:
    actions: dict[Way, Callable[[Move], None]] = {
        Way.FORWARD: lab.forward,
        Way.IN_PLACE: lab.forward,
        Way.CANCEL: lab.cancel,
        Way.BACK: lab.back,
        Way.IN_PLACE_BACK: lab.back,
        Way.RETIRE: lab.retire,
        Way.UNRETIRE: lab.unretire,
        Way.DROP: lambda move: runner.drop(move, lab.apps, lab.connection),
    }
    actions[way](declare(way))


WAYS = [way if way in {Way.BACK, Way.RETIRE} else pytest.param(way, marks=pytest.mark.long) for way in Way]


def aside(lab: Lab) -> str:
    ((name,),) = lab.sql("SELECT relname FROM pg_class WHERE relname LIKE 'rehome_aside_%%' AND relkind = 'r'")
    return str(name)


def stand(lab: Lab) -> set[Kind | Part]:
    """The kinds that one of the tables or views of the move has."""
    found: set[Kind | Part] = set()
    for (name,) in lab.sql("SELECT relname FROM pg_class WHERE relname ~ '^(old_thing|new_thing|rehome_aside_\\w+)$'"):
        table = catalog.read_table(lab.connection, name)
        assert table is not None
        found |= {tie.kind for tie in ties.read([table], lab.connection)[table.oid]}
        found |= {Part.COLUMN for column in table.columns if column.name == "extra"}
        found |= {Part.CONSTRAINT for constraint in table.constraints if constraint.name == "positive"}
    return found


def is_refused(lab: Lab, way: Way, kind: Kind | Part, table: str) -> bool:
    """By name, with nothing done."""

    def state() -> object:
        runs = [(run.pk, run.phase) for run in lab.find_runs()]
        return lab.sql("SELECT * FROM new_thing ORDER BY id"), lab.find_objects(), runs

    with MADE[kind].on(lab, table):
        before = state()
        with pytest.raises(Refused) as raised:
            go(lab, way)
        return MADE[kind].is_named(str(raised.value)) and state() == before


@pytest.mark.parametrize("way", WAYS)
def test_what_is_tied_to_the_table_that_goes(lab: Lab, way: Way, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(lab, way)
    table = aside(lab) if way is Way.DROP else GOES[way]
    fates = {kind: FATES[kind][way] for kind in MADE if kind is not EVERYWHERE}
    refused = [kind for kind, fate in fates.items() if fate is Fate.REFUSED]
    assert [kind for kind in refused if not is_refused(lab, way, kind, table)] == []
    others = [kind for kind, fate in fates.items() if fate in {Fate.CARRIED, Fate.NAMED}]
    if way in {Way.UNRETIRE, Way.IN_PLACE_BACK}:
        others.remove(Part.COLUMN)  # A view has none.
    for kind in others:
        MADE[kind].attach(lab, table)
    if way is Way.RETIRE:
        lab.forward(declare(way))  # What the project's new trigger asks for is made.
    capsys.readouterr()
    go(lab, way)
    said = capsys.readouterr().err
    notes = [line for line in said.splitlines() if "Note: " in line]
    named = {kind for kind in others if any(map(MADE[kind].is_named, notes))}
    assert {kind for kind in others if fates[kind] is Fate.NAMED} - named == set(), said
    assert {kind for kind in others if fates[kind] is Fate.CARRIED} - stand(lab) == set()


@pytest.mark.parametrize("way", WAYS)
def test_what_is_tied_to_the_table_that_stays(lab: Lab, way: Way) -> None:
    prepare(lab, way)
    table = "old_thing" if GOES[way] == "new_thing" else "new_thing"
    assert [kind for kind in REFUSED_ON_THE_OTHER[way] if not is_refused(lab, way, kind, table)] == []
    others = [kind for kind in MADE if kind not in {EVERYWHERE, *REFUSED_ON_THE_OTHER[way]}]
    for kind in others:
        MADE[kind].attach(lab, table)
    if way is Way.RETIRE:
        lab.forward(declare(way))
    go(lab, way)
    assert set(others) - stand(lab) == set()


def test_what_is_tied_to_the_table_that_is_set_aside_comes_back_with_it(lab: Lab) -> None:
    prepare(lab, Way.UNRETIRE)
    refused = [Kind.HEIR, Kind.RULE, Kind.ROW_SECURITY]
    assert [kind for kind in refused if not is_refused(lab, Way.UNRETIRE, kind, aside(lab))] == []
    others = [kind for kind in MADE if kind not in {EVERYWHERE, *refused}]
    for kind in others:
        MADE[kind].attach(lab, aside(lab))
    go(lab, Way.UNRETIRE)
    assert set(others) - stand(lab) == set()


def test_each_kind_and_part_has_a_row_and_is_made_by_a_test() -> None:
    assert FATES.keys() == {*Kind, *Part}
    assert MADE.keys() | ELSEWHERE.keys() == FATES.keys()
    assert not MADE.keys() & ELSEWHERE.keys()


# ----- what each of them would have cost


def fill_extra(lab: Lab, table: str) -> None:
    lab.sql(f"ALTER TABLE {table} ADD COLUMN note text; UPDATE {table} SET note = 'only here ' || id WHERE id > 1")


def test_values_of_a_column_that_was_added_in_sql_are_not_lost_on_the_way_back(lab: Lab) -> None:
    prepare(lab, Way.BACK)
    fill_extra(lab, "new_thing")
    with pytest.raises(Refused) as raised:
        go(lab, Way.BACK)
    assert str(raised.value) == (
        "public.new_thing.note has values in 1 rows, such as 2, but new.Thing has no such column here and "
        "public.old_thing can't hold it. Use the release whose migrations know it. To lose it, run "
        "ALTER TABLE public.new_thing DROP COLUMN note."
    )
    assert lab.sql("SELECT note FROM new_thing WHERE id = 2") == [("only here 2",)]
    lab.sql("ALTER TABLE new_thing DROP COLUMN note")
    go(lab, Way.BACK)


@pytest.mark.parametrize("default", ["'none'", "7", "-1.5", "true", "NULL", "'{}'::jsonb", "'{a}'::text[]"])
def test_a_column_that_nobody_has_written_to_keeps_no_way_back_from_going(lab: Lab, default: str) -> None:
    prepare(lab, Way.BACK)
    types = {"7": "int", "-1.5": "numeric", "true": "boolean", "'{}'::jsonb": "jsonb", "'{a}'::text[]": "text[]"}
    lab.sql(f"ALTER TABLE new_thing ADD COLUMN extra {types.get(default, 'text')} DEFAULT {default}")
    lab.sql(f"CREATE DOMAIN more AS {types.get(default, 'text')} DEFAULT {default}")
    # Its default is the domain's, which PostgreSQL 17.4 does not give to rows that are there.
    lab.sql(f"ALTER TABLE new_thing ADD COLUMN more more DEFAULT {default} {'' if default == 'NULL' else 'NOT NULL'}")
    lab.sql("ALTER TABLE new_thing ALTER COLUMN more DROP DEFAULT")
    assert not lab.verify(Move("old.Thing", "new.Thing")).defects
    lab.sql("INSERT INTO new_thing (name) VALUES ('three')")
    lab.sql("ALTER TABLE new_thing ADD COLUMN made text GENERATED ALWAYS AS (upper(name)) STORED")
    go(lab, Way.BACK)
    assert lab.sql("SELECT count(*) FROM old_thing") == [(3,)]


def test_a_default_that_is_computed_is_not_asked_for(lab: Lab) -> None:
    prepare(lab, Way.BACK)
    lab.sql("CREATE SEQUENCE tickets; ALTER TABLE new_thing ADD COLUMN ticket bigint DEFAULT nextval('tickets')")
    with pytest.raises(Refused, match="new_thing.ticket has values in 2 rows"):
        go(lab, Way.BACK)
    assert lab.sql("SELECT last_value FROM tickets") == [(2,)]


def test_a_column_that_is_filled_at_the_last_moment_is_seen_under_the_lock(lab: Lab) -> None:
    prepare(lab, Way.BACK)

    done: list[str] = []

    def once(execute: Any, statement: str, *rest: Any) -> Any:
        if statement.startswith("LOCK TABLE") and not done:
            done.append(statement)
            other = lab.connection.copy()
            with other.cursor() as cursor:
                cursor.execute("ALTER TABLE new_thing ADD COLUMN extra text")
                cursor.execute("UPDATE new_thing SET extra = 'late'")
            other.close()
        return execute(statement, *rest)

    with lab.connection.execute_wrapper(once), pytest.raises(Refused, match="new_thing.extra has values in 2 rows"):
        go(lab, Way.BACK)
    assert done
    assert lab.sql("SELECT extra FROM new_thing") == [("late",), ("late",)]


def sent(lab: Lab, table: str) -> list[str]:
    """The publications that send what is written to a table."""
    return [name for (name,) in lab.sql("SELECT pubname FROM pg_publication_tables WHERE tablename = %s", [table])]


def test_rows_are_sent_to_subscribers_whichever_way_was_gone(lab: Lab) -> None:
    prepare(lab, Way.FORWARD)
    lab.sql("CREATE PUBLICATION cdc FOR TABLE old_thing")
    go(lab, Way.FORWARD)
    with pytest.raises(Refused) as raised:
        go(lab, Way.RETIRE)
    assert str(raised.value) == (
        "publication cdc sends what is written to public.old_thing, which becomes a view: later rows would be sent "
        "nowhere. Run ALTER PUBLICATION cdc ADD TABLE public.new_thing, ALTER PUBLICATION cdc DROP TABLE "
        "public.old_thing, and refresh each subscription."
    )
    lab.sql("ALTER PUBLICATION cdc ADD TABLE new_thing; ALTER PUBLICATION cdc DROP TABLE old_thing")
    go(lab, Way.RETIRE)
    go(lab, Way.UNRETIRE)
    assert sent(lab, "new_thing") == ["cdc"]
    with pytest.raises(Refused, match="cdc sends what is written to public.new_thing, which is emptied"):
        go(lab, Way.BACK)
    lab.sql("ALTER PUBLICATION cdc ADD TABLE old_thing")
    go(lab, Way.BACK)
    assert sent(lab, "old_thing") == ["cdc"]


@pytest.mark.parametrize("way", [Way.BACK, Way.RETIRE])
def test_a_publication_of_one_schema_alone(lab: Lab, way: Way) -> None:
    lab.sql("CREATE SCHEMA apart")
    lab.sql("SET search_path = public, apart")
    try:
        lab.twins(lambda app: {"name": models.CharField(max_length=60)})
        lab.sql(f"ALTER TABLE {GOES[way]} SET SCHEMA apart")
        lab.forward(declare(way))
        assert is_refused(lab, way, Kind.WIDE_PUBLICATION, "apart")
    finally:
        lab.sql("RESET search_path")


def test_a_publication_of_everything_sends_what_the_undo_writes(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(lab, Way.RETIRE)
    lab.sql("CREATE PUBLICATION everything FOR ALL TABLES")
    go(lab, Way.RETIRE)
    said = capsys.readouterr().err
    assert "publication everything will send what `retiremoves --undo` writes to the old rows, under the name" in said
    assert f"name {aside(lab)};" in said


HIDE = "CREATE POLICY few ON new_thing USING (id = 1); ALTER TABLE new_thing ENABLE ROW LEVEL SECURITY"


def told(lab: Lab, verify: Callable[..., Report]) -> list[str]:
    plan = resolve(declare(Way.RETIRE), lab.apps, lab.connection)
    record = Record.of(lab.find_runs()[-1])
    return [
        problem.text
        for problem in find_problems(verify(plan, open_session(plan), record), plan, ("new", "0002"), record)
    ]


def test_policies_that_are_enabled_on_a_live_pair_are_told_and_refused(lab: Lab) -> None:
    """They would hold for one of the two names alone, and for neither after the way back."""
    prepare(lab, Way.RETIRE)
    lab.sql(HIDE)
    assert told(lab, verify) == [
        "public.new_thing has row-level security since the move: its policies do not hold for the other table."
    ]
    for way in (Way.RETIRE, Way.BACK):
        with pytest.raises(Refused, match="public.new_thing has row-level security"):
            go(lab, way)


def test_policies_that_hide_rows_from_the_view_of_a_retired_table_are_told(lab: Lab) -> None:
    prepare(lab, Way.UNRETIRE)
    lab.sql(HIDE)
    assert told(lab, verify_views) == [
        "public.new_thing has row-level security since the move: public.old_thing shows only the rows that its "
        "policies allow, without an error."
    ]


def test_the_guide_shows_the_table() -> None:
    page = (ROOT / "docs" / "guide" / "what-follows.md").read_text(encoding="utf-8")
    for kind, fates in FATES.items():
        assert f"| {kind} | {' | '.join(fates.values())} |\n" in page
    assert f"| tied to the table that goes | {' | '.join(Way)} |\n" in page
