"""Writes through the old table are counted and their sessions known, and no writer waits or fails for that."""

import os
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import models

from rehome import Move
from rehome.parts import writes
from rehome.parts.triggers import trigger_name
from rehome.parts.writes import Writer, Writes
from rehome.plan.ledger import Ledger
from tests.rehome.support.clients import Client
from tests.rehome.support.lab import Lab
from tests.rehome.support.trio import MOVE, Trio
from tests.waiting import NO_WAIT

pytestmark = pytest.mark.server

Open = Callable[..., Client]
LOCKS = """
SELECT mode, count(*) FROM pg_locks
 WHERE locktype = 'advisory' AND objsubid = 2 AND (pid = ANY(%s) OR pid IS NULL)
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
 GROUP BY mode
"""


def read(lab: Lab, move: Move = MOVE) -> Writes:
    plan = lab.plan(move)
    run = Ledger(lab.alias).current(plan)
    assert run is not None
    return writes.read(plan, run)


def counted(trio: Trio) -> int | None:
    (count,) = read(trio.lab).since_move.values()
    return count


def held(trio: Trio, *clients: Client) -> Any:
    """By mode, the locks that say that these sessions have written; a prepared transaction has no session."""
    return trio.lab.sql(LOCKS, [[client.connection.info.backend_pid for client in clients]])


def test_rows_that_come_through_the_old_table_are_counted(trio: Trio, open_client: Open) -> None:
    client = open_client()
    assert counted(trio) == 0
    client.run("INSERT INTO old_thing (name) VALUES ('a'), ('b')")
    assert counted(trio) == 2
    client.run("UPDATE old_thing SET note = 'x' WHERE id <= 10")
    client.run("DELETE FROM old_thing WHERE id = 20")
    assert counted(trio) == 13


def test_what_changes_nothing_or_comes_through_the_new_table_is_not(trio: Trio, open_client: Open) -> None:
    client = open_client()
    client.run("UPDATE old_thing SET note = note")
    client.run("INSERT INTO new_thing (name) VALUES ('a'), ('b')")
    client.run("UPDATE new_thing SET note = 'x', code = code + 1000")
    client.run("DELETE FROM new_thing WHERE id = 20")
    client.run("UPDATE old_thing SET id = 100 WHERE false")
    assert counted(trio) == 0
    assert read(trio.lab).writers == ()


def test_a_cascade_in_the_new_tables_is_not_taken_for_old_code(lab: Lab, open_client: Open) -> None:
    lab.twins(lambda app: {"up": models.ForeignKey("self", models.CASCADE, null=True, db_constraint=False)})
    for app in ("old", "new"):
        lab.sql(
            f"ALTER TABLE {app}_thing ADD CONSTRAINT {app}_up FOREIGN KEY (up_id) REFERENCES {app}_thing "
            "ON DELETE CASCADE"
        )
    lab.forward(MOVE)
    client = open_client()
    client.run("INSERT INTO new_thing (id, up_id) VALUES (1, NULL), (2, 1), (3, 2)")
    client.run("DELETE FROM new_thing WHERE id = 1")
    assert read(lab).since_move == {"public.old_thing": 0}
    client.run("INSERT INTO old_thing (id, up_id) VALUES (1, NULL), (2, 1), (3, 2)")
    client.run("DELETE FROM old_thing WHERE id = 1")
    assert 3 < (read(lab).since_move["public.old_thing"] or 0) <= 6


def test_many_to_many_tables_have_counters_of_their_own(lab: Lab, open_client: Open) -> None:
    lab.model("tags.Tag", {})
    for app in ("old", "new"):
        lab.model(f"{app}.Thing", {"tags": models.ManyToManyField("tags.Tag", related_name="+")})
    lab.forward(MOVE)
    lab.get("old.Thing").objects.create().tags.add(lab.get("tags.Tag").objects.create())
    assert read(lab).since_move == {"public.old_thing": 1, "public.old_thing_tags": 1}


def test_no_session_waits_for_the_counter(trio: Trio, open_client: Open) -> None:
    clients = [open_client() for _ in range(6)]
    for number, client in enumerate(clients, start=1):
        client.run("BEGIN")
        client.connection.execute(NO_WAIT)
        for _ in range(3):
            assert client.run(f"UPDATE old_thing SET note = coalesce(note, '') || 'x' WHERE id = {number}") == 1
    assert counted(trio) == 18
    for client in clients:
        client.run("COMMIT")
    assert held(trio, *clients) == [("ShareLock", 6)]


def test_rolled_back_rows_are_counted_too_and_leave_no_more_locks(trio: Trio, open_client: Open) -> None:
    client = open_client()
    for ending in ("ROLLBACK", "COMMIT", "ROLLBACK"):
        client.run("BEGIN")
        client.run("UPDATE old_thing SET note = 'a'")
        client.run("SAVEPOINT one")
        client.run("UPDATE old_thing SET note = 'b'")
        client.run("ROLLBACK TO one")
        client.run("UPDATE old_thing SET note = 'c'")
        client.run(ending)
    assert counted(trio) == 180
    assert held(trio, client) == [("ShareLock", 1)]


