"""While both tables live they draw from one sequence; afterwards each has its own kind of column again."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import models

from rehome import Move
from rehome.verify import comparison
from tests.database import dump
from tests.rehome.support.clients import Client, outcome
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Thing")
OLD, NEW = "old_thing", "new_thing"

IDENTITY = "SELECT 1"
ALWAYS = "ALTER TABLE {t} ALTER COLUMN id SET GENERATED ALWAYS"
SERIAL = """
    ALTER TABLE {t} ALTER COLUMN id DROP IDENTITY;
    CREATE SEQUENCE {t}_id_seq AS integer OWNED BY {t}.id;
    ALTER TABLE {t} ALTER COLUMN id SET DEFAULT nextval('{t}_id_seq')
"""
ODD = """
    ALTER TABLE {t} ALTER COLUMN id DROP IDENTITY;
    CREATE SEQUENCE "{t} Größe" START 7 OWNED BY {t}.id;
    ALTER TABLE {t} ALTER COLUMN id SET DEFAULT nextval('"{t} Größe"')
"""
KINDS = {"identity": IDENTITY, "always": ALWAYS, "serial": SERIAL, "odd": ODD}


@pytest.fixture
def things(lab: Lab) -> Callable[..., None]:
    """Make both tables, each with a key column of its kind."""

    def make(old: str = IDENTITY, new: str = IDENTITY, key: models.Field | None = None) -> None:
        for app, kind in (("old", old), ("new", new)):
            field = key.clone() if key else models.BigAutoField(primary_key=True)
            lab.model(f"{app}.Thing", {"id": field, "name": models.TextField(null=True)})
            for statement in kind.format(t=f"{app}_thing").split(";"):
                lab.sql(statement)

    return make


def insert(lab: Lab, table: str) -> int:
    ((key,),) = lab.sql(f"INSERT INTO {table} (name) VALUES ('born') RETURNING id")
    return key


def picture(lab: Lab) -> str:
    """The database as it is, but for the fence that the way back leaves, and the record of the moves."""
    for (function,) in lab.sql("SELECT tgfoid::regproc::text FROM pg_trigger WHERE tgname LIKE 'rehome_fence_%'"):
        lab.sql(f"DROP FUNCTION {function} CASCADE")
    return dump(lab.alias, without_data=["rehome_moverun"])


@pytest.mark.parametrize("new", KINDS)
@pytest.mark.parametrize("old", KINDS)
def test_one_sequence_while_both_live_and_each_its_own_kind_afterwards(
    lab: Lab, things: Callable[..., None], old: str, new: str
) -> None:
    things(KINDS[old], KINDS[new])
    first = insert(lab, OLD)
    before = picture(lab)
    lab.forward(MOVE)
    lab.back(MOVE)
    assert picture(lab) == before

    lab.forward(MOVE)
    assert [insert(lab, table) for table in (OLD, NEW, NEW, OLD, NEW)] == list(range(first + 1, first + 6))
    assert lab.verify(MOVE).ok
    lab.back(MOVE)
    assert insert(lab, OLD) == first + 6
    lab.forward(MOVE)
    assert insert(lab, NEW) == first + 7
    assert lab.verify(MOVE).ok


OPTIONS = {
    "steps": ("START 1000 INCREMENT 10", [1000, 1010, 1020, 1030], 1040),
    "downwards": ("INCREMENT -1 START -1 MINVALUE -50 MAXVALUE -1", [-1, -2, -3, -4], -5),
    "around": ("START 8 MAXVALUE 9 CYCLE", [8, 9, 1, 2], 3),
    # A session that ends loses the numbers that it has cached.
    "cached": ("CACHE 20", [1, 2, 3, 4], 21),
}


@pytest.mark.parametrize(("options", "keys", "then"), OPTIONS.values(), ids=OPTIONS)
def test_options_of_the_source_are_kept_forwards_and_backwards(
    lab: Lab, things: Callable[..., None], options: str, keys: list[int], then: int
) -> None:
    things()
    lab.sql("ALTER TABLE old_thing ALTER COLUMN id DROP IDENTITY")
    lab.sql(f"ALTER TABLE old_thing ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY ({options})")
    before = picture(lab)
    lab.forward(MOVE)
    lab.back(MOVE)
    assert picture(lab) == before
    lab.forward(MOVE)
    assert [insert(lab, table) for table in (NEW, OLD, OLD, NEW)] == keys
    lab.back(MOVE)
    assert insert(lab, OLD) == then


def test_a_sequence_that_is_behind_its_largest_key_continues_after_it(lab: Lab, things: Callable[..., None]) -> None:
    """Rows that were loaded with their keys; and again while both live, through either table."""
    things(SERIAL)
    lab.sql("INSERT INTO old_thing (id, name) SELECT n, 'loaded' FROM generate_series(1, 40) n")
    lab.forward(MOVE)
    assert [insert(lab, table) for table in (OLD, NEW)] == [41, 42]
    lab.sql("INSERT INTO old_thing (id) VALUES (50)")
    lab.sql("INSERT INTO new_thing (id) VALUES (60)")
    assert not lab.verify(MOVE).sequence_ok
    lab.back(MOVE)
    assert insert(lab, OLD) == 61


def test_a_sequence_that_is_ahead_of_its_keys_stays_ahead(lab: Lab, things: Callable[..., None]) -> None:
    """Keys of deleted rows are not given out again, nor are those that a transaction has taken already."""
    things(SERIAL)
    assert [insert(lab, OLD) for _ in range(5)] == [1, 2, 3, 4, 5]
    lab.sql("DELETE FROM old_thing")
    ((taken,),) = lab.sql("SELECT nextval('old_thing_id_seq')")
    lab.forward(MOVE)
    assert [insert(lab, NEW), insert(lab, OLD)] == [7, 8]
    lab.sql("INSERT INTO old_thing (id) VALUES (%s)", [taken])
    lab.sql("SELECT setval('new_thing_id_seq', 100)")
    assert [insert(lab, OLD), insert(lab, NEW)] == [101, 102]
    lab.sql("DELETE FROM new_thing WHERE id > 100")
    lab.back(MOVE)
    assert insert(lab, OLD) == 103
    assert [key for (key,) in lab.sql("SELECT id FROM old_thing ORDER BY id")] == [6, 7, 8, 103]


def test_the_last_key_of_a_type_ends_no_sequence(lab: Lab, things: Callable[..., None]) -> None:
    things(SERIAL, key=models.AutoField(primary_key=True))
    lab.sql("INSERT INTO old_thing (id) VALUES (2147483647)")
    assert insert(lab, OLD) == 1
    lab.forward(MOVE)
    assert [insert(lab, NEW), insert(lab, OLD)] == [2, 3]
    assert lab.verify(MOVE).ok
    lab.back(MOVE)
    assert insert(lab, OLD) == 4


def test_sessions_never_get_the_same_key(
    lab: Lab, things: Callable[..., None], open_client: Callable[..., Client]
) -> None:
    """Neither while their transactions are open, nor when one is rolled back, nor from what a session has cached."""
    things()
    lab.sql("ALTER SEQUENCE old_thing_id_seq CACHE 5")
    clients = [open_client() for _ in range(4)]
    cached = clients[0].run("INSERT INTO old_thing (name) VALUES ('cached') RETURNING id")
    lab.forward(MOVE)
    keys = [*cached]
    for client in clients:
        client.run("BEGIN")
    for _ in range(8):
        for client, table in zip(clients, (OLD, NEW, OLD, NEW), strict=True):
            keys += client.run(f"INSERT INTO {table} (name) VALUES ('born') RETURNING id")
    clients[0].run("ROLLBACK")
    for client in clients[1:]:
        client.run("COMMIT")
    assert len(set(keys)) == len(keys) == 33
    assert lab.sql("SELECT count(*) FROM old_thing") == lab.sql("SELECT count(*) FROM new_thing") == [(25,)]
    assert lab.verify(MOVE).ok


@pytest.mark.parametrize("in_place", [False, True])
def test_a_repair_gives_no_key_a_second_time_that_others_draw_meanwhile(
    lab: Lab, things: Callable[..., None], open_client: Callable[..., Client], in_place: bool
) -> None:
    """Where a sequence stands is read before it is set, and between both nobody draws."""
    things()
    move = Move("old.Thing", "new.Thing", in_place=in_place)
    lab.forward(move)
    lab.sql("INSERT INTO new_thing (id) VALUES (50)")
    client = open_client()
    drawn: list[Any] = []

    def send(execute: Any, text: str, params: Any, many: bool, context: Any) -> Any:
        if "setval" in text:
            drawn.append(client.start_blocked("SELECT nextval('new_thing_id_seq')"))
        return execute(text, params, many, context)

    with lab.connection.execute_wrapper(send):
        lab.forward(move)

    ((first,),) = outcome(drawn[0])
    assert [first, insert(lab, NEW), insert(lab, NEW)] == [51, 52, 53]


@pytest.mark.parametrize("in_place", [False, True])
def test_a_key_that_is_drawn_while_it_is_looked_for_is_no_defect(
    lab: Lab, things: Callable[..., None], open_client: Callable[..., Client], in_place: bool
) -> None:
    things()
    move = Move("old.Thing", "new.Thing", in_place=in_place)
    lab.forward(move)
    client = open_client()
    set_to: list[str] = []

    def send(execute: Any, text: str, params: Any, many: bool, context: Any) -> Any:
        set_to.extend([text] if "setval" in text else [])
        result = execute(text, params, many, context)
        if text.startswith("SELECT last_value, is_called"):
            client.run("INSERT INTO new_thing (name) VALUES ('beside')")
        return result

    with lab.connection.execute_wrapper(send):
        lab.forward(move)

    assert set_to == []
    assert lab.sql("SELECT count(*) > 0 FROM new_thing WHERE name = 'beside'") == [(True,)]


@pytest.mark.parametrize("side", ["old", "new"])
def test_a_column_that_is_always_generated_takes_the_keys_of_a_table_that_numbers_nothing(lab: Lab, side: str) -> None:
    other = {"old": "new", "new": "old"}[side]
    lab.model(f"{side}.Thing", {"name": models.TextField(null=True)})
    lab.model(f"{other}.Thing", {"id": models.BigIntegerField(primary_key=True), "name": models.TextField(null=True)})
    lab.sql(ALWAYS.format(t=f"{side}_thing"))
    lab.sql("INSERT INTO old_thing (id) OVERRIDING SYSTEM VALUE VALUES (3)")
    before = picture(lab)
    lab.forward(MOVE)
    lab.sql(f"INSERT INTO {other}_thing (id, name) VALUES (7, 'given')")
    lab.sql(f"UPDATE {other}_thing SET id = 8 WHERE id = 7")
    lab.sql(f"DELETE FROM {side}_thing WHERE id = 8")
    assert lab.sql("SELECT * FROM old_thing") == lab.sql("SELECT * FROM new_thing") == [(3, None)]
    lab.back(MOVE)
    after = picture(lab)
    if side == "old":
        after = after.replace("'public.old_thing_id_seq', 3, true", "'public.old_thing_id_seq', 1, false")
    assert after == before


@pytest.mark.parametrize("side", ["old", "new"])
def test_a_move_that_fails_leaves_a_column_always_generated(
    lab: Lab, unchanged: Callable[[], None], monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    other = {"old": "new", "new": "old"}[side]
    lab.model(f"{side}.Thing", {"name": models.TextField(null=True)})
    lab.model(f"{other}.Thing", {"id": models.BigIntegerField(primary_key=True), "name": models.TextField(null=True)})
    lab.sql(ALWAYS.format(t=f"{side}_thing"))
    lab.sql(f"INSERT INTO old_thing ({'name' if side == 'old' else 'id'}) VALUES (1)")
    unchanged()

    def stop(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(comparison, "compare", stop)
    with pytest.raises(KeyboardInterrupt):
        lab.forward(MOVE)

    unchanged()


def test_each_role_that_could_insert_can_use_the_shared_sequence(
    lab: Lab, things: Callable[..., None], open_client: Callable[..., Client]
) -> None:
    """An identity column asked for no right to its sequence, and a right to a serial one is kept."""
    things(SERIAL, IDENTITY)
    roles = [f"{lab.connection.settings_dict['NAME']}_{side}" for side in ("old", "new")]
    for role in roles:
        lab.sql(f"CREATE ROLE {role}")
    try:
        lab.sql(f"GRANT INSERT, SELECT ON old_thing TO {roles[0]}")
        lab.sql(f"GRANT USAGE ON SEQUENCE old_thing_id_seq TO {roles[0]}")
        lab.sql(f"GRANT INSERT (name), SELECT ON new_thing TO {roles[1]}")
        before = picture(lab)
        lab.forward(MOVE)
        for role, table in zip(roles, (OLD, NEW), strict=True):
            client = open_client(role=role)
            assert client.run(f"INSERT INTO {table} (name) VALUES ('mine') RETURNING name") == [("mine",)]
        lab.sql("DELETE FROM old_thing")
        lab.back(MOVE)
        lab.sql("SELECT setval('old_thing_id_seq', 1, false)")
        assert picture(lab) == before
    finally:
        for role in roles:
            lab.sql(f"DROP OWNED BY {role}")
            lab.sql(f"DROP ROLE {role}")
