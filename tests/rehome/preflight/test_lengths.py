"""Blanks at the end, which PostgreSQL cuts without an error where an assignment is too long."""

import pytest
from django.contrib.postgres.fields import ArrayField
from django.db import DataError, models, transaction
from django.db.models import Value
from django.db.models.functions import Coalesce, Concat

from rehome import Move
from rehome.errors import Refused
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Thing")
SHORT, LONG = models.CharField(max_length=3), models.TextField()


def lengths(lab: Lab, table: str) -> list[tuple[int, int]]:
    return lab.sql(f"SELECT id, char_length(name) FROM {table} ORDER BY id")


@pytest.mark.parametrize(("source", "target"), [(LONG, SHORT), (SHORT, LONG)], ids=["to shorter", "to longer"])
def test_blanks_that_do_not_fit_the_other_table_are_refused(
    lab: Lab, source: models.Field, target: models.Field
) -> None:
    lab.model("old.Thing", {"name": source.clone()})
    lab.model("new.Thing", {"name": target.clone()})
    lab.sql("INSERT INTO old_thing (name) VALUES ('a  ')")
    lab.forward(MOVE)
    longer = "old_thing" if source is LONG else "new_thing"
    for write in (f"INSERT INTO {longer} (name) VALUES ('b   ')", f"UPDATE {longer} SET name = 'b   '"):
        with pytest.raises(DataError, match="too long"), transaction.atomic():
            lab.sql(write)
    assert lengths(lab, "old_thing") == lengths(lab, "new_thing") == [(1, 3)]
    assert lab.verify(MOVE).ok


def test_computed_blanks_that_do_not_fit_are_refused(lab: Lab) -> None:
    lab.model("old.Thing", {"name": models.CharField(max_length=9)})
    lab.model("new.Thing", {"name": models.CharField(max_length=3)})
    move = Move("old.Thing", "new.Thing", fields={"name": Concat("name", Value(""))}, backwards={"name": "name"})
    lab.forward(move)
    with pytest.raises(DataError, match="too long"), transaction.atomic():
        lab.sql("INSERT INTO old_thing (name) VALUES ('b   ')")
    lab.sql("INSERT INTO old_thing (name) VALUES ('b  ')")
    assert lengths(lab, "old_thing") == lengths(lab, "new_thing")


def test_computed_elements_whose_blanks_do_not_fit_are_refused(lab: Lab) -> None:
    lab.model("old.Thing", {"names": ArrayField(LONG.clone())})
    lab.model("new.Thing", {"names": ArrayField(SHORT.clone())})
    same = Coalesce("names", Value([]), output_field=ArrayField(LONG.clone()))
    move = Move("old.Thing", "new.Thing", fields={"names": same}, backwards={"names": "names"})
    lab.sql("INSERT INTO old_thing (names) VALUES ('{\"a   \"}')")
    with pytest.raises(Refused, match="holds 3 characters"):
        lab.forward(move)
    lab.sql("UPDATE old_thing SET names = '{\"a  \", NULL}'")
    lab.forward(move)
    for write in ("INSERT INTO old_thing (names) VALUES ('{\"b   \"}')", "UPDATE old_thing SET names = '{\"b   \"}'"):
        with pytest.raises(DataError, match="too long"), transaction.atomic():
            lab.sql(write)
    assert lab.sql("SELECT names FROM old_thing") == lab.sql("SELECT names FROM new_thing") == [(["a  ", None],)]


def test_rows_with_too_many_blanks_are_refused_before_the_copy(lab: Lab) -> None:
    lab.model("old.Thing", {"name": LONG.clone()})
    lab.model("new.Thing", {"name": SHORT.clone()})
    lab.sql("INSERT INTO old_thing (name) VALUES ('a   ')")
    with pytest.raises(Refused, match="holds 3 characters"):
        lab.forward(MOVE)
