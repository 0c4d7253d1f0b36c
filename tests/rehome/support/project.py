"""A project of real migration files, which a test adds to, with its one move in any phase."""

import contextlib
import importlib
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import StateApps
from django.test import override_settings

from tests.farm.databases import WORKER, connected_to, database

APPS = ["django.contrib.contenttypes", "django.contrib.auth", "rehome"]
OWN = ("vault", "annex", "basket")
HEAD = "from django.db import migrations, models\nimport django.db.models.deletion\nfrom rehome import Move\n\n"
BOOK = """
migrations.CreateModel("Book", [
    ("id", models.BigAutoField(primary_key=True)),
    ("title", models.CharField(max_length=50)),
    ("year", models.IntegerField(default=1)),
    ("code", models.CharField(max_length=20, unique=True)),
    ("price", models.DecimalField(max_digits=6, decimal_places=2, default=0)),
    ("note", models.TextField(null=True)),
    ("tags", models.ManyToManyField("auth.Group", related_name="+")),
])
"""
ITEM = 'migrations.CreateModel("Item", [("id", models.BigAutoField(primary_key=True)), ("book", {})])'
ROWS = """
INSERT INTO auth_group (id, name) VALUES (1, 'one'), (2, 'two');
INSERT INTO vault_book (title, year, code, price, note) SELECT 'book ' || n, n, n, n, NULL FROM generate_series(1, 5) n;
INSERT INTO vault_book_tags (book_id, group_id) VALUES (1, 1), (2, 2);
"""


def key_to(label: str) -> str:
    return f'models.ForeignKey("{label}", models.CASCADE, related_name="+")'


class Project:
    """`vault.Book` moves to `annex.Book` in annex.0002; `basket.Item` points at the old one."""

    def __init__(self, folder: Path, move: str = "") -> None:
        self.folder = folder
        for app in OWN:
            (folder / app / "migrations").mkdir(parents=True)
            for name in ("__init__.py", "models.py", "migrations/__init__.py"):
                (folder / app / name).touch()
        self.write("vault", "0001_initial", BOOK, ("auth", "0012_alter_user_first_name_max_length"))
        self.write("annex", "0001_initial", BOOK, ("auth", "0012_alter_user_first_name_max_length"))
        self.write("basket", "0001_initial", ITEM.format(key_to("vault.Book")), ("vault", "0001_initial"))
        self.write(
            "annex", "0002_move", "migrations.RunPython(book.forwards, book.backwards)", ("annex", "0001_initial"),
            ("vault", "0001_initial"), before=f'book = Move("vault.Book", "annex.Book"{move})\n', atomic=False,
        )  # fmt: skip

    def write(
        self, app: str, name: str, operations: str, *needed: tuple[str, str], before: str = "", atomic: bool = True
    ) -> None:
        """A migration, which stands in place of one of the same name."""
        body = f"    atomic = {atomic}\n    dependencies = {list(needed)}\n    operations = [\n{operations}\n    ]\n"
        text = f"{HEAD}{before}\nclass Migration(migrations.Migration):\n{body}"
        (self.folder / app / "migrations" / f"{name}.py").write_text(text)
        self.forget()

    def add(self, app: str, operations: str, *needed: tuple[str, str]) -> str:
        """The next migration of an app, which depends on the last one; its name."""
        last = self.names(app)[-1]
        name = f"{len(self.names(app)) + 1:04}_next"
        self.write(app, name, operations, (app, last), *needed)
        return name

    def names(self, app: str) -> list[str]:
        return sorted(path.stem for path in (self.folder / app / "migrations").glob("0*.py"))

    def remove(self, app: str, name: str) -> None:
        (self.folder / app / "migrations" / f"{name}.py").unlink()
        self.forget()

    def forget(self) -> None:
        """As a new process would begin."""
        for module in [module for module in sys.modules if module.partition(".")[0] in OWN]:
            del sys.modules[module]
        importlib.invalidate_caches()

    def run(self, *words: str, **options: Any) -> str:
        out = StringIO()
        call_command(*words, stdout=out, stderr=out, no_color=True, **options)
        return out.getvalue()

    def models(self) -> StateApps:
        """What code knows that the newest applied migrations belong to."""
        loader = MigrationLoader(connection)
        keys = [key for key in loader.applied_migrations if key in loader.graph.nodes]
        state = loader.project_state(keys)
        return state.apps


def sql(statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


@contextlib.contextmanager
def installed(folder: Path) -> Iterator[None]:
    """Django has no other apps than those of the project in the folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        with override_settings(INSTALLED_APPS=[*APPS, *OWN]):
            yield
        for module in [module for module in sys.modules if module.partition(".")[0] in OWN]:
            del sys.modules[module]


@contextlib.contextmanager
def template(folder: Path, phase: str) -> Iterator[str]:
    """A database in which the project's move is in that phase: planned, live, in place or retired."""
    project = Project(folder, ", in_place=True" if phase == "in place" else "")
    with installed(folder), database(f"test_project_{phase.replace(' ', '_')}_{WORKER}") as name:
        with connected_to(name):
            project.run("migrate", "vault")
            project.run("migrate", "basket", "0001")
            sql(ROWS)
            sql("INSERT INTO basket_item (book_id) SELECT id FROM vault_book")
            if phase != "planned":
                project.run("migrate", "annex", "0002")
            if phase == "retired":
                project.run("retiremoves", interactive=False)
        yield name
