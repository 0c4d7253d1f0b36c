"""Content types, permissions, grants, the admin log and generic keys: all follow, and old code keeps its own."""

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import models

from rehome import Move
from rehome.errors import MoveFailed, RehomeError
from rehome.moves import runner
from tests.rehome.support.lab import Lab
from tests.rehome.support.people import ACTIONS, Everything, forget, grant, label_of, may, permission, register

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Thing")


@pytest.fixture
def ann(things: Lab) -> User:
    return User.objects.create(username="ann")


@pytest.fixture
def things(lab: Lab) -> Lab:
    lab.twins(lambda app: {"name": models.CharField(max_length=20)})
    lab.get("old.Thing").objects.create(name="lamp")
    return lab


@pytest.fixture
def tags(things: Lab) -> type[models.Model]:
    """A generic tag: one row a tagged object and label."""
    return things.model(
        "tags.Tag",
        {
            "content_type": models.ForeignKey("contenttypes.ContentType", models.CASCADE),
            "object_id": models.PositiveIntegerField(),
            "label": models.CharField(max_length=20),
            "note": models.CharField(max_length=20, default=""),
        },
        unique_together={("content_type", "object_id", "label")},
    )


@pytest.fixture
def guarded(things: Lab) -> type[models.Model]:
    """Permission for one object, as django-guardian keeps it."""
    return things.model(
        "guard.ObjectPermission",
        {
            "permission": models.ForeignKey("auth.Permission", models.CASCADE),
            "content_type": models.ForeignKey("contenttypes.ContentType", models.CASCADE),
            "object_pk": models.CharField(max_length=20),
            "user": models.ForeignKey("auth.User", models.CASCADE),
        },
        unique_together={("user", "permission", "object_pk")},
    )


def log(user: User, content_type: ContentType) -> None:
    LogEntry.objects.create(user=user, content_type=content_type, object_id="1", action_flag=CHANGE)


# ----- there and back


def test_everything_follows_forwards_and_backwards(things: Lab, ann: User, tags: type[models.Model]) -> None:
    content_type = register("old", "thing", "polish")
    grant(ann, "old.change_thing", "old.polish")
    group = Group.objects.create(name="polishers")
    group.permissions.add(permission("old.view_thing"))
    ann.groups.add(group)
    log(ann, content_type)
    tags.objects.create(content_type_id=content_type.pk, object_id=1, label="bright")
    before = Everything.of(things, "tags_tag")
    for _ in range(2):
        things.forward(MOVE)
        assert things.verify(MOVE).ok
        assert label_of(content_type.pk) == "new.thing"
        assert ContentType.objects.get_by_natural_key("new", "thing").pk == content_type.pk
        expected = {f"{app}.{name}" for app in ("old", "new") for name in ("change_thing", "polish", "view_thing")}
        assert may(ann) == expected
        assert LogEntry.objects.get().content_type_id == content_type.pk
        assert set(Permission.objects.filter(content_type__app_label="old").values_list("codename", "name")) == set(
            Permission.objects.filter(content_type__app_label="new").values_list("codename", "name")
        )
        things.back(MOVE)
        assert Everything.of(things, "tags_tag") == before


