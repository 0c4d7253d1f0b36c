"""Foreign keys, many-to-many tables and inheritance: every row keeps pointing where it pointed."""

from collections.abc import Callable
from typing import Any

import django
import pytest
from django.db import IntegrityError, models, transaction
from django.db.migrations import AddField, CreateModel

from rehome import Move
from rehome.errors import Refused
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Thing")
Refusal = Callable[..., str]


def named(**fields: models.Field) -> dict[str, models.Field]:
    return {"name": models.CharField(max_length=20, unique=True), **fields}


def child(lab: Lab, label: str, parent: str, fields: dict[str, models.Field], **options: Any) -> None:
    app_label, name = label.split(".")
    lab.apply(app_label, CreateModel(name, list(fields.items()), options=options, bases=(parent,)))


def links(lab: Lab, label: str, field: str) -> dict[str, Any]:
    """By name of the row, the name of the row that it points at."""
    return dict(lab.get(label).objects.values_list("name", f"{field}__name"))


def labels(lab: Lab, label: str, field: str) -> set[tuple[str, str]]:
    """Pairs of names of a many-to-many relation."""
    model = lab.get(label)
    return {pair for pair in model.objects.values_list("name", f"{field}__name") if pair[1] is not None}


def through_rows(lab: Lab, label: str, field: str) -> list[tuple[int, int, int]]:
    """(id, from, to), in the order of the columns that Django gave the table."""
    relation = lab.get(label)._meta.get_field(field)
    through = relation.remote_field.through
    return list(
        through.objects.order_by("pk").values_list("pk", relation.m2m_column_name(), relation.m2m_reverse_name())
    )


# ----- foreign keys


@pytest.mark.parametrize("null", [True, False])
def test_rows_that_point_at_rows_of_their_own_table(lab: Lab, null: bool) -> None:
    """In a circle, at themselves, and at rows that come later."""
    lab.twins(lambda app: named(parent=models.ForeignKey(f"{app}.Thing", models.CASCADE, null=null)))
    old, new = lab.get("old.Thing"), lab.get("new.Thing")
    with transaction.atomic():
        old.objects.create(pk=1, name="a", parent_id=2)
        old.objects.create(pk=2, name="b", parent_id=3)
        old.objects.create(pk=3, name="c", parent_id=1)
        old.objects.create(pk=4, name="self", parent_id=4)
    lab.sql("SELECT setval('old_thing_id_seq', 4)")
    lab.forward(MOVE)
    expected = {"a": "b", "b": "c", "c": "a", "self": "self"}
    assert links(lab, "new.Thing", "parent") == expected

    with transaction.atomic():
        new.objects.create(pk=10, name="x", parent_id=11)
        new.objects.create(pk=11, name="y", parent_id=10)
    old.objects.create(name="z", parent_id=10)
    new.objects.filter(name="c").update(parent_id=3)
    with pytest.raises(IntegrityError):
        new.objects.create(name="orphan", parent_id=99)
    expected |= {"x": "y", "y": "x", "z": "x", "c": "c"}
    assert links(lab, "old.Thing", "parent") == links(lab, "new.Thing", "parent") == expected

    # Django's cascade deletes through one side, in as many statements as it needs.
    new.objects.get(name="x").delete()
    assert set(links(lab, "old.Thing", "parent")) == set(links(lab, "new.Thing", "parent")) == {"a", "b", "c", "self"}
    assert lab.verify(MOVE).ok
    lab.back(MOVE)
    assert links(lab, "old.Thing", "parent") == {"a": "b", "b": "c", "c": "c", "self": "self"}
    lab.forward(MOVE)
    assert lab.verify(MOVE).ok


def test_a_foreign_key_to_a_model_that_has_not_moved_is_refused_until_it_has(lab: Lab, refused: Refusal) -> None:
    lab.twins(lambda app: named(), name="Owner")
    lab.twins(lambda app: named(owner=models.ForeignKey(f"{app}.Owner", models.CASCADE)))
    owner = lab.get("old.Owner").objects.create(name="o")
    lab.get("old.Thing").objects.create(name="a", owner_id=owner.pk)
    message = refused(MOVE)
    assert "new.Thing.owner points at new.Owner, but the rows of old.Owner have not been moved there." in message
    lab.forward(Move("old.Owner", "new.Owner"))
    lab.forward(MOVE)
    # Both apps write whole families while both live.
    for app, name in (("new", "n"), ("old", "m")):
        born = lab.get(f"{app}.Owner").objects.create(name=name)
        lab.get(f"{app}.Thing").objects.create(name=name, owner_id=born.pk)
    lab.get("old.Owner").objects.get(name="n").delete()
    assert links(lab, "old.Thing", "owner") == links(lab, "new.Thing", "owner") == {"a": "o", "m": "m"}
    # What still points at the owners' new table holds them there.
    with pytest.raises(Refused, match="new_thing.owner_id still points at rows"):
        lab.back(Move("old.Owner", "new.Owner"))
    lab.back(MOVE)
    lab.back(Move("old.Owner", "new.Owner"))
    assert links(lab, "old.Thing", "owner") == {"a": "o", "m": "m"}


