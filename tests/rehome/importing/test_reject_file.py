"""The file of rejects loses no line and ends, whatever stands beside it and wherever a run fails."""

import json
from pathlib import Path
from unittest.mock import patch

import pytest
from django.db.models import IntegerField, TextField

from rehome.errors import ImportFailed, Refused
from rehome.importing import merging
from rehome.importing.rejected import file
from tests.rehome.importing.test_rejects import make, simple
from tests.rehome.importing.workshop import Workshop

MANY = 300
"""Lines that are more than a buffer holds."""


def line(key: int) -> str:
    fields = {"import": str(simple()), "key": {"legacy_id": str(key)}, "column": "size", "reason": "bad", "value": "x"}
    return json.dumps(fields) + "\n"


def keys(path: Path) -> list[int]:
    return [int(json.loads(one)["key"]["legacy_id"]) for one in path.read_text().splitlines()]


@pytest.fixture
def places(shop: Workshop) -> Workshop:
    """Of three rows, the second is bad."""
    make(shop, {"size": TextField()}, {"size": IntegerField()})
    shop.query("INSERT INTO old_place VALUES (1, '1'), (2, 'x'), (3, '3')")
    return shop


def test_many_lines_that_are_not_at_the_source_stay_once(places: Workshop, tmp_path: Path) -> None:
    path, gone = tmp_path / "bad", range(1000, 1000 + MANY)
    path.write_text("".join(map(line, [*gone, 2])))
    (report,) = places.run(simple(), skip_bad=path, from_rejects=path)
    assert (report.missing, report.counts.rejected) == (MANY, 1)
    assert sorted(keys(path)) == [2, *gone]


@pytest.mark.parametrize("again", [True, False], ids=["these rows", "all rows"])
def test_what_a_killed_run_has_left_outlives_a_run_that_fails(places: Workshop, tmp_path: Path, again: bool) -> None:
    path = tmp_path / "bad"
    path.write_text(line(3))
    file.draft(path).write_text(line(1) + line(2)[:-9])
    options = {"skip_bad": path} | ({"from_rejects": path} if again else {})
    with patch.object(merging, "compare", side_effect=ImportFailed("no")), pytest.raises(ImportFailed):
        places.run(simple(), **options)
    assert (keys(path), list(tmp_path.iterdir())) == ([3, 1], [path])


@pytest.mark.parametrize("left", [False, True], ids=["the file", "what a killed run has left"])
@pytest.mark.parametrize(
    ("there", "again", "dry_run", "why"),
    [
        (line(2).replace("old.Place", "old.Person"), False, False, "has rows of old.Person"),
        (line(1), True, False, "does not read"),
        (line(2), False, True, "a dry run would replace"),
        (line(2), True, True, "does not read"),
    ],
    ids=["of another import", "of rows that are not read", "in a dry run", "of both"],
)
def test_no_line_is_lost_with_the_file_that_a_run_replaces(
    places: Workshop, tmp_path: Path, there: str, again: bool, dry_run: bool, why: str, left: bool
) -> None:
    path, read = tmp_path / "bad", tmp_path / "read"
    read.write_text(line(3))
    place = file.draft(path) if left else path
    place.write_text(there)
    with pytest.raises(Refused, match=why):
        places.run(simple(), skip_bad=path, from_rejects=read if again else None, dry_run=dry_run)
    assert (place.read_text(), places.sql("SELECT count(*) FROM new_place")) == (there, [(0,)])


def test_the_first_file_that_a_killed_run_has_left_is_read(places: Workshop, tmp_path: Path) -> None:
    path = tmp_path / "bad"
    file.draft(path).write_text(line(1))
    (report,) = places.run(simple(), from_rejects=path)
    assert report.counts.inserted == 1
    assert keys(file.draft(path)) == [1]


def test_the_file_that_is_about_to_be_written_is_not_read(places: Workshop, tmp_path: Path) -> None:
    path = tmp_path / "bad"
    file.draft(path).write_text(line(1))
    with pytest.raises(
        Refused, match=r"bad\.new is what this run would write .* Run with --from-rejects .*/bad, which"
    ):
        places.run(simple(), skip_bad=path, from_rejects=file.draft(path))
    assert keys(file.draft(path)) == [1]


def test_a_folder_in_the_place_of_the_draft_is_told_before_a_row_is_read(places: Workshop, tmp_path: Path) -> None:
    file.draft(tmp_path / "bad").mkdir()
    with pytest.raises(Refused, match=r"bad\.new is no regular file that can be replaced"):
        places.run(simple(), skip_bad=tmp_path / "bad")


def test_a_file_that_cannot_be_replaced_after_the_commit_is_named_with_the_draft(
    places: Workshop, tmp_path: Path
) -> None:
    path = tmp_path / "bad"

    def taken(draft: file.Draft) -> None:
        path.mkdir()
        (path / "something").touch()
        publish(draft)

    publish = file.Draft.publish
    with (
        patch.object(file.Draft, "publish", taken),
        pytest.raises(ImportFailed, match=r"The good rows are committed, and the others are in .*/bad\.new"),
    ):
        places.run(simple(), skip_bad=path)
    assert keys(file.draft(path)) == [2]
    assert places.new("new.Place").count() == 2