def test_a_target_row_that_was_made_too_early_is_merged(
    things: Lab, ann: User, tags: type[models.Model], guarded: type[models.Model]
) -> None:
    old, new = register("old", "thing", "polish"), register("new", "thing", "sell")
    bob = User.objects.create(username="bob")
    grant(ann, "old.change_thing", "old.polish")
    grant(bob, "new.view_thing", "new.sell", "old.view_thing")
    for content_type in (old, new):
        log(ann, content_type)
        tags.objects.create(content_type_id=content_type.pk, object_id=1, label="bright")
    tags.objects.create(content_type_id=new.pk, object_id=1, label="cheap")
    for app_label, content_type in (("old", old), ("new", new)):
        guarded.objects.create(
            permission_id=permission(f"{app_label}.view_thing").pk,
            content_type_id=content_type.pk,
            object_pk="1",
            user_id=ann.pk,
        )
    early = permission("new.sell")
    guarded.objects.create(permission_id=early.pk, content_type_id=new.pk, object_pk="2", user_id=bob.pk)

    things.forward(MOVE)
    assert things.verify(MOVE).ok
    assert (label_of(old.pk), label_of(new.pk)) == ("new.thing", "old.thing")
    assert may(ann) == {"old.change_thing", "new.change_thing", "old.polish", "new.polish"}
    assert may(bob) == {"old.view_thing", "new.view_thing", "old.sell", "new.sell"}
    assert list(LogEntry.objects.values_list("content_type", flat=True)) == [old.pk, old.pk]
    assert set(tags.objects.values_list("content_type", "label")) == {(old.pk, "bright"), (old.pk, "cheap")}
    assert list(guarded.objects.order_by("object_pk").values_list("content_type", "permission", "user")) == [
        (old.pk, permission("new.view_thing").pk, ann.pk),
        (old.pk, permission("new.sell").pk, bob.pk),
    ]

    things.back(MOVE)
    assert (label_of(old.pk), label_of(new.pk)) == ("old.thing", "new.thing")
    assert may(ann) == {"old.change_thing", "old.polish"}
    assert may(bob) == {"old.view_thing", "old.sell"}
    assert set(new.permission_set.values_list("codename", flat=True)) == {*(f"{a}_thing" for a in ACTIONS), "sell"}
    assert set(tags.objects.values_list("content_type", flat=True)) == {old.pk}
    before = Everything.of(things, "tags_tag", "guard_objectpermission")
    things.forward(MOVE)
    assert things.verify(MOVE).ok
    things.back(MOVE)
    assert Everything.of(things, "tags_tag", "guard_objectpermission") == before


def test_no_source_row_leaves_the_target_row_alone(things: Lab, ann: User) -> None:
    """As after remove_stale_contenttypes."""
    new = register("new")
    grant(ann, "new.view_thing")
    before = Everything.of(things)
    things.forward(MOVE)
    assert things.verify(MOVE).ok
    assert Everything.of(things) == before
    things.back(MOVE)
    assert label_of(new.pk) == "old.thing"
    assert may(ann) == {"old.view_thing"}


def test_a_fresh_database_gets_its_rows_after_the_move(things: Lab, ann: User, tags: type[models.Model]) -> None:
    things.forward(MOVE)
    old, new = register("old"), register("new")
    grant(ann, "new.view_thing", "old.change_thing")
    tags.objects.create(content_type_id=new.pk, object_id=1, label="bright")
    assert things.verify(MOVE).ok
    things.back(MOVE)
    assert may(ann) == {"old.view_thing", "old.change_thing"}
    assert label_of(tags.objects.get().content_type_id) == "old.thing"
    things.forward(MOVE)
    assert may(ann) == {f"{app}.{name}" for app in ("old", "new") for name in ("view_thing", "change_thing")}
    assert label_of(tags.objects.get().content_type_id) == "new.thing"
    assert {label_of(old.pk), label_of(new.pk)} == {"old.thing", "new.thing"}


def test_neither_row(things: Lab) -> None:
    before = Everything.of(things)
    things.forward(MOVE)
    assert things.verify(MOVE).ok
    things.back(MOVE)
    assert Everything.of(things) == before


def test_the_source_row_is_gone_when_the_move_goes_back(things: Lab, ann: User) -> None:
    content_type = register("old")
    grant(ann, "old.view_thing")
    before = Everything.of(things)
    things.forward(MOVE)
    forget("old")
    assert not things.verify(MOVE).identity_ok
    things.back(MOVE)
    assert Everything.of(things) == before
    assert label_of(content_type.pk) == "old.thing"


# ----- both codes grant and revoke while both live


