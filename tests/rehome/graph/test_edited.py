"""A Move that was edited after it ran is named in every command, with the difference."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from tests.rehome.support.site import Site, site

CREATE = """migrations.CreateModel("Book", [
    ("id", models.BigAutoField(primary_key=True)), ("title", models.CharField(max_length=50)), {}
])"""
NOTE = '("note", models.TextField(default=""))'
MOVE = """migrations.RunPython(book.forwards, book.backwards)"""
BOOK = "class Book(models.Model):\n    title = models.CharField(max_length=50)\n"


class Shelf:
    """old.Book moved to new.Book by a Move with these arguments."""

    def __init__(self, made: Site) -> None:
        self.site = made
        made.models("old", f'{BOOK}    note = models.TextField(default="")\n')
        made.models("new", BOOK)
        made.write("old", "0001_initial", dependencies=[], operations=CREATE.format(NOTE))
        made.write("new", "0001_initial", dependencies=[], operations=CREATE.format(""))

    def declare(self, said: str, operations: str = MOVE) -> None:
        path = self.site.write(
            "new",
            "0002_move",
            dependencies=[("new", "0001_initial"), ("old", "0001_initial")],
            operations=operations,
            extra="atomic = False\n",
        )
        text = path.read_text().replace("\n\n\nclass", f'\n\nbook = Move("old.Book", "new.Book", {said})\n\n\nclass')
        path.write_text(
            f"from django.db.models import Value\nfrom django.db.models.functions import Concat, Lower, Upper\n{text}"
        )


@pytest.fixture
def shelf(tmp_path: Path, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Shelf]:
    with django_db_blocker.unblock(), site(tmp_path) as made:
        made.others.insert(0, "django.contrib.auth")
        yield Shelf(made)


LOWER = 'discard=["note"], fields={"title": Lower("title")}, backwards={"title": "title", "note": Value("")}'
UPPER = LOWER.replace("Lower", "Upper")
COMMANDS = [["showmoves"], ["verifymoves"], ["sqlmove", "new", "0002", "--backwards"], ["migrate"]]
COMMANDS += [["retiremoves", "--noinput", "--dry-run"], ["migrate", "new", "0001"]]


@pytest.mark.long
def test_what_can_not_go_on_as_it_was_is_refused_with_the_difference(shelf: Shelf) -> None:
    shelf.declare(LOWER)
    shelf.site.done(["migrate", "old"], ["migrate", "new", "0001"])
    shelf.site.sql("INSERT INTO old_book (title, note) SELECT 'T' || n, 'x' FROM generate_series(1, 5) n")
    shelf.site.done(["migrate"])
    shelf.declare(UPPER)

    said = shelf.site.run(*COMMANDS)

    difference = "fields['title'] was Lower('title') and is Upper('title')."
    for command, one in zip(COMMANDS, said, strict=True):
        assert f"Move('old.Book', 'new.Book') was edited after it ran on this database: {difference}" in one, command
        assert "migrate back before the move, edit it, and migrate again." in one
        assert "Traceback" not in one
        assert "trigger" not in one
    assert [one.code for one in said] == [0, 1, 1, 0, 1, 1]

    shelf.declare(LOWER)
    *_, last = shelf.site.done(["verifymoves"], ["migrate", "new", "0001"])
    assert "edited" not in last
    shelf.declare(UPPER)
    shelf.site.done(["migrate"])
    assert shelf.site.sql("SELECT min(title) FROM new_book") == [("T1",)]


@pytest.mark.long
def test_what_can_go_on_as_it_was_goes_on_and_is_named(shelf: Shelf) -> None:
    said = 'discard=["note"], backwards={"note": Value("")}'
    shelf.declare(said)
    shelf.site.done(["migrate", "old"], ["migrate", "new", "0001"])
    shelf.site.sql("INSERT INTO old_book (title, note) SELECT 'T' || n, 'x' FROM generate_series(1, 5) n")
    shelf.site.done(["migrate"])
    shelf.declare(said.replace("discard", 'fields={"title": Concat("title", Value("!"))}, discard').replace(
        "backwards={", 'backwards={"title": "title", '
    ))  # fmt: skip

    *commands, back = COMMANDS
    found = shelf.site.done(*commands, back)

    for command, one in zip(COMMANDS, found, strict=True):
        assert (
            "was edited after it ran on this database: fields['title'] was nothing and is Concat('title', Value('!')); "
            "backwards['title'] was nothing and is 'title'. What it said then still holds here." in one
        ), command
    assert "installed" in found[0]
    assert found[1].text.endswith("Equal.\n")
    assert shelf.site.sql("SELECT count(*), min(note) FROM old_book") == [(5, "x")]


def test_a_move_that_no_migration_declares_any_more_is_named(shelf: Shelf) -> None:
    shelf.declare('discard=["note"], backwards={"note": Value("")}')
    shelf.site.done(["migrate"])
    shelf.declare("", operations="")

    shown, verified = shelf.site.run(["showmoves"], ["verifymoves"])

    said = "old.Book -> new.Book: its phase is 'live' on this database, and no migration declares it any more."
    assert said in shown
    assert said in verified
    assert (shown.code, verified.code) == (0, 1)


def test_a_frozen_source_is_asked_for(shelf: Shelf) -> None:
    shelf.declare('discard=["note"]')
    shelf.site.done(["migrate", "old"], ["migrate", "new", "0001"])
    shelf.site.sql("INSERT INTO old_book (title, note) VALUES ('t', 'x')")

    refused = shelf.site.manage("migrate")

    assert refused.code == 1
    assert (
        "old.Book -> new.Book has no way back: old.Book.note has no entry in backwards={...}. Say there how the "
        "target's row gives the value; or write Move(..., irreversible=True), after which public.old_book is read-only "
        "and the move can't go back.\n" in refused
    )
    shelf.declare('discard=["note"], irreversible=True')
    *_, shown, verified, nothing, named, back = shelf.site.run(
        ["migrate"],
        ["showmoves"],
        ["verifymoves"],
        ["retiremoves"],
        ["retiremoves", "old.Book"],
        ["migrate", "new", "0001"],
    )
    assert "frozen     1  installed" in shown
    assert verified.text.endswith("Equal.\n")
    assert nothing.text == "No move is live on this database that could be retired.\n"
    assert "can't be retired" in named
    assert "can't go back: old.Book.note has no entry in backwards={...}. A way back is declared before" in back
    assert shelf.site.sql("SELECT phase FROM rehome_moverun") == [("frozen",)]

    shelf.site.sql("UPDATE rehome_moverun SET phase = 'live', kept = kept - 'declared'")
    shown, moved = shelf.site.done(["showmoves"], ["migrate", "new", "0002"])
    assert "frozen     1  installed" in shown


def test_a_way_back_that_was_given_later_is_an_edit(shelf: Shelf) -> None:
    shelf.declare('discard=["note"], irreversible=True')
    shelf.site.done(["migrate"])
    shelf.declare('discard=["note"], backwards={"note": Value("")}')

    shown, back = shelf.site.run(["showmoves"], ["migrate", "new", "0001"])

    assert "backwards['note'] was nothing and is Value(''); irreversible was True and is False." in shown
    assert "can't go back" in back
    assert back.code == 1
