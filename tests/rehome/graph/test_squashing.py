"""`squashmigrations` over a move keeps it, on databases that have it and on new ones."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from tests.rehome.support.site import Site, site

BOOK = """
class Book(models.Model):
    title = models.CharField(max_length=50)
"""
EXTRA = f"{BOOK}    extra = models.IntegerField(null=True)\n"


@pytest.fixture
def project(tmp_path: Path, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Site]:
    """old.Book with rows, moved to new.Book, whose app has one more migration after the move."""
    with django_db_blocker.unblock(), site(tmp_path) as made:
        made.models("old", BOOK)
        made.done(["makemigrations", "-v0"], ["migrate", "-v0"])
        made.sql("INSERT INTO old_book (title) SELECT n FROM generate_series(1, 20) n")
        made.models("new", BOOK)
        made.done(["makemigrations", "-v0"], ["makemove", "old.Book", "new.Book", "-v0"])
        made.models("new", EXTRA)
        made.done(["makemigrations", "-v0"])
        yield made


SQUASH = ["squashmigrations", "new", "0001", "0003", "--noinput"]


@pytest.mark.long
def test_a_squashed_move_is_known_and_new_databases_migrate(project: Site) -> None:
    project.done(["migrate"])
    *_, shown, verified = project.done(SQUASH, ["migrate"], ["showmoves"], ["verifymoves"])

    assert "RunPython" in project.migration("new", "0001_initial_squashed").read_text()
    assert "new.0001_initial_squashed_0003_book_extra  live" in shown
    assert verified.text.endswith("Equal.\n")
    assert "is retired" in project.done(["retiremoves", "--noinput"])[0]
    project.done(["retiremoves", "--undo", "--noinput"])

    for path in (project.migration("new", number) for number in ("0002", "0003")):
        path.unlink()
    (project.folder / "new" / "migrations" / "0001_initial.py").unlink()
    squashed = project.migration("new", "0001_initial_squashed")
    squashed.write_text(squashed.read_text().replace("replaces = ", "# "))
    *_, shown = project.done(["migrate"], ["showmoves"])
    assert "installed" in shown

    with project.fresh() as fresh:
        said, shown, *_ = fresh.done(["migrate", "new"], ["showmoves"], ["makemigrations", "--check"])
        assert "Note" not in said
        assert "old.Book -> new.Book" not in said
        assert "installed" in shown
        fresh.sql("INSERT INTO old_book (title) VALUES ('a')")
        assert fresh.sql("SELECT title, extra FROM new_book") == [("a", None)]
        fresh.sql("DELETE FROM new_book")
        fresh.done(["migrate", "new", "zero"])
    project.sql("DELETE FROM django_migrations WHERE app = 'new' AND name LIKE '0002%'")


def test_in_one_transaction_a_move_without_rows_runs_and_one_with_rows_is_refused(project: Site) -> None:
    """squashmigrations loses atomic = False."""
    project.done(SQUASH)
    squashed = project.migration("new", "0001_initial_squashed")
    assert "atomic" not in squashed.read_text()

    refused = project.manage("migrate")

    assert refused.code == 1
    assert refused.text.endswith(
        "old.Book -> new.Book has rows in public.old_book, and its migration runs in one transaction. Write `atomic = "
        "False` into the Migration class of that file, which squashmigrations leaves out.\n"
    )
    assert project.sql("SELECT to_regclass('new_book'), to_regclass('rehome_moverun')") == [(None, None)]
    text = squashed.read_text()
    squashed.write_text(text.replace("    replaces", "    atomic = False\n\n    replaces"))
    *_, verified = project.done(["migrate"], ["verifymoves"])
    assert verified.text.endswith("Equal.\n")
    squashed.write_text(text)

    refused = project.manage("migrate", "new", "zero")
    assert "has rows in public.old_book, and its migration runs in one transaction" in refused
    project.sql("DELETE FROM old_book")
    project.done(["migrate", "new", "zero"])
    assert project.sql("SELECT to_regclass('new_book'), phase FROM rehome_moverun") == [(None, "back")]
    assert project.sql("SELECT proname FROM pg_proc WHERE proname LIKE 'rehome%'") == [], "its fence's went too"


@pytest.mark.long
@pytest.mark.parametrize(
    ("applied", "phase"), [("zero", "planned"), ("0001", "planned"), ("0002", "live"), ("0003", "live")]
)
def test_a_database_that_has_part_of_what_was_squashed(project: Site, applied: str, phase: str) -> None:
    """Django follows the replaced migrations there, and the squashed one elsewhere."""
    project.done(["migrate", "new", applied, "-v0"], SQUASH)
    squashed = project.migration("new", "0001_initial_squashed")
    squashed.write_text(squashed.read_text().replace("    replaces", "    atomic = False\n\n    replaces"))

    *_, shown = project.done(["check"], ["makemigrations", "--check", "--dry-run"], ["showmoves"])
    assert f"  {phase}  " in shown
    if phase == "live":
        project.sql("INSERT INTO old_book (title) VALUES ('old code')")
        project.sql("INSERT INTO new_book (title) VALUES ('new code')")
        *_, verified, retired, undone = project.done(
            ["verifymoves"], ["retiremoves", "--noinput"], ["retiremoves", "--undo", "--noinput"]
        )
        assert verified.text.endswith("Equal.\n")

    *_, shown, verified = project.done(["migrate"], ["migrate", "--check"], ["showmoves"], ["verifymoves"])
    assert "new.0001_initial_squashed_0003_book_extra  live" in shown
    assert verified.text.endswith("Equal.\n")
    rows = 22 if phase == "live" else 20
    for name in ("old_book", "new_book"):
        assert project.sql(f"SELECT count(*) FROM {name}") == [(rows,)]
    project.done(["migrate", "new", "zero"], ["migrate"], ["verifymoves"])
    assert project.sql("SELECT count(*) FROM new_book") == [(rows,)]


@pytest.mark.long
@pytest.mark.parametrize("applied", ["0001", "0002"])
def test_a_database_that_has_part_of_what_was_squashed_goes_back_from_there(project: Site, applied: str) -> None:
    project.done(["migrate", "new", applied, "-v0"], SQUASH, ["migrate", "new", "zero"], ["migrate", "new", "zero"])
    assert project.sql("SELECT to_regclass('new_book'), count(*) FROM old_book") == [(None, 20)]
    squashed = project.migration("new", "0001_initial_squashed")
    squashed.write_text(squashed.read_text().replace("    replaces", "    atomic = False\n\n    replaces"))
    project.done(["migrate"], ["verifymoves"])


# ----- circular squashes


CREATE = 'migrations.CreateModel("Book", [("id", models.BigAutoField(primary_key=True))])'
STATE_ALONE = 'migrations.SeparateDatabaseAndState(state_operations=[migrations.DeleteModel("Book")])'
NOTHING = "migrations.RunSQL(migrations.RunSQL.noop, migrations.RunSQL.noop)"
MOVE = 'migrations.RunPython(Move("old.Book", "new.Book").forwards, Move("old.Book", "new.Book").backwards)'
PROBLEM = (
    "Squashing old.0001_initial to 0004_more is circular: old.0003_delete depends on new.0002_move, which depends on "
    "old.0001_initial."
)
CUT = (
    "Cut before old.0003_delete: `manage.py squashmigrations old 0001_initial 0002_note`, then `manage.py "
    "squashmigrations old 0003_delete 0004_more`."
)


@pytest.fixture
def tied(tmp_path: Path, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Site]:
    """old.0001 and 0002 come before the move, 0003 and 0004 after it."""
    with django_db_blocker.unblock(), site(tmp_path) as made:
        made.models("old", "")
        made.models("new", "class Book(models.Model):\n    pass\n")
        made.write("old", "0001_initial", dependencies=[], operations=CREATE)
        made.write("old", "0002_note", dependencies=[("old", "0001_initial")], operations=NOTHING)
        made.write("new", "0001_initial", dependencies=[], operations=CREATE)
        needs = [("new", "0001_initial"), ("old", "0001_initial")]
        made.write("new", "0002_move", dependencies=needs, operations=MOVE, extra="atomic = False\n")
        needs = [("old", "0002_note"), ("new", "0002_move")]
        made.write("old", "0003_delete", dependencies=needs, operations=STATE_ALONE)
        made.write("old", "0004_more", dependencies=[("old", "0003_delete")], operations=NOTHING)
        yield made


def squash(site: Site, app: str, *names: str, dependencies: list[tuple[str, str]]) -> Path:
    """As Django's own command writes it, without its operations."""
    replaces = f"replaces = {[(app, name) for name in names]!r}\n"
    return site.write(app, f"{names[0]}_squashed", dependencies=dependencies, operations=NOTHING, extra=replaces)


