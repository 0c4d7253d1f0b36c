"""What the catalog ties to a table: one of each kind is made, and read."""

import pytest
from django.db import models

from rehome.postgres import asking, catalog, ties
from rehome.postgres.ties import Kind
from tests.rehome.support.attachments import CATALOGS, MADE
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

OBJECTS = """
SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'oid'
 WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r'
"""
BESIDES = {Kind.SEQUENCE_USER: Kind.SEQUENCE}
"""What comes with one of the kind."""


def read(lab: Lab, name: str = "old_thing") -> list[ties.Tie]:
    table = catalog.read_table(lab.connection, name)
    assert table is not None
    return ties.read([table], lab.connection)[table.oid]


def test_nothing_is_tied_to_a_table_as_django_makes_it_but_its_sequence(lab: Lab) -> None:
    lab.model("old.Part", {"size": models.IntegerField(db_index=True, unique=True)})
    lab.model("old.Thing", {"part": models.ForeignKey("old.Part", models.CASCADE, null=True)})
    assert [(tie.kind, tie.name, tie.column) for tie in read(lab)] == [(Kind.SEQUENCE, "public.old_thing_id_seq", "id")]
    assert {tie.kind for tie in read(lab, "old_part")} == {Kind.SEQUENCE, Kind.FOREIGN_KEY}


def test_one_of_each_kind_is_read(lab: Lab) -> None:
    lab.twins(lambda app: {"name": models.CharField(max_length=60)})
    own = read(lab)
    for kind in Kind:
        with MADE[kind].on(lab, "public" if kind is Kind.WIDE_PUBLICATION else "old_thing"):
            found = {tie.kind for tie in read(lab) if tie not in own}
        assert found == {kind, *filter(None, [BESIDES.get(kind)])}, kind
        assert read(lab) == own


def test_every_catalog_of_objects_has_been_thought_of(lab: Lab) -> None:
    """A catalog that a later PostgreSQL adds must be given the kind that its objects are of."""
    assert set(asking.column(lab.connection, OBJECTS)) <= CATALOGS.keys()