@pytest.mark.parametrize("holder", ["user", "group"])
def test_grants_and_revokes_of_both_codes_are_merged(things: Lab, holder: str) -> None:
    """A grant stands afterwards unless either code took it away, whoever gave it."""
    register("old")
    histories = {
        "": True,
        "revoke old": False,
        "revoke new": False,
        "revoke old, revoke new": False,
        "revoke new, grant new": True,
        "revoke old, grant old": True,
        "revoke old, revoke new, grant old": True,
        "revoke old, revoke new, grant new": True,
    }
    users, held = {}, {}
    for history in [*histories, "grant old", "grant new", "grant old, grant new"]:
        users[history] = User.objects.create(username=history)
        group = Group.objects.create(name=history)
        users[history].groups.add(group)
        held[history] = users[history].user_permissions if holder == "user" else group.permissions
        grant(users[history], "old.change_thing")
        if history in histories:
            held[history].add(permission("old.view_thing"))
    things.forward(MOVE)
    for history in held:
        for action, app_label in (step.split() for step in history.split(", ") if step):
            change = held[history].add if action == "grant" else held[history].remove
            change(permission(f"{app_label}.view_thing"))
    things.back(MOVE)
    for history, user in users.items():
        stands = histories.get(history, True)
        assert may(user) == {"old.change_thing", *(["old.view_thing"] if stands else [])}, history


def test_permissions_that_either_code_adds_are_kept_with_their_grants(things: Lab, ann: User) -> None:
    register("old")
    things.forward(MOVE)
    for app_label in ("old", "new"):
        content_type = ContentType.objects.get(app_label=app_label)
        Permission.objects.create(content_type=content_type, codename=f"{app_label}_idea", name="An idea")
        grant(ann, f"{app_label}.{app_label}_idea")
    things.back(MOVE)
    assert may(ann) == {"old.old_idea", "old.new_idea"}


def test_generic_rows_that_either_code_adds_are_kept(
    things: Lab, ann: User, tags: type[models.Model], guarded: type[models.Model]
) -> None:
    content_type = register("old")
    things.forward(MOVE)
    for app_label in ("old", "new"):
        label = ContentType.objects.get(app_label=app_label)
        log(ann, label)
        tags.objects.create(content_type_id=label.pk, object_id=1, label="bright")
        tags.objects.create(content_type_id=label.pk, object_id=1, label=app_label)
        allowed = permission(f"{app_label}.view_thing").pk
        guarded.objects.create(permission_id=allowed, content_type_id=label.pk, object_pk="1", user_id=ann.pk)
    things.back(MOVE)
    assert list(LogEntry.objects.values_list("content_type", flat=True)) == [content_type.pk] * 2
    assert sorted(tags.objects.values_list("content_type", "label")) == [
        (content_type.pk, label) for label in ("bright", "new", "old")
    ]
    assert list(guarded.objects.values_list("content_type", "permission")) == [
        (content_type.pk, permission("old.view_thing").pk)
    ]
    assert not ContentType.objects.filter(app_label="new").exists()


def test_generic_rows_that_collide_but_differ_are_refused(things: Lab, tags: type[models.Model]) -> None:
    register("old")
    things.forward(MOVE)
    for app_label in ("old", "new"):
        label = ContentType.objects.get(app_label=app_label)
        tags.objects.create(content_type_id=label.pk, object_id=1, label="bright", note=app_label)
    with pytest.raises(MoveFailed, match=r"label\)=\(\d+, 1, bright\) already exists. The move is live; nothing"):
        things.back(MOVE)
    assert things.verify(MOVE).ok
    tags.objects.filter(note="old").delete()
    things.back(MOVE)


# ----- other models, other tables


def test_a_renamed_model(lab: Lab) -> None:
    lab.model("old.Thing", {"name": models.CharField(max_length=20)}, permissions=[("polish", "May polish")])
    lab.model("new.Gadget", {"name": models.CharField(max_length=20)}, verbose_name="fine gadget")
    move = Move("old.Thing", "new.Gadget")
    content_type = register("old", "thing", "polish", "add_polish")
    ann = User.objects.create(username="ann")
    grant(ann, "old.change_thing", "old.polish", "old.add_polish")
    before = Everything.of(lab)
    for _ in range(2):
        lab.forward(move)
        assert lab.verify(move).ok
        assert label_of(content_type.pk) == "new.gadget"
        assert set(content_type.permission_set.values_list("codename", "name")) == {
            *((f"{action}_gadget", f"Can {action} fine gadget") for action in ACTIONS),
            ("polish", "May polish"),
            ("add_polish", "May add_polish"),
        }
        assert may(ann) == {
            *("old.change_thing", "old.polish", "old.add_polish"),
            *("new.change_gadget", "new.polish", "new.add_polish"),
        }
        lab.back(move)
        assert Everything.of(lab) == before


