"""An interrupted online move resumes or is cancelled, and what can no longer be trusted is copied again."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, models

from rehome import Move
from rehome.errors import MoveFailed, Stopped
from rehome.moves import online
from rehome.parts import indexes, sync
from rehome.parts.rows import pass_of
from rehome.parts.triggers import trigger_name
from rehome.postgres.session import Session
from tests.rehome.support.clients import Client, outcome
from tests.rehome.support.lab import Lab
from tests.rehome.support.stopping import MOVE, POINTS, ROWS, assert_live, phase, rows, stop_at

pytestmark = pytest.mark.server
FEW = {"before the third batch", "before the second index", "in the switch"}
EACH_POINT = pytest.mark.parametrize(
    "point", [pytest.param(point, marks=() if point in FEW else pytest.mark.long) for point in POINTS]
)


@EACH_POINT
def test_an_interrupted_run_resumes(things: Lab, point: str) -> None:
    stop_at(things, point)
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


@EACH_POINT
def test_an_interrupted_run_is_cancelled_without_a_trace(
    things: Lab, unchanged: Callable[[], None], point: str
) -> None:
    unchanged()
    stop_at(things, point)

    things.cancel(MOVE)

    unchanged()


def test_a_failure_before_the_first_row_leaves_no_trace(
    things: Lab, unchanged: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise KeyboardInterrupt

    unchanged()
    monkeypatch.setattr(online.Online, "enter", fail)
    with pytest.raises(Stopped):
        things.forward(MOVE)

    unchanged()


def test_all_tables_truncated_at_once_are_copied_from_the_beginning(things: Lab) -> None:
    stop_at(things, "before the third batch")
    things.sql("TRUNCATE old_thing, new_thing, old_thing_tags, new_thing_tags")
    things.sql("INSERT INTO old_thing (id, code, size) VALUES (1, 'new', 1), (9000, 'new too', 2)")
    things.sql("INSERT INTO old_thing_tags (thing_id, tag_id) VALUES (1, 1)")

    things.forward(MOVE)

    assert_live(things)


def test_a_table_that_is_rewritten_is_copied_from_the_beginning(
    things: Lab, open_client: Callable[..., Client], capfd: pytest.CaptureFixture[str]
) -> None:
    rewrite = open_client()

    stop_at(things, "before the third batch", lambda: rewrite.run("VACUUM FULL old_thing"))

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
    things: Lab, capfd: pytest.CaptureFixture[str], change: str, reason: str
) -> None:
    stop_at(things, "before the third batch")
    things.sql(change)
    things.sql("UPDATE old_thing SET size = 7, place = NULL WHERE id < 100")
    things.sql("ALTER TABLE old_thing ALTER COLUMN size TYPE integer")

    things.forward(MOVE)

    if "DISABLE" in change:
        assert f"Starting over, because {reason}." in capfd.readouterr().err
    assert_live(things)


def test_another_declaration_starts_over(things: Lab, capfd: pytest.CaptureFixture[str]) -> None:
    stop_at(things, "before the third batch")
    other = Move("old.Thing", "new.Thing", online=True, fields={"size": "place", "place": "size"})

    things.forward(other)

    assert "Starting over, because the move or its tables have changed since." in capfd.readouterr().err
    assert things.verify(other).ok


def test_a_trigger_that_goes_before_the_switch_stops_it(things: Lab) -> None:
    with pytest.raises(MoveFailed, match="a trigger that carried writes is missing or disabled. Nothing is switched"):
        stop_at(
            things, "after the foreign keys", lambda: things.sql("ALTER TABLE public.old_thing DISABLE TRIGGER USER")
        )

    things.sql("UPDATE old_thing SET size = 1")
    things.forward(MOVE)
    assert_live(things)


def test_a_trigger_that_was_away_after_the_comparison_stops_it(things: Lab, open_client: Callable[..., Client]) -> None:
    client = open_client()

    def write_past_it() -> None:
        client.run("ALTER TABLE old_thing DISABLE TRIGGER USER")
        client.run("UPDATE old_thing SET size = 7, place = NULL WHERE id = 5")
        client.run("ALTER TABLE old_thing ENABLE TRIGGER USER")

    said = "a trigger was changed after the comparison began, so the tables may differ. This step is undone"
    with pytest.raises(MoveFailed, match=said):
        stop_at(things, "before the switch", write_past_it)

    with pytest.raises(MoveFailed, match="1 different"):
        things.forward(MOVE)
    things.forward(MOVE)
    assert_live(things)


EARLIER = """
CREATE OR REPLACE FUNCTION {fence}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF current_setting('rehome.leader', true) IS DISTINCT FROM 'source' THEN
    RAISE object_not_in_prerequisite_state USING MESSAGE = 'not in use yet';
  END IF;
  RETURN NULL;
