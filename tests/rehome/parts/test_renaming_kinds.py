"""Every kind of name, index and constraint that Django or a person makes."""

from typing import Any

import pytest
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateTimeRangeField, RangeOperators
from django.contrib.postgres.indexes import BrinIndex, GinIndex, HashIndex, OpClass
from django.db import models
from django.db.models import Deferrable, Q
from django.db.models.functions import Length, Upper

from rehome import Move
from tests.database import dump
from tests.rehome.moves.test_in_place import RECORD, drop_traces, structure
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Thing", in_place=True)


def go_there_and_back(lab: Lab, move: Move = MOVE) -> None:
    """The new table is what the twin was, and everything is as before in the end."""
    twin, before = structure(lab), dump(without_data=RECORD)
    for _ in range(2):
        lab.forward(move)
        assert structure(lab) == twin
        assert lab.verify(move).ok
        lab.back(move)
    drop_traces(lab)
    assert dump(without_data=RECORD) == before


def test_indexes_and_constraints_of_every_kind(lab: Lab) -> None:
    for app in ("old", "new"):
        lab.model(
            f"{app}.Thing",
            {
                "name": models.CharField(max_length=20, unique=True),
                "slug": models.SlugField(),
                "words": ArrayField(models.TextField(), default=list),
                "during": DateTimeRangeField(null=True),
                "size": models.PositiveIntegerField(),
                "price": models.DecimalField(max_digits=8, decimal_places=2, null=True),
                "made": models.DateField(null=True, unique_for_year="size"),
                "data": models.JSONField(default=dict),
                "site": models.GenericIPAddressField(null=True),
                "code": models.CharField(max_length=5, db_collation="C"),
                "area": models.GeneratedField(
                    expression=models.F("size") * models.F("size"),
                    output_field=models.BigIntegerField(),
                    db_persist=True,
                ),
            },
            indexes=[
                GinIndex(fields=["words"], name=f"{app}_gin", fastupdate=False),
                GinIndex(OpClass("data", "jsonb_path_ops"), name=f"{app}_path"),
                BrinIndex(fields=["made"], name=f"{app}_brin", pages_per_range=4),
                HashIndex(fields=["code"], name=f"{app}_hash"),
                models.Index(fields=["name"], name=f"{app}_like", opclasses=["varchar_pattern_ops"]),
                models.Index(fields=["size"], name=f"{app}_cover", include=["name", "price"]),
                models.Index(Upper("name"), Length("slug").desc(), name=f"{app}_upper", condition=Q(size__gt=3)),
            ],
            constraints=[
                ExclusionConstraint(
                    name=f"{app}_apart",
                    expressions=[("during", RangeOperators.OVERLAPS)],
                    condition=Q(size=1),
                ),
                models.UniqueConstraint(fields=["slug"], name=f"{app}_later", deferrable=Deferrable.DEFERRED),
                models.UniqueConstraint(fields=["made"], name=f"{app}_nulls", nulls_distinct=False),
                models.UniqueConstraint(fields=["code"], name=f"{app}_include", include=["size"]),
                models.UniqueConstraint(Upper("code"), name=f"{app}_code"),
                models.CheckConstraint(condition=Q(price__gte=0) | Q(size__in=[1, 2]), name=f"{app}_check"),
            ],
        )
    lab.sql("INSERT INTO old_thing (name, slug, words, size, data, code) VALUES ('a', 'a', '{}', 1, '{}', 'a')")
    go_there_and_back(lab)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Old Thing's; --", "new_thing"),
        ("old_thing", "Größe {new} x"),
        ("o" * 63, "new_" + "n" * 59),
    ],
)
def test_tables_and_columns_of_any_name(lab: Lab, old: str, new: str) -> None:
    for app, table in (("old", old), ("new", new)):
        lab.model(
            f"{app}.Thing",
            {
                "name": models.CharField(max_length=20, db_column="Na'me {}", db_index=True),
                "order": models.IntegerField(unique=True, db_column="order" if app == "old" else "Größe {x}"),
                "parent": models.ForeignKey("self", models.CASCADE, null=True, db_column=f"{app} parent"),
                "users": models.ManyToManyField("auth.User", related_name=f"{app}_things"),
            },
            db_table=table,
            unique_together={("name", "order")},
        )
    thing = lab.get("old.Thing").objects.create(name="a", order=1)
    for _ in range(2):
        lab.forward(MOVE)
        assert lab.verify(MOVE).ok
        old_model, new_model = lab.get("old.Thing"), lab.get("new.Thing")
        born = old_model.objects.create(name="b", order=2, parent_id=thing.pk)
        assert new_model.objects.get(pk=born.pk).parent_id == thing.pk
        born.delete()
        lab.back(MOVE)
    assert lab.get("old.Thing").objects.get().name == "a"