def test_a_renamed_model_whose_target_row_was_made_too_early(lab: Lab) -> None:
    lab.model("old.Thing", {"name": models.CharField(max_length=20)})
    lab.model("new.Gadget", {"name": models.CharField(max_length=20)})
    move = Move("old.Thing", "new.Gadget")
    old, new = register("old"), register("new", "gadget")
    ann = User.objects.create(username="ann")
    grant(ann, "old.change_thing", "new.view_gadget")
    lab.forward(move)
    assert may(ann) == {"old.change_thing", "new.change_gadget", "old.view_thing", "new.view_gadget"}
    ann.user_permissions.remove(permission("new.change_gadget"))
    lab.back(move)
    assert may(ann) == {"old.view_thing"}
    assert (label_of(old.pk), label_of(new.pk)) == ("old.thing", "new.gadget")


def test_a_table_that_only_looks_like_one_of_grants(things: Lab) -> None:
    """A menu item that asks for a permission is not given twice."""
    register("old")
    item = things.model(
        "menu.Item",
        {"title": models.TextField(), "permission": models.ForeignKey("auth.Permission", models.CASCADE)},
    )
    item.objects.create(title="Things", permission_id=permission("old.view_thing").pk)
    things.forward(MOVE)
    assert list(item.objects.values_list("title", "permission")) == [("Things", permission("new.view_thing").pk)]
    things.back(MOVE)
    assert list(item.objects.values_list("title", "permission")) == [("Things", permission("old.view_thing").pk)]


def test_a_role_of_somebodys_own(things: Lab) -> None:
    register("old")
    role = things.model("roles.Role", {"permissions": models.ManyToManyField("auth.Permission")})
    clerk = role.objects.create()
    clerk.permissions.add(permission("old.view_thing").pk)
    things.forward(MOVE)
    assert set(things.sql("SELECT permission_id FROM roles_role_permissions")) == {
        (permission(f"{app}.view_thing").pk,) for app in ("old", "new")
    }
    things.back(MOVE)
    assert things.sql("SELECT permission_id FROM roles_role_permissions") == [(permission("old.view_thing").pk,)]


def test_the_cache_of_content_types_is_right_after_each_way(things: Lab) -> None:
    content_type = register("old")

    def cached() -> dict[str, str]:
        found = {
            label: ContentType.objects.get_by_natural_key(*label.split(".")) for label in ("old.thing", "new.thing")
        }
        return {label: "kept" if found[label].pk == content_type.pk else "other" for label in found}

    register("new")
    assert cached() == {"old.thing": "kept", "new.thing": "other"}
    things.forward(MOVE)
    assert cached() == {"old.thing": "other", "new.thing": "kept"}
    assert ContentType.objects.get_for_id(content_type.pk).app_label == "new"
    things.back(MOVE)
    assert cached() == {"old.thing": "kept", "new.thing": "other"}


def test_other_models_keep_what_they_have(things: Lab, ann: User) -> None:
    register("old")
    others = [register("old", "otherthing"), register("other", "thing"), register("new", "newthing")]
    for app_label, codename in (("old", "view_otherthing"), ("other", "view_thing"), ("new", "view_newthing")):
        ann.user_permissions.add(Permission.objects.get(content_type__app_label=app_label, codename=codename))
        log(ann, Permission.objects.get(content_type__app_label=app_label, codename=codename).content_type)
    before = Everything.of(things)
    things.forward(MOVE)
    assert [label_of(other.pk) for other in others] == ["old.otherthing", "other.thing", "new.newthing"]
    assert list(LogEntry.objects.order_by("pk").values_list("content_type", flat=True)) == [
        other.pk for other in others
    ]
    assert User.objects.get(pk=ann.pk).get_all_permissions() == {
        "old.view_otherthing", "other.view_thing", "new.view_newthing",
    }  # fmt: skip
    things.back(MOVE)
    assert Everything.of(things) == before


