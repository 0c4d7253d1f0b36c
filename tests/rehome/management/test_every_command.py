"""Every command, in every phase, with every damage: a sentence or the right result, and nothing half done."""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product

import pytest
from pytest_django import DjangoDbBlocker

from tests.rehome.product import cells, phases
from tests.rehome.product.commands import COMMANDS, OF_DJANGO, flags, registered, used
from tests.rehome.product.damages import DAMAGES
from tests.rehome.product.excluded import EXCLUDED, why_excluded


def lines(phase: str, damage: str) -> list[str]:
    return [command for command in COMMANDS if not why_excluded(command, phase, damage)]


TURN = int(os.environ.get("SEED", "0"))
"""Every other damage is tried in one phase; damages and phases take turns: see `make long SEED=1`, SEED=2 and so on."""


ALWAYS = {"none", "column that no model knows: shop_item", "role that may read"}
"""The damages that are tried whatever the turn."""


def pairs() -> Iterator[tuple[str, str]]:
    for number, damage in enumerate(DAMAGES, TURN):
        possible = [phase for phase in phases.WAYS if lines(phase, damage)]
        if damage.startswith("lock held"):
            # Whoever waits without an end shows it in one phase alone.
            yield from ((phase, damage) for phase in possible)
        elif number % 2 == 0 or damage in ALWAYS:
            yield possible[number // 2 % len(possible)], damage


@pytest.fixture(scope="module")
def templates(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[phases.Templates]:
    with django_db_blocker.unblock(), phases.project(), ExitStack() as stack:
        yield phases.Templates(stack)


@pytest.mark.parametrize("name", registered())
def test_every_flag_of_every_command_is_tried(name: str) -> None:
    command = registered()[name]
    assert flags(name, command) - used(name, command) - OF_DJANGO <= {"database"}


def test_every_cell_is_tried_or_excluded_for_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    reasons = Counter(why_excluded(*cell) for cell in product(COMMANDS, phases.WAYS, DAMAGES))
    with capsys.disabled():
        sys.stdout.write(
            f"\n{len(COMMANDS)} commands x {len(phases.WAYS)} phases x {len(DAMAGES)} damages: {reasons.pop('')} cells "
            f"are tried, {sum(reasons.values())} are excluded.\n"
        )
    assert reasons.keys() == {"In this phase there is nothing to damage.", *(one.reason for one in EXCLUDED)}


@pytest.mark.parametrize(
    ("phase", "damage"),
    [pytest.param(*pair, id=", ".join(pair)) for pair in pairs()],
)
@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_command_succeeds_or_says_a_sentence(templates: phases.Templates, phase: str, damage: str) -> None:
    faults = cells.run(templates[phase], DAMAGES[damage], lines(phase, damage))
    assert not faults, "\n".join(f"{command}: {fault}" for command, fault in faults.items())
