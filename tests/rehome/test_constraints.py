"""A foreign key of which the database itself deletes and changes rows, made and removed by migrations."""

from typing import Any

import pytest
from django.db import IntegrityError, models, transaction
from django.db.migrations import AddConstraint, RemoveConstraint
from django.db.migrations.writer import MigrationWriter

from rehome.checkschema.comparing import compare
from rehome.constraints import DatabaseForeignKey
from tests.rehome.checkschema.test_mariadb import Shop, shop  # noqa: F401
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server


def cascade(**options: Any) -> DatabaseForeignKey:
    return DatabaseForeignKey(field="owner", name="thing_owner", on_delete="CASCADE", **options)


def build(lab: Lab, *constraints: models.BaseConstraint) -> None:
    lab.model("old.Owner", {"code": models.CharField(max_length=9, unique=True)})
    owner = models.ForeignKey("old.Owner", models.DO_NOTHING, db_constraint=False)
    lab.model("old.Thing", {"owner": owner}, constraints=list(constraints))


def born_and_orphaned(lab: Lab) -> int:
    """How many things are left when their owner is deleted by somebody else."""
    owner = lab.get("old.Owner").objects.using(lab.alias).create(code="a")
    lab.get("old.Thing").objects.using(lab.alias).create(owner=owner)
    lab.sql("DELETE FROM old_owner")
    return lab.get("old.Thing").objects.using(lab.alias).count()


def changes(lab: Lab) -> list[str]:
    found = compare([lab.get("old.Thing")], lab.state, lab.apps, lab.connection).differences
    return [f"{each.what}: {each.change}" for each in found]


@pytest.mark.parametrize("options", [{}, {"deferrable": None}, {"deferrable": models.Deferrable.IMMEDIATE}])
def test_migrations_add_and_remove_the_constraint(lab: Lab, options: dict[str, Any]) -> None:
    build(lab, cascade(**options))
    assert (born_and_orphaned(lab), changes(lab)) == (0, [])

    lab.apply("old", RemoveConstraint("Thing", "thing_owner"))
    assert (born_and_orphaned(lab), changes(lab)) == (1, [])

    lab.get("old.Thing").objects.all().delete()
    lab.apply("old", AddConstraint("Thing", cascade(**options)))
    assert (born_and_orphaned(lab), changes(lab)) == (0, [])


def test_without_deferrable_orphans_are_refused_at_once(lab: Lab) -> None:
    build(lab, cascade(deferrable=None))
    with pytest.raises(IntegrityError), transaction.atomic():
        lab.sql("INSERT INTO old_thing (owner_id) VALUES (9)")


@pytest.mark.parametrize("options", [{}, {"deferrable": None, "on_update": "CASCADE"}])
def test_what_checkschema_suggests_is_what_is_there(lab: Lab, options: dict[str, Any]) -> None:
    build(lab)
    lab.apply("old", AddConstraint("Thing", cascade(**options)))
    lab.apply_state_only("old", RemoveConstraint("Thing", "thing_owner"))

    (change,) = changes(lab)

    _, _, suggested = change.partition("rehome.constraints" + ".")
    assert eval(suggested) == cascade(**options)  # noqa: S307


def test_migrations_write_it(lab: Lab) -> None:
    written, imports = MigrationWriter.serialize(cascade(on_update="SET NULL", deferrable=None))

    assert imports == {"import rehome.constraints"}
    assert written == (
        "rehome.constraints.DatabaseForeignKey(deferrable=None, field='owner', name='thing_owner', "
        "on_delete='CASCADE', on_update='SET NULL')"
    )
    assert cascade().clone() == cascade()
    assert cascade() != cascade(on_update="CASCADE")


def test_it_is_the_same_on_mariadb(shop: Shop) -> None:  # noqa: F811
    build(shop, cascade())
    assert (born_and_orphaned(shop), changes(shop)) == (0, [])

    shop.apply("old", RemoveConstraint("Thing", "thing_owner"))
    assert (born_and_orphaned(shop), changes(shop)) == (1, [])


def test_an_action_that_django_says_itself_is_compared_too(lab: Lab) -> None:
    """From Django 6.1 on a ForeignKey can have one."""
    on_delete = getattr(models, "DB_CASCADE", models.CASCADE)
    lab.model("old.Owner", {})
    lab.model("old.Thing", {"owner": models.ForeignKey("old.Owner", on_delete)})
    assert changes(lab) == []

    ((name, action),) = lab.sql(
        "SELECT conname, confdeltype::text FROM pg_constraint WHERE conrelid = 'old_thing'::regclass AND contype = 'f'"
    )
    assert action == ("c" if on_delete is not models.CASCADE else "a")
    lab.sql(
        f"ALTER TABLE old_thing DROP CONSTRAINT {name}, ADD CONSTRAINT {name} FOREIGN KEY (owner_id) "
        "REFERENCES old_owner ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED"
    )
    assert len(changes(lab)) == 1
