"""A lookup by an expression that the server fails to compute for some row: the row is named, whoever brought it in."""

from pathlib import Path

import pytest
from django.db.models import CASCADE, SET_NULL, CharField, ForeignKey, IntegerField, TextField
from django.db.models.functions import Cast, Concat

from rehome import Import, Lookup
from rehome.errors import ImportFailed
from tests.rehome.importing.test_normalising import NUMBER
from tests.rehome.importing.test_rejects import rejected
from tests.rehome.importing.workshop import Workshop

BY_NUMBER = Cast("code", IntegerField())
WRONG = 'invalid input syntax for type integer: "x"'


def make_nodes(shop: Workshop, lookup: Lookup, up: str = "1") -> Import:
    shop.older("old.Node", {"code": TextField(), "up": TextField(null=True)})
    parent = ForeignKey("self", SET_NULL, null=True)
    shop.model("new.Node", {"legacy_id": IntegerField(unique=True), "code": CharField(max_length=9), "parent": parent})
    for number, code in enumerate(["1", "x", "3"], 1):
        shop.old("old.Node").create(id=number, code=code, up=up if number == 3 else None)
    fields, lookups = {"parent": "up"}, {"parent": lookup}
    return Import("old.Node", "new.Node", key={"legacy_id": "id"}, fields=fields, lookups=lookups)


@pytest.mark.parametrize(
    ("lookup", "up", "code"),
    [
        (Lookup("new.Node", by=BY_NUMBER), "1", "x"),
        (Lookup("new.Node", by=Concat("code", "code"), normalise=NUMBER), "11", "xx"),
    ],
)
def test_a_row_of_the_import_itself_is_a_reject(
    shop: Workshop, tmp_path: Path, lookup: Lookup, up: str, code: str
) -> None:
    nodes = make_nodes(shop, lookup, up)
    wrong = WRONG.replace('"x"', f'"{code}"')
    assert rejected(shop, nodes) == [f"legacy_id=2: the row: {wrong}, and parent_id is looked up in {lookup}"]
    (report,) = shop.run(nodes, skip_bad=tmp_path / "bad")
    assert (report.counts.inserted, report.counts.rejected) == (2, 1)
    assert shop.sql("SELECT n.code, p.code FROM new_node n JOIN new_node p ON p.id = n.parent_id") == [("3", "1")]


def test_another_row_of_this_database_is_named_with_its_primary_key(shop: Workshop, tmp_path: Path) -> None:
    nodes = make_nodes(shop, Lookup("new.Node", by=BY_NUMBER))
    held = shop.new("new.Node").create(legacy_id=99, code="x")
    with pytest.raises(ImportFailed) as failed:
        shop.run(nodes, skip_bad=tmp_path / "bad")
    assert str(failed.value) == (
        f"{nodes} looks parent_id up in new.Node by Cast(F(code)), and that fails for the row with id={held.pk}: "
        f"{WRONG}. Nothing is committed; correct that row, or let the lookup make null of it."
    )


def test_one_that_an_earlier_import_of_the_run_brings_in_has_the_key_of_that(shop: Workshop, tmp_path: Path) -> None:
    shop.older("old.Owner", {"code": TextField()})
    shop.older("old.Place", {"owner": TextField()})
    shop.model("new.Owner", {"legacy_id": IntegerField(unique=True), "code": TextField()})
    shop.model("new.Place", {"legacy_id": IntegerField(unique=True), "owner": ForeignKey("new.Owner", CASCADE)})
    shop.old("old.Owner").create(id=5, code="x")
    shop.old("old.Place").create(owner="5")
    owners = Import("old.Owner", "new.Owner", key={"legacy_id": "id"})
    lookups = {"owner": Lookup("new.Owner", by=BY_NUMBER)}
    places = Import("old.Place", "new.Place", key={"legacy_id": "id"}, lookups=lookups)
    with pytest.raises(ImportFailed, match=f"the row with legacy_id=5, which {owners} brings in: {WRONG}"):
        shop.run(owners, places, skip_bad=tmp_path / "bad")
