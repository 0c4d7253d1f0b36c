"""A move beside its writers: who waits for whom, and what nobody but the move may do meanwhile."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import models
from pytest_django import DjangoDbBlocker

from rehome import Move
from rehome.errors import Refused
from rehome.parts import batches
from rehome.plan.plan import TablePair
from rehome.plan.record import Checkpoint
from rehome.terminal import Progress
from tests import houses
from tests.farm import farm
from tests.rehome.support.clients import Client, outcome
from tests.rehome.support.lab import Lab
from tests.rehome.support.stopping import MOVE, assert_live, stop_at

pytestmark = pytest.mark.server


def test_online_leaves_the_database_as_the_default_way_does(
    planned_house: str, monkeypatch: pytest.MonkeyPatch, django_db_blocker: DjangoDbBlocker
) -> None:
    pictures = []
    for setting in ("0", "1"):
        monkeypatch.setenv("REHOME_ONLINE", setting)
        with django_db_blocker.unblock(), houses.house(planned_house):
            farm.migrate()
            farm.assert_in_step()
            pictures.append(farm.picture())

    assert pictures[0] == pictures[1]


@pytest.mark.parametrize("point", ["before the third batch", "before the comparison"])
def test_meanwhile_only_the_move_writes_to_the_target(things: Lab, point: str) -> None:
    stop_at(things, point)

    for statement in (
        "UPDATE new_thing SET size = 0",
        "DELETE FROM new_thing",
        "INSERT INTO new_thing (code, size) VALUES ('x', 1)",
    ):
        with pytest.raises(Exception, match="not in use yet: the rows of public.old_thing are being copied to it"):
            things.sql(statement)
    things.forward(MOVE)
    things.sql("UPDATE new_thing SET size = 0 WHERE id = 1")
    assert things.sql("SELECT size FROM old_thing WHERE id = 1") == [(0,)]


def test_a_session_that_wrote_to_the_empty_table_soon_finds_rows_by_their_keys(
    things: Lab, open_client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its plans of the trigger's statements are of that time."""
    writer, whole, read = open_client(), batches.copy_batch, []
    things.sql("INSERT INTO old_thing (code, size) SELECT 'm' || n, n FROM generate_series(2001, 12000) n")
    things.sql("ANALYZE")

    def beside(session: Any, pair: TablePair, checkpoint: Checkpoint, *rest: Any) -> Checkpoint:
        if pair.target.name == "new_thing" and checkpoint.block % 10 == 0:
            for number in range(10):
                writer.run("UPDATE old_thing SET size = size + 1 WHERE id = %s", 1 + number)
            writer.run("SELECT pg_stat_force_next_flush()")
            read.append(writer.run("SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'new_thing'"))
        return whole(session, pair, checkpoint, *rest)

    monkeypatch.setattr(batches, "copy_batch", beside)
    things.forward(MOVE)

    last_half = read[len(read) // 2 :]
    assert len(last_half) > 3
    assert last_half[0] == last_half[-1], "rows were sought by reading the whole table"


@pytest.mark.parametrize("table", ["old_thing", "new_thing"])
def test_neither_table_is_truncated_alone(things: Lab, table: str) -> None:
    stop_at(things, "before the third batch")

    with pytest.raises(Exception, match="can't be truncated alone"):
        things.sql(f"TRUNCATE {table}, {table}_tags")

    things.forward(MOVE)
    assert_live(things)


def test_a_batch_waits_for_a_row_without_holding_its_own(
    things: Lab,
    open_client: Callable[..., Client],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    holder, other = open_client(), open_client()
    # The writer of row 5 is in no hurry, and comes back to row 6, which lies in the same block.
    begun: list[Any] = []

    def meanwhile(seconds: float) -> None:
        if not begun:
            begun.append(other.run("UPDATE old_thing SET size = 60000 WHERE id = 6"))
            holder.run("UPDATE old_thing SET size = 70000 WHERE id = 7")
            holder.run("COMMIT")

    def hold() -> None:
        holder.run("BEGIN")
        holder.run("DELETE FROM old_thing_tags WHERE thing_id = 5")
        holder.run("UPDATE old_thing SET size = 50000 WHERE id = 5")

    monkeypatch.setattr("rehome.postgres.session.time.sleep", meanwhile)
    stop_at(things, "before the first batch", hold)

    assert begun == [1]
    assert_live(things)
    assert things.sql("SELECT size FROM new_thing WHERE id IN (5, 6, 7) ORDER BY id") == [(50000,), (60000,), (70000,)]
    assert "Tried again after 1 x lock timeout." in capfd.readouterr().err


def test_a_snapshot_that_holds_up_a_build_is_named(
    things: Lab, open_client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    report = open_client(application_name="nightly report")
    report.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
    report.run("SELECT count(*) FROM pg_class")
    said = Progress.waits

    def waits(progress: Any, reason: str) -> None:
        said(progress, reason)
        if "nightly report" in reason:
            report.run("COMMIT")

    monkeypatch.setattr("rehome.postgres.waiting.POLL_S", 0.05)
    monkeypatch.setattr(Progress, "waits", waits)
    things.forward(MOVE)

    assert_live(things)
    assert "build indexes: waits for pid" in capfd.readouterr().err


def test_a_move_without_a_way_back_freezes_its_source(lab: Lab) -> None:
    lab.model("old.Thing", {"code": models.CharField(max_length=40), "note": models.TextField()})
    lab.model("new.Thing", {"code": models.CharField(max_length=40)})
    lab.sql("INSERT INTO old_thing (code, note) VALUES ('a', 'lost'), ('b', 'lost')")
    move = Move("old.Thing", "new.Thing", online=True, discard=["note"], irreversible=True)

    lab.forward(move)

    assert lab.sql("SELECT code FROM new_thing ORDER BY id") == [("a",), ("b",)]
    with pytest.raises(Exception, match="is read-only"):
        lab.sql("UPDATE old_thing SET code = 'c'")
    assert lab.verify(move).ok


def test_old_snapshots_do_not_write_past_the_trigger(things: Lab, open_client: Callable[..., Client]) -> None:
    before = open_client()
    before.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
    before.run("SELECT count(*) FROM pg_class")
    stop_at(things, "before the third batch")

    assert outcome(before.start("UPDATE old_thing SET size = 1 WHERE id = 1")) == "40001"
    before.run("ROLLBACK")
    things.forward(MOVE)
    assert_live(things)


def test_online_and_in_place_exclude_each_other() -> None:
    with pytest.raises(Refused, match="can't be both online and in place"):
        Move("old.Thing", "new.Thing", online=True, in_place=True)


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize("statement", ["DELETE FROM old_thing", "UPDATE old_thing SET id = 9999"])
def test_a_snapshot_from_before_a_batch_does_not_leave_what_the_batch_copied(
    things: Lab, open_client: Callable[..., Client], level: str, statement: str
) -> None:
    """It can't see the copied row, so it could not take it away."""
    things.sql("DELETE FROM old_thing_tags WHERE thing_id = 7")
    things.sql("UPDATE old_thing SET parent_id = NULL WHERE parent_id = 7")
    stop_at(things, "before the first batch")
    writer = open_client()
    writer.run(f"BEGIN ISOLATION LEVEL {level}")
    writer.run("SELECT count(*) FROM old_thing")
    stop_at(things, "before the third batch")
    stop_at(things, "before the first index")

    assert outcome(writer.start(f"{statement} WHERE id = 7")) == "40001"
    writer.run("ROLLBACK")
    writer.run(f"BEGIN ISOLATION LEVEL {level}")
    assert writer.run(f"{statement} WHERE id = 7") == 1
    writer.run("COMMIT")
    things.forward(MOVE)
    assert_live(things)


def test_a_target_that_is_always_generated_is_refused(things: Lab, unchanged: Callable[[], None]) -> None:
    things.sql("ALTER TABLE new_thing ALTER COLUMN id SET GENERATED ALWAYS")
    unchanged()
    with pytest.raises(Refused, match=r"new_thing.id is GENERATED ALWAYS.*SET GENERATED BY DEFAULT first"):
        things.forward(MOVE)
    unchanged()


def test_a_role_s_lock_timeout_does_not_end_a_build(
    things: Lab, open_client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    report, lifted = open_client(), []
    report.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
    report.run("SELECT count(*) FROM pg_class")
    said = Progress.waits

    def waits(progress: Any, reason: str) -> None:
        said(progress, reason)
        lifted.append(reason)
        if len(lifted) == 3:
            report.run("COMMIT")

    monkeypatch.setattr("rehome.postgres.waiting.POLL_S", 0.05)
    monkeypatch.setattr(Progress, "waits", waits)
    things.sql("SET lock_timeout = '50ms'")
    try:
        things.forward(MOVE)
        assert things.sql("SHOW lock_timeout") == [("50ms",)]
    finally:
        things.sql("RESET lock_timeout")

    assert_live(things)


def test_who_has_written_to_a_row_that_is_not_copied_yet_does_not_pass_the_fence(
    things: Lab, open_client: Callable[..., Client]
) -> None:
    stop_at(things, "before the first batch")
    client = open_client()
    client.run("BEGIN")
    client.run("UPDATE old_thing SET size = size + 10000 WHERE id = 5")

    assert outcome(client.start("UPDATE new_thing SET size = 1 WHERE id = 5")) == "55000"
    client.run("ROLLBACK")
    things.forward(MOVE)
    assert_live(things)