@pytest.mark.parametrize("options", [{"to_field": "name"}, {"db_constraint": False}, {"db_column": "Ωner"}])
def test_foreign_keys_of_other_kinds(lab: Lab, options: dict[str, Any]) -> None:
    lab.model("core.Owner", named())
    lab.twins(
        lambda app: named(owner=models.ForeignKey("core.Owner", models.CASCADE, related_name=f"{app}+", **options))
    )
    owner, old, new = lab.get("core.Owner"), lab.get("old.Thing"), lab.get("new.Thing")
    first, second = owner.objects.create(name="o"), owner.objects.create(name="p")
    old.objects.create(name="a", owner=first)
    if not options.get("db_constraint", True):
        old.objects.create(name="stray", owner_id=99)
    lab.forward(MOVE)
    new.objects.create(name="b", owner=second)
    new.objects.filter(name="a").update(owner=second)
    old.objects.create(name="c", owner=first)
    assert links(lab, "old.Thing", "owner") == links(lab, "new.Thing", "owner") == {"a": "p", "b": "p", "c": "o"}
    assert old.objects.count() == new.objects.count() == (3 if options.get("db_constraint", True) else 4)
    assert lab.verify(MOVE).ok
    lab.back(MOVE)
    assert links(lab, "old.Thing", "owner") == {"a": "p", "b": "p", "c": "o"}


@pytest.mark.parametrize("side", ["old", "new"])
def test_a_foreign_key_on_one_side_and_a_number_on_the_other(lab: Lab, side: str) -> None:
    lab.model("core.Owner", named())
    lab.twins(
        lambda app: named(
            owner=models.ForeignKey("core.Owner", models.CASCADE, null=True, related_name=f"{app}+")
            if app == side
            else models.BigIntegerField(null=True, db_column="owner_number")
        )
    )
    first = lab.get("core.Owner").objects.create(name="o")
    column = {side: "owner_id", ({"old", "new"} - {side}).pop(): "owner"}
    lab.get("old.Thing").objects.create(name="a", **{column["old"]: first.pk})
    lab.forward(MOVE)
    lab.get("new.Thing").objects.create(name="b", **{column["new"]: first.pk})
    with pytest.raises(IntegrityError):
        lab.get("new.Thing").objects.create(name="c", **{column["new"]: 99})
    for app in ("old", "new"):
        assert set(lab.get(f"{app}.Thing").objects.values_list("name", column[app])) == {
            ("a", first.pk),
            ("b", first.pk),
        }
    assert lab.verify(MOVE).ok
    lab.back(MOVE)
    assert lab.get("old.Thing").objects.count() == 2


# ----- many to many


def test_many_to_many_rows_move_with_their_ids_and_are_written_on_both_sides(lab: Lab) -> None:
    lab.model("core.Tag", named())
    lab.twins(lambda app: named(tags=models.ManyToManyField("core.Tag", related_name=f"{app}+")))
    old, new = lab.get("old.Thing"), lab.get("new.Thing")
    red, blue, green = (lab.get("core.Tag").objects.create(name=name) for name in ("red", "blue", "green"))
    a, b = old.objects.create(name="a"), old.objects.create(name="b")
    a.tags.set([red, blue])
    b.tags.set([blue])
    a.tags.remove(red)
    rows = through_rows(lab, "old.Thing", "tags")
    assert [pk for pk, *_ in rows] != [1, 2]
    for _ in range(2):
        lab.forward(MOVE)
        assert through_rows(lab, "new.Thing", "tags") == rows
        assert lab.sql("SELECT last_value FROM new_thing_tags_id_seq") == [(rows[-1][0],)]

        new.objects.get(name="a").tags.add(green)
        old.objects.get(name="b").tags.add(red, green)
        old.objects.get(name="b").tags.remove(blue)
        new.objects.get(name="a").tags.remove(blue)
        born = new.objects.create(name="c")
        born.tags.set([red])
        expected = {("a", "green"), ("b", "red"), ("b", "green"), ("c", "red")}
        assert labels(lab, "old.Thing", "tags") == labels(lab, "new.Thing", "tags") == expected
        rows = through_rows(lab, "new.Thing", "tags")
        assert through_rows(lab, "old.Thing", "tags") == rows
        assert lab.verify(MOVE).ok
        lab.back(MOVE)
        assert through_rows(lab, "old.Thing", "tags") == rows
        assert through_rows(lab, "new.Thing", "tags") == []
        old.objects.get(name="c").tags.clear()
        old.objects.get(name="c").delete()
        a.tags.set([blue])
        b.tags.set([blue])
        rows = through_rows(lab, "old.Thing", "tags")


