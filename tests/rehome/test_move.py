"""One model there and back: the shortest way through everything."""

import pytest
from django.db import IntegrityError, models, transaction

from rehome import Move
from tests.rehome.support.lab import Lab

MOVE = Move("old.Thing", "new.Thing")


@pytest.fixture
def things(lab: Lab) -> Lab:
    lab.twins(
        lambda app: {"name": models.CharField(max_length=20, unique=True), "size": models.IntegerField(null=True)}
    )
    lab.get("old.Thing").objects.bulk_create(lab.get("old.Thing")(name=f"thing {n}", size=n) for n in range(100))
    return lab


def test_forward_copies_every_row_under_its_key(things: Lab) -> None:
    things.forward(MOVE)
    rows = things.get("old.Thing").objects.order_by("pk").values_list()
    assert list(things.get("new.Thing").objects.order_by("pk").values_list()) == list(rows)
    assert things.verify(MOVE).ok


def test_both_tables_follow_each_other(things: Lab) -> None:
    things.forward(MOVE)
    old, new = things.get("old.Thing"), things.get("new.Thing")
    born = new.objects.create(name="born new")
    assert old.objects.get(pk=born.pk).name == "born new"
    other = old.objects.create(name="born old")
    assert other.pk == born.pk + 1
    new.objects.filter(pk=other.pk).update(size=7)
    assert old.objects.get(pk=other.pk).size == 7
    old.objects.filter(name__startswith="thing").delete()
    assert set(new.objects.values_list("name", flat=True)) == {"born new", "born old"}
    with pytest.raises(IntegrityError), transaction.atomic():
        old.objects.create(name="born new")
    assert things.verify(MOVE).ok


def test_back_and_forth_ends_where_it_began(things: Lab, unchanged: object) -> None:
    things.forward(MOVE)
    things.back(MOVE)
    unchanged()
    things.forward(MOVE)
    things.back(MOVE)
    things.sql("DELETE FROM rehome_moverun WHERE id = (SELECT max(id) FROM rehome_moverun)")
    unchanged()


def test_the_order_of_the_models_fields_does_not_matter(things: Lab) -> None:
    things.forward(MOVE)
    for app_label in ("old", "new"):
        fields = things.state.models[app_label, "thing"].fields
        fields["name"] = fields.pop("name")
        things.state.reload_model(app_label, "thing")
    assert [field.name for field in things.get("new.Thing")._meta.local_fields][-1] == "name"
    assert things.verify(MOVE).sync == "installed"
