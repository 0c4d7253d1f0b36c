"""`endmoves` as it is typed: which moves it ends, what it refuses, and that its files are written all or none."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from pytest_django import DjangoDbBlocker

from rehome.errors import Refused
from tests.farm.databases import WORKER, database
from tests.rehome.support.disk import Project

pytestmark = pytest.mark.timeout(900)
CHECKS = ("makemigrations --check --dry-run", "check")
HEAD = "from django.db import models\n"
PLACE = "\n\nclass Place(models.Model):\n    name = models.CharField(max_length=20)\n"
PRINTER = "\n\nclass Printer(models.Model):\n    place = models.ForeignKey({place}, models.CASCADE, null=True)\n"
JOBS = '\n\nclass Job(models.Model):\n    printer = models.ForeignKey("{app}.Printer", models.CASCADE)\n'
BEFORE = {
    "portal/models.py": HEAD + PLACE + PRINTER.format(place="Place"),
    "jobs/models.py": HEAD + JOBS.format(app="portal"),
}
CUT = {
    "portal/models.py": "",
    "printers/models.py": HEAD + PLACE + PRINTER.format(place="Place"),
    "jobs/models.py": HEAD + JOBS.format(app="printers"),
}
MAKE = "makemove portal.Printer printers.Printer portal.Place printers.Place"
GRANT = """
INSERT INTO auth_group (name) VALUES ('clerks');
INSERT INTO auth_group_permissions (group_id, permission_id)
SELECT currval('auth_group_id_seq'), p.id FROM auth_permission p JOIN django_content_type t ON t.id = p.content_type_id
 WHERE (app_label, codename) = ('portal', 'add_printer');
"""
REVOKE = """
DELETE FROM auth_group_permissions g USING auth_permission p JOIN django_content_type t ON t.id = p.content_type_id
 WHERE p.id = g.permission_id AND app_label = 'printers';
"""
NAME = """
CREATE TABLE remark (id serial PRIMARY KEY, content_type_id integer REFERENCES django_content_type);
INSERT INTO remark (content_type_id)
SELECT id FROM django_content_type WHERE (app_label, model) = ('portal', 'printer');
"""
NAMED = "SELECT app_label::text FROM remark r JOIN django_content_type t ON t.id = r.content_type_id"
GRANTED = """
SELECT DISTINCT app_label::text FROM auth_group_permissions g JOIN auth_permission p ON p.id = g.permission_id
  JOIN django_content_type t ON t.id = p.content_type_id