def test_many_to_many_tables_from_before_the_keys_were_wide(lab: Lab) -> None:
    """Django never alters the key of a table that it made by itself, whatever DEFAULT_AUTO_FIELD says since."""
    lab.model("core.Tag", named())
    lab.twins(lambda app: named(tags=models.ManyToManyField("core.Tag", related_name=f"{app}+")))
    lab.sql("ALTER TABLE old_thing_tags ALTER id TYPE integer")
    lab.sql("ALTER SEQUENCE old_thing_tags_id_seq AS integer")
    lab.get("old.Thing").objects.create(name="a").tags.add(lab.get("core.Tag").objects.create(name="red"))
    lab.forward(MOVE)
    lab.get("new.Thing").objects.get(name="a").tags.add(lab.get("core.Tag").objects.create(name="blue"))
    assert lab.verify(MOVE).ok
    lab.back(MOVE)
    assert labels(lab, "old.Thing", "tags") == {("a", "red"), ("a", "blue")}
    assert lab.sql(
        "SELECT seqtypid::regtype::text FROM pg_sequence WHERE seqrelid = 'old_thing_tags_id_seq'::regclass"
    ) == [("integer",)]


def test_a_difference_in_a_many_to_many_table_is_found(lab: Lab) -> None:
    lab.model("core.Tag", named())
    lab.twins(lambda app: named(tags=models.ManyToManyField("core.Tag", related_name=f"{app}+")))
    tag = lab.get("core.Tag").objects.create(name="red")
    lab.get("old.Thing").objects.create(name="a").tags.add(tag)
    lab.forward(MOVE)
    lab.sql("ALTER TABLE new_thing_tags DISABLE TRIGGER USER")
    lab.sql("DELETE FROM new_thing_tags")
    report = lab.verify(MOVE)
    assert not report.ok
    assert [(d.table, d.kind) for d in report.comparison.differences] == [("public.new_thing_tags", "missing")]
    lab.back(MOVE)
    assert through_rows(lab, "old.Thing", "tags") == []


def test_a_renamed_model_with_renamed_relations(lab: Lab) -> None:
    """The columns of a many-to-many table are named after the models, and so have other names in the target."""
    lab.model("core.Tag", named())
    lab.model(
        "old.Thing",
        named(
            tags=models.ManyToManyField("core.Tag", related_name="+"),
            friends=models.ManyToManyField("old.Thing"),
            follows=models.ManyToManyField("old.Thing", related_name="followers"),
        ),
    )
    lab.model(
        "new.Gadget",
        named(
            labels=models.ManyToManyField("core.Tag", related_name="+", db_table="Läbels"),
            friends=models.ManyToManyField("new.Gadget"),
            follows=models.ManyToManyField("new.Gadget", related_name="followers"),
        ),
    )
    move = Move("old.Thing", "new.Gadget", fields={"labels": "tags"})
    old, new = lab.get("old.Thing"), lab.get("new.Gadget")
    red = lab.get("core.Tag").objects.create(name="red")
    a = old.objects.create(name="a")
    old.objects.create(name="b")
    a.tags.add(red)
    lab.sql("INSERT INTO old_thing_friends (from_thing_id, to_thing_id) VALUES (1, 2), (2, 1), (1, 1)")
    lab.sql("INSERT INTO old_thing_follows (from_thing_id, to_thing_id) VALUES (2, 1)")
    lab.forward(move)
    assert labels(lab, "new.Gadget", "labels") == {("a", "red")}
    lab.sql("INSERT INTO new_gadget_follows (from_gadget_id, to_gadget_id) VALUES (1, 2)")
    lab.sql("DELETE FROM new_gadget_friends WHERE from_gadget_id = to_gadget_id")
    new.objects.get(name="b").labels.add(red)
    lab.sql("DELETE FROM old_thing_tags WHERE thing_id = %s", [a.pk])
    for field in ("friends", "follows"):
        assert through_rows(lab, "new.Gadget", field) == through_rows(lab, "old.Thing", field)
    assert [row[1:] for row in through_rows(lab, "old.Thing", "friends")] == [(1, 2), (2, 1)]
    assert [row[1:] for row in through_rows(lab, "old.Thing", "follows")] == [(2, 1), (1, 2)]
    assert labels(lab, "old.Thing", "tags") == labels(lab, "new.Gadget", "labels") == {("b", "red")}
    assert lab.verify(move).ok
    lab.back(move)
    assert labels(lab, "old.Thing", "tags") == {("b", "red")}
    assert [row[1:] for row in through_rows(lab, "old.Thing", "follows")] == [(2, 1), (1, 2)]


