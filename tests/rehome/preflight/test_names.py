"""Names that a move will need can be foretold: what somebody else has put there is refused, and never used."""

from collections.abc import Callable

import pytest
from django.db import models
from django.db.models.functions import Concat, Left

from rehome import Move
from rehome.errors import Refused
from rehome.parts import functions
from rehome.parts.triggers import trigger_name
from rehome.preflight import names
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVE = Move(
    "old.Thing",
    "new.Thing",
    fields={"title": Concat("name", models.Value("!"))},
    backwards={"name": Left("title", 3), "note": models.Value("none")},
    discard=["note"],
)
FUNCTION = "CREATE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'"
RELATIONS = ["CREATE TABLE {} (was_1 bigint, now_1 bigint)", "CREATE VIEW {} AS SELECT 1", "CREATE SEQUENCE {}"]
TAKEN = {
    **{kind: [FUNCTION] for kind in ("forward", "backward", "forward_truncate", "backward_truncate", "fence")},
    "writes": RELATIONS,
}
TAKEN_RETIRED = {
    **{kind: [FUNCTION] for kind in ("died", "moved", "emptied")},
    **dict.fromkeys(("aside", "lives", "lives_was", "lives_now"), RELATIONS),
}


@pytest.fixture
def things(lab: Lab) -> Lab:
    lab.model("old.Thing", {"name": models.TextField(), "note": models.TextField(null=True)})
    lab.model("new.Thing", {"title": models.TextField()})
    lab.sql("INSERT INTO old_thing (name, note) VALUES ('ada', 'x')")
    return lab


@pytest.fixture
def mallory(things: Lab, make_role: Callable[[str], str]) -> str:
    role = make_role("mallory")
    things.sql(f"GRANT CREATE ON SCHEMA public TO {role}")
    return role


def assert_refused(things: Lab, mallory: str, name: str, statement: str, refuse: Callable[[], None]) -> None:
    things.sql(f"SET ROLE {mallory}; {statement.format(name)}; RESET ROLE")
    with pytest.raises(Refused, match=f"public.{name}.* is there already and belongs to {mallory!r}"):
        refuse()
    things.sql(f"DROP OWNED BY {mallory} CASCADE; GRANT CREATE ON SCHEMA public TO {mallory}")


def test_names_that_a_move_needs(things: Lab, mallory: str) -> None:
    pair = things.plan(MOVE).main
    for kind, statements in TAKEN.items():
        for statement in statements:
            assert_refused(things, mallory, trigger_name(kind, pair), statement, lambda: things.forward(MOVE))
    (value, *_) = functions.compute(pair, ())[1]
    taken = "CREATE FUNCTION {}(text) RETURNS text LANGUAGE sql RETURN ''"
    assert_refused(things, mallory, value.name, taken, lambda: things.forward(MOVE))
    things.forward(MOVE)


def test_names_that_a_retirement_needs(things: Lab, mallory: str) -> None:
    things.forward(MOVE)
    plan = things.plan(MOVE)
    for kind, statements in TAKEN_RETIRED.items():
        for statement in statements:
            name = trigger_name(kind, plan.main)
            assert_refused(things, mallory, name, statement, lambda: names.refuse_of_retirement(plan))
    things.retire(MOVE)


def test_a_repair_takes_nothing_of_anothers(things: Lab, mallory: str) -> None:
    """A function is made anew whoever has it; a counter and a table of notes would be used as they are."""
    things.forward(MOVE)
    counter = trigger_name("writes", things.plan(MOVE).main)
    things.sql(f"DROP SEQUENCE {counter}; SET ROLE {mallory}; CREATE SEQUENCE {counter} MAXVALUE 2; RESET ROLE")
    owner = things.plan(MOVE).main.source.owner
    cure = f'run ALTER SEQUENCE "public"."{counter}" OWNER TO {owner}; if not, drop or rename it'
    assert any(cure in found.cure for found in things.verify(MOVE).defects)
    with pytest.raises(Refused, match=f"The sequence public.{counter} belongs to {mallory!r}") as refused:
        things.forward(MOVE)
    assert cure in str(refused.value)
    things.sql(f"DROP SEQUENCE {counter}")
    things.forward(MOVE)
    assert things.verify(MOVE).ok

    things.retire(MOVE)
    notes = trigger_name("lives", things.plan(MOVE).main)
    things.sql(f"ALTER TABLE {notes} OWNER TO {mallory}")
    with pytest.raises(Refused, match=f"The table public.{notes} belongs to {mallory!r}"):
        things.retire(MOVE)
    things.sql(f"ALTER TABLE {notes} OWNER TO {owner}")
    things.retire(MOVE)


def test_a_function_beside_that_of_a_value(things: Lab, mallory: str) -> None:
    things.forward(MOVE)
    for value in functions.compute(things.plan(MOVE).main, ())[1]:
        beside = f"CREATE FUNCTION {value.name}(integer) RETURNS text LANGUAGE sql RETURN ''"
        things.sql(f"SET ROLE {mallory}; {beside}; RESET ROLE")
    things.back(MOVE)
    things.forward(MOVE)


def test_names_that_would_end_a_text(lab: Lab, make_role: Callable[[str], str]) -> None:
    """Of tables, columns and roles, on every way."""
    wild = "$$ $rehome$ '; -- \\ {} {0}"
    role = make_role(f"clerk {wild}")
    for app in ("old", "new"):
        fields = {"name": models.TextField(db_column=f"name {wild}"), "note": models.TextField(default="")}
        lab.model(f"{app}.Thing", fields, db_table=f"{app} {wild}")
    lab.get("old.Thing").objects.create(name="lamp")
    lab.sql(f'GRANT SELECT ("name {wild}"), INSERT ON "old {wild}" TO "{role}"')
    move = Move("old.Thing", "new.Thing")
    for way in (lab.forward, lab.retire, lab.unretire, lab.back):
        way(move)
        assert lab.sql(f'SELECT "name {wild}" FROM "old {wild}"') == [("lamp",)]
        assert lab.sql("SELECT has_table_privilege(%s, %s, 'INSERT')", [role, f'"old {wild}"']) == [(True,)]