def test_a_model_that_points_at_content_types_itself(lab: Lab) -> None:
    """Its rows are corrected after they have been copied, and in both tables."""
    lab.twins(lambda app: {"about": models.ForeignKey("contenttypes.ContentType", models.CASCADE)})
    old, new = register("old"), register("new")
    other = register("other")
    lab.sql("INSERT INTO old_thing (about_id) VALUES (%s), (%s), (%s)", [old.pk, new.pk, other.pk])
    for _ in range(2):
        lab.forward(MOVE)
        assert lab.verify(MOVE).ok
        assert lab.sql("SELECT about_id FROM new_thing ORDER BY id") == [(old.pk,), (old.pk,), (other.pk,)]
        lab.sql("UPDATE old_thing SET about_id = %s WHERE id = 2", [new.pk])
        lab.back(MOVE)
        assert lab.sql("SELECT about_id FROM old_thing ORDER BY id") == [(old.pk,), (old.pk,), (other.pk,)]
        assert label_of(old.pk) == "old.thing"


def on_both(names: set[str]) -> set[str]:
    """The same permissions under either label."""
    return {f"{app}.{name.partition('.')[2]}" for name in names for app in ("old", "new")}


@pytest.mark.parametrize("way", ["at once", "in place"])
def test_rights_that_are_granted_meanwhile_outlast_each_way(things: Lab, ann: User, way: str) -> None:
    """On either label, before a retirement, during it, and after its undo; the retirement and its undo give them to
    both.
    """
    move = Move("old.Thing", "new.Thing", in_place=way == "in place")
    register("old", "thing", "polish")
    group = Group.objects.create(name="polishers")
    ann.groups.add(group)
    group.permissions.add(permission("old.polish"))
    things.forward(move)
    grant(ann, "old.add_thing", "new.delete_thing")
    expected = {"old.polish", "new.polish", "old.add_thing", "new.delete_thing"}
    if way == "at once":
        things.retire(move)
        assert may(ann) == (expected := on_both(expected))
        group.permissions.add(permission("new.view_thing"), permission("old.change_thing"))
        group.permissions.remove(permission("new.polish"))
        expected |= {"new.view_thing", "old.change_thing"}
        expected -= {"new.polish"}
        assert may(ann) == expected
        things.unretire(move)
        expected = on_both(expected) - {"old.polish", "new.polish"}
    assert may(ann) == expected
    kept = {f"old.{codename.partition('.')[2]}" for codename in expected}
    things.back(move)
    assert may(ann) == kept
    things.forward(move)
    assert may(ann) == kept | {f"new.{codename.partition('.')[2]}" for codename in kept}


@pytest.mark.parametrize("made", ["nothing", "the label", "the label and its permissions"])
def test_a_label_that_was_removed_has_revoked_nothing(things: Lab, ann: User, made: str) -> None:
    """As `remove_stale_contenttypes` of a release without rehome removes it, and old code makes it again."""
    register("old", "thing", "polish")
    grant(ann, "old.change_thing", "old.polish")
    things.forward(MOVE)
    expected = on_both({"old.change_thing", "old.polish"})
    for _ in range(2):
        forget("old")
        if made == "the label":
            ContentType.objects.create(app_label="old", model="thing")
        elif made != "nothing":
            register("old")
        runner.repair(MOVE, things.apps, things.connection)
        assert may(ann) == expected
        assert things.verify(MOVE).ok
    ann.user_permissions.remove(permission("old.polish"))
    runner.repair(MOVE, things.apps, things.connection)
    assert may(ann) == on_both({"old.change_thing"})