def test_a_many_to_many_field_between_two_models_that_both_move(lab: Lab, refused: Refusal) -> None:
    lab.twins(lambda app: named(), name="Tag")
    lab.twins(lambda app: named(tags=models.ManyToManyField(f"{app}.Tag")))
    thing = lab.get("old.Thing").objects.create(name="a")
    thing.tags.add(lab.get("old.Tag").objects.create(name="red"))
    assert "new.Thing.tags points at new.Tag, but the rows of old.Tag" in refused(MOVE)
    tags = Move("old.Tag", "new.Tag")
    lab.forward(tags)
    lab.forward(MOVE)
    lab.get("new.Thing").objects.get(name="a").tags.add(lab.get("new.Tag").objects.create(name="blue"))
    assert labels(lab, "old.Thing", "tags") == {("a", "red"), ("a", "blue")}
    lab.get("old.Tag").objects.get(name="red").delete()
    assert labels(lab, "new.Thing", "tags") == {("a", "blue")}
    lab.back(MOVE)
    lab.back(tags)
    assert labels(lab, "old.Thing", "tags") == {("a", "blue")}


def test_a_many_to_many_field_without_a_counterpart_is_refused_or_discarded(lab: Lab, refused: Refusal) -> None:
    lab.model("core.Tag", named())
    lab.model("old.Thing", named(tags=models.ManyToManyField("core.Tag", related_name="+")))
    lab.model("new.Thing", named(colours=models.ManyToManyField("core.Tag", related_name="+")))
    message = refused(MOVE)
    assert "new.Thing has no many-to-many field for old.Thing.tags." in message
    tag = lab.get("core.Tag").objects.create(name="red")
    lab.get("old.Thing").objects.create(name="a").tags.add(tag)
    move = Move("old.Thing", "new.Thing", discard=["tags"])
    lab.forward(move)
    assert labels(lab, "new.Thing", "colours") == set()
    assert labels(lab, "old.Thing", "tags") == {("a", "red")}
    lab.back(move)
    assert labels(lab, "old.Thing", "tags") == {("a", "red")}


def test_an_explicit_through_model_is_a_move_of_its_own(lab: Lab) -> None:
    lab.model("core.Tag", named())
    for app in ("old", "new"):
        lab.model(f"{app}.Thing", named())
        lab.model(
            f"{app}.Label",
            {
                "thing": models.ForeignKey(f"{app}.Thing", models.CASCADE),
                "tag": models.ForeignKey("core.Tag", models.CASCADE, related_name=f"{app}+"),
                "since": models.IntegerField(default=1),
            },
        )
        tags = models.ManyToManyField("core.Tag", through=f"{app}.Label", related_name=f"{app}+")
        lab.apply(app, AddField("Thing", "tags", tags))
    label_move = Move("old.Label", "new.Label")
    red = lab.get("core.Tag").objects.create(name="red")
    thing = lab.get("old.Thing").objects.create(name="a")
    lab.get("old.Label").objects.create(thing_id=thing.pk, tag_id=red.pk, since=5)
    lab.forward(MOVE)
    lab.forward(label_move)
    assert labels(lab, "new.Thing", "tags") == {("a", "red")}
    born = lab.get("new.Thing").objects.create(name="b")
    lab.get("new.Label").objects.create(thing_id=born.pk, tag_id=red.pk)
    lab.get("old.Label").objects.update(since=6)
    assert set(lab.get("new.Label").objects.values_list("since", flat=True)) == {6}
    assert lab.verify(MOVE).ok
    assert lab.verify(label_move).ok
    lab.back(label_move)
    lab.back(MOVE)
    assert labels(lab, "old.Thing", "tags") == {("a", "red"), ("b", "red")}


