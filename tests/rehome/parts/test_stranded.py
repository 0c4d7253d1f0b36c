"""What either side's code writes under its own content type is counted and brought over, and never lost."""

import pytest
from django.contrib.auth.models import User
from django.db import models

from rehome import Move
from rehome.errors import Refused
from rehome.moves import runner
from rehome.moves.steps import open_session
from rehome.parts import stranded
from rehome.plan.ledger import Ledger
from rehome.plan.record import Record
from tests.rehome.support.lab import Lab
from tests.rehome.support.people import grant, may, permission, register

pytestmark = pytest.mark.server

WAYS = {
    "at once": Move("old.Thing", "new.Thing"),
    "online": Move("old.Thing", "new.Thing", online=True),
    "in place": Move("old.Thing", "new.Thing", in_place=True),
    "with the retirement": Move("old.Thing", "new.Thing", identity="retire"),
    "online, with the retirement": Move("old.Thing", "new.Thing", online=True, identity="retire"),
}


@pytest.fixture
def tagged(lab: Lab) -> Lab:
    """Things of a kind (as django-polymorphic keeps it), tags on them, and rights to each."""
    kind = {"kind": models.ForeignKey("contenttypes.ContentType", models.CASCADE, null=True, related_name="+")}
    lab.twins(lambda app: {"name": models.CharField(max_length=20), **kind})
    lab.model(
        "tags.Tag",
        {
            "content_type": models.ForeignKey("contenttypes.ContentType", models.CASCADE),
            "object_id": models.PositiveIntegerField(),
            "label": models.CharField(max_length=20),
        },
        unique_together={("content_type", "object_id", "label")},
    )
    lab.model(
        "guard.ObjectPermission",
        {
            "permission": models.ForeignKey("auth.Permission", models.CASCADE),
            "content_type": models.ForeignKey("contenttypes.ContentType", models.CASCADE),
            "object_pk": models.CharField(max_length=20),
        },
        unique_together={("permission", "object_pk")},
    )
    register("old", "thing", "polish")
    lab.sql("INSERT INTO old_thing (name, kind_id) SELECT 'lamp', id FROM django_content_type WHERE app_label = 'old'")
    write(lab, "old", "bright")
    return lab


def write(lab: Lab, app: str, label: str, *, key: int = 1) -> None:
    """As that side's code does, which asks for the content type of its own model."""
    lab.sql(
        "INSERT INTO tags_tag (content_type_id, object_id, label) "
        "SELECT id, %s, %s FROM django_content_type WHERE (app_label, model) = (%s, 'thing')",
        [key, label, app],
    )
    lab.sql(
        "INSERT INTO guard_objectpermission (permission_id, content_type_id, object_pk) "
        "SELECT p.id, t.id, %s FROM django_content_type t JOIN auth_permission p ON p.content_type_id = t.id "
        "WHERE (app_label, model, codename) = (%s, 'thing', 'view_thing')",
        [label, app],
    )


def seen(lab: Lab, app: str) -> list[str]:
    """The tags that one side's code finds, each of which has its right, too."""
    tags = lab.sql(
        "SELECT label FROM tags_tag g JOIN django_content_type t ON t.id = content_type_id "
        "WHERE app_label = %s ORDER BY 1",
        [app],
    )
    rights = lab.sql(
        "SELECT object_pk FROM guard_objectpermission g JOIN auth_permission p ON p.id = permission_id "
        "JOIN django_content_type t ON t.id = p.content_type_id AND t.id = g.content_type_id "
        "WHERE app_label = %s ORDER BY 1",
        [app],
    )
    assert tags == rights
    return [label for (label,) in tags]


def kinds(lab: Lab, table: str) -> set[str]:
    query = f"SELECT DISTINCT app_label FROM {table} x LEFT JOIN django_content_type t ON t.id = kind_id"
    return {app for (app,) in lab.sql(query)}


def counted(lab: Lab, move: Move) -> dict[str, int]:
    plan = lab.plan(move)
    run = Ledger(lab.alias).current(plan)
    assert run is not None
    return stranded.count(plan, open_session(plan), Record.of(run))


