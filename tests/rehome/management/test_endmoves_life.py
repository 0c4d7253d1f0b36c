"""From a fresh project to the last trace: real files, a real `migrate`, and no rehome in the end."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import DjangoDbBlocker

from tests.farm.databases import WORKER, database
from tests.rehome.support import printers
from tests.rehome.support.disk import DJANGO, Project
from tests.rehome.support.printers import COMMAND

# Many processes one after the other: on a busy machine they take minutes.
pytestmark = [pytest.mark.timeout(900), pytest.mark.long]
CHECKS = ("makemigrations --check --dry-run", "check")
LEFT = """
SELECT relname::text FROM pg_class WHERE relname ~ '^(rehome_|portal_)' AND relkind IN ('r', 'v', 'S') UNION ALL
SELECT proname::text FROM pg_proc WHERE proname ~ '^rehome_' UNION ALL
SELECT tgname::text FROM pg_trigger WHERE tgname ~ '^rehome_' UNION ALL
SELECT conname::text FROM pg_constraint WHERE obj_description(oid, 'pg_constraint') ~ '^rehome' ORDER BY 1
"""
ENDINGS = [(4, "printer"), (5, "owner"), (6, "labelling")]
IMPORTS = re.compile(r"(?m)^(?:from|import) .*$")
OWN = ["portal_tag", "portal_tag_id_seq"]
"""What belongs to models that have not moved."""
SCHEMA = """
SELECT c.relname::text, a.attname::text, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid)
  FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped
  LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
 WHERE c.relkind = 'r' AND relname ~ '^(portal|printers|billing|jobs)_'
 UNION ALL
SELECT conrelid::regclass::text, '', pg_get_constraintdef(c.oid), convalidated, ''
  FROM pg_constraint c WHERE contype IN ('f', 'c', 'u', 'p', 'x')
   AND conrelid::regclass::text ~ '^(portal|printers|billing|jobs)_'
 UNION ALL
SELECT indrelid::regclass::text, indexrelid::regclass::text, pg_get_indexdef(indexrelid), indisvalid, ''
  FROM pg_index WHERE indrelid::regclass::text ~ '^(portal|printers|billing|jobs)_'
 ORDER BY 1, 2, 3
"""
MANAGE = """
import json, sys
from django.core.management import execute_from_command_line
for command in json.loads(sys.argv[1]):
    execute_from_command_line(["manage.py", *command])
"""
GONE = """
import sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "rehome":
            raise ModuleNotFoundError("No module named 'rehome'", name="rehome")
sys.meta_path.insert(0, Nothing())
"""

WRITES = """
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from billing.models import Invoice
from jobs.models import Cartridge, ColourPrinter, Job
from portal.models import SlowPrinter, Tag
from printers.models import FastPrinter, Labelling, Owner, Printer

