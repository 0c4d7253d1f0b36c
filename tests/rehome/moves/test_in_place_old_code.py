"""Old code goes on through the old name of a table that was moved in place, as if nothing had happened."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, ProgrammingError, models, transaction
from django.db.models import F

from rehome import Move
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Gadget", fields={"title": "name"}, in_place=True)


@pytest.fixture
def things(lab: Lab) -> Lab:
    lab.model("labels.Tag", {"name": models.CharField(max_length=20)})
    for app, model, name in (("old", "Thing", "name"), ("new", "Gadget", "title")):
        lab.model(
            f"{app}.{model}",
            {
                name: models.CharField(max_length=20),
                "code": models.IntegerField(unique=True, null=True),
                "state": models.CharField(max_length=20, db_default="idle" if app == "old" else "ready"),
                "double": models.GeneratedField(
                    expression=F("code") * 2, output_field=models.IntegerField(), db_persist=True
                ),
                "parent": models.ForeignKey("self", models.CASCADE, null=True),
                "tags": models.ManyToManyField("labels.Tag", related_name=f"{app}_things"),
            },
        )
    old = lab.get("old.Thing")
    old.objects.bulk_create([old(name=f"thing {n}", code=n) for n in range(1, 11)])
    lab.get("labels.Tag").objects.bulk_create([lab.get("labels.Tag")(name=name) for name in "abc"])
    return lab


@pytest.fixture(params=["owner", "clerk"])
def moved(request: pytest.FixtureRequest, things: Lab, make_role: Callable[[str], str]) -> Lab:
    """Everything is done by the owner, or by an ordinary role with grants on the old tables alone."""
    role = make_role("clerk")
    things.sql(f'GRANT SELECT, INSERT, UPDATE, DELETE ON old_thing, old_thing_tags TO "{role}"')
    things.sql(f'GRANT SELECT, REFERENCES ON labels_tag TO "{role}"')
    things.forward(MOVE)
    if request.param == "clerk":
        things.sql(f'SET ROLE "{role}"')
    return things


def rows(lab: Lab) -> dict[int, tuple[Any, ...]]:
    """By key, what is in the table."""
    return {key: rest for key, *rest in lab.sql("SELECT id, title, code, state, double, parent_id FROM new_gadget")}


def test_rows_are_born_changed_and_deleted(moved: Lab) -> None:
    old = moved.get("old.Thing")
    born = old.objects.create(name="born", code=50)
    assert (born.pk, born.state, born.double) == (11, "idle", 100)
    born.name = "changed"
    born.save()
    old.objects.filter(pk=born.pk).update(code=F("code") + 1, parent=1)
    assert rows(moved)[11] == ["changed", 51, "idle", 102, 1]
    assert old.objects.get_or_create(code=51)[0].double == 102
    assert old.objects.update_or_create(code=52, defaults={"name": "made"})[1] is True
    assert old.objects.filter(pk__in=[1, 2]).delete() == (3, {"old.Thing": 3})
    assert sorted(rows(moved)) == [*range(3, 11), 12]
    with pytest.raises(IntegrityError), transaction.atomic():
        old.objects.create(name="twice", code=52)


def test_new_code_sees_them_at_once_and_has_its_own_defaults(moved: Lab) -> None:
    old, new = moved.get("old.Thing"), moved.get("new.Gadget")
    born = new.objects.create(title="new", code=60)
    assert (born.pk, born.state) == (11, "ready")
    assert old.objects.values_list("name", "state", "double").get(pk=11) == ("new", "ready", 120)
    assert old.objects.create(name="next").pk == 12
    assert new.objects.count() == old.objects.count() == 12


def test_bulk_operations(moved: Lab) -> None:
    old = moved.get("old.Thing")
    born = old.objects.bulk_create([old(name="bulk", code=code) for code in range(100, 105)])
    assert [thing.pk for thing in born] == [11, 12, 13, 14, 15]
    old.objects.bulk_create([old(name="ignored", code=100), old(name="new", code=99)], ignore_conflicts=True)
    old.objects.bulk_create(
        [old(name="upserted", code=101), old(name="inserted", code=98)],
        update_conflicts=True,
        unique_fields=["code"],
        update_fields=["name"],
    )
    for thing in born[2:]:
        thing.name = "updated"
    assert old.objects.bulk_update(born[2:], ["name"]) == 3
    names = {code: title for title, code, *_ in rows(moved).values() if code > 90}
    assert names == {
        98: "inserted", 99: "new", 100: "bulk", 101: "upserted", 102: "updated", 103: "updated", 104: "updated",
    }  # fmt: skip


def test_locks_of_rows_hold_under_both_names(moved: Lab, another: Callable[[str], Any]) -> None:
    old = moved.get("old.Thing")
    with transaction.atomic():
        assert old.objects.select_for_update().get(pk=1).name == "thing 1"
        assert old.objects.select_for_update(of=("self",), no_key=True).filter(pk__lte=3).count() == 3
        other = another("SELECT 1")
        with other.cursor() as cursor:
            cursor.execute("SELECT id FROM new_gadget ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1")
            assert cursor.fetchall() == [(2,)]


def test_tags_come_and_go(moved: Lab) -> None:
    old = moved.get("old.Thing")
    thing = old.objects.get(pk=1)
    thing.tags.add(1, 2)
    thing.tags.remove(2)
    thing.tags.set([1, 3])
    assert moved.sql("SELECT gadget_id, tag_id FROM new_gadget_tags ORDER BY 2") == [(1, 1), (1, 3)]
    assert list(old.objects.filter(tags__name="c").values_list("pk", flat=True)) == [1]
    thing.delete()
    assert moved.sql("SELECT * FROM new_gadget_tags") == []


def test_what_a_view_cannot_do_is_an_error(things: Lab) -> None:
    things.forward(MOVE)
    for statement, message in (
        ("TRUNCATE old_thing", '"old_thing" is not a table'),
        ("DROP TABLE old_thing", '"old_thing" is not a table'),
        ("ALTER TABLE old_thing ADD COLUMN more integer", "not supported for views"),
        ("CREATE TABLE pointing (thing bigint REFERENCES old_thing)", 'referenced relation "old_thing" is not a table'),
    ):
        with pytest.raises(ProgrammingError, match=message), transaction.atomic():
            things.sql(statement)
    assert things.sql("SELECT pg_get_serial_sequence('old_thing', 'id')") == [(None,)]


def test_a_role_without_rights_gets_none_by_the_view(things: Lab, make_role: Callable[[str], str]) -> None:
    reader, stranger = make_role("reader"), make_role("stranger")
    things.sql(f'GRANT SELECT ON old_thing TO "{reader}"')
    things.forward(MOVE)
    for role, allowed in ((reader, {"SELECT"}), (stranger, set())):
        things.sql(f'SET ROLE "{role}"')
        for word, statement in (
            ("SELECT", "SELECT name FROM old_thing"),
            ("UPDATE", "UPDATE old_thing SET name = ''"),
            ("DELETE", "DELETE FROM old_thing"),
        ):
            if word in allowed:
                assert len(things.sql(statement)) == 10
            else:
                with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
                    things.sql(statement)
        things.sql("RESET ROLE")


def test_a_grant_on_one_column_goes_along(things: Lab, make_role: Callable[[str], str]) -> None:
    clerk = make_role("clerk")
    things.sql(f'GRANT SELECT (id, name), UPDATE (name) ON old_thing TO "{clerk}"')
    things.forward(MOVE)
    things.sql(f'SET ROLE "{clerk}"')
    for name, column in (("old_thing", "name"), ("new_gadget", "title")):
        things.sql(f"UPDATE {name} SET {column} = 'clerk' WHERE id = 1")
        assert things.sql(f"SELECT {column} FROM {name} WHERE id = 1") == [("clerk",)]
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
            things.sql(f"UPDATE {name} SET code = 1")
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
            things.sql(f"SELECT code FROM {name}")


def test_policies_hold_for_who_asks(things: Lab, make_role: Callable[[str], str]) -> None:
    clerk = make_role("clerk")
    things.sql("ALTER TABLE old_thing ENABLE ROW LEVEL SECURITY")
    things.sql("CREATE POLICY low ON old_thing USING (code < 4)")
    things.sql(f'GRANT ALL ON old_thing TO "{clerk}"')
    things.forward(MOVE)
    things.sql(f'SET ROLE "{clerk}"')
    for name in ("old_thing", "new_gadget"):
        assert things.sql(f"SELECT count(*) FROM {name}") == [(3,)]
    with pytest.raises(ProgrammingError, match="violates row-level security policy"), transaction.atomic():
        things.sql("INSERT INTO old_thing (name, code) VALUES ('high', 70)")
    things.sql("RESET ROLE")
    things.back(MOVE)
    assert things.sql("SELECT polname FROM pg_policy WHERE polrelid = 'old_thing'::regclass") == [("low",)]