@pytest.mark.parametrize("options", [{"db_table_comment": "Things."}, {"ordering": ["name"], "verbose_name": "thing"}])
def test_an_empty_table(lab: Lab, options: dict[str, Any]) -> None:
    for app in ("old", "new"):
        lab.model(f"{app}.Thing", {"name": models.TextField(db_default="x", db_comment="It's {a}.")}, **options)
    go_there_and_back(lab)


def test_two_parts_of_one_definition(lab: Lab) -> None:
    """Each keeps its own name where it has it; what is one too many stays."""
    for app in ("old", "new"):
        lab.model(f"{app}.Thing", {"size": models.IntegerField(db_index=True)})
        lab.sql(f"CREATE INDEX {app}_again ON {app}_thing (size)")
    lab.sql("CREATE INDEX third ON old_thing (size)")
    indexes = "SELECT indexname FROM pg_indexes WHERE tablename = %s ORDER BY 1"
    twin = {name for (name,) in lab.sql(indexes, ["new_thing"])}
    own = {name for (name,) in lab.sql(indexes, ["old_thing"])}
    lab.forward(MOVE)
    assert len({name for (name,) in lab.sql(indexes, ["new_thing"])} - twin) == 1
    lab.back(MOVE)
    assert {name for (name,) in lab.sql(indexes, ["old_thing"])} == own


def test_a_foreign_key_that_empties_a_column_which_it_names(lab: Lab) -> None:
    for app, column in (("old", "user (x)"), ("new", "reader")):
        to = models.ForeignKey("auth.User", models.CASCADE, null=True, related_name="+", db_column=column)
        lab.model(f"{app}.Thing", {"user": to})
    find = "SELECT conname FROM pg_constraint WHERE contype = 'f' AND conrelid = 'old_thing'::regclass"
    ((name,),) = lab.sql(find)
    lab.sql(
        f"""ALTER TABLE old_thing DROP CONSTRAINT "{name}", ADD FOREIGN KEY ("user (x)") REFERENCES auth_user """
        """ON DELETE SET NULL ("user (x)") DEFERRABLE INITIALLY DEFERRED"""
    )
    go_there_and_back(lab)


def test_a_parent_and_its_child(lab: Lab) -> None:
    for app in ("old", "new"):
        lab.model(f"{app}.Thing", {"name": models.TextField()})
        to = models.OneToOneField(f"{app}.Thing", models.CASCADE, parent_link=True, primary_key=True)
        lab.model(f"{app}.Lamp", {"thing_ptr": to, "watts": models.IntegerField()})
    lab.sql("INSERT INTO old_thing (name) VALUES ('a'), ('b'); INSERT INTO old_lamp VALUES (2, 60)")
    twin, before = structure(lab), dump(without_data=RECORD)
    lamps = Move("old.Lamp", "new.Lamp", in_place=True)
    for _ in range(2):
        lab.forward(MOVE)
        lab.forward(lamps)
        assert structure(lab) == twin
        lab.back(lamps)
        lab.back(MOVE)
    drop_traces(lab)
    assert dump(without_data=RECORD) == before
