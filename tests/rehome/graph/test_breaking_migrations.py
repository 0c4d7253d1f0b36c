"""Real migrations while a move stands: what is refused before it harms, what is renewed, and what leads out."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import Error, run_checks
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError
from django.core.management.commands.migrate import Command as DjangosMigrate
from django.db import DatabaseError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoDbBlocker

from rehome.errors import RehomeError
from rehome.graph import signals, system_checks
from tests.farm.databases import WORKER, connected_to, database
from tests.rehome.support.project import Project, installed, sql, template

LONGER = 'migrations.AlterField("Book", "title", models.CharField(max_length=80))'
LOOSER = 'migrations.AlterField("Book", "code", models.CharField(max_length=20, null=True))'
Standing = Callable[..., Project]


@pytest.fixture(scope="module")
def templates(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[Callable[[str], str]]:
    """The name of a database in which the move is in that phase."""
    made: dict[str, str] = {}
    with django_db_blocker.unblock(), contextlib.ExitStack() as stack:

        def find(phase: str) -> str:
            if phase not in made:
                made[phase] = stack.enter_context(template(tmp_path_factory.mktemp("project"), phase))
            return made[phase]

        yield find
        django_db_blocker.unblock()


@pytest.fixture
def standing(templates: Callable[[str], str], tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Standing]:
    """The project, with its default database a copy of one where the move is in that phase."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(django_db_blocker.unblock())

        def stand(phase: str = "live") -> Project:
            name = stack.enter_context(database(f"test_standing_{WORKER}", template=templates(phase)))
            stack.enter_context(connected_to(name))
            project = Project(tmp_path, ", in_place=True" if phase == "in place" else "")
            stack.enter_context(installed(tmp_path))
            return project

        yield stand


def refused(project: Project, *words: str) -> str:
    """Nothing is applied, though a migration before it could be."""
    before = set(MigrationRecorder(connection).applied_migrations())
    with pytest.raises(RehomeError) as raised:
        project.run(*(words or ("migrate",)))
    assert isinstance(raised.value, CommandError)
    assert set(MigrationRecorder(connection).applied_migrations()) == before
    return str(raised.value)


def applied_by_force(project: Project) -> None:
    """As with Django alone."""
    with signals.silent("before", "after"):
        call_command(DjangosMigrate(), verbosity=0, skip_checks=True)


def assert_writes(project: Project, code: str = "w") -> None:
    sql(f"INSERT INTO vault_book (title, year, code, price) VALUES ('old', 1, 'old {code}', 1)")
    sql(f"INSERT INTO annex_book (title, year, code, price) VALUES ('new', 1, 'new {code}', 1)")
    sql("UPDATE vault_book SET year = year + 1 WHERE id = 1")
    sql("UPDATE annex_book SET year = year + 1 WHERE id = 2")
    sql("INSERT INTO vault_book_tags (book_id, group_id) VALUES (3, 1)")
    sql("DELETE FROM annex_book_tags WHERE book_id IN (1, 3)")
    assert "Equal." in project.run("verifymoves")


# ----- before it harms


def test_migrate_refuses_before_anything_is_applied(standing: Standing) -> None:
    project = standing()
    project.add("basket", 'migrations.AddField("Item", "size", models.IntegerField(null=True))')
    project.add("vault", 'migrations.DeleteModel("Book")')

    said = refused(project)

    assert said.startswith("vault.0002_next drops vault_book, the old table of vault.Book -> annex.Book:")
    assert 'SeparateDatabaseAndState(state_operations=[migrations.DeleteModel("Book")])' in said
    assert said.endswith(" Nothing has been applied.")
    project.write(
        "vault", "0002_next", 'migrations.AlterModelOptions("Book", {"ordering": ["id"]})', ("vault", "0001_initial")
    )
    project.run("migrate")
    assert_writes(project)


