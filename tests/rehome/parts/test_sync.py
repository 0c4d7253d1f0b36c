"""From the commit of a move on, two tables behave as one: whatever writes, and however."""

from collections.abc import Callable

import psycopg
import pytest

from tests.rehome.support.clients import Client
from tests.rehome.support.lab import Lab
from tests.rehome.support.trio import ALONE, MOVE, SIDES, Trio

pytestmark = pytest.mark.server

SCRIPTS = {
    "insert": """
        INSERT INTO {t} (name) VALUES ('a'), ('b')
        INSERT INTO {t} (id, name) VALUES (-1, 'c'), (0, 'd')
    """,
    "update": """
        UPDATE {t} SET name = 'x', note = 'y' WHERE id IN (3, 5)
        UPDATE {t} SET code = NULL WHERE id = 7
    """,
    "update that changes nothing": """
        UPDATE {t} SET name = name
        UPDATE {t} SET id = id WHERE id = 3
    """,
    "delete": """
        DELETE FROM {t} WHERE id % 2 = 0
        DELETE FROM {t}
    """,
    "changed key": """
        UPDATE {t} SET id = 500 WHERE id = 5
        UPDATE {t} SET id = 5, name = 'x' WHERE id = 500
    """,
    "keys that shift": """
        UPDATE {t} SET id = id - 1
        UPDATE {t} SET id = id - 1, name = 'x'
        UPDATE {t} SET id = id + 1000
        UPDATE {t} SET id = id - 1000 WHERE id > 1010
        UPDATE {t} SET id = -id
    """,
    "keys that shift, of rows that are alike": """
        UPDATE {t} SET name = 'x', code = NULL, place = NULL, rank = NULL
        UPDATE {t} SET id = id - 1
        UPDATE {t} SET id = id - 20 WHERE id > 9 OR id < 3
    """,
    "keys that change places": """
        BEGIN
        UPDATE {t} SET id = -1 WHERE id = 1
        UPDATE {t} SET id = 1 WHERE id = 2
        UPDATE {t} SET id = 2 WHERE id = -1
        COMMIT
    """,
    "unique values that shift": """
        UPDATE {t} SET code = code - 10
        UPDATE {t} SET place = place + 1, rank = rank + 1
    """,
    "unique values that change places": """
        UPDATE {t} SET place = 21 - place
        BEGIN
        UPDATE {t} SET rank = 1 WHERE id = 2
        UPDATE {t} SET rank = 2 WHERE id = 1
        COMMIT
        BEGIN
        SET CONSTRAINTS ALL DEFERRED
        UPDATE {t} SET place = 20 WHERE id = 2
        UPDATE {t} SET place = 19 WHERE id = 1
        COMMIT
        BEGIN
        SET CONSTRAINTS ALL IMMEDIATE
        UPDATE {t} SET rank = 21 - rank
        COMMIT
    """,
    "unique value that another row takes over": """
        WITH gone AS (DELETE FROM {t} WHERE id = 1 RETURNING code)
          UPDATE {t} SET code = gone.code FROM gone WHERE id = 2
        WITH gone AS (DELETE FROM {t} WHERE id = 3 RETURNING code)
          INSERT INTO {t} (id, name, code) SELECT 33, 'x', code FROM gone
    """,
    "key that another row takes over": """
        WITH gone AS (DELETE FROM {t} WHERE id = 1 RETURNING id)
          UPDATE {t} SET id = gone.id FROM gone WHERE {t}.id = 2
    """,
    "row that is born again in a transaction": """
        BEGIN
        DELETE FROM {t} WHERE id = 3
        INSERT INTO {t} (id, name, code) VALUES (3, 'reborn', 30)
        DELETE FROM {t} WHERE id = 4
        INSERT INTO {t} (id, name, code) VALUES (4, 'once', 40)
        DELETE FROM {t} WHERE id = 4
        COMMIT
    """,
    "row that is born again in a statement": """
        WITH gone AS (DELETE FROM {t} WHERE id = 3 RETURNING *) INSERT INTO {t} SELECT * FROM gone
        WITH gone AS (DELETE FROM {t} WHERE id = 4 RETURNING *) INSERT INTO {t} (id, name) SELECT id, 'x' FROM gone
        WITH gone AS (DELETE FROM {t} WHERE id < 9 RETURNING *)
          INSERT INTO {t} (id, name) SELECT id, 'reborn' FROM gone ORDER BY id
    """,
    "several writes to one row": """
        BEGIN
        UPDATE {t} SET name = 'a' WHERE id = 1
        UPDATE {t} SET id = 41 WHERE id = 1
        UPDATE {t} SET name = 'b' WHERE id = 41
        INSERT INTO {t} (id, name) VALUES (42, 'a')
        UPDATE {t} SET id = 43 WHERE id = 42
        DELETE FROM {t} WHERE id = 43
        COMMIT
    """,
    "many rows": """
        INSERT INTO {t} (id, name) SELECT n, 'n ' || n FROM generate_series(1001, 11000) n
        UPDATE {t} SET note = name || id, id = id + 20000 WHERE id > 1000 AND id % 3 = 0
        DELETE FROM {t} WHERE id > 1000 AND id % 2 = 0
    """,
    "on conflict": """
        INSERT INTO {t} (id, name) VALUES (3, 'x'), (33, 'born') ON CONFLICT (id) DO NOTHING
        INSERT INTO {t} (id, name, code) VALUES (44, 'x', 40) ON CONFLICT (code) DO NOTHING
        INSERT INTO {t} (id, name) VALUES (3, 'x'), (34, 'born') ON CONFLICT (id) DO UPDATE SET name = excluded.name
        INSERT INTO {t} (name, code) VALUES ('x', 50), ('born', 55)
          ON CONFLICT (code) DO UPDATE SET name = excluded.name
        INSERT INTO {t} (id, name) VALUES (6, 'x') ON CONFLICT (id) DO UPDATE SET name = 'y' WHERE excluded.name = 'y'
        INSERT INTO {t} (id, name) VALUES (7, 'x') ON CONFLICT (id) DO UPDATE SET id = 77, name = 'moved'
    """,
    "merge": """
        MERGE INTO {t} USING (SELECT n, 'merged ' || n FROM generate_series(15, 25) n) AS s (id, name)
          ON {t}.id = s.id
          WHEN MATCHED AND s.id % 3 = 0 THEN DELETE
          WHEN MATCHED THEN UPDATE SET name = s.name, code = code + 1
          WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, s.name)
    """,
    "update from, delete using": """
        UPDATE {t} SET name = other.name FROM {t} AS other WHERE other.id = {t}.id + 1
        DELETE FROM {t} USING {t} AS other WHERE other.id = {t}.id * 2
    """,
    "row that is locked first": """
        BEGIN
        SELECT * FROM {t} WHERE id = 3 FOR UPDATE
        UPDATE {t} SET name = 'x' WHERE id = 3
        SELECT * FROM {t} FOR KEY SHARE
        DELETE FROM {t} WHERE id = 4
        COMMIT
    """,
    "cursor": """
        BEGIN
        DECLARE c CURSOR FOR SELECT * FROM {t} ORDER BY id FOR UPDATE
        MOVE 3 FROM c
        UPDATE {t} SET name = 'x' WHERE CURRENT OF c
        MOVE 2 FROM c
        DELETE FROM {t} WHERE CURRENT OF c
        COMMIT
    """,
    "savepoints": """
        BEGIN
        INSERT INTO {t} (id, name) VALUES (31, 'kept')
        SAVEPOINT s
        UPDATE {t} SET name = 'lost', id = id + 100
        DELETE FROM {t} WHERE id > 110
        INSERT INTO {t} (id, name) VALUES (32, 'lost')
        ROLLBACK TO s
        UPDATE {t} SET name = 'kept' WHERE id = 31
        SAVEPOINT t
        DELETE FROM {t} WHERE id = 1
        RELEASE t
        COMMIT
    """,
    "block that fails and is caught": """
        DO $$ BEGIN
          INSERT INTO {t} (id, name) VALUES (31, 'kept');
          BEGIN
            UPDATE {t} SET name = 'lost';
            INSERT INTO {t} (id, name) VALUES (1, 'double');
          EXCEPTION WHEN unique_violation THEN
            UPDATE {t} SET name = 'caught' WHERE id = 2;
          END;
          END $$
    """,
    "transaction that is rolled back": """
        BEGIN
        UPDATE {t} SET name = 'lost'
        DELETE FROM {t} WHERE id < 9
        ROLLBACK
    """,
    "strict isolation": """
        BEGIN ISOLATION LEVEL REPEATABLE READ
        UPDATE {t} SET name = 'x', id = id + 200 WHERE id < 3
        DELETE FROM {t} WHERE id = 4
        COMMIT
        BEGIN ISOLATION LEVEL SERIALIZABLE
        INSERT INTO {t} (name) VALUES ('x')
        UPDATE {t} SET note = 'x'
        DELETE FROM {t} WHERE id = 5
        COMMIT
    """,
    "statements that are refused": """
        INSERT INTO {t} (id, name) VALUES (1, 'double')
        INSERT INTO {t} (name, code) VALUES ('double', 10)
        UPDATE {t} SET code = 10
        UPDATE {t} SET place = 1
        UPDATE {t} SET rank = 1
        UPDATE {t} SET name = NULL
        INSERT INTO {t} (name) VALUES (repeat('x', 41))
        UPDATE {t} SET id = id + 1 WHERE id < 3
    """,
}


