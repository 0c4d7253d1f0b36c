"""Foreign keys are re-pointed in every state of a move, and back, by Django's operation and by rehome's."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError
from django.db.migrations.executor import MigrationExecutor
from pytest_django import DjangoDbBlocker

from rehome.errors import Refused
from rehome.plan.ledger import Ledger
from tests.rehome.support import lending
from tests.rehome.support.lending import Library, fill, lead_to, migrate, retire, use

PLAIN, OWN = "migrations.AlterField", "rehome.Repoint"
BOTH = ("old_book", "new_book")


@pytest.fixture
def project(django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[Library]:
    with django_db_blocker.unblock(), lending.installed(tmp_path) as made:
        yield made


def phase() -> str:
    run = Ledger("default").latest_named("old.Book -> new.Book")
    assert run is not None
    return run.phase


def verify() -> str:
    out = StringIO()
    call_command("verifymoves", "new.Book", stdout=out, no_color=True)
    return out.getvalue()


def reach(state: str) -> None:
    """From live, retired or in place."""
    if state == "retired" and phase() == "live":
        retire()
    if state == "live" and phase() == "retired":
        retire("--undo")
    assert phase() == state


def cases() -> list[object]:
    """(operation, state in which it is applied, state in which it is unapplied, how often)"""
    states = [("live", "live"), ("live", "retired"), ("retired", "retired"), ("retired", "live"), ("in place",) * 2]
    short = [(OWN, "live", "retired", 1), (PLAIN, "in place", "in place", 1)]
    whole = [(operation, *pair, 2) for operation in (PLAIN, OWN) for pair in states]
    return [*short, *(pytest.param(*case, marks=pytest.mark.long) for case in whole)]


@pytest.mark.parametrize(("operation", "after", "undone", "turns"), cases())
def test_keys_are_re_pointed_and_back(project: Library, operation: str, after: str, undone: str, turns: int) -> None:
    project.build(operation, in_place=after == "in place")
    migrate("new", "0001")
    migrate("other", "0001")
    fill()
    for _ in range(turns):
        migrate("new", "0002")
        reach(after)
        use(*BOTH)

        migrate("other", "0002")
        lead_to("new_book")
        use(*BOTH)

        reach(undone)
        lead_to("new_book")
        migrate("other", "0001")
        lead_to("old_book" if undone == "live" else "new_book")
        use(*BOTH)
        assert "Equal." in verify()

        migrate("other", "0002")
        lead_to("new_book")
        use(*BOTH)

        migrate("new", "0001")
        assert phase() == "back"
        assert lending.applied() == {"old.0001", "other.0001", "new.0001"}
        lead_to("old_book")
        use("old_book")


@pytest.mark.long
@pytest.mark.parametrize("operation", [PLAIN, OWN])
def test_a_dropped_table_is_never_pointed_at_again(project: Library, operation: str) -> None:
    project.build(operation)
    migrate("other", "0001")
    fill()
    migrate("new")
    retire()
    retire("--drop")
    lead_to("new_book")
    migrate("other")
    lead_to("new_book")
    use(*BOTH)
    before = lending.applied()
    with pytest.raises(Refused, match="was dropped for good"):
        migrate("new", "0001")
    assert lending.applied() == before
    migrate("other", "0001")
    lead_to("new_book")
    use(*BOTH)
    migrate("other")
    lead_to("new_book")


LATER = """
migrations.CreateModel("Visit", [
    ("id", models.BigAutoField(primary_key=True)),
    ("book", models.ForeignKey("old.Book", models.CASCADE)),
    ("books", models.ManyToManyField("old.Book", related_name="+")),
]),
migrations.AddField("Visit", "code", models.ForeignKey("old.Book", models.CASCADE, null=True, to_field="code",
                    related_name="+")),
migrations.RunSQL("ALTER TABLE other_visit ADD CONSTRAINT mine FOREIGN KEY (book_id) REFERENCES old_book (id)",
                  "ALTER TABLE other_visit DROP CONSTRAINT IF EXISTS mine"),