def test_so_does_any_other_command_that_sends_the_signal(standing: Standing) -> None:
    project = standing()
    project.add("annex", 'migrations.AddField("Book", "stars", models.IntegerField(default=0))')

    with pytest.raises(RehomeError, match=r"Give the field db_default=0") as raised:
        call_command(DjangosMigrate(), verbosity=0)

    assert str(raised.value).count("makes annex_book.stars NOT NULL") == 1


def test_faking_runs_nothing_and_is_not_refused(standing: Standing) -> None:
    project = standing()
    project.add("vault", 'migrations.RemoveField("Book", "year")')
    project.run("migrate", "vault", fake=True)
    assert_writes(project)


def test_the_same_project_on_another_database_is_judged_by_that_alone(standing: Standing) -> None:
    project = standing("planned")
    project.add("vault", 'migrations.AddField("Book", "stars", models.IntegerField(default=0))')
    project.run("migrate", "vault")
    assert sql("SELECT count(*) FROM vault_book WHERE stars = 0") == [(5,)]


def test_a_project_without_moves_is_asked_nothing(standing: Standing) -> None:
    project = standing()
    project.remove("annex", "0002_move")
    plan = [(migration, False) for migration in breaking_migrations()]
    with CaptureQueriesContext(connection) as queries:
        signals.before_migrations("default", plan)
        signals.before_migrations("default", [])
    assert len(queries) == 0


def breaking_migrations() -> list[Any]:
    from django.db.migrations.loader import MigrationLoader

    return list(MigrationLoader(None).graph.nodes.values())


def test_the_system_check_says_the_same(standing: Standing) -> None:
    project = standing()
    name = project.add("vault", 'migrations.DeleteModel("Book")')

    (found,) = [one for one in run_checks() if one.id and one.id.startswith("rehome.")]
    assert (type(found), found.id, found.obj) == (Error, "rehome.E001", f"vault.{name}")
    assert found.hint.startswith("Remove the model from the state alone")
    with pytest.raises(SystemCheckError, match=r"vault\.0002_next: \(rehome\.E001\) vault\.0002_next drops vault_book"):
        call_command("check")

    alone = 'migrations.SeparateDatabaseAndState(state_operations=[migrations.DeleteModel("Book")])'
    project.write("vault", name, alone, ("vault", "0001_initial"))
    call_command("check")


def test_what_makemove_says_is_the_same(standing: Standing) -> None:
    project = standing("planned")
    key = 'models.ForeignKey("annex.Book", models.CASCADE, related_name="+")'
    project.add("basket", f'migrations.AlterField("Item", "book", {key})', ("annex", "0001_initial"))

    (said,) = system_checks.find_of([("annex", "0002_move")])

    cure = 'Add ("annex", "0002_move") to the dependencies of basket.0002_next.'
    assert str(said).endswith(f"has moved the rows there. {cure}")
    assert cure in refused(project, "migrate", "basket")
    project.write("basket", "0002_next", f'migrations.AlterField("Item", "book", {key})', ("basket", "0001_initial"),
                  ("annex", "0002_move"))  # fmt: skip
    project.run("migrate")
    assert_writes(project)


# ----- renewed by itself


@pytest.mark.parametrize("command", [None, DjangosMigrate])
@pytest.mark.long
def test_the_source_first_and_then_the_target(standing: Standing, command: Any) -> None:
    project = standing()
    assert_writes(project, "before")
    for app, needed in (("vault", ()), ("annex", (("vault", "0002_next"),))):
        wider = f'{LONGER}, migrations.AlterField("Book", "year", models.BigIntegerField(default=1)), {LOOSER}'
        project.add(app, f'{wider}, migrations.AddField("Book", "{app}", models.TextField(null=True))', *needed)

    call_command(command() if command else "migrate", verbosity=0)

    sql(f"UPDATE annex_book SET title = '{'x' * 80}', year = 5000000000 WHERE id = 3")
    sql(f"UPDATE vault_book SET title = '{'y' * 80}' WHERE id = 4")
    assert sql("SELECT length(title), year FROM vault_book WHERE id = 3") == [(80, 5_000_000_000)]
    sql("UPDATE annex_book SET code = 'twice' WHERE id IN (3, 4)")
    sql("UPDATE vault_book SET code = NULL WHERE id = 5")
    assert_writes(project)


