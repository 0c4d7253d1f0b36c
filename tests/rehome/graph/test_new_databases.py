"""The migrations build a new database in every phase of a project's life, quickly and in silence."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import models
from pytest_django import DjangoDbBlocker

from rehome import Move
from tests.rehome.support.lab import Lab
from tests.rehome.support.site import Site, site

BOOK = "class Book(models.Model):\n    title = models.CharField(max_length=50)\n"
LOAN = 'class Loan(models.Model):\n    book = models.ForeignKey("{}.Book", models.CASCADE)\n'
WITHOUT_STATE = """migrations.SeparateDatabaseAndState(state_operations=[migrations.DeleteModel("Book")])"""


@pytest.fixture
def project(tmp_path: Path, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Site]:
    """old.Book moved to new.Book, and other.Loan that points at it."""
    with django_db_blocker.unblock(), site(tmp_path) as made:
        made.models("old", BOOK)
        made.models("other", LOAN.format("old"))
        made.done(["makemigrations", "-v0"])
        made.models("new", BOOK)
        made.done(["makemigrations", "-v0"], ["makemove", "old.Book", "new.Book", "-v0"])
        yield made


def declare(project: Site, arguments: str) -> None:
    path = project.migration("new", "0002")
    path.write_text(path.read_text().replace('"new.Book")', f'"new.Book", {arguments})'))


def assert_built(project: Site, *, phase: str) -> None:
    """In silence, with nothing left to migrate."""
    with project.fresh() as fresh:
        said, shown, checked, again = fresh.done(
            ["migrate"], ["showmoves"], ["makemigrations", "--check"], ["migrate", "-v0"]
        )
        lines = [line for line in said.text.splitlines() if line.startswith("  Applying")]
        assert all(line.endswith("... OK") for line in lines), said.text
        assert "old.Book -> new.Book" not in said
        assert f"  {phase}  " in shown or phase in {"", "(no moves)"}, shown.text
        assert "Note" not in said
        if phase:
            assert len(shown.text.splitlines()) == 2 if phase != "(no moves)" else shown.text == "(no moves)\n"
        assert again.text == ""


@pytest.mark.parametrize("arguments", ["in_place=True", "online=True", ""])
def test_with_a_key_that_leads_to_the_old_name(project: Site, arguments: str) -> None:
    dependencies = project.migration("new", "0002").read_text()
    assert '("other", "0001_initial")' in dependencies
    declare(project, arguments)

    assert_built(project, phase="in place" if "place" in arguments else "live")


@pytest.mark.long
def test_after_the_old_class_is_gone_and_the_key_is_re_pointed(project: Site) -> None:
    declare(project, "in_place=True")
    project.models("other", LOAN.format("new"))
    project.done(["makemigrations", "-v0"])
    assert_built(project, phase="in place")

    project.models("old", "")
    needs = [("old", "0001_initial"), ("new", "0002_migrate_book_data"), ("other", "0002_alter_loan_book")]
    project.write("old", "0002_delete_book", dependencies=needs, operations=WITHOUT_STATE)
    assert_built(project, phase="in place")

    path = project.migration("new", "0002")
    path.write_text(path.read_text().replace("[migrations.RunPython(book.forwards, book.backwards)]", "[]"))
    assert_built(project, phase="(no moves)")


def test_a_move_without_rows_costs_few_statements(lab: Lab) -> None:
    """Of a model with a foreign key, an index and a many-to-many field; the figure is in the guide."""
    lab.model("old.Tag", {"name": models.CharField(max_length=10)})
    lab.twins(
        lambda app: {
            "owner": models.ForeignKey("auth.User", models.CASCADE, null=True, related_name="+"),
            "name": models.CharField(max_length=50, db_index=True),
            "tags": models.ManyToManyField("old.Tag", related_name="+"),
        }
    )
    statements: list[str] = []

    def count(execute, sql, params, many, context):  # type: ignore[no-untyped-def]
        statements.append(sql)
        return execute(sql, params, many, context)

    with lab.connection.execute_wrapper(count):
        lab.forward(Move("old.Thing", "new.Thing"))

    assert len(statements) < 200
    assert not any(word in text for text in statements for word in ("VACUUM", "VALIDATE", "ANALYZE", "SAVEPOINT probe"))
    assert lab.verify(Move("old.Thing", "new.Thing")).ok


def test_a_row_that_comes_before_the_lock_is_moved(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from rehome.moves import empty
    from rehome.preflight import checks

    lab.twins(lambda app: {"name": models.CharField(max_length=50)})
    whole = checks.check_definitions

    def late(*args, **options):  # type: ignore[no-untyped-def]
        whole(*args, **options)
        monkeypatch.undo()
        lab.sql("INSERT INTO public.old_thing (name) VALUES ('late')")

    monkeypatch.setattr(empty.checks, "check_definitions", late)
    lab.forward(Move("old.Thing", "new.Thing"))

    assert lab.sql("SELECT name FROM new_thing") == [("late",)]
    assert lab.verify(Move("old.Thing", "new.Thing")).ok


def test_grants_to_others_are_tried(lab: Lab) -> None:
    """Where other roles may write, or other triggers fire, a write is tried as it is where there are rows."""
    lab.twins(lambda app: {"name": models.CharField(max_length=50)})
    lab.sql("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'")
    lab.sql("CREATE TRIGGER no AFTER INSERT ON old_thing FOR EACH ROW EXECUTE FUNCTION no()")
    lab.forward(Move("old.Thing", "new.Thing"))
    assert lab.verify(Move("old.Thing", "new.Thing")).ok
