"""Old and new code write at random while the farm moves there and back in both ways; their logs are the oracle."""

import itertools
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from rehome.errors import LockNotObtained
from tests.chaos import stage
from tests.chaos.crew import at_work
from tests.farm import farm
from tests.waiting import until

LEAST_ROUNDS = 2


def insist(run: Callable[[], None]) -> None:
    """Run it again while writers keep it from a lock: they hold the row that they read, and wait for it to end."""

    def is_done() -> bool:
        try:
            run()
        except LockNotObtained:
            return False
        return True

    until(is_done, f"{run} never got its locks.")


# So many operations take as long as they take: on a busy machine, longer than any other test.
@pytest.mark.long
@pytest.mark.timeout(4 * 60 * 60)
def test_what_the_writers_committed_is_there_and_nothing_else(
    planned: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, settings: Any
) -> None:
    operations = request.config.getoption("operations")
    seed = request.config.getoption("chaos_seed") or secrets.randbelow(2**32)
    print(f"--chaos-seed={seed}")  # noqa: T201
    # Whoever is not granted a lock at once lets the writers go on, and comes back.
    settings.REHOME_LOCK_TRIES, settings.REHOME_LOCK_TIMEOUT_MS = 3, 50
    births = stage.prepare()
    with at_work(stage.conninfo(), seed=seed, operations=operations) as crew:
        for number in itertools.count():
            monkeypatch.setenv("REHOME_ONLINE", str(1 - number % 2))
            insist(farm.migrate)
            if number >= LEAST_ROUNDS and not crew.is_busy():
                break
            insist(farm.migrate_back)
    print(f"{crew.operations} operations, {len(crew.writes)} writes, {number} ways back, {dict(crew.refusals)}")  # noqa: T201

    assert crew.operations >= operations
    stage.assert_nothing_lost(births + crew.writes, "old", "new")
    stage.assert_audited(births, crew.writes)
    farm.assert_in_step()
