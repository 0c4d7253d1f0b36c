"""Indexes and constraints of the target are there again under their names, and hold for what either side writes."""

from typing import Any

import pytest
from django.contrib.postgres import fields as postgres
from django.contrib.postgres import indexes
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeOperators
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import IntegrityError, models, transaction
from django.db.models import CheckConstraint, Deferrable, F, Index, Q, UniqueConstraint
from django.db.models.functions import Collate, Lower, Upper

from rehome import Move
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Thing")

DEFINITIONS = """
SELECT relname, 'index', pg_get_indexdef(indexrelid), indisvalid AND indisready
  FROM pg_index JOIN pg_class i ON i.oid = indexrelid WHERE indrelid = %(table)s::regclass
 UNION ALL
SELECT conname, contype::text, pg_get_constraintdef(oid), convalidated
  FROM pg_constraint WHERE conrelid = %(table)s::regclass
 ORDER BY 1, 2
"""


def definitions(lab: Lab, table: str) -> list[tuple[Any, ...]]:
    return lab.sql(DEFINITIONS, {"table": table})


def fields(app: str) -> dict[str, models.Field]:
    return {
        "name": models.CharField(max_length=30, null=True),
        "slug": models.SlugField(unique=True, null=True),
        "size": models.IntegerField(default=0),
        "weight": models.PositiveIntegerField(default=0),
        "colour": models.CharField(max_length=9, default="red", db_index=True),
        "data": models.JSONField(default=dict),
        "tags": postgres.ArrayField(models.CharField(max_length=9), default=list),
        "span": postgres.IntegerRangeField(null=True),
        "search": SearchVectorField(null=True),
        "at": models.DateTimeField(null=True, unique_for_date="name"),
        "owner": models.ForeignKey("auth.User", models.CASCADE, null=True, related_name=f"{app}+"),
    }


def rules(app: str) -> dict[str, Any]:
    return {
        "unique_together": [("name", "size")],
        "constraints": [
            CheckConstraint(condition=Q(size__gte=0) | Q(name="100 % \"it's\""), name=f"{app} Größe"),
            CheckConstraint(condition=Q(size__lt=F("weight") + 1000), name=f"{app}_check_two"),
            UniqueConstraint(fields=["name"], condition=Q(colour="red"), name=f"{app}_unique_where"),
            UniqueConstraint(Lower("name"), "colour", name=f"{app}_unique_expression"),
            UniqueConstraint(fields=["weight", "size"], include=["colour"], name=f"{app}_unique_include"),
            UniqueConstraint(fields=["slug", "size"], nulls_distinct=False, name=f"{app}_unique_nulls"),
            UniqueConstraint(
                fields=["name", "weight"], deferrable=Deferrable.DEFERRED, name=f"{app}_unique_deferred"
            ),
            UniqueConstraint(fields=["size"], deferrable=Deferrable.IMMEDIATE, name=f"{app}_unique_immediate"),
            UniqueConstraint(fields=["colour", "name"], opclasses=["varchar_pattern_ops"] * 2, name=f"{app}_unique_op"),
            ExclusionConstraint(
                name=f"{app}_exclude",
                expressions=[("span", RangeOperators.OVERLAPS)],
                condition=Q(colour="red"),
                deferrable=Deferrable.DEFERRED,
            ),
        ],
        "indexes": [
            Index(fields=["name", "-size"], name=f"{app}_descending"),
            Index(Upper("name"), F("size").desc(nulls_last=True), name=f"{app}_expression"),
            Index(Collate("name", "C"), name=f"{app}_collate"),
            Index(fields=["size"], condition=Q(colour="red"), name=f"{app}_partial"),
            Index(fields=["size"], include=["name", "colour"], name=f"{app}_covering"),
            Index(fields=["name"], opclasses=["varchar_pattern_ops"], name=f"{app}_opclass"),
            indexes.BTreeIndex(fields=["size"], fillfactor=70, deduplicate_items=False, name=f"{app}_btree"),
            indexes.GinIndex(fields=["data"], opclasses=["jsonb_path_ops"], fastupdate=False, name=f"{app}_gin"),
            indexes.GinIndex(fields=["tags"], name=f"{app}_gin_array"),
            indexes.GinIndex(SearchVector("name", config="simple"), name=f"{app}_gin_expression"),
            indexes.GinIndex(fields=["search"], gin_pending_list_limit=128, name=f"{app}_gin_search"),
            indexes.BrinIndex(fields=["at"], autosummarize=True, pages_per_range=4, name=f"{app}_brin"),
            indexes.GistIndex(fields=["span"], buffering=True, fillfactor=60, name=f"{app}_gist"),
            indexes.SpGistIndex(fields=["span"], name=f"{app}_spgist"),
            indexes.HashIndex(fields=["colour"], name=f"{app}_hash"),
        ],
    }  # fmt: skip


@pytest.fixture
def things(lab: Lab) -> Lab:
    for app in ("old", "new"):
        lab.model(f"{app}.Thing", fields(app), **rules(app))
    # Other tables rely on these unique constraints, which therefore stay.
    for app in ("old", "new"):
        lab.model(
            f"{app}.Part", {"thing": models.ForeignKey(f"{app}.Thing", models.CASCADE, to_field="slug", null=True)}
        )
    old = lab.get("old.Thing")
    for n in range(20):
        old.objects.create(
            name=f"thing {n}", slug=f"s{n}", size=n, weight=n, data={"n": n}, tags=[str(n)], span=(n * 10, n * 10 + 5)
        )
    return lab


def test_every_index_and_constraint_is_there_again(things: Lab) -> None:
    before = {table: definitions(things, table) for table in ("old_thing", "new_thing")}
    assert len(before["new_thing"]) > 40
    for _ in range(2):
        things.forward(MOVE)
        assert {table: definitions(things, table) for table in before} == before
        assert things.verify(MOVE).ok
        things.back(MOVE)
        assert {table: definitions(things, table) for table in before} == before


def test_what_either_side_forbids_neither_side_writes(things: Lab) -> None:
    things.forward(MOVE)
    old, new = things.get("old.Thing"), things.get("new.Thing")
    for model in (old, new):
        for values in (
            {"name": "thing 1", "size": 1, "weight": 99},
            {"size": 5},
            {"size": -1, "name": "negative"},
            {"size": 2000, "weight": 1},
            {"name": "THING 3", "size": 99, "weight": 98},
            {"slug": "s4", "size": 98, "weight": 97},
            {"span": (12, 14), "size": 97, "weight": 96},
            {"name": "thing 6", "weight": 6, "size": 96, "colour": "blue"},
        ):
            with pytest.raises(IntegrityError), transaction.atomic():
                model.objects.create(**values)
    assert old.objects.count() == new.objects.count() == 20
    # Deferred constraints look at what is there in the end, on both sides.
    for model in (old, new):
        with transaction.atomic():
            one, two = model.objects.filter(pk=7), model.objects.filter(pk=8)
            spans = [one.get().span, two.get().span]
            one.update(span=spans[1])
            two.update(span=spans[0])
    # Passing through values that other rows have: the check of a deferrable constraint waits for the statement.
    for model in (old, new):
        model.objects.filter(size__gte=10).update(size=F("size") + 1)
    assert list(old.objects.order_by("pk").values()) == list(new.objects.order_by("pk").values())
    assert things.verify(MOVE).ok
