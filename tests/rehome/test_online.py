"""A move beside its writers: what it does when nothing disturbs it."""

import pytest
from django.db import models
from django.db.models import Q

from rehome import Move
from rehome.ledger import Ledger
from tests.rehome.lab import Lab

MOVE = Move("old.Thing", "new.Thing", online=True)


def fields(app_label: str) -> dict[str, models.Field]:
    return {
        "code": models.CharField(max_length=40, unique=True),
        "size": models.IntegerField(db_index=True),
        "parent": models.ForeignKey(f"{app_label}.Thing", models.CASCADE, null=True),
        "user": models.ForeignKey("auth.User", models.CASCADE, null=True),
    }


OPTIONS = {
    "indexes": [models.Index(fields=["size", "code"], name="%(app_label)s_size_code")],
    "constraints": [
        models.CheckConstraint(condition=Q(size__gte=0), name="%(app_label)s_size"),
        models.UniqueConstraint(
            fields=["size", "code"], name="%(app_label)s_later", deferrable=models.Deferrable.DEFERRED
        ),
        models.UniqueConstraint(fields=["code"], condition=Q(size=1), name="%(app_label)s_some"),
    ],
}


@pytest.fixture
def things(lab: Lab) -> Lab:
    for app_label in ("old", "new"):
        lab.model(
            f"{app_label}.Thing",
            fields(app_label),
            indexes=[models.Index(fields=["size", "code"], name=f"{app_label}_size_code")],
        )
    lab.sql("INSERT INTO old_thing (code, size, parent_id) SELECT 'c' || n, n, NULL FROM generate_series(1, 5000) n")
    lab.sql("UPDATE old_thing SET parent_id = id - 1 WHERE id > 1")
    return lab


def test_smoke(things: Lab) -> None:
    things.forward(MOVE)
    report = things.verify(MOVE)
    assert report.ok, report.as_json()
    assert Ledger("default").current(things.plan(MOVE)).phase == "live"
    things.back(MOVE)