def test_a_squash_that_would_be_circular_is_refused_and_says_where_to_cut(tied: Site) -> None:
    refused, ok, clean = tied.run(
        ["squashmigrations", "old", "0001", "0004", "--noinput"],
        ["squashmigrations", "old", "0001", "0002", "--noinput", "-v0"],
        ["check"],
    )
    assert refused.text == f"CommandError: {PROBLEM} {CUT}\n"
    assert (ok.code, clean.code) == (0, 0)
    tied.done(["squashmigrations", "old", "0003", "0004", "--noinput", "-v0"], ["migrate"], ["check"])
    unknown, reversed_ = tied.run(
        ["squashmigrations", "old", "0009", "--noinput"], ["squashmigrations", "old", "0004", "0001", "--noinput"]
    )
    assert "Cannot find a migration matching '0009'" in unknown
    assert (unknown.code, reversed_.code) == (1, 1)


def test_a_circular_squash_is_named_by_a_check_and_by_every_command(tied: Site) -> None:
    names = ["0001_initial", "0002_note", "0003_delete", "0004_more"]
    path = squash(tied, "old", *names, dependencies=[("new", "0002_move")])

    said = tied.run(["check"], ["migrate"], ["showmoves"], ["makemove", "old.Book", "new.Book"])

    for one in said:
        assert one.code == 1
        assert PROBLEM in one
        assert CUT in one
        assert "Traceback" not in one
    assert "old.0001_initial_squashed: (rehome.E101)" in said[0]
    assert f"HINT: Delete 0001_initial_squashed and squash in parts. {CUT}" in said[0]
    path.unlink()
    assert tied.manage("check").code == 0