"""
ROWS = """
INSERT INTO portal_place (name) VALUES ('here');
INSERT INTO portal_printer (place_id) VALUES (1), (1);
INSERT INTO jobs_job (printer_id) VALUES (1);
"""


@pytest.fixture(scope="module")
def begun(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[Project]:
    """Both moves are live."""
    with django_db_blocker.unblock(), database(f"test_endmoves_{WORKER}") as name:
        project = Project(tmp_path_factory.mktemp("begun") / "project", name, ("portal", "printers", "jobs"))
        project.build(BEFORE)
        project.run("makemigrations -v0", "migrate -v0")
        project.sql(ROWS)
        project.edit(CUT)
        project.run(MAKE, "migrate -v0")
        yield project


@pytest.fixture
def project(begun: Project, tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Project]:
    with django_db_blocker.unblock(), database(f"test_endmoves_one_{WORKER}", template=begun.database) as name:
        yield begun.copy(tmp_path / "project", name)


def imports_rehome(project: Project) -> set[str]:
    return {name for name, text in project.migrations().items() if "rehome import" in text}


@pytest.mark.django_db
def test_the_farms_moves_are_live_and_so_they_stay() -> None:
    with pytest.raises(
        Refused, match=r"can't end: its phase is 'live' on database 'default', neither retired nor in pl"
    ):
        call_command("endmoves", "printers.Printer", dry_run=True)
    with pytest.raises(CommandError, match="No move can end here"):
        call_command("endmoves", dry_run=True)


@pytest.mark.long
def test_old_rows_are_dropped_only_where_the_database_is_named(project: Project) -> None:
    project.run("retiremoves --noinput", "endmoves")

    for words, wrong in (
        ("--noinput", f"--noinput alone does not confirm it: it is database '{project.database}'"),
        ("--noinput --confirm portal", f"--confirm names 'portal', and this is database '{project.database}'"),
    ):
        assert wrong in project.run(f"migrate {words}", code=1)
    assert project.sql("SELECT count(*) FROM pg_class WHERE relname ~ '^rehome_aside'") == [(2,)]

    said = project.run(f"migrate --noinput --confirm {project.database}")
    assert "Old rows that are set aside will be dropped, and there is no way back after that:" in said
    assert "public.rehome_aside_" in said
    assert f"database    {project.database}" in said
    assert project.sql("SELECT count(*) FROM pg_class WHERE relname ~ '^rehome_aside'") == [(0,)]
    assert project.sql("SELECT count(*) FROM printers_printer") == [(2,)]


@pytest.mark.long
def test_one_ends_then_the_other(project: Project) -> None:
    """The printers first, for they point at places; what is said and what is left is in step with it."""
    assert "Run `manage.py retiremoves printers.Place` first." in project.refused("endmoves printers.Place")
    project.run("retiremoves --noinput")
    assert "can't end before portal.Printer -> printers.Printer, which rests" in project.refused(
        "endmoves printers.Place"
    )
    project.sql("CREATE VIEW report AS SELECT id FROM portal_printer")
    said = project.refused("endmoves printers.Printer")
    assert "view public.report uses public.portal_printer" in said
    project.sql("DROP VIEW report")
    project.sql(
        "CREATE FUNCTION counted() RETURNS bigint LANGUAGE plpgsql AS "
        "'BEGIN RETURN (SELECT count(*) FROM portal_printer); END'"
    )
    assert "function public.counted() names public.portal_printer" in project.refused("endmoves printers.Printer")
    project.sql("DROP FUNCTION counted()")
    before = project.migrations()
    printed = project.run("endmoves printers.printer --dry-run")
    assert project.migrations() == before
    assert (
        printed.startswith("# portal/migrations/0003_end_printer.py\n") or "_end_printer.py" in printed.splitlines()[0]
    )

    project.run("endmoves portal.Printer", *CHECKS, "migrate -v0", "verifymoves", "showmoves")
    assert imports_rehome(project) == {"printers/migrations/0002_migrate_place_data.py"}
    assert project.sql("SELECT move, phase FROM rehome_moverun ORDER BY id") == [
        ("portal.Place -> printers.Place", "retired"),
        ("portal.Printer -> printers.Printer", "ended"),
    ]
    project.sql("INSERT INTO portal_place (name) VALUES ('by old code')")
    project.run(
        "retiremoves --undo", "verifymoves", "retiremoves --noinput", "endmoves", *CHECKS, "migrate -v0", "verifymoves"
    )
    assert imports_rehome(project) == set()
    assert project.sql("SELECT to_regclass('rehome_moverun')") == [(None,)]
    with database(f"test_endmoves_new_{WORKER}") as name:
        project.database = name
        project.run("migrate -v0", *CHECKS, "showmoves", "verifymoves")


@pytest.mark.long
def test_the_ended_release_on_databases_in_every_state(project: Project, django_db_blocker: DjangoDbBlocker) -> None:
    """On one that is live it is refused with the step that is right, which the release before can take."""
    release_before = project.copy(project.folder.parent / "before", project.database)
    ended = project.copy(project.folder.parent / "ended", project.database)
    with database(f"test_endmoves_live_{WORKER}", template=project.database) as live:
        project.run("retiremoves --noinput", "endmoves", "migrate -v0")
        ended = dataclasses_replace(project, live)
        before = ended.sql("SELECT count(*) FROM portal_printer")
        said = ended.run("migrate", code=1)
        assert "Its phase is 'live' on this database, and portal.000" in said
        assert "Run `manage.py retiremoves printers.Place` with the release before it" in said
        assert ended.sql("SELECT count(*) FROM portal_printer") == before
        assert "and portal.000" in ended.run("showmoves")
        assert "Run `manage.py retiremoves printers.Place` with the release before it" in ended.run("retiremoves")
        assert "Run `manage.py retiremoves printers.Place` with the release before it" in ended.run("endmoves", code=1)
        for back in ("printers 0001", "printers zero"):
            assert "can't move back with this release: its phase is 'live'" in ended.run(f"migrate {back}", code=1)
        release_before = dataclasses_replace(release_before, live)
        release_before.run("retiremoves --noinput")
        said = ended.run("migrate printers zero", code=1)
        assert "its phase is 'retired' on database 'default', and portal.000" in said
        assert "Run this command with the release before portal.000" in said
        ended.run("migrate --fake -v0")
        said = ended.run("verifymoves", code=1)
        assert "is recorded as applied, but it did not run on this database, where the phase is 'retired'" in said
        command = re.search(r"`manage.py (migrate --fake portal \w+)`", said)
        assert command
        ended.run(f"{command[1]} -v0", "migrate -v0", "verifymoves")
        assert ended.sql("SELECT count(*) FROM printers_printer") == before
    with database(f"test_endmoves_behind_{WORKER}") as behind:
        begun = dataclasses_replace(release_before, behind)
        begun.run("migrate portal 0001 -v0", "migrate jobs 0001 -v0")
        begun.sql(ROWS)
        ended = dataclasses_replace(project, behind)
        for meant in ("migrate", "migrate printers", "migrate jobs"):
            said = ended.run(meant, code=1)
            assert "which has not run on this database, and public.portal_p" in said
        assert "with the release before it. Nothing has been applied." in said
        for told in (ended.run("showmoves"), ended.run("verifymoves", code=1)):
            assert (
                "It has not run on this database, and public.portal_printer has rows. Run `manage.py migrate`" in told
            )
        assert ended.sql("SELECT count(*) FROM portal_printer") == [(2,)]


def test_what_was_faked_has_not_ended(project: Project) -> None:
    """On a backup from before the move: no record says so, but the tables do."""
    project.run("retiremoves --noinput", "endmoves", "migrate -v0")
    assert {one["ok"] for one in json.loads(project.run("verifymoves --format json"))["moves"]} == {True}
    with database(f"test_endmoves_faked_{WORKER}") as name:
        backup = dataclasses_replace(project, name)
        backup.run("migrate portal 0001 -v0", "migrate --fake -v0")
        backup.sql(ROWS.rpartition("INSERT")[0])
        said = backup.run("verifymoves", code=1)
        assert 'is recorded as applied, but it did not run on this database, where "printers_place" is missing' in said
        assert {one["phase"] for one in json.loads(backup.run("showmoves --format json"))} == {"planned"}
        assert "is missing" in backup.run("migrate printers zero", code=1)
        for table in ("place", "printer"):
            backup.sql(f"CREATE TABLE printers_{table} (id bigint)")
        assert '"portal_printer" is still there. Take it out of the record' in backup.run("verifymoves", code=1)
        assert backup.sql("SELECT count(*) FROM portal_printer") == [(2,)]


@pytest.mark.long
def test_what_later_migrations_do_with_the_tables_of_a_move_that_has_ended(project: Project) -> None:
    """A class takes the old name, and another one leaves the new table."""
    project.run("retiremoves --noinput", "endmoves", "migrate -v0")
    project.write("portal/models.py", HEAD + PLACE)
    meta = '    class Meta:\n        db_table = "machines"\n'
    project.write("printers/models.py", project.read("printers/models.py") + meta)
    project.run("makemigrations -v0", "migrate -v0")
    assert "every move has ended on this database" in project.run("verifymoves")


def dataclasses_replace(project: Project, name: str) -> Project:
    return Project(project.folder, name, project.apps, project.settings)


@pytest.mark.long
def test_the_class_that_is_still_there_and_changes_that_no_migration_has(project: Project) -> None:
    project.run("retiremoves --noinput")
    project.write("portal/models.py", HEAD + PLACE.replace("name =", "other ="))
    assert "portal.Place -> printers.Place can't end: portal.Place is still in the code" in project.refused("endmoves")
    project.write("portal/models.py", "")
    project.write("jobs/models.py", project.read("jobs/models.py") + "    note = models.TextField(null=True)\n")
    said = project.refused("endmoves")
    assert "The code has changes that are in no migration: jobs: Add field note to job." in said


@pytest.mark.long
def test_changes_of_an_installed_package_are_left_alone(project: Project) -> None:
    project.run("retiremoves --noinput")
    project.install("parcel", HEAD + PLACE)
    assert "Create model Place" in project.run("makemigrations --check --dry-run", code=1)
    assert "Wrote portal/migrations/" in project.run("endmoves")
    assert not list(project.folder.glob("site-packages/parcel/migrations/0*"))


def test_a_file_that_cannot_be_written_leaves_every_file_as_it_was(project: Project) -> None:
    project.run("retiremoves --noinput")
    before = project.migrations()
    (one,) = project.tell(["shell", "-v0", "-c", STOP])
    assert "can't be written: no space" in one.text
    assert "Every file is as it was." in one.text
    assert project.migrations() == before


STOP = """
from pathlib import Path
from django.core.management import call_command
write = Path.write_bytes
def stop(self, content):
    if self.name == "0002_migrate_place_data.py" and b"rehome" not in content:
        raise OSError("no space")
    return write(self, content)
