"""The page of the rooms is true: what it names is there, and it names every room."""

import importlib
import re
from types import ModuleType
from typing import Any

import pytest

from scripts.draw_rooms import read_floors
from tests.conftest import ROOT
from tests.rehome.test_rooms import find_packages

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
ROOMS = {room for floor in read_floors() for room in floor}
NAMES = sorted({name for name in re.findall(r"`(\w+(?:\.\w+)+)`", PAGE) if name.partition(".")[0] in ROOMS})


def find(name: str) -> Any:
    """`room.module.function`, or an attribute of a class, as the page writes it."""
    found: Any = importlib.import_module("rehome")
    for part in name.split("."):
        if isinstance(found, ModuleType) and not hasattr(found, part):
            importlib.import_module(f"{found.__name__}.{part}")
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_what_the_page_names_is_there(name: str) -> None:
    assert find(name)


def test_a_name_that_is_not_there_is_noticed() -> None:
    with pytest.raises(ModuleNotFoundError):
        find("moves.sideways")
    with pytest.raises(AttributeError):
        find("plan.ledger.Ledger.forget_everything")


def test_the_page_says_where_each_room_is_needed_and_walks_through_those_of_a_move() -> None:
    whole, _, walk = PAGE.partition("## One move through the rooms")

    assert [room for room in find_packages() if f"`{room}`" not in whole] == []
    assert {name.partition(".")[0] for name in NAMES if f"`{name}`" in walk} >= {
        "postgres", "plan", "parts", "verify", "preflight", "moves", "graph",
    }  # fmt: skip