def test_two_squashes_that_are_circular_together_are_named(tied: Site) -> None:
    tied.write("old", "0002_note", dependencies=[("old", "0001_initial"), ("new", "0001_initial")], operations=NOTHING)
    squash(tied, "old", "0001_initial", "0002_note", dependencies=[("new", "0001_initial")])
    assert tied.manage("check").code == 0

    refused = tied.manage("squashmigrations", "new", "0002", "--noinput")
    squash(tied, "new", "0001_initial", "0002_move", dependencies=[("old", "0001_initial")])
    said = tied.manage("check")

    one = "new.0002_move depends on old.0001_initial_squashed, which depends on new.0001_initial."
    two = "old.0002_note depends on new.0001_initial_squashed, which depends on old.0001_initial."
    leaves = "which leaves nothing to squash."
    assert f"Squashing new.0001_initial to 0002_move is circular: {one} Cut before new.0002_move, {leaves}" in refused
    assert f"circular: {one}" in said
    assert f"circular: {two}" in said


def test_what_an_earlier_version_squashed_without_its_move_is_named(project: Site) -> None:
    project.done(["migrate"], SQUASH)
    squashed = project.migration("new", "0001_initial_squashed")
    text = squashed.read_text()
    for name in ("forwards", "backwards"):
        text = text.replace(f"rehome.Move('old.Book', 'new.Book').{name}", f"rehome.move.Move.{name}")
    squashed.write_text(text.replace("import rehome", "import rehome.move"))

    check, shown = project.run(["check"], ["showmoves"])

    assert "(rehome.E102) This migration runs Move.forwards without saying which move." in check
    assert "delete the file and run `manage.py squashmigrations` again." in check
    with project.fresh() as fresh:
        refused = fresh.manage("migrate", "--skip-checks")
        assert refused.text.endswith("run `manage.py squashmigrations` again.\n")
        assert "Traceback" not in refused
