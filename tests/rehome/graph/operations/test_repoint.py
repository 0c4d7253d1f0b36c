"""The operation Repoint: what it locks, what it refuses, and what Django's tools make of it."""

import re
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, connections, migrations, models
from django.db.migrations.operations.base import Operation
from django.db.migrations.optimizer import MigrationOptimizer
from django.db.migrations.state import ProjectState
from django.db.migrations.writer import MigrationWriter
from pytest_django import DjangoDbBlocker

from rehome import Repoint
from rehome.errors import MoveFailed, Refused
from rehome.graph import signals
from tests.rehome.support import lending
from tests.rehome.support.lab import Lab
from tests.rehome.support.lending import Library, fill, lead_to, migrate, sql, use

KEY = ("id", models.BigAutoField(primary_key=True))
LOCKS = """
SELECT c.relname, array_agg(l.mode ORDER BY l.mode) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
 WHERE l.pid = pg_backend_pid() AND c.relname IN ('other_loan', 'old_book', 'new_book') GROUP BY 1
"""


def to(label: str, **options: Any) -> models.ForeignKey:
    return models.ForeignKey(f"{label}.Book", models.CASCADE, **options)


@pytest.fixture
def project(django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[Library]:
    with django_db_blocker.unblock(), lending.installed(tmp_path) as made:
        yield made


@pytest.fixture
def books(lab: Lab) -> Lab:
    """Two models with the same rows, and a loan that names one of the first."""
    for app in ("old", "new"):
        lab.model(f"{app}.Book", {"title": models.TextField()})
    lab.model("other.Loan", {"book": to("old")})
    for app in ("old", "new"):
        lab.sql(f"INSERT INTO {app}_book (title) VALUES ('a'), ('b')")
    lab.sql("INSERT INTO other_loan (book_id) VALUES (2)")
    return lab


def constraint() -> tuple[str, str, bool]:
    """Of the loans: its name, what it leads to, and whether it is validated."""
    query = (
        "SELECT conname, confrelid::regclass::text, convalidated FROM pg_constraint "
        "WHERE contype = 'f' AND conrelid = 'other_loan'::regclass"
    )
    ((name, end, valid),) = sql(query)
    return name, end, valid


def run(lab: Lab, operation: Operation, *, atomic: bool = False, collect: bool = False) -> list[str]:
    before, after = lab.state.clone(), lab.state.clone()
    operation.state_forwards("other", after)
    with connection.schema_editor(atomic=atomic, collect_sql=collect) as editor:
        operation.database_forwards("other", editor, before, after)
    return list(editor.collected_sql) if collect else []


def test_no_row_is_looked_at_under_a_lock_that_others_wait_for(books: Lab) -> None:
    held: dict[str, dict[str, list[str]]] = {}

    def watch(execute: Callable[..., Any], statement: Any, *rest: Any) -> Any:
        result = execute(statement, *rest)
        if "CONSTRAINT" in str(statement):
            with connection.cursor() as cursor:
                cursor.cursor.execute(LOCKS)
                held[re.search(r"(\w+) CONSTRAINT", str(statement))[1]] = dict(cursor.cursor.fetchall())
            if str(statement).endswith("NOT VALID"):
                assert "ADD" in held
        return result

    with connection.execute_wrapper(watch):
        run(books, Repoint("Loan", "book", to("new")))

    assert held.keys() == {"DROP", "ADD", "VALIDATE"}
    waited_for = {mode for modes in held["VALIDATE"].values() for mode in modes}
    assert waited_for == {"AccessShareLock", "RowShareLock", "ShareUpdateExclusiveLock"}
    assert "old_book" not in held["VALIDATE"]
    assert constraint()[1:] == ("new_book", True)
    assert constraint()[0].endswith("_fk_new_book_id")


def test_rows_that_are_not_there_yet_are_refused_before_anything_changes(books: Lab) -> None:
    books.sql("DELETE FROM new_book")
    before = constraint()
    with pytest.raises(Refused) as raised:
        run(books, Repoint("Loan", "book", to("new")))
    assert str(raised.value) == (
        "other.Loan.book can't be re-pointed: public.other_loan.book_id names rows 2, which public.new_book does not "
        "have. If they have not been moved there yet, add the migration that moves them to the dependencies of this "
        "migration. Otherwise correct these rows."
    )
    assert constraint() == before


def test_a_transaction_is_refused_where_there_are_rows(books: Lab) -> None:
    before = constraint()
    with pytest.raises(Refused, match=r"in a transaction, in which everybody .* Set atomic = False on the Migration"):
        run(books, Repoint("Loan", "book", to("new")), atomic=True)
    assert constraint() == before
    books.sql("DELETE FROM other_loan")
    run(books, Repoint("Loan", "book", to("new")), atomic=True)
    assert constraint()[1:] == ("new_book", True)


def test_after_a_crash_it_goes_on(books: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from rehome.graph.operations.constraint import Exchange

    def die(self: Exchange) -> list[str]:
        raise MoveFailed("The process has died.")

    operation = Repoint("Loan", "book", to("new"))
    with monkeypatch.context() as patch:
        patch.setattr(Exchange, "validated", die)
        with pytest.raises(MoveFailed):
            run(books, operation)
    assert constraint()[1:] == ("new_book", False)
    run(books, operation)
    assert constraint()[1:] == ("new_book", True)
    run(books, operation)
    assert constraint()[1:] == ("new_book", True)


def test_a_row_that_is_gone_by_the_time_it_is_looked_at(books: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from rehome.graph.operations.constraint import Exchange

    monkeypatch.setattr(Exchange, "refuse_orphans", lambda self, place: None)
    books.sql("DELETE FROM new_book")
    with pytest.raises(MoveFailed, match=r"^other\.Loan\.book: PostgreSQL refused: .* Correct the rows that it names"):
        run(books, Repoint("Loan", "book", to("new")))
    assert constraint()[1:] == ("new_book", False)


def test_a_lock_that_is_not_granted_leaves_the_key_as_it_was(
    books: Lab, another: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REHOME_LOCK_TRIES", "2")
    monkeypatch.setenv("REHOME_LOCK_TIMEOUT_MS", "20")
    other = another("INSERT INTO other_loan (book_id) VALUES (1)")
    before = constraint()
    with pytest.raises(Exception, match=r"nightly report"):
        run(books, Repoint("Loan", "book", to("new")))
    assert constraint() == before
    other.rollback()
    run(books, Repoint("Loan", "book", to("new")))
    assert constraint()[1:] == ("new_book", True)


def test_whatever_else_changes_of_the_field_is_changed_too(books: Lab) -> None:
    run(books, Repoint("Loan", "book", to("new", null=True, unique=True, db_column="volume_id")))
    assert constraint()[1:] == ("new_book", True)
    assert constraint()[0].startswith("other_loan_volume_id_")
    books.sql("INSERT INTO other_loan (volume_id) VALUES (NULL)")
    assert sql("SELECT conname FROM pg_constraint WHERE conrelid = 'other_loan'::regclass AND contype = 'u'")


def test_a_wider_key(lab: Lab) -> None:
    lab.model("old.Book", {"id": models.AutoField(primary_key=True)})
    lab.model("new.Book", {})
    lab.model("other.Loan", {"book": to("old")})
    lab.sql("INSERT INTO old_book DEFAULT VALUES; INSERT INTO new_book DEFAULT VALUES")
    lab.sql("INSERT INTO other_loan (book_id) VALUES (1)")
    run(lab, Repoint("Loan", "book", to("new")))
    assert constraint()[1:] == ("new_book", True)
    assert sql("SELECT pg_typeof(book_id)::text FROM other_loan") == [("bigint",)]


def test_a_key_without_a_constraint_and_one_that_gets_one(lab: Lab) -> None:
    for app in ("old", "new"):
        lab.model(f"{app}.Book", {})
    lab.model("other.Loan", {"book": to("old", db_constraint=False)})
    run(lab, Repoint("Loan", "book", to("new", db_constraint=False)))
    assert sql("SELECT conname FROM pg_constraint WHERE contype = 'f' AND conrelid = 'other_loan'::regclass") == []
    run(lab, Repoint("Loan", "book", to("new")))
    assert constraint()[1:] == ("new_book", True)


def test_an_unmanaged_model_is_left_alone(lab: Lab) -> None:
    for app in ("old", "new"):
        lab.model(f"{app}.Book", {})
    lab.model("other.Loan", {"book": to("old")}, managed=False)
    run(lab, Repoint("Loan", "book", to("new")))


def test_a_partitioned_table(books: Lab) -> None:
    books.sql("DROP TABLE other_loan")
    books.sql("CREATE TABLE other_loan (id bigint PRIMARY KEY, book_id bigint NOT NULL) PARTITION BY RANGE (id)")
    books.sql("CREATE TABLE other_loan_1 PARTITION OF other_loan FOR VALUES FROM (1) TO (100)")
    books.sql("ALTER TABLE other_loan ADD CONSTRAINT mine FOREIGN KEY (book_id) REFERENCES old_book (id)")
    books.sql("INSERT INTO other_loan VALUES (1, 2)")
    run(books, Repoint("Loan", "book", to("new")))
    assert constraint()[1:] == ("new_book", True)


def test_what_sqlmigrate_prints(books: Lab) -> None:
    drop, add, validate = run(books, Repoint("Loan", "book", to("new")), collect=True)
    assert drop.startswith('ALTER TABLE "public"."other_loan" DROP CONSTRAINT IF EXISTS "other_loan_book_id_')
    assert add.startswith('ALTER TABLE "other_loan" ADD CONSTRAINT "other_loan_book_id_')
    assert add.endswith('REFERENCES "new_book" ("id") DEFERRABLE INITIALLY DEFERRED NOT VALID;')
    assert validate.startswith('ALTER TABLE "other_loan" VALIDATE CONSTRAINT "other_loan_book_id_')
    assert constraint()[1] == "old_book"


@pytest.fixture
def lite(django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[str]:
    settings = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "lite"), "OPTIONS": {}}
    connections.databases["lite"] = {**connections.databases["default"], **settings}
    with django_db_blocker.unblock():
        yield "lite"
        connections["lite"].close()
    del connections["lite"], connections.databases["lite"]


def test_another_database_is_django_s(lite: str) -> None:
    state = ProjectState()
    made = [("old", "Book", [KEY]), ("new", "Book", [KEY]), ("other", "Loan", [KEY, ("book", to("old"))])]
    with connections[lite].schema_editor() as editor:
        for app, name, fields in made:
            before = state.clone()
            create = migrations.CreateModel(name, fields)
            create.state_forwards(app, state)
            create.database_forwards(app, editor, before, state)
    after = state.clone()
    operation = Repoint("Loan", "book", to("new"))
    operation.state_forwards("other", after)
    with connections[lite].schema_editor() as editor:
        operation.database_forwards("other", editor, state, after)
    with connections[lite].cursor() as cursor:
        cursor.execute("SELECT sql FROM sqlite_master WHERE name = 'other_loan'")
        assert 'REFERENCES "new_book"' in cursor.fetchone()[0]


def test_what_the_writer_of_migrations_writes_is_read_again() -> None:
    migration = migrations.Migration("0002_repoint", "other")
    migration.operations = [Repoint("Loan", "book", to("new", null=True))]
    text = MigrationWriter(migration).as_string()
    assert "import rehome\n" in text
    assert "rehome.Repoint(\n" in text
    known: dict[str, Any] = {}
    exec(text, known)  # noqa: S102
    (read,) = known["Migration"].operations
    assert isinstance(read, Repoint)
    assert (read.describe(), read.migration_name_fragment) == ("Re-point field book on Loan", "repoint_loan_book")


def optimized(*operations: Operation) -> list[Operation]:
    return MigrationOptimizer().optimize(list(operations), "other")


def test_what_the_optimizer_makes_of_it() -> None:
    repoint = Repoint("Loan", "book", to("new"))
    (merged,) = optimized(repoint, migrations.AlterField("Loan", "book", to("new", null=True)))
    assert isinstance(merged, Repoint)
    assert merged.field.null
    (merged,) = optimized(migrations.AlterField("Loan", "book", to("old", null=True)), repoint)
    assert isinstance(merged, Repoint)
    rename, renamed = optimized(repoint, migrations.RenameField("Loan", "book", "volume"))
    assert isinstance(rename, migrations.RenameField)
    assert isinstance(renamed, Repoint)
    assert renamed.name == "volume"
    (created,) = optimized(migrations.CreateModel("Loan", [KEY, ("book", to("old"))]), repoint)
    assert dict(created.fields)["book"].remote_field.model == "new.Book"
    assert optimized(repoint, migrations.RemoveField("Loan", "book"))[0].name == "book"


def test_before_the_move_has_run(project: Library) -> None:
    project.build("rehome.Repoint")
    (project.migrations("other") / "0002_repoint.py").unlink()
    project.repoint("rehome.Repoint", after="0001_initial")
    migrate("other", "0001")
    fill()
    # As where migrations are run without the signal that has it refused before the first.
    with (
        signals.silent("before"),
        pytest.raises(Refused, match=r"other\.Loan\.book can't be re-pointed: .* .* add \('new', '0002_move'\) to"),
    ):
        migrate("other")
    assert lending.applied() == {"old.0001", "other.0001", "new.0001"}
    lead_to("old_book")
    migrate("new")
    migrate("other")
    lead_to("new_book")
    use("old_book", "new_book")


def test_it_is_told_as_makemigrations_tells(project: Library) -> None:
    project.build("rehome.Repoint")
    out = StringIO()
    call_command("migrate", "other", plan=True, stdout=out, no_color=True)
    assert "    Re-point field books on Shelf\n" in out.getvalue()
