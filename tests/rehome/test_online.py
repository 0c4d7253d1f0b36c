"""A move beside its writers: stopped anywhere it goes on or is given up, and what it can't trust it copies again."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import models
from pytest_django import DjangoDbBlocker

from rehome import Move, batches, building, copying, online, steps, verify
from rehome.errors import MoveFailed, Refused, Stopped
from rehome.ledger import Ledger
from tests import houses
from tests.moves import farm
from tests.rehome.clients import Client, outcome
from tests.rehome.lab import Lab

MOVE = Move("old.Thing", "new.Thing", online=True)
ROWS = 2000
POINTS: dict[str, tuple[Any, str, int]] = {
    "before the first batch": (batches, "copy_batch", 1),
    "before the third batch": (batches, "copy_batch", 3),
    "before the first index": (building, "build_index", 1),
    "before the second index": (building, "build_index", 2),
    "before the foreign keys": (building, "add_foreign_keys", 1),
    "after the foreign keys": (copying, "vacuum", 1),
    "before the comparison": (verify, "compare", 1),
    "before the switch": (online.Finish, "switch", 1),
    "in the switch": (steps, "switch", 1),
}
"""Where a run is interrupted: the function, and which call of it."""


def fields(app_label: str) -> dict[str, models.Field]:
    return {
        "code": models.CharField(max_length=40, unique=True),
        "size": models.IntegerField(db_index=True),
        "place": models.IntegerField(null=True),
        "parent": models.ForeignKey(f"{app_label}.Thing", models.CASCADE, null=True),
        "user": models.ForeignKey("auth.User", models.CASCADE, null=True),
        "tags": models.ManyToManyField("tags.Tag"),
    }


@pytest.fixture
def things(lab: Lab) -> Lab:
    """Rows that point at rows, with everything that a table can have beside them."""
    lab.model("tags.Tag", {"name": models.CharField(max_length=20)})
    for app in ("old", "new"):
        options: dict[str, Any] = {
            "indexes": [models.Index(fields=["size", "code"], name=f"{app}_size_code")],
            "constraints": [
                models.UniqueConstraint(fields=["place"], name=f"{app}_place", deferrable=models.Deferrable.DEFERRED),
                models.UniqueConstraint(fields=["size", "code"], name=f"{app}_both", nulls_distinct=False),
                models.CheckConstraint(condition=models.Q(size__gte=0), name=f"{app}_size"),
            ],
        }
        lab.model(f"{app}.Thing", fields(app), **options)
    lab.sql("INSERT INTO tags_tag (name) VALUES ('a'), ('b')")
    lab.sql(
        "INSERT INTO old_thing (code, size, place, parent_id) "
        f"SELECT 'c' || n, n, n, nullif(n - 1, 0) FROM generate_series(1, {ROWS}) n"
    )
    lab.sql(f"INSERT INTO old_thing_tags (thing_id, tag_id) SELECT n, 1 + n % 2 FROM generate_series(1, {ROWS}) n")
    lab.sql("ANALYZE")
    return lab


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run the move until a point, where Ctrl-C comes, or where `action` is done first and the move goes on."""

    def run(lab: Lab, point: str, action: Callable[[], Any] | None = None, move: Move = MOVE) -> None:
        module, name, number = POINTS[point]
        whole, calls = getattr(module, name), []

        def interrupted(*args: Any, **options: Any) -> Any:
            calls.append(point)
            if len(calls) == number:
                if action is None:
                    raise KeyboardInterrupt
                action()
            return whole(*args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(module, name, interrupted)
            if action is None:
                with pytest.raises(Stopped, match="run the migration again to go on") as stopped:
                    lab.forward(move)
                assert stopped.value.returncode == 130
            else:
                lab.forward(move)
        assert len(calls) >= number

    return run


def phase(lab: Lab) -> str | None:
    ledger = Ledger("default")
    run = ledger.current(lab.plan(MOVE)) if ledger.exists() else None
    return run.phase if run else None


def rows(lab: Lab, table: str) -> list[tuple[Any, ...]]:
    return lab.sql(f"SELECT * FROM {table} ORDER BY id")


def assert_live(lab: Lab) -> None:
    """Everything is there, as the verification and as this test see it, and as the source had it."""
    report = lab.verify(MOVE)
    assert report.ok, report.as_json()
    assert phase(lab) == "live"
    for table in ("thing", "thing_tags"):
        assert rows(lab, f"new_{table}") == rows(lab, f"old_{table}") != []


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


@pytest.mark.parametrize("point", POINTS)
def test_a_run_that_was_stopped_goes_on(things: Lab, stop: Callable[..., None], point: str) -> None:
    stop(things, point)
    assert phase(things) == ("copying" if "batch" in point else "building")
    things.sql("UPDATE old_thing SET size = size + 1 WHERE id % 7 = 0")
    things.sql("DELETE FROM old_thing_tags WHERE id % 5 = 0")
    copied = things.sql("SELECT count(*) FROM new_thing")

    things.forward(MOVE)

    assert_live(things)
    assert point == "before the first batch" or copied > [(0,)]
    things.back(MOVE)
    assert rows(things, "new_thing") == []
    assert len(rows(things, "old_thing")) == ROWS


@pytest.mark.parametrize("point", POINTS)
def test_a_run_that_was_stopped_is_given_up_without_a_trace(
    things: Lab, stop: Callable[..., None], unchanged: Callable[[], None], point: str
) -> None:
    unchanged()
    stop(things, point)

    things.give_up(MOVE)

    unchanged()


def test_a_failure_before_the_first_row_leaves_no_trace(
    things: Lab, unchanged: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise KeyboardInterrupt

    unchanged()
    monkeypatch.setattr(online, "enter", fail)
    with pytest.raises(Stopped):
        things.forward(MOVE)

    unchanged()


@pytest.mark.parametrize("point", ["before the third batch", "before the comparison"])
def test_meanwhile_only_the_move_writes_to_the_target(things: Lab, stop: Callable[..., None], point: str) -> None:
    stop(things, point)

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


@pytest.mark.parametrize("table", ["old_thing", "new_thing"])
def test_neither_table_is_truncated_alone(things: Lab, stop: Callable[..., None], table: str) -> None:
    stop(things, "before the third batch")

    with pytest.raises(Exception, match="can't be truncated alone"):
        things.sql(f"TRUNCATE {table}, {table}_tags")

    things.forward(MOVE)
    assert_live(things)


def test_all_tables_truncated_at_once_are_copied_from_the_beginning(things: Lab, stop: Callable[..., None]) -> None:
    stop(things, "before the third batch")
    things.sql("TRUNCATE old_thing, new_thing, old_thing_tags, new_thing_tags")
    things.sql("INSERT INTO old_thing (id, code, size) VALUES (1, 'new', 1), (9000, 'new too', 2)")
    things.sql("INSERT INTO old_thing_tags (thing_id, tag_id) VALUES (1, 1)")

    things.forward(MOVE)

    assert_live(things)


def test_a_table_that_is_rewritten_is_copied_from_the_beginning(
    things: Lab, stop: Callable[..., None], open_client: Callable[..., Client], capfd: pytest.CaptureFixture[str]
) -> None:
    rewrite = open_client()

    stop(things, "before the third batch", lambda: rewrite.run("VACUUM FULL old_thing"))

    assert_live(things)
    assert "public.old_thing was rewritten meanwhile: its copy starts over." in capfd.readouterr().err


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("ALTER TABLE old_thing ALTER COLUMN size TYPE bigint", "the move or its tables have changed since"),
        ("ALTER TABLE old_thing DISABLE TRIGGER USER", "a trigger that carried writes is missing or disabled"),
    ],
)
def test_what_can_not_be_trusted_is_copied_again(
    things: Lab, stop: Callable[..., None], capfd: pytest.CaptureFixture[str], change: str, reason: str
) -> None:
    stop(things, "before the third batch")
    things.sql(change)
    things.sql("UPDATE old_thing SET size = 7, place = NULL WHERE id < 100")
    things.sql("ALTER TABLE old_thing ALTER COLUMN size TYPE integer")

    things.forward(MOVE)

    if "DISABLE" in change:
        assert f"Starting over, for {reason}." in capfd.readouterr().err
    assert_live(things)


