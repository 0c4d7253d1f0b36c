"""The table of phases: complete, and kept to."""

import pytest

from rehome.models import MoveRun, Phase
from rehome.plan.ledger import Ledger
from rehome.plan.phases import INTERRUPTED, LIVE, PHASES, REPLACED, TWO_TABLES, describe, standing
from tests.rehome.support.trio import MOVE, Trio


def test_every_phase_has_a_row() -> None:
    assert PHASES.keys() == set(Phase)


def test_every_phase_can_be_reached_and_leads_back_or_to_the_end() -> None:
    reached = {Phase.PREPARED}
    while new := {after for phase in reached for after in PHASES[phase].follow} - reached:
        reached |= new
    assert reached == set(Phase)
    assert [phase for phase in Phase if not PHASES[phase].follow] == [Phase.BACK, Phase.ENDED]


def test_what_was_interrupted_is_used_by_nobody_and_compared_with_nothing() -> None:
    assert {Phase.PREPARED, Phase.COPYING, Phase.BUILDING} == INTERRUPTED
    assert {(PHASES[phase].uses, PHASES[phase].compared) for phase in INTERRUPTED} == {("source", "")}


def test_only_what_has_rows_on_both_sides_is_compared() -> None:
    assert {Phase.MOVED, Phase.LIVE} == LIVE
    assert {Phase.IN_PLACE, Phase.RETIRED} == REPLACED
    assert LIVE | {Phase.FROZEN} == TWO_TABLES
    assert {phase for phase in Phase if PHASES[phase].compared} == TWO_TABLES | REPLACED
    assert PHASES[Phase.FROZEN].uses == "target"


def test_it_is_told_as_part_of_a_sentence() -> None:
    assert describe(None) == "it never ran here"
    assert describe(MoveRun(phase="in place")) == "its phase is 'in place'"


@pytest.mark.parametrize("phase", sorted(set(Phase) - PHASES[Phase.LIVE].follow - {Phase.LIVE}))
def test_a_run_takes_no_way_that_the_table_does_not_have(trio: Trio, phase: Phase) -> None:
    ledger = Ledger(trio.lab.alias)
    run = ledger.current(trio.lab.plan(MOVE))
    assert run is not None
    assert standing(run) is PHASES[Phase.LIVE]
    with pytest.raises(AssertionError, match=f"live -> {phase}"):
        ledger.advance(run, phase)
    run.refresh_from_db()
    assert run.phase == Phase.LIVE
