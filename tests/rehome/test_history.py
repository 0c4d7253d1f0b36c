"""docs/guide/triggers.md, with django-pghistory and django-pgtrigger themselves, from one app to another."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import DatabaseError
from pytest_django import DjangoDbBlocker

from tests.farm.databases import WORKER, connected_to, database
from tests.farm.farm import sql
from tests.rehome.support.disk import Project

SETTINGS = """
INSTALLED_APPS[:0] = ["pgtrigger", "pghistory"]
"""
MODELS = """
import pghistory, pgtrigger
from django.contrib.postgres.search import SearchVectorField
from django.db import models

KINDS = (pghistory.InsertEvent, pghistory.UpdateEvent, pghistory.DeleteEvent)

@pghistory.track(*(kind(level=pgtrigger.LEVEL) for kind in KINDS), exclude=["search"])
class Person(models.Model):
    name = models.TextField()
    email = models.TextField(default="")
    active = models.BooleanField(default=True)
    search = SearchVectorField(null=True)

    class Meta:
        triggers = [
            pgtrigger.UpdateSearchVector(name="search", vector_field="search", document_fields=["name"]),
            pgtrigger.SoftDelete(name="keep", field="active", condition=pgtrigger.Q(old__email="keep")),
            pgtrigger.Trigger(
                name="lower", when=pgtrigger.Before, operation=pgtrigger.Insert | pgtrigger.Update,
                func="NEW.email := lower(NEW.email); RETURN NEW;",
            ),
            pgtrigger.Protect(name="guard", operation=pgtrigger.Delete, condition=pgtrigger.Q(old__email="guard")),
        ]
"""
MIGRATION = """
from django.db import migrations
from rehome import Move

person = Move("old.Person", "new.Person")
event = Move("old.PersonEvent", "new.PersonEvent")

class Migration(migrations.Migration):
    atomic = False
    dependencies = [("new", "0001_initial"), ("old", "0001_initial")]
    operations = [
        migrations.RunPython(person.forwards, person.backwards), migrations.RunPython(event.forwards, event.backwards)
    ]
"""
EVENTS = "SELECT pgh_label, name, email FROM {}_personevent WHERE pgh_id > %s ORDER BY pgh_id"
WRITES = (
    "INSERT INTO {} (name, email, active) VALUES ('Bob', 'B@X', true), ('Cleo', 'KEEP', true)",
    "UPDATE {} SET name = 'Bea' WHERE name = 'Bob'",
    "UPDATE {} SET email = 'BEA' WHERE name = 'Bea'",
    "DELETE FROM {} WHERE name IN ('Bea', 'Cleo')",
)
RECORDED = [
    ("delete", "Bea", "bea"),
    ("insert", "Bob", "b@x"),
    ("insert", "Cleo", "keep"),
    ("update", "Bea", "b@x"),
    ("update", "Bea", "bea"),
    ("update", "Cleo", "keep"),
]


@pytest.fixture(params=["Row", pytest.param("Statement", marks=pytest.mark.long)])
def project(
    request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path: Path
) -> Iterator[Project]:
    """Two apps with the same model, of which the first has rows."""
    with django_db_blocker.unblock(), database(f"test_history_{WORKER}") as name, connected_to(name):
        made = Project(tmp_path, name, ("old", "new"), SETTINGS)
        models = MODELS.replace("LEVEL", request.param)
        made.build({"old/models.py": models})
        made.run("makemigrations old", "migrate")
        sql("INSERT INTO old_person (name, email, active) VALUES ('Ada', 'Ada@X', true)")
        made.write("new/models.py", models)
        made.run("makemigrations new")
        made.write("new/migrations/0002_move.py", MIGRATION)
        yield made


def recorded(table: str, events: str) -> list[tuple[str, ...]]:
    """What the history has of one write after the other."""
    (last,) = sql(f"SELECT coalesce(max(pgh_id), 0) FROM {events}_personevent")[0]
    for write in WRITES:
        sql(write.format(table))
    assert sql(f"SELECT email, active, search::text FROM {table} WHERE name = 'Cleo'") == [("keep", False, "'cleo':1")]
    sql(f"UPDATE {table} SET email = '' WHERE name = 'Cleo'")
    sql(f"DELETE FROM {table} WHERE name = 'Cleo'")
    sql(f"INSERT INTO {table} (name, email, active) VALUES ('Dan', 'guard', true)")
    with pytest.raises(DatabaseError, match="Cannot delete rows"):
        sql(f"DELETE FROM {table} WHERE name = 'Dan'")
    sql(f"UPDATE {table} SET name = 'Dan', email = '' WHERE name = 'Dan'")
    found = [event for event in sql(EVENTS.format(events), [last]) if event[1] != "Dan"]
    assert found[-2:] == [("update", "Cleo", ""), ("delete", "Cleo", "")]
    return sorted(found[:-2])


@pytest.mark.long
def test_each_write_is_in_the_history_once(project: Project) -> None:
    project.run("migrate")
    assert sql("SELECT count(*) FROM new_personevent") == [(1,)]
    for table in ("old_person", "new_person"):
        for events in ("old", "new"):
            assert recorded(table, events) == RECORDED
    project.run("verifymoves")
    # As a migration does that creates one while both tables live.
    sql("ALTER TABLE new_person ENABLE TRIGGER USER")
    project.run("verifymoves", code=1)
    project.run("migrate", "verifymoves")

    project.run("retiremoves --noinput")
    for table in ("old_person", "new_person"):
        for events in ("old", "new"):
            assert recorded(table, events) == RECORDED
    project.run("verifymoves")

    project.run("retiremoves --undo --noinput", "verifymoves")
    for table in ("old_person", "new_person"):
        assert recorded(table, "new") == RECORDED

    project.run("migrate new 0001")
    assert recorded("old_person", "old") == RECORDED
    assert sql("SELECT count(*) FROM new_person") == [(0,)]


@pytest.mark.long
def test_in_place_the_table_has_the_new_apps_triggers(project: Project) -> None:
    """Those of the old app are disabled meanwhile, and the history goes on in the new app's table."""
    in_place = MIGRATION.replace('Person")', 'Person", in_place=True)').replace(
        ", migrations.RunPython(event.forwards, event.backwards)", ""
    )
    project.write("new/migrations/0002_move.py", in_place)
    project.run("migrate")
    for table in ("old_person", "new_person"):
        assert recorded(table, "new") == RECORDED
    project.run("verifymoves")
    own = "SELECT tgenabled FROM pg_trigger WHERE tgrelid = '{}'::regclass AND tgname ~ '^pgtrigger' ORDER BY 1"
    assert sql(own.format("new_person")) == [("D",)] * 7 + [("O",)] * 7

    project.run("migrate new 0001")
    assert recorded("old_person", "old") == RECORDED
    for table in ("old_person", "new_person"):
        assert sql(own.format(table)) == [("O",)] * 7

    project.run("migrate", "verifymoves")