def test_the_writers_are_known_until_they_go(trio: Trio, open_client: Open) -> None:
    ((user,),) = trio.lab.sql("SELECT current_user")
    first, second, third, reader = (
        open_client(application_name=name) for name in ("portal", "portal", "", "a reader of the old table")
    )
    for client in (first, second, third):
        client.run("UPDATE old_thing SET note = coalesce(note, '') || 'x' WHERE id = 1")
    reader.run("SELECT FROM old_thing")
    assert read(trio.lab).writers == (Writer("", user, 1), Writer("portal", user, 2))
    first.run("DISCARD ALL")
    third.run("SELECT pg_advisory_unlock_all()")
    assert [str(writer) for writer in read(trio.lab).writers] == [f"portal (user {user}, 1 session)"]
    first.run("UPDATE old_thing SET note = 'again' WHERE id = 2")
    assert [writer.application_name for writer in read(trio.lab).writers] == ["", "portal"]
    assert [writer.sessions for writer in read(trio.lab).writers] == [1, 1]


def test_a_prepared_transaction_keeps_no_session(trio: Trio, open_client: Open) -> None:
    if trio.lab.sql("SHOW max_prepared_transactions") == [("0",)]:
        # The embedded server has none; those that CI makes for the tests have some, and there it must run.
        required = os.environ.get("REQUIRE_CONTRIB") == "1"
        (pytest.fail if required else pytest.skip)("this server allows no prepared transactions")
    client = open_client()
    client.run("BEGIN")
    client.run("UPDATE old_thing SET note = 'x' WHERE id = 1")
    client.run("PREPARE TRANSACTION 'rehome'")
    assert held(trio, client) == [("ShareLock", 1)]
    client.run("COMMIT PREPARED 'rehome'")


def test_a_writer_never_waits_for_another_session_with_the_same_lock(trio: Trio, open_client: Open) -> None:
    ((oid,),) = trio.lab.sql("SELECT 'old_thing'::regclass::oid::bigint")
    holder, writer = open_client(), open_client()
    holder.run("SELECT pg_advisory_lock(%s, %s::bigint::integer)", writes.WRITERS, oid)
    writer.connection.execute(NO_WAIT)
    assert writer.run("UPDATE old_thing SET note = 'x' WHERE id = 1") == 1
    assert counted(trio) == 1


def test_the_last_count_is_kept_beside_everything_else(trio: Trio, open_client: Open) -> None:
    client, ledger = open_client(), Ledger(trio.lab.alias)
    plan = trio.lab.plan(MOVE)
    client.run("UPDATE old_thing SET note = 'x'")
    before = ledger.current(plan)
    assert (read(trio.lab).since_verification, read(trio.lab).counted_at) == ({"public.old_thing": 20}, None)
    ledger.record_count(before, read(trio.lab).counted)
    client.run("UPDATE old_thing SET note = 'y' WHERE id = 1")
    assert (read(trio.lab).since_move, read(trio.lab).since_verification) == (
        {"public.old_thing": 21},
        {"public.old_thing": 1},
    )
    after = ledger.current(plan)
    assert after.kept == before.kept | {"looked": after.kept["looked"]}
    assert after.changed_at == before.changed_at


def test_the_way_back_drops_the_counter_and_the_next_move_counts_from_zero(trio: Trio, open_client: Open) -> None:
    client = open_client()
    client.run("UPDATE old_thing SET note = 'x'")
    counter = trigger_name("writes", trio.lab.plan(MOVE).main)
    assert trio.lab.sql(f"SELECT to_regclass('{counter}') IS NULL") == [(False,)]
    trio.lab.back(MOVE)
    assert trio.lab.sql(f"SELECT to_regclass('{counter}') IS NULL") == [(True,)]
    trio.lab.forward(MOVE)
    assert counted(trio) == 0
    client.run("UPDATE old_thing SET note = 'y'")
    assert counted(trio) == 20


def test_a_counter_that_can_not_be_read_is_unknown(trio: Trio, make_role: Callable[[str], str]) -> None:
    role = make_role("reader")
    trio.lab.sql(f'GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{role}"')
    trio.lab.sql(f'SET ROLE "{role}"')
    assert counted(trio) is None
    trio.lab.sql("RESET ROLE")


def test_a_role_that_may_write_to_the_old_table_needs_no_right_to_the_counter(
    trio: Trio, open_client: Open, make_role: Callable[[str], str]
) -> None:
    role = make_role("clerk")
    trio.lab.sql(f'GRANT SELECT, UPDATE ON old_thing TO "{role}"')
    trio.lab.forward(MOVE)  # From then on the triggers have the owner's rights, for the role has none to the new table.
    client, counter = open_client(), trigger_name("writes", trio.lab.plan(MOVE).main)
    client.run(f'SET ROLE "{role}"')
    assert client.run("UPDATE old_thing SET note = 'x' WHERE id = 1") == 1
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        client.run("SELECT nextval(%s::regclass)", counter)
    assert counted(trio) == 1


def test_a_move_without_a_way_back_counts_nothing(lab: Lab) -> None:
    lab.model("old.Thing", {"name": models.TextField()})
    lab.model("new.Thing", {"name": models.TextField()})
    move: Any = Move("old.Thing", "new.Thing", fields={"name": models.functions.Lower("name")}, irreversible=True)
    lab.forward(move)
    assert read(lab, move).since_move == {"public.old_thing": None}
