"""The undo of a retirement that stops behind its commit: whatever is run next creates the foreign keys again."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import models

from rehome import Move
from rehome.moves import runner
from rehome.moves.retire import Unretire
from rehome.moves.steps import Action
from tests.rehome.support.lab import Lab

MOVE = Move("old.Thing", "new.Thing")
FOREIGN_KEYS = """
SELECT conrelid::regclass::text, conname, confrelid::regclass::text, convalidated FROM pg_constraint
 WHERE contype = 'f' AND conrelid = ANY (ARRAY['old_thing', 'new_thing', 'other_child']::regclass[]) ORDER BY 1, 2
"""


def repair(lab: Lab) -> None:
    runner.repair(MOVE, lab.apps, lab.connection)


def retire_and_unretire(lab: Lab) -> None:
    lab.retire(MOVE)
    lab.unretire(MOVE)


def go_back_and_move_again(lab: Lab) -> None:
    lab.back(MOVE)
    lab.forward(MOVE)


NEXT: dict[str, Callable[[Lab], None]] = {
    "unretire": lambda lab: lab.unretire(MOVE),
    "migrate": lambda lab: lab.forward(MOVE),
    "repair": repair,
    "retire and unretire": retire_and_unretire,
    "back and forward": go_back_and_move_again,
}


def stop(self: Unretire) -> Iterator[Action]:
    raise KeyboardInterrupt
    yield


@pytest.fixture
def stopped(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> tuple[Lab, list[Any]]:
    """The keys as they were before the retirement, and what is there after its undo has stopped."""
    lab.model("other.Parent", {})
    lab.twins(lambda app: {"parent": models.ForeignKey("other.Parent", models.CASCADE, null=True)})
    lab.model("other.Child", {"thing": models.ForeignKey("old.Thing", models.CASCADE)})
    lab.sql("INSERT INTO other_parent DEFAULT VALUES")
    lab.sql("INSERT INTO old_thing (parent_id) SELECT id FROM other_parent")
    lab.sql("INSERT INTO other_child (thing_id) SELECT id FROM old_thing")
    lab.forward(MOVE)
    before = lab.sql(FOREIGN_KEYS)
    lab.retire(MOVE)
    with monkeypatch.context() as patch:
        patch.setattr(Unretire, "revert_keys", stop)
        with pytest.raises(KeyboardInterrupt):
            lab.unretire(MOVE)
    assert lab.sql(FOREIGN_KEYS) != before
    return lab, before


@pytest.mark.parametrize("following", NEXT)
def test_next_command_creates_the_foreign_keys(stopped: tuple[Lab, list[Any]], following: str) -> None:
    lab, before = stopped

    NEXT[following](lab)

    assert lab.sql(FOREIGN_KEYS) == before
    assert lab.verify(MOVE).ok


def test_verification_says_so(stopped: tuple[Lab, list[Any]]) -> None:
    lab, _ = stopped

    found = lab.verify(MOVE)

    assert not found.ok
    assert "The undo of a retirement stopped" in str(found.defects)