def test_two_tables_behave_as_one(trio: Trio, open_client: Callable[..., Client], subtests: pytest.Subtests) -> None:
    client = open_client()
    for name, script in SCRIPTS.items():
        for side in SIDES:
            with subtests.test(name, side=side):
                trio.reset()
                expected = client.play(script, ALONE)
                assert client.play(script, side) == expected
                assert trio.agrees()
    assert trio.lab.verify(MOVE).comparison.equal


def test_copy_is_carried(trio: Trio, open_client: Callable[..., Client]) -> None:
    client = open_client()
    for side in SIDES:
        trio.reset()
        for table in (ALONE, side):
            with client.connection.cursor().copy(f"COPY {table} (id, name, code) FROM STDIN") as copy:
                for n in range(1000, 2000):
                    copy.write_row((n, f"copied \\ {n}", None if n % 2 else n))
        assert trio.agrees()


@pytest.mark.parametrize("side", SIDES)
def test_truncate_of_one_table_is_refused(trio: Trio, open_client: Callable[..., Client], side: str) -> None:
    trio.reset()
    other = next(other for other in SIDES if other != side)
    for statement in (f"TRUNCATE {side}", f"TRUNCATE {side} RESTART IDENTITY CASCADE"):
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as refused:
            open_client().run(statement)
        said = refused.value.diag
        assert (
            said.message_primary == f"public.{side} can't be truncated alone: public.{other} is kept in sync with it."
        )
        assert said.message_hint == "Use DELETE, or truncate both tables in one statement."
    assert trio.agrees()


