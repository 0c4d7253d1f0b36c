"""Old code reads and writes the view that stands in for its table, as if nothing had happened."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.postgres.functions import RandomUUID
from django.db import IntegrityError, NotSupportedError, ProgrammingError, models, transaction
from django.db.models import F, Value
from django.db.models.functions import Lower, Upper

from rehome import Move
from rehome.parts import sync, views
from tests.rehome.support.clients import Client, outcome
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Thing")


def text(**options: Any) -> models.CharField:
    return models.CharField(max_length=60, **options)


def stand_in(lab: Lab, move: Move) -> None:
    """Move, then put the view in the source's place, and nothing else of what retiring does."""
    lab.forward(move)
    plan = lab.plan(move)
    for statement in sync.remove(plan):
        lab.sql(statement.as_string())
    for pair in plan.pairs:
        lab.sql(f"ALTER TABLE {pair.source.name} RENAME TO aside_{pair.source.name}")
    for pair in plan.pairs:
        for statement in views.create(pair, plan):
            lab.sql(statement.as_string())


@pytest.fixture
def plain(lab: Lab) -> Lab:
    lab.twins(
        lambda app: {
            "name" if app == "old" else "title": text(),
            "code": models.IntegerField(unique=True, null=True),
            "state": text(db_default="idle" if app == "old" else "ready"),
        }
    )
    lab.get("old.Thing").objects.create(name="one", code=1)
    stand_in(lab, Move("old.Thing", "new.Thing", fields={"title": "name"}))
    return lab


def test_single_rows(plain: Lab) -> None:
    old, new = plain.get("old.Thing"), plain.get("new.Thing")
    born = old.objects.create(name="two", code=2)
    assert (born.pk, born.state) == (2, "idle")
    assert new.objects.values_list("title", "code", "state").get(pk=2) == ("two", 2, "idle")
    born.name = "zwei"
    born.save()
    old.objects.filter(pk=2).update(code=F("code") + 40)
    assert new.objects.values_list("title", "code").get(pk=2) == ("zwei", 42)
    assert old.objects.update_or_create(code=42, defaults={"name": "deux"})[1] is False
    assert old.objects.get_or_create(code=43, defaults={"name": "three"})[0].pk == 3
    assert old.objects.filter(pk=3).delete()[0] == 1
    assert list(new.objects.order_by("pk").values_list("title", flat=True)) == ["one", "deux"]


def test_many_rows(plain: Lab) -> None:
    old, new = plain.get("old.Thing"), plain.get("new.Thing")
    born = old.objects.bulk_create([old(name="bulk", code=code) for code in range(10, 15)])
    assert [thing.pk for thing in born] == [2, 3, 4, 5, 6]
    old.objects.bulk_create([old(name="ignored", code=10), old(name="new", code=99)], ignore_conflicts=True)
    old.objects.bulk_create(
        [old(name="changed", code=11)], update_conflicts=True, unique_fields=["code"], update_fields=["name"]
    )
    for thing in born[2:]:
        thing.name = "updated"
    assert old.objects.bulk_update(born[2:], ["name"]) == 3
    found = dict(new.objects.values_list("code", "title"))
    assert found == {1: "one", 10: "bulk", 11: "changed", 12: "updated", 13: "updated", 14: "updated", 99: "new"}
    with pytest.raises(IntegrityError), transaction.atomic():
        old.objects.create(name="again", code=1)


def test_a_row_that_is_selected_for_update_is_locked_in_the_target(
    plain: Lab, open_client: Callable[..., Client]
) -> None:
    client = open_client()
    with transaction.atomic():
        plain.get("old.Thing").objects.select_for_update().get(pk=1)
        waiting = client.start_blocked("UPDATE new_thing SET title = 'after' WHERE id = 1")
        plain.get("old.Thing").objects.filter(pk=1).update(name="before")
    assert outcome(waiting) == 1
    assert plain.get("old.Thing").objects.get(pk=1).name == "after"


def test_a_field_of_the_target_alone_is_filled_and_conflicts_are_still_handled(lab: Lab) -> None:
    old = lab.model("old.Thing", {"name": text(unique=True), "title": text()})
    lab.model(
        "new.Thing",
        {
            "label": text(unique=True),
            "title": text(),
            "name": text(default="filled"),
            "token": models.UUIDField(),
            "note": text(null=True),
        },
    )
    stand_in(
        lab, Move("old.Thing", "new.Thing", fields={"label": "name", "name": Value("filled"), "token": RandomUUID()})
    )
    old.objects.bulk_create([old(name="a", title="1"), old(name="b", title="2")])
    old.objects.bulk_create([old(name="a", title="3")], ignore_conflicts=True)
    rows = lab.sql("SELECT label, title, name, note FROM new_thing ORDER BY id")
    assert rows == [("a", "1", "filled", None), ("b", "2", "filled", None)]
    assert lab.get("new.Thing").objects.values("token").distinct().count() == 2
    assert list(old.objects.order_by("pk").values_list("name", "title")) == [("a", "1"), ("b", "2")]


