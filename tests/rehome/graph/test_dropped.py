"""Which migrations can be unapplied around a move without a table of their own going."""

from pathlib import Path

from pytest_django import DjangoDbBlocker

from tests.rehome.support.site import site

BOOK = "class Book(models.Model):\n    title = models.CharField(max_length=50)\n"
PROXY = "\n\nclass Classic(Book):\n    class Meta:\n        proxy = True\n"


def test_a_proxy_of_the_new_model_has_no_table_that_goes(
    tmp_path: Path, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> None:
    with django_db_blocker.unblock(), site(tmp_path) as project:
        project.models("old", BOOK)
        project.done(["makemigrations", "-v0"], ["migrate", "-v0"])
        project.sql("INSERT INTO old_book (title) VALUES ('a')")
        project.models("new", BOOK)
        project.done(["makemove", "old.Book", "new.Book", "-v0"])
        project.models("new", BOOK + PROXY)
        project.done(["makemigrations", "-v0"], ["migrate", "-v0"], ["migrate", "new", "0001", "-v0"])

        assert project.sql("SELECT title FROM old_book") == [("a",)]
        project.done(["migrate", "-v0"], ["verifymoves"])


def test_rows_that_were_written_to_the_new_table_before_the_move_ran(
    tmp_path: Path, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> None:
    """A server of the new release was early; there is no move yet whose way back would look at them."""
    with django_db_blocker.unblock(), site(tmp_path) as project:
        project.models("old", BOOK)
        project.done(["makemigrations", "-v0"], ["migrate", "-v0"])
        project.models("new", BOOK)
        project.done(["makemove", "old.Book", "new.Book", "-v0"], ["migrate", "new", "0001", "-v0"])
        project.sql("INSERT INTO new_book (title) VALUES ('early')")

        said = project.manage("migrate", "new", "zero").text

        assert "Unapplying new.0001_initial would drop public.new_book with 1 row, which no other table has." in said
        assert project.sql("SELECT title FROM new_book") == [("early",)]
        project.done(["migrate", "new", "zero", "--discard-data", "-v0"])
        assert project.sql("SELECT to_regclass('new_book')") == [(None,)]
