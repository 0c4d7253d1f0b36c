"""The thirteen states, as the design names them."""

import pytest

from printers.states import ALLOWED, Group, State

WORDS = {
    "Waiting for you": ["Finished", "Failed", "Cancelled"],
    "Attention": ["Error", "Attention", "Key refused"],
    "Printing": ["Printing", "Heating", "Paused"],
    "Ready": ["Ready"],
    "Off": ["Disconnected", "Unreachable", "Out of order"],
}


def test_every_state_counts_under_one_number_and_the_most_urgent_comes_first() -> None:
    assert {group.word: [state.word for state in group.states] for group in Group} == WORDS
    assert [state.urgency for state in State] == list(range(13))


@pytest.mark.parametrize(
    ("group", "state"),
    [("waiting", "finished"), ("attention", "attention"), ("printing", "printing"), ("off", "disconnected")],
)
def test_a_group_has_the_icon_of_one_of_its_states(group: str, state: str) -> None:
    assert Group(group).state == state
    assert Group(group).state.group == group


@pytest.mark.parametrize("state", State)
def test_what_runs_can_be_stopped_and_nothing_else_can(state: State) -> None:
    assert state.allows("cancel") == state.runs
    assert not (state.allows("start") and state.runs)


def test_what_may_be_done_is_known_by_four_words() -> None:
    assert set(ALLOWED) == {"start", "pause", "resume", "cancel"}


@pytest.mark.parametrize(
    ("state", "look"), [("finished", "filled"), ("refused", "filled"), ("ready", "outlined"), ("outoforder", "dashed")]
)
def test_shape_says_whether_somebody_must_go_there(state: str, look: str) -> None:
    assert State(state).look == look