@pytest.fixture
def computed(lab: Lab) -> Lab:
    """`email` is lowered, `fax` is lost, `shout` follows, `size` is generated by both."""
    size = models.GeneratedField(
        expression=models.functions.Length("email"), output_field=models.IntegerField(), db_persist=True
    )
    lab.model(
        "old.Thing",
        {"email": text(unique=True), "fax": text(db_default="none"), "n": models.IntegerField(default=0), "size": size},
    )
    lab.model(
        "new.Thing",
        {"email": text(unique=True), "shout": text(), "n": models.IntegerField(default=0), "size": size.clone()},
    )
    lab.get("old.Thing").objects.create(email="Ada@Example", fax="123")
    move = Move(
        "old.Thing",
        "new.Thing",
        fields={"email": Lower("email"), "shout": Upper("email")},
        backwards={"email": "email", "fax": Value("")},
        discard=["fax"],
    )
    stand_in(lab, move)
    return lab


def test_computed_columns(computed: Lab) -> None:
    old, new = computed.get("old.Thing"), computed.get("new.Thing")
    born = old.objects.create(email="Grace@Example")
    assert (born.pk, born.size) == (2, 13)
    assert new.objects.values_list("email", "shout").get(pk=2) == ("grace@example", "GRACE@EXAMPLE")
    assert old.objects.values_list("email", "fax", "size").get(pk=2) == ("grace@example", "", 13)
    new.objects.filter(pk=2).update(email="Grace@Written")
    old.objects.filter(pk=2).update(n=7)
    assert new.objects.values_list("email", "n").get(pk=2) == ("Grace@Written", 7)
    assert old.objects.filter(email="Grace@Written").update(email="G@X") == 1
    assert new.objects.values_list("email", "shout").get(pk=2) == ("g@x", "G@X")
    changed = list(old.objects.order_by("pk"))
    for thing in changed:
        thing.n = 9
    assert old.objects.bulk_update(changed, ["n"]) == 2
    assert [thing.pk for thing in old.objects.bulk_create([old(email="c"), old(email="d")])] == [3, 4]
    assert old.objects.filter(pk=1).update(id=50) == 1
    assert old.objects.filter(n=9).delete()[0] == 2
    assert list(new.objects.order_by("pk").values_list("pk", "email")) == [(3, "c"), (4, "d")]


def test_conflicts_are_refused_where_a_trigger_carries(computed: Lab) -> None:
    old = computed.get("old.Thing")
    with pytest.raises((ProgrammingError, NotSupportedError), match="ON CONFLICT|constraint"), transaction.atomic():
        old.objects.bulk_create([old(email="a")], update_conflicts=True, unique_fields=["email"], update_fields=["n"])


def test_nothing_is_lost_when_two_change_one_row_through_a_trigger(
    computed: Lab, open_client: Callable[..., Client]
) -> None:
    first, second, third = open_client(), open_client(), open_client()
    first.run("BEGIN")
    first.run("UPDATE old_thing SET n = n + 1 WHERE id = 1")
    waiting = second.start_blocked("UPDATE old_thing SET n = n + 1 WHERE id = 1")
    other = third.start_blocked("DELETE FROM old_thing WHERE n = 0")
    first.run("COMMIT")
    assert [outcome(waiting), outcome(other)] == ["40001", "40001"]
    assert second.run("UPDATE old_thing SET n = n + 1 WHERE id = 1") == 1
    first.run("BEGIN")
    first.run("DELETE FROM new_thing WHERE id = 1")
    waiting = second.start_blocked("UPDATE old_thing SET n = n + 1 WHERE id = 1")
    first.run("COMMIT")
    assert outcome(waiting) == 0


def test_what_is_returned_is_what_was_written_whatever_the_snapshot_shows(
    computed: Lab, open_client: Callable[..., Client]
) -> None:
    first, second = open_client(), open_client()
    first.run("INSERT INTO old_thing (id, email, n) VALUES (7, 'gone', 0)")
    second.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
    second.run("SELECT FROM old_thing")
    first.run("DELETE FROM old_thing WHERE id = 7")
    moved = second.run("UPDATE old_thing SET id = 7 WHERE id = 1 RETURNING id, email")
    assert moved == [(7, "ada@example")]
    second.run("ROLLBACK")