def test_the_triggers_are_renewed_before_the_next_migration(standing: Standing) -> None:
    project = standing()
    wider = 'migrations.AlterField("Book", "year", models.BigIntegerField(default=1))'
    project.add("vault", wider)
    write = 'migrations.RunSQL("UPDATE vault_book SET year = 7 WHERE id = 1")'
    project.add("vault", write)
    assert_writes(project)
    project.run("migrate")
    assert sql("SELECT year FROM annex_book WHERE id = 1") == [(7,)]


@pytest.mark.long
def test_what_was_widened_can_go_back_to_what_it_was(standing: Standing) -> None:
    project = standing()
    wider = 'migrations.AlterField("Book", "year", models.BigIntegerField(default=1))'
    project.add("vault", wider)
    project.add("annex", wider, ("vault", "0002_next"))
    project.run("migrate")
    assert_writes(project, "wide")
    project.run("migrate", "vault", "0001")
    assert_writes(project, "narrow")


@pytest.mark.long
def test_a_retired_move_takes_it_between_an_undo_and_a_retirement(standing: Standing) -> None:
    project = standing("retired")
    project.add("vault", LONGER)
    project.add("annex", LONGER, ("vault", "0002_next"))
    assert "`manage.py retiremoves annex.Book --undo`" in refused(project)

    project.run("retiremoves", "annex.Book", undo=True)
    project.run("migrate")
    project.run("retiremoves", "annex.Book", interactive=False)

    sql(f"UPDATE vault_book SET title = '{'x' * 80}' WHERE id = 3")
    assert "Equal." in project.run("verifymoves")


@pytest.mark.long
@pytest.mark.parametrize("phase", ["retired", "in place"])
def test_a_view_takes_what_the_target_gets(standing: Standing, phase: str) -> None:
    project = standing(phase)
    project.add("annex", 'migrations.AddField("Book", "stars", models.IntegerField(db_default=0))')
    project.run("migrate")
    sql("INSERT INTO vault_book (title, year, code, price) VALUES ('old', 1, 'o', 1)")
    assert "Equal." in project.run("verifymoves")


# ----- broken already


DAMAGE = {
    "table": 'migrations.DeleteModel("Book")',
    "column": 'migrations.RemoveField("Book", "year")',
    "rename": 'migrations.RenameField("Book", "title", "name")',
    "type": 'migrations.AlterField("Book", "year", models.TextField(default="1"))',
    "not null": 'migrations.AddField("Book", "stars", models.IntegerField(default=0))',
    "many-to-many": 'migrations.RemoveField("Book", "tags")',
    "model": 'migrations.RenameModel("Book", "Volume")',
}
PRODUCT = [(app, kind) for app in ("vault", "annex") for kind in DAMAGE]
FEW = [("vault", "table"), ("annex", "column")]


def damage(project: Project, app: str, kind: str) -> str:
    """The migration, applied by Django alone."""
    needed = []
    if app == "vault":
        sql("DELETE FROM basket_item")
        needed = [("basket", project.add("basket", 'migrations.RemoveField("Item", "book")'))]
    name = project.add(app, DAMAGE[kind], *needed)
    applied_by_force(project)
    return name


@pytest.mark.parametrize(
    ("app", "kind"), [pytest.param(*one, marks=[] if one in FEW else [pytest.mark.long]) for one in PRODUCT]
)
def test_unapplying_the_migration_leads_out(standing: Standing, app: str, kind: str) -> None:
    project = standing()
    before = sql("SELECT id, title, year FROM vault_book ORDER BY id")
    name = damage(project, app, kind)
    if kind != "many-to-many":
        with pytest.raises(DatabaseError):
            assert_writes(project, "broken")
        sql("DELETE FROM annex_book WHERE code LIKE '%broken'") if kind == "type" else None

    back = "annex 0002_move" if app == "annex" else "vault 0001_initial"
    said = project.run("showmoves")
    assert f"vault.Book -> annex.Book: {app}.{name} " in said
    assert f"It is applied here: unapply it with `manage.py migrate {back}`." in said
    if kind == "table" and app == "vault":
        assert "`manage.py retiremoves annex.Book` ends the move" in said
    said = project.run("migrate", *back.split())

    assert "Repaired vault.Book -> annex.Book." in said
    for table in ("vault_book", "annex_book"):
        assert sql(f"SELECT id, title, year FROM {table} WHERE id <= 5 ORDER BY id") == before
    assert_writes(project)
    project.run("migrate", "annex", "0001")
    assert sql("SELECT count(*) FROM vault_book WHERE code IN ('old w', 'new w')") == [(2,)]