END $$;
ALTER FUNCTION {forward}() SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET row_security = off
"""


def test_a_run_of_an_earlier_version_resumes_with_triggers_of_this_one(things: Lab) -> None:
    stop_at(things, "before the third batch")
    pair = things.plan(MOVE).main
    things.sql(EARLIER.format(fence=trigger_name("fence", pair), forward=trigger_name("forward", pair)))
    assert sync.state(things.plan(MOVE), copying=True) == "outdated"
    things.forward(MOVE)
    assert_live(things)


def test_a_difference_cancels_the_move(things: Lab, unchanged: Callable[[], None]) -> None:
    def spoil() -> None:
        setting = pass_of(things.plan(MOVE).main)
        things.sql(f"SET {setting} = 'on'")
        things.sql("UPDATE public.new_thing SET size = 77777 WHERE id = 5")
        things.sql(f"RESET {setting}")

    unchanged()
    with pytest.raises(MoveFailed, match="1 different.*new_thing 5: different in size"):
        stop_at(things, "after the foreign keys", spoil)

    unchanged()


def test_an_index_that_can_not_be_built_is_built_after_the_rows_are_corrected(lab: Lab) -> None:
    lab.model("old.Thing", {"code": models.CharField(max_length=40)})
    lab.model("new.Thing", {"code": models.CharField(max_length=40, unique=True)})
    lab.sql("INSERT INTO old_thing (code) SELECT 'c' || n FROM generate_series(1, 50) n")
    move = Move("old.Thing", "new.Thing", online=True)
    build, spoilt = indexes.build_index, []

    def spoil(*args: Any) -> Any:
        if not spoilt:
            spoilt.append(lab.sql("UPDATE public.old_thing SET code = 'c1' WHERE id = 2"))
        return build(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(indexes, "build_index", spoil)
        with pytest.raises(MoveFailed, match="is duplicated.*Copied rows are kept, and the next run resumes from them"):
            lab.forward(move)
    invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
    assert lab.sql(invalid) == [(1,)]
    lab.sql("UPDATE old_thing SET code = 'c2' WHERE id = 2")

    lab.forward(move)

    assert lab.sql(invalid) == [(0,)]
    assert lab.verify(move).ok


def test_cancelling_releases_every_lock_between_two_tries(
    things: Lab, open_client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has written to a table that a foreign key points at gets at the source meanwhile."""
    stop_at(things, "before the third batch")
    writer, written = open_client(), []
    writer.run("BEGIN")
    writer.run("UPDATE auth_user SET last_name = 'b'")

    def between_tries(seconds: float) -> None:
        if not written:
            written.append(outcome(writer.start("UPDATE old_thing SET size = 5 WHERE id = 1")))
            writer.run("COMMIT")

    monkeypatch.setattr("rehome.postgres.session.time.sleep", between_tries)
    things.cancel(MOVE)

    assert written == [1]
    assert phase(things) is None


def test_cancelling_does_not_block_the_session_that_it_waits_for(
    things: Lab, open_client: Callable[..., Client]
) -> None:
    """Its first lock that a writer would wait for is one that a reader's transaction holds up."""
    stop_at(things, "before the third batch")
    reader, modes = open_client(), []
    reader.run("BEGIN")
    reader.run("SELECT count(*) FROM old_thing")
    execute = Session.execute

    def write_on_refusal(session: Session, statement: Any) -> int:
        try:
            return execute(session, statement)
        except OperationalError:
            modes.append(statement.as_string())
            reader.run("ROLLBACK")
            raise

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "execute", write_on_refusal)
        things.cancel(MOVE)

    assert ["LOCK TABLE" in mode for mode in modes] == [True]