@pytest.mark.parametrize("app_label", ["old", "new"])
def test_no_label_of_a_move_that_stands_is_deleted(things: Lab, ann: User, app_label: str) -> None:
    other = ContentType.objects.create(app_label="old", model="other")
    register("old")
    grant(ann, "old.view_thing")
    things.forward(MOVE)
    before = Everything.of(things)
    with pytest.raises(RehomeError, match=f"The content type {app_label}.thing is not deleted: .* is 'live'"):
        ContentType.objects.get(app_label=app_label, model="thing").delete()
    assert Everything.of(things) == before
    other.delete()
    things.back(MOVE)
    ContentType.objects.get(app_label="old", model="thing").delete()


def test_what_points_at_a_row_that_was_there_twice_points_at_the_other(things: Lab, tags: type[models.Model]) -> None:
    """A key that the database follows by itself would delete it with the row."""
    register("old")
    things.sql("CREATE TABLE tags_comment (tag_id bigint REFERENCES tags_tag ON DELETE CASCADE, text text)")
    things.forward(MOVE)
    for app in ("old", "new"):
        tags.objects.create(content_type_id=id_of(app), object_id=1, label="red")
    things.sql("INSERT INTO tags_comment SELECT id, object_id || 'st of ' || content_type_id FROM tags_tag")

    things.back(MOVE)

    (tag,) = tags.objects.all()
    assert things.sql("SELECT tag_id FROM tags_comment") == [(tag.pk,), (tag.pk,)]


def test_rows_that_do_not_collide_are_kept(things: Lab) -> None:
    """Whose other columns are the primary key, or null where they would have to be unique."""
    register("old")
    things.sql(
        "CREATE TABLE tags_mark (type int REFERENCES django_content_type, object int, PRIMARY KEY (type, object))"
    )
    things.sql("CREATE TABLE tags_event (id serial PRIMARY KEY, type int REFERENCES django_content_type, slot int)")
    things.sql("CREATE UNIQUE INDEX ON tags_event (type, slot)")
    things.forward(MOVE)
    old, new = id_of("old"), id_of("new")
    things.sql("INSERT INTO tags_mark VALUES (%s, 1), (%s, 2)", [old, new])
    things.sql("INSERT INTO tags_event (type) VALUES (%s), (%s)", [old, new])

    things.back(MOVE)

    assert things.sql("SELECT * FROM tags_mark ORDER BY object") == [(id_of("old"), 1), (id_of("old"), 2)]
    assert things.sql("SELECT type FROM tags_event") == [(id_of("old"),)] * 2


def test_a_key_without_a_constraint_follows(things: Lab) -> None:
    register("old")
    content_type = models.ForeignKey("contenttypes.ContentType", models.CASCADE, db_constraint=False)
    notes = things.model("tags.Note", {"content_type": content_type, "object_id": models.IntegerField()})
    things.forward(MOVE)
    for app in ("old", "new"):
        notes.objects.create(content_type_id=id_of(app), object_id=1)

    things.back(MOVE)

    assert {note.content_type_id for note in notes.objects.all()} == {id_of("old")}


def id_of(app: str) -> int:
    return ContentType.objects.get(app_label=app, model="thing").pk


@pytest.mark.parametrize("ids", ["new ids", "ids of others"])
@pytest.mark.parametrize("identity", ["move", "retire"])
def test_labels_that_were_made_anew_are_those_of_the_move(things: Lab, ann: User, identity: str, ids: str) -> None:
    """As `flush` makes them; a sequence that begins anew gives the old ids to others."""
    move = Move("old.Thing", "new.Thing", identity=identity)
    register("old")
    things.forward(move)
    lost, leads = things.find_runs()[-1].kept["content_type"], "old" if identity == "retire" else "new"
    forget("old")
    forget("new")
    if ids == "ids of others":
        ContentType.objects.create(pk=lost, app_label="rest", model="tag")
    assert not things.verify(move).identity_ok
    register(leads)
    grant(ann, f"{leads}.add_thing")

    things.forward(move)

    assert things.verify(move).identity_ok
    assert may(ann) == {"old.add_thing", "new.add_thing"}
    things.retire(move)
    assert things.verify(move).identity_ok
    things.back(move)
    assert may(ann) == {"old.add_thing"}