def test_the_way_back_leads_out_at_once_where_it_unapplies_the_migration(standing: Standing) -> None:
    project = standing()
    damage(project, "annex", "column")
    project.run("migrate", "annex", "0001")
    assert sql("SELECT array_agg(year ORDER BY id) FROM vault_book") == [([1, 2, 3, 4, 5],)]


def test_the_way_back_names_the_migration_where_it_does_not(standing: Standing) -> None:
    project = standing()
    damage(project, "vault", "table")
    said = refused(project, "migrate", "annex", "0001")
    assert said.endswith("Unapply it first, with `manage.py migrate vault 0001_initial`.")
    with pytest.raises(CommandError, match=r"unapply it with `manage\.py migrate vault 0001_initial`"):
        project.run("verifymoves")


def test_another_command_leads_out_too(standing: Standing) -> None:
    project = standing()
    damage(project, "annex", "table")
    assert system_checks.check_moves() != []
    call_command(DjangosMigrate(), "annex", "0002", verbosity=0, skip_checks=False)
    assert_writes(project)


@pytest.mark.long
def test_what_no_other_table_has_is_named(standing: Standing) -> None:
    project = standing("in place")
    sql("DROP VIEW vault_book")  # Which Django did by itself, before 6.1.
    damage(project, "annex", "column")
    said = project.run("migrate", "annex", "0002")
    assert "no other table has the values of year that went with it." in said
    assert_writes(project)


def test_rows_that_were_written_behind_the_triggers_are_not_overwritten(standing: Standing) -> None:
    project = standing()
    damage(project, "annex", "column")
    sql("ALTER TABLE annex_book DISABLE TRIGGER USER")
    sql("INSERT INTO annex_book (title, code, price) VALUES ('kept', 'kept', 1)")
    sql("ALTER TABLE annex_book ENABLE TRIGGER USER")

    said = project.run("migrate", "annex", "0002")

    assert "the tables differ in more than was lost" in said
    assert sql("SELECT count(*) FROM annex_book WHERE code = 'kept'") == [(1,)]


def test_a_move_whose_old_table_is_gone_for_good_is_ended(standing: Standing) -> None:
    project = standing()
    name = damage(project, "vault", "table")
    # What the refusal says, too late: unapplying this migration makes no table.
    alone = 'migrations.SeparateDatabaseAndState(state_operations=[migrations.DeleteModel("Book")])'
    project.write("vault", name, alone, ("basket", "0002_next"), ("vault", "0001_initial"))
    assert "`manage.py retiremoves annex.Book` ends the move" in project.run("showmoves")
    with pytest.raises(CommandError, match="There is no terminal to answer on"):
        project.run("retiremoves")
    assert "DROP FUNCTION" in project.run("retiremoves", dry_run=True)

    assert "has ended: its old table is gone" in project.run("retiremoves", interactive=False)

    sql("INSERT INTO annex_book (title, year, code, price) VALUES ('new', 1, 'n', 1)")
    sql("DELETE FROM annex_book_tags")
    assert sql("SELECT count(*) FROM pg_proc WHERE proname ^@ 'rehome'") == [(0,)]
    assert sql("SELECT count(*) FROM pg_class WHERE relname ^@ 'rehome' AND relname <> 'rehome_moverun'") == [(1,)]
    assert "Nothing is set aside" not in project.run("migrate")
    assert project.run("showmoves").count("\n") == 2