Path.write_bytes = stop
call_command("endmoves")
"""


@pytest.mark.long
def test_a_run_that_was_killed_between_two_files_goes_on(project: Project) -> None:
    """The endings are written first: by them the moves are known."""
    project.run("retiremoves --noinput")
    files = project.migrations()
    project.run("endmoves")
    whole = project.migrations()
    for name, text in files.items():
        project.write(name, text)
    said = project.run("showmoves")
    assert said.count("retired") == 2
    project.run("endmoves")
    assert project.migrations() == whole
    assert "Every file is written." in project.refused("endmoves")
    assert json.loads(project.run("showmoves --format json"))[0]["phase"] == "retired"


@pytest.mark.long
def test_squashed_files_end_with_those_that_they_replace(project: Project) -> None:
    last = max(name for name in project.migrations() if name.startswith("printers/"))
    name = Path(last).stem
    project.run(f"squashmigrations printers 0001 {name} --noinput -v0", "migrate -v0", "retiremoves --noinput")
    assert len({name for name in imports_rehome(project) if "squashed" in name} | {"printers"}) >= 1
    project.run("endmoves")
    assert not [name for name, text in project.migrations().items() if re.search(r"(?m)^(from|import) rehome", text)]
    project.run(*CHECKS, "migrate -v0", "verifymoves")
    with database(f"test_endmoves_squashed_{WORKER}") as name:
        project.database = name
        project.run("migrate -v0", *CHECKS)
        ends = "SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint WHERE contype = 'f'"
        assert ("jobs_job", "printers_printer") in project.sql(ends)


@pytest.mark.long
def test_a_model_that_kept_its_table_leaves_nothing_of_rehome(
    tmp_path: Path, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> None:
    """Where no row was moved, the label ends: with what old code has written, and on a database that is behind. A grant
    that the new label does not have was revoked there, as far as anybody can tell.
    """
    with django_db_blocker.unblock(), database(f"test_endmoves_kept_{WORKER}") as name:
        project = Project(tmp_path / "project", name, ("portal", "printers", "jobs"))
        project.build(BEFORE)
        project.run("makemigrations -v0", "migrate -v0")
        project.sql(ROWS)
        meta = "    class Meta:\n        db_table = 'portal_{}'\n"
        text = HEAD + PLACE + meta.format("place") + PRINTER.format(place="Place") + meta.format("printer")
        project.edit(CUT | {"printers/models.py": text})
        with database(f"test_endmoves_kept_behind_{WORKER}", template=name) as behind:
            project.sql(GRANT)
            project.run(f"{MAKE} --state-only", "migrate -v0")
            assert imports_rehome(project)
            assert sorted(project.sql(GRANTED)) == [("portal",), ("printers",)]
            project.sql(REVOKE + NAME)  # By new code, and by old code.
            assert {"0003_end_label_of_place", "0003_end_label_of_printer"} & {
                Path(path).stem for path in re.findall(r"Wrote (portal/\S+)", project.run("endmoves"))
            }
            assert imports_rehome(project) == set()
            project.run(*CHECKS, "migrate -v0")
            assert project.sql(NAMED) == [("printers",)]
            assert project.sql(GRANTED) == [("portal",)]
            assert project.sql("SELECT count(*) FROM portal_printer") == [(2,)]
            late = dataclasses_replace(project, behind)
            late.sql(GRANT + NAME)
            types = "SELECT id FROM django_content_type WHERE (app_label, model) = ('{}', 'printer')"
            before = late.sql(types.format("portal"))
            late.run("migrate -v0")
            assert late.sql(types.format("printers")) == before
            assert late.sql(types.format("portal")) == []
            assert late.sql(GRANTED) == late.sql(NAMED) == [("printers",)]
        with database(f"test_endmoves_kept_new_{WORKER}") as name:
            project.database = name
            project.run("migrate -v0", *CHECKS)
