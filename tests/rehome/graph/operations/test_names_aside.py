"""Indexes go aside under names that are free, also where an earlier table's have gone aside before."""

import pytest
from django.db import connection, models
from django.db.migrations import AddIndex

from rehome import NamesAside
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

NAME = "thing_name"
BEFORE = "rehome_thing_name"
"""What earlier versions called it."""


def index() -> models.Index:
    return models.Index(fields=["name"], name=NAME)


def make(lab: Lab, app: str) -> None:
    lab.model(f"{app}.Thing", {"name": models.CharField(max_length=20)})
    lab.apply(app, AddIndex("Thing", index()))


def change(lab: Lab, app: str, *, back: bool = False) -> None:
    operation = NamesAside(f"{app}.Thing", [NAME])
    with connection.schema_editor(atomic=False) as editor:
        (operation.database_backwards if back else operation.database_forwards)(app, editor, lab.state, lab.state)


def names(lab: Lab) -> dict[str, str]:
    """Of the table, its index."""
    found = "SELECT tablename, indexname FROM pg_indexes WHERE tablename ~ '^(old|mid)_thing$' AND indexdef ~ 'name.$'"
    return {str(table): str(name) for table, name in lab.sql(found)}


def test_the_names_of_two_moves_in_a_row_are_free(lab: Lab) -> None:
    make(lab, "old")
    change(lab, "old")
    make(lab, "mid")
    change(lab, "mid")
    assert len({*names(lab).values()}) == 2
    assert NAME not in names(lab).values()

    change(lab, "mid")  # Again, as after a crash.
    change(lab, "mid", back=True)
    assert names(lab)["mid_thing"] == NAME
    lab.sql("DROP TABLE mid_thing")
    change(lab, "old", back=True)
    assert names(lab)["old_thing"] == NAME


def test_a_name_of_an_earlier_version_is_known(lab: Lab) -> None:
    make(lab, "old")
    lab.sql(f"ALTER INDEX {NAME} RENAME TO {BEFORE}")
    change(lab, "old")
    assert names(lab) == {"old_thing": BEFORE}
    change(lab, "old", back=True)
    assert names(lab) == {"old_thing": NAME}