"""


@pytest.mark.parametrize(
    "state", [pytest.param("live", marks=pytest.mark.long), pytest.param("in place", marks=pytest.mark.long), "retired"]
)
def test_migrations_of_others_can_point_at_the_old_name(project: Library, state: str) -> None:
    """Whoever knows nothing of the move writes plain migrations, at any time."""
    project.build(PLAIN, in_place=state == "in place")
    project.write("other", "0003_visit", LATER)
    null = 'migrations.AlterField("Visit", "book", models.ForeignKey("old.Book", models.CASCADE, null=True))'
    project.write("other", "0004_null", null)
    migrate("other", "0001")
    fill()
    migrate("other", "0002")
    reach(state)
    end = "old_book" if state == "live" else "new_book"
    migrate("other", "0003")
    assert lending.sql("SELECT confrelid::regclass::text FROM pg_constraint WHERE conname = 'mine'") == [(end,)]
    for target in ("0003", "0004", "0003"):
        migrate("other", target)
        found = lending.ends()
        assert [found[table] for table in ("other_visit", "other_visit_books")] == [{(end, True)}] * 2
    lending.sql("INSERT INTO other_visit (book_id, code_id) VALUES (1, 'c1')")
    with pytest.raises(IntegrityError):
        lending.sql("UPDATE other_visit SET code_id = 'nowhere'")
    migrate("new", "0001", "--discard-data")
    lead_to("old_book")


@pytest.mark.long
def test_keys_that_nobody_has_re_pointed_go_back_with_the_table(project: Library) -> None:
    """A new app of others points at the old name of a table in place, and does not depend on the move."""
    project.build(PLAIN, in_place=True)
    (project.migrations("other") / "0002_repoint.py").unlink()
    lending.forget()
    migrate("new")
    migrate("other")
    lead_to("new_book")
    fill()
    for _ in range(2):
        use(*BOTH)
        migrate("new", "0001")
        lead_to("old_book")
        comments = "SELECT conname FROM pg_constraint WHERE obj_description(oid, 'pg_constraint') IS NOT NULL"
        assert lending.sql(comments) == []
        use("old_book")
        migrate("new")
        lead_to("new_book")


def stop_unapplying(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process dies before Django unapplies the first migration."""

    def die(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MigrationExecutor, "unapply_migration", die)
        with pytest.raises(KeyboardInterrupt):
            migrate("new", "0001")


@pytest.mark.parametrize("onwards", [("new", "0001"), pytest.param(("other",), marks=pytest.mark.long)], ids=" ".join)
def test_a_crash_between_the_table_and_what_relies_on_it(
    project: Library, monkeypatch: pytest.MonkeyPatch, onwards: tuple[str, ...]
) -> None:
    project.build(PLAIN)
    migrate("other", "0001")
    fill()
    migrate("other")
    retire()
    stop_unapplying(monkeypatch)
    assert phase() == "live"
    lead_to("new_book")
    migrate(*onwards)
    lead_to("old_book" if onwards[0] == "new" else "new_book")
    use(*(BOTH if onwards[0] == "other" else ["old_book"]))


@pytest.mark.parametrize("wrong", ["conflict", pytest.param("order", marks=pytest.mark.long)])
def test_what_django_refuses_leaves_a_retired_move_as_it_is(project: Library, wrong: str) -> None:
    project.build(PLAIN)
    migrate("other", "0001")
    fill()
    migrate("other")
    retire()
    if wrong == "conflict":
        (project.migrations("new") / "0002_beside.py").write_text(
            "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n"
            '    dependencies = [("new", "0001_initial")]\n    operations = []\n'
        )
        lending.forget()
    else:
        lending.sql("DELETE FROM django_migrations WHERE app = 'new' AND name = '0001_initial'")
    with pytest.raises(CommandError, match="Conflicting migrations|is applied before its dependency"):
        migrate("new", "0001")
    assert phase() == "retired"


@pytest.mark.parametrize("state", ["retired", pytest.param("in place", marks=pytest.mark.long)])
def test_what_keeps_a_table_from_its_name_is_refused_first(project: Library, state: str) -> None:
    project.build(PLAIN, in_place=state == "in place")
    migrate("other", "0001")
    fill()
    migrate("other")
    reach(state)
    lending.sql("CREATE VIEW titles AS SELECT title FROM old_book")
    before = lending.applied()
    with pytest.raises(Refused, match="titles"):
        migrate("new", "0001")
    assert (lending.applied(), phase()) == (before, state)
    lead_to("new_book")
    lending.sql("DROP VIEW titles")
    assert ("Unretired old.Book -> new.Book." in migrate("new", "0001")) == (state == "retired")
    lead_to("old_book")
