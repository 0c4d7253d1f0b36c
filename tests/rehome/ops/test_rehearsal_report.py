"""What a report computes from what was seen, and how it is written and read again."""

import dataclasses
import json

import pytest

from rehome.errors import Refused
from rehome.ops.backups.store import Store
from rehome.ops.rehearsal import facts, looks, page, report, reports
from rehome.ops.rehearsal.looks import Look
from rehome.ops.rehearsal.report import Blocker, Follower, Lock, Program, Report, Seen, Server, Stage, Step

OLD, NEW = "public.old_thing", "public.new_thing"
SOURCE = Server("db", "5432", "farm", "7", 170004, 3 << 30, 5_000_000, {"work_mem": "4MB", "fsync": "on"})
COPY = Server("spare", "5432", "rehome_scratch_1", "8", 170006, 2 << 30, 5_000_000, {"work_mem": "64MB", "fsync": "on"})


def look(at: float, *held: tuple[str, bool], waited: float = 0.0, size: int = 0) -> Look:
    return Look(at, frozenset(held), waited, "", size)


def rehearsed(*stages: Stage) -> Report:
    return Report(
        kind="rehearsal",
        began="2026-03-04T12:00:00+00:00",
        source=SOURCE,
        copy=COPY,
        origin="a fresh backup",
        migrations=("new.0001", "new.0002"),
        moves=("old.Thing -> new.Thing",),
        online=False,
        stages=stages,
        seen=Seen(
            looks=9,
            seconds=4.5,
            programs=(Program("billing", "app", "10.0.0.7", (OLD,), 3),),
            blockers=(Blocker("long transaction", "pid 7 (report)", 340.0),),
            followers=(Follower("slot", "gone", 12 << 30, active=False),),
        ),
    )


WORKED = rehearsed(
    Stage("restore", 30.0),
    Stage(
        "forward", 61.0, rows=5, disk=1 << 20, wal=2 << 20, waited=0.4, locks=(Lock(OLD, "writers", 12.3),),
        steps=(Step("new.0002", "copy", 48.0, 1.5, (Lock(OLD, "writers", 12.3),)), Step("new.0001", "everything", 0.1)),
    ),
    Stage("verify", 12.0, rows=5),
    Stage("back", 20.0),
)  # fmt: skip


def test_a_lock_lasts_from_the_look_that_sees_it_to_the_one_that_does_not() -> None:
    seen = [look(0), look(1, (OLD, False)), look(3, (OLD, False)), look(4), look(5, (OLD, False)), look(6)]

    assert looks.locks(seen) == (Lock(OLD, "writers", 3.0),)


def test_who_keeps_readers_out_keeps_writers_out_too() -> None:
    both = (NEW, False), (NEW, True)
    seen = [look(0, (OLD, False), (OLD, True)), look(2, (OLD, False)), look(5), look(6, *both), look(7)]

    assert looks.locks(seen) == (Lock(OLD, "writers", 5.0), Lock(OLD, "everybody", 2.0), Lock(NEW, "everybody", 1.0))


def test_waits_are_the_longest_and_all_together() -> None:
    seen = [look(0), look(1, waited=0.2), look(2, waited=1.2), look(3), look(4, waited=0.1)]

    assert looks.waited(seen) == 1.2
    assert looks.waited_in_all(seen) == 3.0
    assert looks.waited_in_all([]) == 0.0
    assert looks.growth([look(0, size=7), look(1, size=9), look(2, size=8)], 5) == 4


def test_the_window_is_a_fifth_more_in_whole_minutes() -> None:
    assert WORKED.ok
    assert (WORKED.seconds, WORKED.window, WORKED.way_back) == (73.0, 2, 1)
    assert [report.minutes(seconds) for seconds in (0, 50, 51, 3000)] == [1, 1, 2, 60]
    assert rehearsed(Stage("forward", 1.0), Stage("back", 1.0, note="There is none.")).way_back is None


def test_a_report_is_read_as_it_was_written() -> None:
    text = report.write(WORKED)

    assert report.read(text, "a report") == WORKED
    assert json.loads(text)["window_minutes"] == 2


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "other"}', report.write(WORKED).replace("61.0", '"long"')])
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="farm.json is no report of a rehearsal"):
        report.read(text, "farm.json")


def test_reports_that_began_in_the_same_second_are_both_kept(store: Store) -> None:
    runs = [dataclasses.replace(WORKED, kind="move", origin=name) for name in ("forward", "back")]
    for one in runs:
        reports.save(store, one)

    found = list(reports.of(store, SOURCE.system_identifier, SOURCE.database, "move"))

    assert [one.report.origin for one in found] == ["back", "forward"]
    assert all(store.has(one.name.replace(".json", ".md")) for one in found)


def test_a_report_of_a_later_version_is_refused() -> None:
    later = report.write(WORKED).replace('"format": 1', '"format": 2')

    with pytest.raises(Refused, match="a later version of rehome"):
        report.read(later, "farm.json")


def test_the_page_says_what_to_announce_who_waits_and_who_is_in_the_way() -> None:
    text = page.markdown(WORKED)

    assert "**Window to announce: 2 minutes**: 73 s measured, and a fifth." in text
    assert "Way back: 1 minute." in text
    assert "| public.old_thing | writers   | 12.3    |" in text
    assert "| 1 other migrations" in text
    assert "- billing, user app, host 10.0.0.7: writes to public.old_thing; seen 3 times" in text
    assert "- long transaction, 6 minutes old: pid 7 (report)" in text
    assert "- replication slot gone, **without a consumer**: keeps 12.0 GB of log" in text
    assert facts.CANT_SHOW in text
    assert list(facts.differences(SOURCE, COPY)) == [("version", "17.4", "17.6"), ("work_mem", "4MB", "64MB")]


def test_the_page_of_a_failure_announces_nothing() -> None:
    text = page.markdown(rehearsed(Stage("forward", 1.0, problem="public.new_thing is not empty. Empty it.")))

    assert "**FAILED**: old.Thing -> new.Thing." in text
    assert "**forward**: public.new_thing is not empty. Empty it." in text
    assert "announce" not in text
