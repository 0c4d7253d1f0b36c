"""What runs of an earlier version have kept is understood: rows of rehome_moverun as these versions wrote them."""

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rehome.models import MoveRun
from rehome.plan.record import Checkpoint, Exchanged, Record, SharedSequence
from rehome.plan.renaming import Key, Part, Renaming
from rehome.postgres.tables import ForeignKey, Grant, IndexKey, Sequence

FIXTURES = Path(__file__).parents[2] / "fixtures"
RUNS: dict[str, dict[str, Any]] = {
    f"{name}{of}": run
    for version, of in (("0_1", ""), ("0_2", " (0.2)"))
    for name, run in json.loads((FIXTURES / f"runs_of_version_{version}.json").read_text(encoding="utf-8")).items()
}


def read(name: str) -> Record:
    return Record.of(MoveRun(**RUNS[name]))


TEXTS = {"constraints", "indexes", "unique_indexes", "foreign_keys", "unvalidated", "in_place", "views"}
"""What an earlier version kept as SQL, or with SQL in it."""
COMPARED = {"definition", "triggers", "defaults", "text"}
"""What is compared with what PostgreSQL says, or becomes a comment."""


@pytest.mark.parametrize("name", RUNS)
def test_it_is_written_as_facts_and_read_again(name: str) -> None:
    kept = RUNS[name]["kept"]
    written = json.loads(json.dumps(read(name).as_json()))
    assert Record.of(MoveRun(kept=written)) == read(name)
    assert not read(name).unreadable
    assert not [text for text in texts(written) if re.search("(CREATE|SELECT|REFERENCES|FOREIGN KEY|GRANT) ", text)]
    same = {key: value for key, value in kept.items() if key not in TEXTS and (value or key in written)}
    assert {key: known(written[key], value) for key, value in same.items()} == {key: written[key] for key in same}


def texts(value: Any) -> Iterator[str]:
    match value:
        case dict():
            yield from value
            for key, item in value.items():
                yield from texts(item) if key not in COMPARED else ()
        case list():
            for item in value:
                yield from texts(item)
        case str():
            yield value


def known(written: Any, kept: Any) -> Any:
    """`written`, if it says what was kept: a fact that an older version did not keep may be beside it."""
    if isinstance(kept, dict) and isinstance(written, dict):
        return {key: known(value, kept[key]) if key in kept else value for key, value in written.items()}
    if isinstance(kept, list) and isinstance(written, list):
        return [known(*pair) for pair in zip(written, kept, strict=True)]
    return kept


def test_every_field_stands_in_some_row() -> None:
    kept = {key for run in RUNS.values() for key in run["kept"]} - {"constraints", "indexes", "unique_indexes"}
    since = {"dropped_keys", "dropped_indexes", "triggers", "unreadable", "probed", "server", "roles"}
    since |= {"label_stays", "declared"}
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
    assert {type(part) for pair in renaming.comments for part in pair} == {Part}
    assert {type(key) for key in building.dropped_keys} == {ForeignKey}
    assert {type(key) for index in building.dropped_indexes for key in index.keys} == {IndexKey}
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
