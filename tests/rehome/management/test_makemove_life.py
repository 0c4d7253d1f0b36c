"""What `makemove` writes of models with everything: real files and a real `migrate`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from tests.farm.databases import WORKER, database
from tests.rehome.support import printers
from tests.rehome.support.disk import Project
from tests.rehome.support.printers import COMMAND

# Many processes one after the other: on a busy machine they take minutes.
pytestmark = pytest.mark.timeout(900)
CHECKS = ("makemigrations --check --dry-run", "check")
CONSTRAINTS = "SELECT oid, conname, conrelid, confrelid FROM pg_constraint WHERE contype <> 'n' ORDER BY oid"


@pytest.fixture(scope="module")
def begun(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[Project]:
    """The project before anything moves, with rows."""
    with django_db_blocker.unblock(), database(f"test_begun_{WORKER}") as name:
        project = Project(tmp_path_factory.mktemp("begun") / "project", name, printers.APPS)
        project.build(printers.BEFORE)
        project.run("makemigrations -v0", "migrate -v0")
        project.sql(printers.ROWS)
        yield project


@pytest.fixture
def project(begun: Project, tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Project]:
    with django_db_blocker.unblock(), database(f"test_project_{WORKER}", template=begun.database) as name:
        yield begun.copy(tmp_path / "project", name)


def test_few_commands_and_no_line_of_sql(project: Project) -> None:
    """From the edit of the classes to the retirement, for models with everything."""
    ends = project.sql(printers.ENDS)
    indexes = {name for (name,) in project.sql(printers.INDEXES.format(table="portal_printer"))}
    assert {end for _, _, end, _ in ends} == {"portal_printer"}
    project.edit(printers.CUT)
    commands = [COMMAND, "migrate", "verifymoves", "retiremoves --noinput"]

    project.run(*commands)

    assert len(commands) <= 6
    assert "RunSQL" not in "".join(project.migrations().values())
    assert project.sql(printers.ENDS) == [
        (table, column, end.replace("portal", "printers"), valid) for table, column, end, valid in ends
    ]
    assert project.sql(printers.GRANTED) == [
        ("portal.lend_printer",),
        ("portal.view_fastprinter",),
        ("portal.view_slowprinter",),
        ("printers.lend_printer",),
        ("printers.view_fastprinter",),
    ]
    own = {name for name in indexes if name.startswith("printer_")}
    assert len(own) == 4
    aside = {name for (name,) in project.sql("SELECT relname::text FROM pg_class WHERE relkind = 'i'")}
    assert {f"rehome_portal_printer_{name}" for name in own} <= aside


def test_what_makemigrations_wrote_is_replaced(project: Project) -> None:
    """As everybody begins: it would drop every row."""
    project.edit(printers.CUT)
    clean = project.copy(project.folder.with_name("clean"), project.database)
    clean.run(COMMAND)
    project.run("makemigrations -v0")
    assert "DeleteModel" in "".join(project.migrations().values())
    assert "which has the same fields, has none: makemigrations takes a class that was cut" in project.refused(
        "migrate"
    )

    said = project.run(COMMAND)

    assert said.count("Replaced, which knows no move: ") == 5
    assert project.migrations() == clean.migrations()


@pytest.mark.long
def test_only_the_state(project: Project) -> None:
    """The table stays, so that no statement changes it: content type and permissions go to the new label."""
    text = printers.CUT["printers/models.py"]
    for name in printers.MOVED:
        table = f'db_table = "portal_{name.lower()}"'
        begin = text.index(f"class {name}(")
        end = text.find("\n\n\n", begin)
        body = text[begin:end]
        meta = body.replace("    class Meta:\n", f"    class Meta:\n        {table}\n")
        text = text.replace(body, meta if meta != body else f"{body}\n\n    class Meta:\n        {table}")
    project.edit({**printers.CUT, "printers/models.py": text})
    constraints = project.sql(CONSTRAINTS)
    granted = project.sql(printers.GRANTED)
    types = project.sql("SELECT id, model FROM django_content_type WHERE app_label = 'portal'")

    project.run(f"{COMMAND} --state-only", *CHECKS, "migrate -v0")

    assert project.sql(CONSTRAINTS) == constraints
    lent = [label for (label,) in project.sql(printers.GRANTED) if label.endswith("lend_printer")]
    assert lent == ["portal.lend_printer", "printers.lend_printer"]
    moved = project.sql("SELECT id, model FROM django_content_type WHERE app_label = 'printers'")
    assert set(moved) == {
        (id, model) for id, model in types if model in {"printer", "owner", "labelling", "fastprinter"}
    }

    project.run("migrate printers zero -v0")
    assert project.sql(CONSTRAINTS) == constraints
    assert project.sql(printers.GRANTED) == granted
    assert project.sql("SELECT id, model FROM django_content_type WHERE app_label = 'portal'") == types
    project.run("migrate -v0")
    assert project.sql(CONSTRAINTS) == constraints
