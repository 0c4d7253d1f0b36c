"""In place: the table has its twin's names, the old name becomes a view, and the way back is as fast."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from django.db import models
from django.db.models.functions import Lower

from rehome import Move
from rehome.errors import MoveFailed
from rehome.models import Phase
from rehome.moves import exchange
from rehome.parts.matching import Counterparts
from rehome.plan.ledger import Ledger
from rehome.plan.plan import Plan
from tests.database import dump
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Gadget", fields={"title": "name", "labels": "tags"}, in_place=True)

RECORD = ["rehome_moverun"]


def fields(app: str) -> dict[str, models.Field]:
    """Everything that has a name of its own in PostgreSQL."""
    name, tags = ("name", "tags") if app == "old" else ("title", "labels")
    return {
        name: models.CharField(max_length=20, db_index=True, db_comment=f"The {name}."),
        "code": models.IntegerField(unique=True, null=True),
        "size": models.PositiveSmallIntegerField(db_default=3 if app == "old" else 4),
        "group": models.IntegerField(default=1),
        "parent": models.ForeignKey("self", models.CASCADE, null=True),
        "owner": models.ForeignKey("auth.User", models.CASCADE, null=True, related_name=f"{app}_things"),
        tags: models.ManyToManyField("labels.Tag", related_name=f"{app}_things"),
    }


def options(app: str) -> dict[str, Any]:
    name = "name" if app == "old" else "title"
    return {
        "db_table_comment": f"Of {app}.",
        "unique_together": {(name, "group")},
        "indexes": [
            models.Index(Lower(name), name=f"{app}_lower"),
            models.Index(fields=["-size", "group"], name=f"{app}_size", condition=models.Q(**{f"{name}__gt": "group"})),
        ],
        "constraints": [
            models.CheckConstraint(condition=~models.Q(**{name: "size"}), name=f"{app}_not_size"),
            models.UniqueConstraint(fields=["owner"], condition=models.Q(size=1), name=f"{app}_one"),
        ],
    }


@pytest.fixture
def things(lab: Lab) -> Lab:
    lab.model("labels.Tag", {"name": models.CharField(max_length=20)})
    lab.model("old.Thing", fields("old"), **options("old"))
    lab.model("new.Gadget", fields("new"), **options("new"))
    lab.sql("INSERT INTO labels_tag (name) SELECT 'tag ' || n FROM generate_series(1, 5) n")
    lab.sql(
        'INSERT INTO old_thing (name, code, "group", parent_id) '
        "SELECT 'thing ' || n, n * 10, n, nullif(n / 2, 0) FROM generate_series(1, 20) n"
    )
    lab.sql("INSERT INTO old_thing_tags (thing_id, tag_id) SELECT n, n % 5 + 1 FROM generate_series(1, 20) n")
    return lab


def structure(lab: Lab) -> str:
    """The new tables as pg_dump writes them, by which a database would be built from nothing."""
    return dump(lab.alias, tables=["new_*"], schema_only=True)


def drop_traces(lab: Lab) -> None:
    """What a way back leaves on purpose: the fence on the empty twin."""
    for (function,) in lab.sql("SELECT oid::regprocedure::text FROM pg_proc WHERE proname LIKE 'rehome_fence%'"):
        lab.sql(f"DROP FUNCTION {function} CASCADE")


def test_every_name_is_the_one_that_django_made_for_the_twin(things: Lab) -> None:
    twins = structure(things)

    things.forward(MOVE)

    assert structure(things) == twins
    assert things.sql("SELECT count(*), max(title), max(code) FROM new_gadget") == [(20, "thing 9", 200)]
    assert things.sql("SELECT count(*), max(gadget_id) FROM new_gadget_labels") == [(20, 20)]
    run = Ledger("default").current(things.plan(MOVE))
    assert run is not None
    assert run.phase == Phase.IN_PLACE


def test_it_goes_there_and_back_any_number_of_times(things: Lab) -> None:
    before = dump(without_data=RECORD)
    for _ in range(3):
        things.forward(MOVE)
        things.back(MOVE)
    drop_traces(things)
    assert dump(without_data=RECORD) == before


@pytest.mark.parametrize("forgotten", ["constraints", "indexes", "defaults", "comments", "keys"])
def test_a_name_that_was_forgotten_undoes_everything(
    things: Lab, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, forgotten: str
) -> None:
    """Whatever the matching overlooks, PostgreSQL is asked before the commit."""
    find = exchange.find

    def forget(plan: Plan) -> list[Counterparts]:
        nothing: Any = {} if forgotten in {"constraints", "indexes", "keys"} else ()
        if forgotten == "defaults":
            return [dataclasses.replace(found, defaults=()) for found in find(plan)]
        return [
            dataclasses.replace(found, renaming=dataclasses.replace(found.renaming, **{forgotten: nothing}))
            for found in find(plan)
        ]

    things.forward(MOVE)
    things.back(MOVE)
    monkeypatch.setattr(exchange, "find", forget)
    message = refused(MOVE, error=MoveFailed)
    assert "after renaming, public.old_thing does not match public.new_gadget; missing: " in message
    assert "Everything is undone" in message
