"""What runs of an earlier version have kept is understood: rows of rehome_moverun as version 0.1 wrote them."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from rehome.models import MoveRun
from rehome.plan.record import Checkpoint, Exchanged, Record, SharedSequence
from rehome.plan.renaming import Key, Part, Renaming
from rehome.postgres.tables import Grant, Sequence

RUNS: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "fixtures" / "runs_of_version_0_1.json").read_text(encoding="utf-8")
)


def read(name: str) -> Record:
    return Record.of(MoveRun(**RUNS[name]))


@pytest.mark.parametrize("name", RUNS)
def test_it_is_written_as_it_was_read(name: str) -> None:
    kept = RUNS[name]["kept"]
    written = json.loads(json.dumps(read(name).as_json()))
    assert written == {key: value for key, value in kept.items() if value or key in written}
    assert {key for key, value in kept.items() if value} <= written.keys()


def test_every_field_stands_in_some_row() -> None:
    kept = {key for run in RUNS.values() for key in run["kept"]}
    since = {"tables"}
    assert kept | since == {field.name for field in dataclasses.fields(Record)}


def test_the_values_are_of_the_types_that_the_fields_say() -> None:
    building, live, in_place, retired = (read(name) for name in ("building", "live", "in place", "retired"))
    assert {type(value) for value in building.copied.values()} == {Checkpoint}
    assert {type(value) for value in live.sequences.values()} == {SharedSequence}
    assert type(live.sequences["public.new_thing"].source.sequence) is Sequence
    assert in_place.in_place is not None
    assert {type(pair) for pair in in_place.in_place.pairs} == {Exchanged}
    renaming = in_place.in_place.pairs[0].renaming
    assert (type(renaming), type(renaming.table)) == (Renaming, tuple)
    assert {type(key) for pair in renaming.keys.values() for key in pair} == {Key}
    assert {type(part) for pair in renaming.defaults for part in pair} == {Part}
    assert {type(grant) for grant in in_place.in_place.pairs[0].grants} == {Grant}
    assert retired.aside is not None
    assert retired.aside["old_thing"].aside.startswith("rehome_aside_")
    assert read("retired, dropped").aside == {}


def test_what_is_not_known_any_more_is_let_go() -> None:
    assert Record.of(MoveRun(kept={"rows_a_day": 3, "always": [["public", "thing", "id"]]})) == Record(
        always=(("public", "thing", "id"),)
    )


def test_other_values_are_laid_over_it_and_none_forgets() -> None:
    record = Record(plan="a", copied={}) | Record(copied={"thing": Checkpoint(1, 2, 3, 4)})
    assert record == Record(plan="a", copied={"thing": Checkpoint(1, 2, 3, 4)})
    assert record.keeping(plan=None, copied={}) == Record()
    assert Record().as_json() == {}
