"""The picture of the rooms is that of the code, and its arrows can be believed."""

import pytest

from scripts import draw_rooms
from scripts.draw_rooms import Box, Room


def test_the_picture_in_the_docs_is_that_of_the_code() -> None:
    assert draw_rooms.PICTURE.read_text(encoding="utf-8") == draw_rooms.draw(), "Run `make rooms`."


def test_an_arrow_that_follows_from_others_is_left_out() -> None:
    imports = {("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("a", "d"), ("d", "e"), ("a", "e")}

    assert draw_rooms.reduced(imports, list("abcde")) == [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("d", "e")]


def test_imports_are_read_from_functions_and_for_types_as_well() -> None:
    assert ("move", "moves") in draw_rooms.read_imports(["move", "moves", "plan"])  # Inside a function.


def box(name: str, floor: int) -> Box:
    return Box(Room(name, is_package=True, sentence="", modules=()), floor, top=floor * 100, height=50)


def test_an_arrow_runs_past_the_rooms_in_between() -> None:
    boxes = [box("management", 0), box("graph", 1), box("importing", 2)]

    assert draw_rooms.find_path(boxes[0], boxes[2], boxes) == "M834 50V198"


def test_an_arrow_that_would_run_through_a_room_is_refused() -> None:
    boxes = [box("move", 0), box("moves", 1), box("verify", 2)]

    with pytest.raises(SystemExit, match="move -> verify: no column is free"):
        draw_rooms.find_path(boxes[0], boxes[2], boxes)