def test_many_to_many_fields(lab: Lab) -> None:
    for app in ("old", "new"):
        lab.model("tags.Tag", {}) if app == "old" else None
        lab.model(f"{app}.Thing", {"tags": models.ManyToManyField("tags.Tag", related_name="+")})
    tags = [lab.get("tags.Tag").objects.create() for _ in range(3)]
    lab.get("old.Thing").objects.create().tags.set(tags[:2])
    stand_in(lab, MOVE)
    thing = lab.get("old.Thing").objects.get()
    thing.tags.set(tags[1:])
    thing.tags.add(tags[0], tags[1])
    assert lab.get("new.Thing").objects.get().tags.count() == 3
    thing.tags.clear()
    assert lab.sql("SELECT * FROM new_thing_tags") == []


@pytest.mark.parametrize("computing", [False, True])
def test_rights_on_the_view_are_those_on_the_table(
    lab: Lab, make_role: Callable[[str], str], *, computing: bool
) -> None:
    reader, clerk, stranger = map(make_role, ("reader", "clerk", "stranger"))
    lab.twins(lambda app: {"name": text(), "code": models.IntegerField(null=True)})
    lab.sql(f'GRANT SELECT (id, name), UPDATE (name) ON old_thing TO "{reader}"')
    lab.sql(f'GRANT SELECT, INSERT, DELETE ON old_thing TO "{clerk}"')
    lab.get("old.Thing").objects.create(name="one")
    lowered = {"fields": {"name": Lower("name")}, "backwards": {"name": "name"}}
    stand_in(lab, Move("old.Thing", "new.Thing", **(lowered if computing else {})))

    def attempt(role: str, statement: str) -> str:
        try:
            with transaction.atomic():
                lab.sql(f'SET LOCAL ROLE "{role}"')
                lab.sql(statement)
        except ProgrammingError as error:
            return str(error.__cause__.sqlstate)
        return "done"

    denied = "42501"
    assert attempt(reader, "SELECT id, name FROM old_thing") == "done"
    assert attempt(reader, "SELECT code FROM old_thing") == denied
    assert attempt(reader, "UPDATE old_thing SET name = 'x' WHERE id = 1") == "done"
    assert attempt(reader, "UPDATE old_thing SET code = 1 WHERE id = 1") == denied
    assert attempt(reader, "DELETE FROM old_thing") == denied
    assert attempt(clerk, "INSERT INTO old_thing (name) VALUES ('two') RETURNING id") == "done"
    assert attempt(clerk, "DELETE FROM old_thing WHERE name = 'two'") == "done"
    assert attempt(clerk, "UPDATE old_thing SET name = 'y'") == denied
    assert attempt(stranger, "SELECT FROM old_thing") == denied


def test_policies_of_the_target_hold_for_readers_of_the_view(plain: Lab, make_role: Callable[[str], str]) -> None:
    reader = make_role("reader")
    plain.sql(f'GRANT SELECT ON old_thing, new_thing TO "{reader}"')
    plain.sql("ALTER TABLE new_thing ENABLE ROW LEVEL SECURITY")
    with transaction.atomic():
        plain.sql(f'SET LOCAL ROLE "{reader}"')
        assert plain.sql("SELECT count(*) FROM old_thing") == [(0,)]
        plain.sql("RESET ROLE")


@pytest.mark.parametrize("kept", ["UNIQUE (place)", "EXCLUDE USING btree (place WITH =)"])
def test_values_that_may_change_places_in_one_statement_do_so_through_a_trigger(lab: Lab, kept: str) -> None:
    lab.twins(lambda app: {"name": text(), "place": models.IntegerField()})
    for table in ("old_thing", "new_thing"):
        lab.sql(f"ALTER TABLE {table} ADD {kept} DEFERRABLE INITIALLY IMMEDIATE")
    lab.sql("INSERT INTO old_thing (name, place) VALUES ('A', 1), ('B', 2)")
    stand_in(lab, Move("old.Thing", "new.Thing", fields={"name": Lower("name")}, backwards={"name": "name"}))

    lab.sql("UPDATE old_thing SET place = 3 - place")

    assert lab.sql("SELECT name, place FROM new_thing ORDER BY id") == [("a", 2), ("b", 1)]
    with pytest.raises(IntegrityError):
        lab.sql("UPDATE old_thing SET place = 1")