@pytest.mark.parametrize("way", ["at once", "online", "in place"])
def test_what_old_code_writes_is_counted_and_brought_over(tagged: Lab, way: str) -> None:
    move = WAYS[way]
    ann = User.objects.create(username="ann")
    tagged.forward(move)
    assert (seen(tagged, "old"), seen(tagged, "new")) == ([], ["bright"])
    assert counted(tagged, move) == {}
    for label in ("bright", "old"):
        write(tagged, "old", label)
    write(tagged, "new", "new")
    grant(ann, "old.polish")
    tagged.sql(
        "INSERT INTO old_thing (name, kind_id) SELECT 'desk', id FROM django_content_type WHERE app_label = 'old'"
    )
    table = "new_thing" if way == "in place" else "old_thing"
    found = {"public.tags_tag": 2, "public.guard_objectpermission": 4, f"public.{table}": 1}
    assert counted(tagged, move) == found
    assert tagged.verify(move).stranded == found
    assert tagged.verify(move).ok

    runner.repair(move, tagged.apps, tagged.connection)

    assert counted(tagged, move) == {}
    assert (seen(tagged, "old"), seen(tagged, "new")) == ([], ["bright", "new", "old"])
    assert kinds(tagged, "old_thing") == kinds(tagged, "new_thing") == {"new"}
    assert may(ann) == {"old.polish", "new.polish"}
    # A right that is taken back on one side is taken back on both.
    ann.user_permissions.remove(permission("new.polish"))
    runner.repair(move, tagged.apps, tagged.connection)
    assert may(ann) == set()
    assert tagged.verify(move).ok
    write(tagged, "old", "last")
    tagged.back(move)
    assert (seen(tagged, "old"), seen(tagged, "new")) == (["bright", "last", "new", "old"], [])
    assert kinds(tagged, "old_thing") == {"old"}


@pytest.mark.parametrize("way", ["at once", "with the retirement"])
def test_a_retirement_brings_over_what_is_left_and_so_does_its_undo(tagged: Lab, way: str) -> None:
    move = WAYS[way]
    tagged.forward(move)
    write(tagged, "old", "old")
    write(tagged, "new", "new")
    write(tagged, "new", "old")
    tagged.retire(move)
    assert (seen(tagged, "old"), seen(tagged, "new")) == ([], ["bright", "new", "old"])
    assert kinds(tagged, "new_thing") == {"new"}
    assert tagged.verify(move).ok
    write(tagged, "old", "through the view")
    assert counted(tagged, move) == {"public.tags_tag": 1, "public.guard_objectpermission": 2}
    runner.repair(move, tagged.apps, tagged.connection)
    assert seen(tagged, "new") == ["bright", "new", "old", "through the view"]
    write(tagged, "old", "late")
    tagged.unretire(move)
    everything = ["bright", "late", "new", "old", "through the view"]
    leads = "old" if move.identity == "retire" else "new"
    assert seen(tagged, leads) == everything
    assert kinds(tagged, "old_thing") == kinds(tagged, "new_thing") == {leads}
    assert tagged.verify(move).ok
    tagged.back(move)
    assert (seen(tagged, "old"), seen(tagged, "new")) == (everything, [])


@pytest.mark.parametrize("way", ["with the retirement", "online, with the retirement"])
def test_a_label_that_stays_is_the_sources_until_the_retirement(tagged: Lab, way: str) -> None:
    move = WAYS[way]
    ann = User.objects.create(username="ann")
    grant(ann, "old.polish")
    before = tagged.sql("SELECT * FROM django_content_type ORDER BY id")
    tagged.forward(move)
    assert seen(tagged, "old") == ["bright"]
    assert kinds(tagged, "old_thing") == kinds(tagged, "new_thing") == {"old"}
    # Whoever may do something may do it in the new release as well.
    assert may(ann) == {"old.polish", "new.polish"}
    write(tagged, "new", "new")
    write(tagged, "old", "old")
    assert counted(tagged, move) == {"public.tags_tag": 1, "public.guard_objectpermission": 2}
    runner.repair(move, tagged.apps, tagged.connection)
    assert (seen(tagged, "old"), seen(tagged, "new")) == (["bright", "old"], ["new"])
    assert tagged.verify(move).ok
    tagged.back(move)
    assert (seen(tagged, "old"), seen(tagged, "new")) == (["bright", "new", "old"], [])
    assert tagged.sql("SELECT * FROM django_content_type ORDER BY id") == before
    assert may(ann) == {"old.polish"}


def test_a_label_stays_until_a_retirement_that_there_is() -> None:
    with pytest.raises(Refused, match="a move in place has none"):
        Move("old.Thing", "new.Thing", in_place=True, identity="retire")
    with pytest.raises(Refused, match="identity='later'"):
        Move("old.Thing", "new.Thing", identity="later")  # type: ignore[arg-type]
