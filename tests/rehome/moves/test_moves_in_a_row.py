"""One table in two moves: the second is refused where it would meet what the first has left on the table."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import models
from django.db.models.functions import Upper

from rehome import Move
from rehome.errors import Refused
from tests.rehome.support.lab import Lab
from tests.rehome.support.stopping import stop_at

FIRST, SECOND = Move("old.Thing", "mid.Thing"), Move("mid.Thing", "new.Thing")
FOR_GOOD: dict[str, Any] = {"fields": {"name": Upper("name")}, "irreversible": True}
WAYS: dict[str, dict[str, Any]] = {"in one transaction": {}, "online": {"online": True}, "in place": {"in_place": True}}
OTHERS: dict[str, tuple[Callable[[Lab], Any], str]] = {
    "live": (lambda lab: lab.forward(FIRST), "is kept in sync with another table"),
    "its rows live elsewhere": (
        lambda lab: lab.forward(Move("mid.Thing", "off.Thing")),
        "is kept in sync with another table",
    ),
    "copied, not switched": (
        lambda lab: stop_at(lab, "before the comparison", move=Move("old.Thing", "mid.Thing", online=True)),
        "is empty or still being filled",
    ),
    "moved back": (
        lambda lab: (lab.forward(FIRST), lab.back(FIRST)),
        "is empty or still being filled",
    ),
    "moved for good": (lambda lab: lab.forward(Move("mid.Thing", "off.Thing", **FOR_GOOD)), "is read-only"),
}
"""What another move has made of mid.Thing, and how a move of it is refused."""
CELLS = [
    pytest.param(
        other,
        way,
        id=f"{other}, {way}",
        marks=() if other == "live" or way == "in one transaction" else pytest.mark.long,
    )
    for other in OTHERS
    for way in WAYS
]
"""`make test` tries each state with one way, and each way with one state."""


@pytest.fixture
def row(lab: Lab) -> Lab:
    for app in ("old", "mid", "new", "off"):
        lab.model(f"{app}.Thing", {"name": models.CharField(max_length=20)})
    lab.sql("INSERT INTO old_thing (name) VALUES ('lamp'), ('desk')")
    return lab


def names(lab: Lab, *apps: str) -> list[list[str]]:
    return [[name for (name,) in lab.sql(f"SELECT name FROM {app}_thing ORDER BY id")] for app in apps]


@pytest.mark.parametrize(("other", "way"), CELLS)
@pytest.mark.parametrize("end", ["source", "target"])
def test_a_table_that_another_move_needs_is_not_moved(
    row: Lab, refused: Callable[..., str], end: str, other: str, way: str
) -> None:
    act, said = OTHERS[other]
    act(row)
    ends = ("mid.Thing", "new.Thing") if end == "source" else ("new.Thing", "mid.Thing")
    message = refused(Move(*ends, **WAYS[way]))
    assert f"public.mid_thing {said}" in message
    assert "`manage.py showmoves` lists the moves." in message


def test_a_retired_move_is_followed_by_the_next(row: Lab) -> None:
    row.forward(FIRST)
    row.retire(FIRST)
    row.forward(SECOND)
    for app in ("old", "mid", "new"):
        row.sql(f"INSERT INTO {app}_thing (name) VALUES (%s)", [app])
    rows = [["lamp", "desk", "old", "mid", "new"]]
    assert names(row, "old", "mid", "new") == rows * 3
    for act in (row.back, row.unretire):
        with pytest.raises(Refused, match="The rows of public.mid_thing have moved to a third table. Move them"):
            act(FIRST)
    row.back(SECOND)
    row.back(FIRST)
    assert names(row, "old", "mid", "new") == [*rows, [], []]


@pytest.mark.parametrize("second", WAYS)
def test_a_move_in_place_is_followed_by_the_next(row: Lab, second: str) -> None:
    first, then = Move("old.Thing", "mid.Thing", in_place=True), Move("mid.Thing", "new.Thing", **WAYS[second])
    row.forward(first)
    row.forward(then)
    for app in ("old", "mid", "new"):
        row.sql(f"INSERT INTO {app}_thing (name) VALUES (%s)", [app])
    rows = [["lamp", "desk", "old", "mid", "new"]]
    assert names(row, "old", "mid", "new") == rows * 3
    with pytest.raises(Refused, match="The rows of public.mid_thing have moved to a third table. Move them"):
        row.back(first)
    row.back(then)
    row.back(first)
    assert names(row, "old", "mid", "new") == [*rows, [], []]


@pytest.fixture
def family(lab: Lab) -> Lab:
    """A parent, a child that may do without it, and what links both; nothing points at the parent's row."""
    for app in ("old", "new"):
        lab.model(f"{app}.Parent", {"name": models.CharField(max_length=20)})
        parent, links = models.ForeignKey(f"{app}.Parent", models.CASCADE, null=True), f"{app}.Parent"
        lab.model(f"{app}.Child", {"parent": parent, "friends": models.ManyToManyField(links, related_name="+")})
    lab.sql("INSERT INTO old_parent (name) VALUES ('anna'); INSERT INTO old_child (parent_id) VALUES (NULL)")
    return lab


PARENT, CHILD = (("old.Parent", "new.Parent"), ("old.Child", "new.Child"))


@pytest.mark.parametrize("second", WAYS)
@pytest.mark.parametrize("first", WAYS)
def test_what_a_later_move_relies_on_does_not_go_back_before_it(
    family: Lab, refused: Callable[..., str], first: str, second: str
) -> None:
    parent, child = Move(*PARENT, **WAYS[first]), Move(*CHILD, **WAYS[second])
    family.forward(parent)
    family.forward(child)

    message = refused(parent, back=True)

    assert message.startswith("old.Child -> new.Child has moved since, and its foreign key new_child_")
    assert message.endswith(
        "relies on public.new_parent. Move public.new_child back first: `manage.py showmoves` names its migration."
    )
    family.back(child)
    family.back(parent)
    ends = "SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint WHERE contype = 'f'"
    assert {(table, end) for table, end in family.sql(ends) if end.endswith("_parent")} == {
        (f"{app}_child{links}", f"{app}_parent") for app in ("old", "new") for links in ("", "_friends")
    }