# ----- inheritance


def test_a_child_of_multi_table_inheritance_follows_its_parent(lab: Lab) -> None:
    for app in ("old", "new"):
        lab.model(f"{app}.Thing", named())
        child(lab, f"{app}.Lamp", f"{app}.Thing", {"watts": models.IntegerField()})
    lamps = Move("old.Lamp", "new.Lamp")
    old, new = lab.get("old.Lamp"), lab.get("new.Lamp")
    lab.get("old.Thing").objects.create(name="no lamp")
    old.objects.create(name="a", watts=5)
    lab.forward(MOVE)
    lab.forward(lamps)
    new.objects.create(name="b", watts=7)
    old.objects.create(name="c", watts=9)
    new.objects.filter(name="a").update(name="A", watts=6)
    old.objects.get(name="c").delete()
    for model in (old, new):
        assert list(model.objects.order_by("pk").values_list("pk", "name", "watts")) == [(2, "A", 6), (3, "b", 7)]
    assert lab.verify(MOVE).ok
    assert lab.verify(lamps).ok
    lab.back(lamps)
    lab.back(MOVE)
    assert list(old.objects.order_by("pk").values_list("name", "watts")) == [("A", 6), ("b", 7)]
    assert lab.get("old.Thing").objects.count() == 3


def test_a_proxy_is_refused(lab: Lab, refused: Refusal) -> None:
    lab.twins(lambda app: named())
    for app in ("old", "new"):
        child(lab, f"{app}.Stand", f"{app}.Thing", {}, proxy=True)
    for move in (Move("old.Stand", "new.Stand"), Move("old.Thing", "new.Stand"), Move("old.Stand", "new.Thing")):
        message = refused(move)
        assert "Stand is a proxy and has no rows of its own. Move " in message


# ----- what the database does by itself, from Django 6.1 on

if django.VERSION >= (6, 1):

    @pytest.mark.parametrize("on_delete", ["DB_CASCADE", "DB_SET_NULL"])
    def test_deletions_by_the_database_itself_reach_both_sides(lab: Lab, on_delete: str) -> None:
        action = getattr(models, on_delete)
        lab.model("core.Owner", named())
        lab.twins(
            lambda app: named(
                owner=models.ForeignKey("core.Owner", action, null=True, related_name=f"{app}+"),
                parent=models.ForeignKey(f"{app}.Thing", action, null=True),
            )
        )
        old, new = lab.get("old.Thing"), lab.get("new.Thing")
        owners = [lab.get("core.Owner").objects.create(name=str(n)) for n in range(2)]
        for name, owner in (("a", owners[0]), ("b", owners[1]), ("c", None)):
            old.objects.create(name=name, owner=owner)
        old.objects.filter(name="c").update(parent=old.objects.get(name="a"))
        before = lab.sql("SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' ORDER BY 1")
        lab.forward(MOVE)
        assert before == lab.sql(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' ORDER BY 1"
        )
        new.objects.create(name="d", parent=new.objects.get(name="c"))
        lab.sql("DELETE FROM core_owner WHERE id = %s", [owners[0].pk])
        lab.sql("DELETE FROM new_thing WHERE name = 'b'")
        expected = {} if on_delete == "DB_CASCADE" else {"a": None, "c": "a", "d": "c"}
        assert links(lab, "old.Thing", "parent") == links(lab, "new.Thing", "parent") == expected
        assert lab.verify(MOVE).ok
        lab.back(MOVE)
        assert links(lab, "old.Thing", "parent") == expected


# ----- a project with less


def test_a_project_without_content_types_and_permissions(lab: Lab) -> None:
    """In a schema where only the two tables are; the ledger joins them there."""
    lab.sql("CREATE SCHEMA bare")
    lab.sql("SET search_path = bare")
    try:
        lab.twins(lambda app: named())
        lab.get("old.Thing").objects.create(name="a")
        lab.forward(MOVE)
        lab.get("new.Thing").objects.create(name="b")
        assert lab.verify(MOVE).ok
        lab.back(MOVE)
        assert list(lab.get("old.Thing").objects.values_list("name", flat=True)) == ["a", "b"]
        assert lab.sql("SELECT schemaname, phase FROM pg_tables, rehome_moverun WHERE tablename = 'rehome_moverun'")
    finally:
        lab.sql("RESET search_path")
        lab.sql("DROP SCHEMA bare CASCADE")