def test_another_declaration_starts_over(
    things: Lab, stop: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    stop(things, "before the third batch")
    other = Move("old.Thing", "new.Thing", online=True, fields={"size": "place", "place": "size"})

    things.forward(other)

    assert "Starting over, for the move or its tables have changed since." in capfd.readouterr().err
    assert things.verify(other).ok


def test_a_trigger_that_goes_before_the_switch_stops_it(things: Lab, stop: Callable[..., None]) -> None:
    with pytest.raises(MoveFailed, match="a trigger that carried writes is missing or disabled. Nothing is switched"):
        stop(things, "after the foreign keys", lambda: things.sql("ALTER TABLE old_thing DISABLE TRIGGER USER"))

    things.sql("UPDATE old_thing SET size = 1")
    things.forward(MOVE)
    assert_live(things)


def test_a_trigger_that_was_away_after_the_comparison_stops_it(
    things: Lab, stop: Callable[..., None], open_client: Callable[..., Client]
) -> None:
    client = open_client()

    def write_past_it() -> None:
        client.run("ALTER TABLE old_thing DISABLE TRIGGER USER")
        client.run("UPDATE old_thing SET size = 7, place = NULL WHERE id = 5")
        client.run("ALTER TABLE old_thing ENABLE TRIGGER USER")

    with pytest.raises(MoveFailed, match="somebody changed a trigger after the comparison. Nothing is switched"):
        stop(things, "before the switch", write_past_it)

    with pytest.raises(MoveFailed, match="1 different"):
        things.forward(MOVE)
    things.forward(MOVE)
    assert_live(things)


def test_a_difference_gives_the_move_up(things: Lab, stop: Callable[..., None], unchanged: Callable[[], None]) -> None:
    def spoil() -> None:
        things.sql("SET rehome.passing = 'on'")
        things.sql("UPDATE new_thing SET size = 77777 WHERE id = 5")
        things.sql("RESET rehome.passing")

    unchanged()
    with pytest.raises(MoveFailed, match="1 different.*new_thing 5: different in size"):
        stop(things, "after the foreign keys", spoil)

    unchanged()


def test_an_index_that_can_not_be_built_is_built_after_the_rows_are_mended(lab: Lab) -> None:
    lab.model("old.Thing", {"code": models.CharField(max_length=40)})
    lab.model("new.Thing", {"code": models.CharField(max_length=40, unique=True)})
    lab.sql("INSERT INTO old_thing (code) SELECT 'c' || n FROM generate_series(1, 50) n")
    move = Move("old.Thing", "new.Thing", online=True)
    build, spoilt = building.build_index, []

    def spoil(*args: Any) -> None:
        if not spoilt:
            spoilt.append(lab.sql("UPDATE old_thing SET code = 'c1' WHERE id = 2"))
        build(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "build_index", spoil)
        with pytest.raises(MoveFailed, match="is duplicated.*What is copied stays, and a run"):
            lab.forward(move)
    invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
    assert lab.sql(invalid) == [(1,)]
    lab.sql("UPDATE old_thing SET code = 'c2' WHERE id = 2")

    lab.forward(move)

    assert lab.sql(invalid) == [(0,)]
    assert lab.verify(move).ok


def test_a_batch_waits_for_a_row_without_holding_its_own(
    things: Lab,
    stop: Callable[..., None],
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

    monkeypatch.setattr("rehome.session.time.sleep", meanwhile)
    stop(things, "before the first batch", hold)

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
    said = online.Progress.waits

    def waits(progress: Any, reason: str) -> None:
        said(progress, reason)
        if "nightly report" in reason:
            report.run("COMMIT")

    monkeypatch.setattr("rehome.watching.POLL_S", 0.05)
    monkeypatch.setattr(online.Progress, "waits", waits)
    things.forward(MOVE)

    assert_live(things)
    assert "build indexes: waits for pid" in capfd.readouterr().err


def test_a_move_without_a_way_back_freezes_its_source(lab: Lab) -> None:
    lab.model("old.Thing", {"code": models.CharField(max_length=40), "note": models.TextField()})
    lab.model("new.Thing", {"code": models.CharField(max_length=40)})
    lab.sql("INSERT INTO old_thing (code, note) VALUES ('a', 'lost'), ('b', 'lost')")
    move = Move("old.Thing", "new.Thing", online=True, discard=["note"])

    lab.forward(move)

    assert lab.sql("SELECT code FROM new_thing ORDER BY id") == [("a",), ("b",)]
    with pytest.raises(Exception, match="is read-only"):
        lab.sql("UPDATE old_thing SET code = 'c'")
    assert lab.verify(move).ok


def test_old_snapshots_do_not_write_past_the_trigger(
    things: Lab, stop: Callable[..., None], open_client: Callable[..., Client]
) -> None:
    before = open_client()
    before.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
    before.run("SELECT count(*) FROM pg_class")
    stop(things, "before the third batch")

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
    things: Lab, stop: Callable[..., None], open_client: Callable[..., Client], level: str, statement: str
) -> None:
    """It can't see the copied row, so it could not take it away."""
    things.sql("DELETE FROM old_thing_tags WHERE thing_id = 7")
    things.sql("UPDATE old_thing SET parent_id = NULL WHERE parent_id = 7")
    stop(things, "before the first batch")
    writer = open_client()
    writer.run(f"BEGIN ISOLATION LEVEL {level}")
    writer.run("SELECT count(*) FROM old_thing")
    stop(things, "before the third batch")
    stop(things, "before the first index")

    assert outcome(writer.start(f"{statement} WHERE id = 7")) == "40001"
    writer.run("ROLLBACK")
    writer.run(f"BEGIN ISOLATION LEVEL {level}")
    assert writer.run(f"{statement} WHERE id = 7") == 1
    writer.run("COMMIT")
    things.forward(MOVE)
    assert_live(things)