before = Printer.objects.count(), Invoice.objects.count()
owner, tag = Owner.objects.create(name="later"), Tag.objects.create(name="later")
printer = Printer.objects.create(owner=owner, serial="later", keeper=User.objects.create(username="later"))
printer.tags.add(tag)
Labelling.objects.create(printer=printer, tag=tag)
colour = ColourPrinter.objects.create(owner=owner, serial="of colours", parent=printer)
Cartridge.objects.create(printer=colour)
job = Job.objects.create(printer=printer)
job.printers.set([printer, colour])
slow, fast = SlowPrinter.objects.get(pk=printer.pk), FastPrinter.objects.get(pk=printer.pk)
Invoice.objects.create(printer=printer, via=slow, fast=fast)
assert ContentType.objects.get_for_model(printer).app_label == "printers"
assert list(tag.printer_set.all()) == [printer] and list(printer.jobs.all()) == [job]
assert owner.delete()[0] > 8
assert before == (Printer.objects.count(), Invoice.objects.count())
"""


@pytest.fixture(scope="module")
def begun(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[Project]:
    """The project before anything moves, with rows."""
    with django_db_blocker.unblock(), database(f"test_ending_{WORKER}") as name:
        project = Project(tmp_path_factory.mktemp("begun") / "project", name, printers.APPS)
        project.build(printers.BEFORE)
        project.run("makemigrations -v0", "migrate -v0")
        project.sql(printers.ROWS)
        yield project


@pytest.fixture
def project(begun: Project, tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Project]:
    with django_db_blocker.unblock(), database(f"test_ended_{WORKER}", template=begun.database) as name:
        yield begun.copy(tmp_path / "project", name)


class Bare:
    """The project in processes of its own, in which rehome is in no INSTALLED_APPS and can't be imported."""

    def __init__(self, project: Project) -> None:
        self.project = project
        project.write("sitecustomize.py", GONE)
        project.write("manage.py", MANAGE)
        project.write("writes.py", f"import django\n\ndjango.setup()\n{WRITES}")

    def python(self, *arguments: str, code: int = 0) -> str:
        """What it says, on both streams where it fails."""
        apps = [*(app for app in DJANGO if app != "rehome"), *self.project.apps]
        own = {"APPS": json.dumps(apps), "PYTHONPATH": str(self.project.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, "-W", "error", *arguments],
            cwd=self.project.folder,
            env=os.environ | self.project.environment | own,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + (done.stderr if code else "")

    def run(self, *commands: str, code: int = 0) -> str:
        return self.python("manage.py", json.dumps([command.split() for command in commands]), code=code)

    def cannot_go_back(self) -> None:
        """It is a sentence, and nothing is undone but the end of a label, which comes after it and does nothing."""
        before, schema = self.run("showmigrations"), self.project.sql(SCHEMA)
        for back in ("migrate portal 0003", "migrate printers 0001", "sqlmigrate portal 0004 --backwards"):
            said = self.run(back, code=1)
            assert "and nothing undoes that. Restore a backup from before it" in said
            assert "Traceback" not in said
        assert all(f"[X] 000{number}_end_{name}" in self.run("showmigrations") for number, name in ENDINGS)
        self.run("migrate -v0")
        assert (self.run("showmigrations"), self.project.sql(SCHEMA)) == (before, schema)

    def write(self) -> None:
        """New code writes to every model, and deletes again what it has written."""
        self.python("writes.py")


def named(schema: list[Any]) -> list[Any]:
    """A key that numbered both tables draws from its sequence by a default; in a new database it is an identity."""
    return [(*row[:4], None if "nextval" in (row[4] or "") else row[4]) for row in schema]


def default(project: Project) -> None:
    project.run("migrate -v0", "verifymoves", "retiremoves --noinput")


def online(project: Project) -> None:
    project.run("migrate -v0", "verifymoves", "retiremoves --noinput", REHOME_ONLINE="1")


def in_place(project: Project) -> None:
    for name in ("printer", "owner", "labelling"):
        (path,) = (path for path in project.migrations() if path.endswith(f"_migrate_{name}_data.py"))
        project.replace(path, '")\n', '", in_place=True)\n')
    project.run("migrate -v0", "verifymoves")


@pytest.mark.parametrize("way", [default, online, in_place])
def test_from_the_first_edit_to_the_last_trace(project: Project, way) -> None:  # type: ignore[no-untyped-def]
    project.edit(printers.CUT)
    project.run(COMMAND)
    way(project)

    said = project.run("endmoves")
    assert all(f"Wrote portal/migrations/000{n}_end_{name}.py" in said for n, name in ENDINGS)
    assert "rehome" not in "".join(IMPORTS.findall("".join(project.migrations().values())))
    told = project.run("showmoves")
    assert told.count("`manage.py migrate` ends it, with portal.000") == 3
    assert project.run("verifymoves", code=1).count("`manage.py migrate` ends it") == 6
    project.run(*CHECKS, "migrate -v0")
    assert project.sql(LEFT) == [(name,) for name in OWN]
    assert project.run("showmoves").count("  ended") == 3
    assert "Nothing is left to compare: every move has ended on this database." in project.run("verifymoves")
    assert "has ended portal.Printer -> printers.Printer on" in project.refused("migrate portal 0003")

    bare = Bare(project)
    tried = "try: import rehome\nexcept ImportError as error: print(error)"
    assert bare.python("-c", tried) == "No module named 'rehome'\n"
    bare.run(*CHECKS, "migrate -v0", "migrate --check")
    bare.cannot_go_back()
    bare.write()
    schema = project.sql(SCHEMA)
    with database(f"test_ended_new_{WORKER}") as name:
        project.database = name
        bare.run("migrate -v0", *CHECKS)
        assert project.sql(LEFT) == [(own,) for own in OWN]
        assert {end for _, _, end, _ in project.sql(printers.ENDS)} == {"printers_printer"}
        assert named(project.sql(SCHEMA)) == named(schema)
        bare.write()
