"""Two moves in one database: what one does to content types, permissions and grants reaches the rows of the other.

`Note` points at content types and permissions in each way that there is, and is itself on its way when `Thing`, whose
names change, is moved. `one.Note` and `one.Thing` are never moved: what happens to their rows must happen to the rows
of the two others, wherever these are.
"""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models.functions import Upper

from rehome import Move
from rehome.errors import MoveFailed
from tests.rehome.support.lab import Lab
from tests.rehome.support.people import permission, register
from tests.rehome.support.stopping import stop_at

LONG = pytest.mark.long
NO_RETURN: dict[str, Any] = {"fields": {"word": Upper("word")}, "irreversible": True}
WAYS = {
    "in one transaction": Move("old.Thing", "new.Thing"),
    "online": Move("old.Thing", "new.Thing", online=True),
    "in place": Move("old.Thing", "new.Thing", in_place=True),
    "for good": Move("old.Thing", "new.Thing", **NO_RETURN),
    "for good, online": Move("old.Thing", "new.Thing", online=True, **NO_RETURN),
}
NOTE = Move("old.Note", "new.Note")
ONLINE = Move("old.Note", "new.Note", online=True)
IN_PLACE = Move("old.Note", "new.Note", in_place=True)
FROZEN = Move("old.Note", "new.Note", **NO_RETURN)
Step = Callable[[Lab], Any]


def forward(lab: Lab) -> None:
    lab.forward(NOTE)


def back(lab: Lab) -> None:
    lab.back(NOTE)


def retire(lab: Lab) -> None:
    lab.retire(NOTE)


def unretire(lab: Lab) -> None:
    lab.unretire(NOTE)


def begin_copy(lab: Lab) -> None:
    stop_at(lab, "before the first batch", move=ONLINE)


def build(lab: Lab) -> None:
    """Every row is copied, and the keys that point at content types are there, behind the fence."""
    stop_at(lab, "before the comparison", move=ONLINE)


def finish_copy(lab: Lab) -> None:
    lab.forward(ONLINE)


def cancel_copy(lab: Lab) -> None:
    lab.cancel(ONLINE)


def take_place(lab: Lab) -> None:
    lab.forward(IN_PLACE)


def give_place_back(lab: Lab) -> None:
    lab.back(IN_PLACE)


def freeze(lab: Lab) -> None:
    lab.forward(FROZEN)


STATES: dict[str, tuple[Step, ...]] = {
    "not moved": (),
    "live": (forward,),
    "being copied": (begin_copy,),
    "copied, not switched": (build,),
    "moved back": (forward, back),
    "moved back from in place": (take_place, give_place_back),
    "in place": (take_place,),
    "retired": (forward, retire),
    "retired and unretired": (forward, retire, unretire),
    "frozen": (freeze,),
}
"""Each state that a table can be in, and how `Note` gets there."""
FEW = {"live", "being copied", "in place", "retired"}
HOMES: dict[str, tuple[str, ...]] = {
    "live": ("old_note", "new_note"),
    "in place": ("old_note", "new_note"),
    "retired": ("old_note", "new_note"),
    "retired and unretired": ("old_note", "new_note"),
    "frozen": ("new_note",),
}
"""Where every row of `Note` is, in a state, and can be written; elsewhere it is `old_note` alone."""
UNWIND: dict[str, tuple[Step, ...]] = {
    "live": (back,),
    "being copied": (finish_copy, back),
    "copied, not switched": (cancel_copy,),
    "moved back": (forward, back),
    "moved back from in place": (take_place, give_place_back),
    "in place": (give_place_back,),
    "retired": (back,),
    "retired and unretired": (retire, back),
}
"""What may come next, when `Thing` has gone its way: in the end every row is in `old_note`."""
NEXT: list[tuple[str, Step, str]] = [
    ("not moved", forward, "live"),
    ("not moved", take_place, "in place"),
    ("not moved", freeze, "frozen"),
    ("not moved", build, "copied, not switched"),
    ("live", back, "moved back"),
    ("live", retire, "retired"),
    ("retired", unretire, "retired and unretired"),
    ("retired", back, "moved back"),
    ("in place", give_place_back, "moved back from in place"),
    ("being copied", finish_copy, "live"),
    ("being copied", cancel_copy, "not moved"),
    ("copied, not switched", finish_copy, "live"),
]
"""Each step from one state to another."""


