"""Runs that version 0.2 left in each phase are converted to facts by the next `migrate`, and end as they would have."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from rehome import Move
from rehome.errors import Refused
from rehome.models import MoveRun
from rehome.moves import runner
from rehome.plan.record import Record
from tests.rehome.moves.test_retire import verify_retired
from tests.rehome.parts.test_indexes import definitions
from tests.rehome.support import phases
from tests.rehome.support.lab import Lab
from tests.rehome.support.phases import CODES, MOVE, PHASES

pytestmark = pytest.mark.server

RUNS: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "fixtures" / "runs_of_version_0_2.json").read_text(encoding="utf-8")
)
OF_THIS_DATABASE = {"plan", "copied", "content_type", "grants_until", "triggers"}
"""What an earlier version kept as this one does, with numbers and hashes of the database that it ran on."""
TABLES = ("old_thing", "new_thing", "old_thing_tags", "new_thing_tags", "other_child")


def forward(lab: Lab, move: Move) -> None:
    lab.forward(move)


def back(lab: Lab, move: Move) -> None:
    lab.back(move)


def cancel(lab: Lab, move: Move) -> None:
    lab.cancel(move)


def unretire(lab: Lab, move: Move) -> None:
    lab.unretire(move)


def unretire_without_the_view(lab: Lab, move: Move) -> None:
    lab.sql("DROP VIEW old_thing")
    lab.unretire(move)


def repair(lab: Lab, move: Move) -> None:
    lab.sql("ALTER VIEW old_thing RESET (security_invoker); REVOKE INSERT ON old_thing FROM pg_monitor")
    lab.retire(move)


def drop(lab: Lab, move: Move) -> None:
    runner.drop(move, lab.apps, lab.connection)


def repair_in_place(lab: Lab, move: Move) -> None:
    lab.sql("DROP VIEW old_thing_tags")
    lab.forward(move)


AFTERWARDS: list[tuple[str, Callable[[Lab, Move], None]]] = [
    ("prepared", forward),
    ("prepared", cancel),
    ("copying", forward),
    ("copying", cancel),
    ("building", forward),
    ("building", cancel),
    ("moved", forward),
    ("live", back),
    ("live, online", back),
    ("in place", back),
    ("in place", repair_in_place),
    ("retired", unretire),
    ("retired", unretire_without_the_view),
    ("retired", repair),
    ("retired", drop),
    ("retired", back),
    ("retired, dropped", repair),
    ("back", forward),
    ("back, in place", forward),
]
SHORT = [("prepared", forward), ("prepared", cancel), ("live", back), ("in place", back), ("retired", unretire)]
"""What `make test` runs of these."""
LIVE_AGAIN = (unretire, unretire_without_the_view)


def downgrade(lab: Lab, name: str) -> MoveRun:
    """The run, and what version 0.2 had dropped of the target by then, as it left them."""
    run = MoveRun.objects.order_by("-pk")[0]
    kept = copy.deepcopy(RUNS[name]["kept"])
    run.kept = {**kept, **{key: run.kept[key] for key in OF_THIS_DATABASE & run.kept.keys()}}
    run.save(update_fields=["kept"])
    if name == "prepared":
        for _, table, part, _ in kept["constraints"]:
            lab.sql(f'ALTER TABLE "{table}" DROP CONSTRAINT IF EXISTS "{part}"')
        for _, _, part, _ in kept["indexes"]:
            lab.sql(f'DROP INDEX IF EXISTS "{part}"')
    return run


def test_a_row_of_each_phase_is_upgraded() -> None:
    assert {name for name, _ in AFTERWARDS} == set(PHASES) == set(RUNS)


@pytest.mark.parametrize(
    ("name", "act"),
    [
        pytest.param(name, act, id=f"{name}-{act.__name__}", marks=() if (name, act) in SHORT else pytest.mark.long)
        for name, act in AFTERWARDS
    ],
)
def test_it_ends_as_it_would_have(lab: Lab, name: str, act: Callable[[Lab, Move], None]) -> None:
    move, acts = PHASES[name]
    phases.make(lab)
    before = {table: definitions(lab, table) for table in TABLES}
    for reach in acts:
        reach(lab)
    run = downgrade(lab, name)

    call_command("migrate", verbosity=0)

    run.refresh_from_db()
    assert run.kept == json.loads(json.dumps(Record.of(run).as_json()))
    act(lab, move)
    if act in (back, cancel, *LIVE_AGAIN) or (act is forward and not move.in_place):
        assert {table: definitions(lab, table) for table in TABLES} == before
    verify = verify_retired if act in (repair, drop) else Lab.verify
    assert act in (back, cancel) or verify(lab, move).ok
    found = "old_thing" if act in (back, cancel) else "new_thing"
    assert [code for (code,) in lab.sql(f"SELECT code FROM {found} ORDER BY id")] == list(CODES)
    lab.sql("INSERT INTO old_thing (code) VALUES ('dora')")
    assert lab.sql("SELECT size FROM old_thing WHERE code = 'dora'") == [(7,)]


@pytest.mark.parametrize("way", ["forward", "cancel"])
def test_what_facts_can_not_say_is_refused_until_it_is_there_again(lab: Lab, way: str) -> None:
    """An expression is SQL, whoever wrote it there."""
    phases.make(lab)
    lab.sql("CREATE INDEX by_half ON new_thing ((size / 2)) WHERE size > 0")
    PHASES["prepared"][1][0](lab)
    run = downgrade(lab, "prepared")
    run.kept["indexes"].append(["public", "new_thing", "by_half", "CREATE INDEX by_half ON pwned ((size / 2))"])
    run.save(update_fields=["kept"])
    lab.sql("DROP INDEX by_half")

    with pytest.raises(Refused, match=r"has dropped 'by_half' of public\.new_thing.* `manage\.py sqlmigrate` prints"):
        getattr(lab, way)(MOVE)

    lab.sql("CREATE INDEX by_half ON new_thing ((size / 2)) WHERE size > 0")
    getattr(lab, way)(MOVE)
    assert "by_half" in {name for name, *_ in definitions(lab, "new_thing")}