def test_truncate_does_not_trust_a_snapshot_in_which_the_other_table_was_empty(
    trio: Trio, lab: Lab, open_client: Callable[..., Client]
) -> None:
    lab.sql("TRUNCATE old_thing, new_thing")
    late = open_client()
    late.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
    late.run("SELECT FROM auth_user")
    trio.fill("new_thing")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        late.run("TRUNCATE old_thing")
    late.run("ROLLBACK")
    assert len(trio.rows("old_thing")) == 20


def test_truncate_of_both_tables_is_allowed(trio: Trio, lab: Lab) -> None:
    lab.sql("TRUNCATE old_thing, new_thing RESTART IDENTITY")
    assert trio.rows("old_thing") == trio.rows("new_thing") == []
    assert lab.get("old.Thing").objects.create(name="first").pk == 1
    assert lab.get("new.Thing").objects.create(name="second").pk == 2
    assert lab.verify(MOVE).ok


def test_columns_that_come_and_go_while_both_live_are_left_alone(
    trio: Trio, lab: Lab, open_client: Callable[..., Client]
) -> None:
    generated = "GENERATED ALWAYS AS (code * 2)"
    kind = "VIRTUAL" if lab.connection.pg_version >= 180000 else "STORED"
    for side in SIDES:
        lab.sql(f"ALTER TABLE {side} ADD COLUMN leaves text DEFAULT 'x', ADD COLUMN twice integer {generated} {kind}")
        lab.sql(f"ALTER TABLE {side} DROP COLUMN leaves, ADD COLUMN comes text DEFAULT '{side}'")
    client = open_client()
    for side in SIDES:
        trio.reset()
        script = SCRIPTS["keys that shift"] + SCRIPTS["insert"] + SCRIPTS["update"]
        assert client.play(script, side) == client.play(script, ALONE)
        carried = [lab.sql(f"SELECT id, name, code, place, rank, note FROM {table}") for table in (*SIDES, ALONE)]
        assert sorted(carried[0]) == sorted(carried[1]) == sorted(carried[2])
    assert lab.sql("SELECT DISTINCT comes FROM old_thing") == [("old_thing",)]


def test_orm_of_either_side_is_carried(trio: Trio, lab: Lab) -> None:
    for label, other in (("old.Thing", "new.Thing"), ("new.Thing", "old.Thing")):
        here, there = lab.get(label).objects, lab.get(other).objects
        born = here.bulk_create([here.model(name=f"n {n}") for n in range(3)])
        born[0].name = "updated"
        born[1].note = "updated too"
        here.bulk_update(born, ["name", "note"])
        there.filter(pk=born[2].pk).delete()
        here.update_or_create(code=10, defaults={"name": "found"}, create_defaults={"name": "born"})
        there.update_or_create(code=20, defaults={"name": "found"}, create_defaults={"name": "born"})
        copied = there.get(pk=born[0].pk)
        copied.pk = None
        copied.save()
        assert list(here.order_by("pk").values()) == list(there.order_by("pk").values())
    assert lab.get("old.Thing").objects.filter(name="found").count() == 2
    assert lab.verify(MOVE).ok