def fields(app: str) -> dict[str, models.Field]:
    return {
        "name": models.CharField(max_length=20),
        "word": models.CharField(max_length=20, default="word"),
        "about": models.ForeignKey("contenttypes.ContentType", models.CASCADE, null=True, related_name="+"),
        "asks": models.ForeignKey("auth.Permission", models.CASCADE, null=True, related_name="+"),
        "gives": models.ManyToManyField("auth.Permission", related_name="+"),
    }


@pytest.fixture(params=["a row of the target's", pytest.param("no row of the target's", marks=LONG)])
def world(lab: Lab, request: pytest.FixtureRequest) -> Lab:
    """Rows about old.Thing, and about new.Thing where that has a content type already."""
    for app in ("old", "new", "one"):
        for name in ("Thing", "Note"):
            lab.model(f"{app}.{name}", fields(app), unique_together={("about", "name")})
    register("old"), register("other")
    if request.param == "a row of the target's":
        register("new")
    for table in ("old_thing", "one_thing", "old_note", "one_note"):
        fill(lab, table)
    return lab


def fill(lab: Lab, table: str) -> None:
    for app, action in [("old", "view"), ("new", "view"), ("other", "add"), ("old", "change")]:
        insert(lab, table, f"{app} {action}", app, action)
    # Two rows that become one.
    insert(lab, table, "twice", "old", "")
    insert(lab, table, "twice", "new", "")


def insert(lab: Lab, table: str, name: str, app: str, action: str) -> None:
    """A row about a model, that asks for a permission and gives it, as far as there is such a model."""
    about = ContentType.objects.filter(app_label=app, model="thing").first()
    if about is None:
        return
    asks = permission(f"{app}.{action}_thing").pk if action else None
    lab.sql(f"INSERT INTO {table} (name, word, about_id, asks_id) VALUES (%s, 'word', %s, %s)", [name, about.pk, asks])
    if action:
        give(lab, table, name, f"{app}.{action}_thing")


def holder(table: str) -> str:
    return f"{table.partition('_')[2]}_id"


def give(lab: Lab, table: str, name: str, granted: str) -> None:
    lab.sql(
        f"INSERT INTO {table}_gives ({holder(table)}, permission_id) SELECT id, %s FROM {table} WHERE name = %s",
        [permission(granted).pk, name],
    )


def take(lab: Lab, table: str, name: str, granted: str) -> None:
    lab.sql(
        f"DELETE FROM {table}_gives WHERE permission_id = %s "
        f"AND {holder(table)} IN (SELECT id FROM {table} WHERE name = %s)",
        [permission(granted).pk, name],
    )


def write(lab: Lab, table: str, action: str) -> None:
    """What both codes do while `Thing` is in use under both its names."""
    for app in ("old", "new"):
        insert(lab, table, f"by {app}: {action}", app, action)
        give(lab, table, "other add", f"{app}.{action}_thing")
    take(lab, table, "old view", "old.view_thing")
    take(lab, table, "old change", "new.change_thing")


def rows(lab: Lab, table: str) -> list[tuple[Any, ...]]:
    return [
        *lab.sql(f"SELECT name, about_id, asks_id FROM {table} ORDER BY 1, 2"),
        *lab.sql(
            f"SELECT name, permission_id FROM {table}_gives g JOIN {table} t ON t.id = g.{holder(table)} ORDER BY 1, 2"
        ),
    ]


