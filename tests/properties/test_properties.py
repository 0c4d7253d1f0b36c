"""Random models, rows and writes, moved there and back, against a plain model in memory."""

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.properties.machine import Copying, CopyingOnline, Moving, TakingPlace

pytestmark = pytest.mark.server


@pytest.mark.parametrize(
    "machine", [Copying, *(pytest.param(one, marks=pytest.mark.long) for one in (CopyingOnline, TakingPlace))]
)
def test_both_sides_hold_what_was_written_to_either(transactional_db: None, machine: type[Moving]) -> None:
    run_state_machine_as_test(machine)
