"""What two migrations say is the same, also of a field in another's arguments, and of a function of a file."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models
from django.db.migrations import Migration
from django.db.migrations.state import ModelState, ProjectState
from django.db.models.functions import Lower, Upper

from rehome.graph.comparable import comparable_state
from rehome.graph.drafting.state_only import written
from rehome.graph.drafting.states import differ
from rehome.graph.shapes import read_shape

LABEL = ("shelf", "thing")
NESTED: dict[str, Callable[[], Any]] = {
    "array": lambda: ArrayField(models.IntegerField()),
    "generated": lambda: models.GeneratedField(
        expression=Lower("name"), output_field=models.CharField(max_length=9), db_persist=True
    ),
}
OTHERS: dict[str, Callable[[], Any]] = {
    "array": lambda: ArrayField(models.BigIntegerField()),
    "generated": lambda: models.GeneratedField(
        expression=Upper("name"), output_field=models.CharField(max_length=9), db_persist=True
    ),
}
FILE = """
from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models


def up(instance, name):
    return name


class Migration(migrations.Migration):
    operations = [
        migrations.CreateModel("Thing", [
            ("id", models.AutoField(primary_key=True)),
            ("sizes", ArrayField(models.{base}())),
            ("photo", models.FileField(upload_to=up)),
        ]),
    ]
"""


def state_of(field: Any, **options: Any) -> ProjectState:
    state = ProjectState()
    fields = [("id", models.AutoField(primary_key=True)), ("name", models.TextField()), ("field", field)]
    state.add_model(ModelState("shelf", "Thing", fields, options))
    return state


@pytest.mark.parametrize("kind", NESTED)
def test_a_field_in_anothers_arguments_is_compared_by_what_it_says(kind: str) -> None:
    one, same, other = state_of(NESTED[kind]()), state_of(NESTED[kind]()), state_of(OTHERS[kind]())

    assert comparable_state(one) == comparable_state(same) != comparable_state(other)
    assert read_shape(one, LABEL, connection) == read_shape(same, LABEL, connection)
    assert read_shape(one, LABEL, connection) != read_shape(other, LABEL, connection)
    assert differ(NESTED[kind](), NESTED[kind]()) == set() != differ(NESTED[kind](), OTHERS[kind]())


def test_bases_and_managers_are_compared_too() -> None:
    one, same, other = (state_of(models.TextField()) for _ in range(3))
    other.models[LABEL].bases = ("shelf.other",)

    assert comparable_state(one) == comparable_state(same) != comparable_state(other)


def load(text: str) -> Migration:
    module: dict[str, Any] = {"__name__": "shelf.migrations.0001_initial"}
    exec(text, module)  # noqa: S102
    migration: Migration = module["Migration"]("0001_initial", "shelf")
    return migration


def test_a_file_that_is_read_twice_makes_the_same_models() -> None:
    """As `endmoves` proves of each file that it rewrites, whose functions are made anew."""
    text = FILE.format(base="IntegerField")
    states = [comparable_state(load(each).mutate_state(ProjectState())) for each in (text, text + "\n# more\n")]
    changed = comparable_state(load(FILE.format(base="BigIntegerField")).mutate_state(ProjectState()))

    assert states[0] == states[1] != changed


def up(instance: Any, name: str) -> str:
    return name


def down(instance: Any, name: str) -> str:
    return name


def test_a_function_that_goes_along_with_its_class_is_nothing_that_a_table_has() -> None:
    there, here = (models.FileField(upload_to=function, default=function) for function in (up, down))

    assert differ(there, here) == set()
    assert differ(there, models.FileField(upload_to=up, max_length=9)) == {"max_length"}


def test_a_field_is_written_as_a_migration_has_it() -> None:
    field = ArrayField(models.IntegerField(), default=list)

    assert (
        written(field)
        == "django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), default=list, size=None)"
    )