def check(lab: Lab, state: str, *things: str) -> None:
    """The rows are those of the tables that nobody moves."""
    for table in HOMES.get(state, ("old_note",)):
        assert rows(lab, table) == rows(lab, "one_note"), table
    for table in things:
        assert rows(lab, table) == rows(lab, "one_thing"), table


def names(lab: Lab) -> set[tuple[str, str]]:
    """Permissions on things, by app."""
    found = Permission.objects.using(lab.alias).filter(content_type__model="thing")
    return set(found.values_list("content_type__app_label", "codename"))


@pytest.mark.parametrize("way", [pytest.param(way, marks=LONG if way != "in one transaction" else ()) for way in WAYS])
@pytest.mark.parametrize("state", [pytest.param(state, marks=() if state in FEW else LONG) for state in STATES])
def test_a_move_leads_every_row_to_its_names_whatever_move_the_row_is_in(world: Lab, state: str, way: str) -> None:
    move, before = WAYS[way], names(world)
    both = ("old_thing", "new_thing") if "for good" not in way else ("new_thing",)
    for step in STATES[state]:
        step(world)
    check(world, state, "old_thing")

    world.forward(move)
    check(world, state, *both)
    assert world.verify(move).ok
    for table in (HOMES.get(state, ("old_note",))[0], "one_note", both[-1], "one_thing"):
        write(world, table, "delete")
    check(world, state, *both)
    if way in {"in one transaction", "online"}:
        world.retire(move)
        check(world, state, *both)
        world.unretire(move)
        check(world, state, *both)
    if "for good" not in way:
        world.back(move)
        check(world, state, "old_thing")
        assert names(world) == before
    for step in UNWIND.get(state, ()):
        step(world)
    check(world, "frozen" if state == "frozen" else "not moved")


@pytest.mark.parametrize("way", ["in one transaction", pytest.param("in place", marks=LONG)])
@pytest.mark.parametrize(("state", "step", "following"), NEXT, ids=lambda value: getattr(value, "__name__", value))
def test_a_move_goes_back_to_its_names_whatever_has_been_moved_since(
    world: Lab, state: str, step: Step, following: str, way: str
) -> None:
    for earlier in STATES[state]:
        earlier(world)
    world.forward(WAYS[way])
    for table in (HOMES.get(state, ("old_note",))[0], "one_note"):
        write(world, table, "delete")
    step(world)
    check(world, following)
    for table in (HOMES.get(following, ("old_note",))[-1], "one_note"):
        write(world, table, "add")
    world.back(WAYS[way])
    check(world, following, "old_thing")


# ----- what a trigger says, as a person reads it


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("55000", "PostgreSQL refused: This is closed. Nothing has been moved. Use the other door."),
        ("55006", "PostgreSQL refused: This is closed. HINT: Use the other door."),
        ("54000", "PostgreSQL refused: This is closed. HINT: Use the other door."),
        ("23514", "PostgreSQL refused: This is closed. HINT: Use the other door."),
        ("53100", "The connection was lost or the server failed: This is closed. HINT: Use the other door."),
        ("57P03", "The connection was lost or the server failed: This is closed. HINT: Use the other door."),
        ("58030", "The connection was lost or the server failed: This is closed. HINT: Use the other door."),
    ],
)
def test_an_error_is_told_by_its_class(lab: Lab, state: str, said: str) -> None:
    lab.twins(lambda app: {"name": models.CharField(max_length=20)})
    register("old")
    lab.sql(
        "CREATE FUNCTION closed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'This is closed.' "
        f"USING ERRCODE = '{state}', HINT = 'Use the other door.'; END $$"
    )
    lab.sql("CREATE TABLE menu (about integer REFERENCES django_content_type)")
    lab.sql("CREATE TRIGGER closed BEFORE UPDATE ON menu FOR EACH STATEMENT EXECUTE FUNCTION closed()")
    with pytest.raises(MoveFailed) as failed:
        lab.forward(WAYS["in one transaction"])
    assert f"old.Thing -> new.Thing: {said}" in str(failed.value)
