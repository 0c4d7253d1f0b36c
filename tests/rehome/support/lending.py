"""A library whose books move between two apps: real migration files, and an app whose foreign keys lead to them."""

import contextlib
import importlib
import sys
import textwrap
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import IntegrityError, connection
from django.test import override_settings

from tests.farm.databases import WORKER, connected_to, database
from tests.farm.farm import sql

LABELS = ("old", "other", "new")
INSTALLED = ["django.contrib.contenttypes", "django.contrib.auth", "rehome"]
HEAD = "from django.db import migrations, models\n\nimport rehome\n\n\n"
BOOK = """
migrations.CreateModel("Book", [
    ("id", models.BigAutoField(primary_key=True)),
    ("code", models.CharField(max_length=20, unique=True)),
    ("title", models.TextField(default="")),
]),
"""
FIELDS = {
    "Loan": ("book", 'models.ForeignKey("{}.Book", models.CASCADE)'),
    "Card": ("book", 'models.OneToOneField("{}.Book", models.CASCADE, null=True)'),
    "Label": ("book", 'models.ForeignKey("{}.Book", models.CASCADE, to_field="code", db_column="book_code")'),
    "Note": ("book", 'models.ForeignKey("{}.Book", models.DO_NOTHING, db_constraint=False)'),
    "Shelf": ("books", 'models.ManyToManyField("{}.Book")'),
}
KEYS = {"other_card", "other_label", "other_loan", "other_shelf_books"}
"""The tables with a constraint that leads to the books."""


class Library:
    """The folder of a project's apps, which Django has installed, and the database that its connection leads to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for label in LABELS:
            (folder / label / "migrations").mkdir(parents=True)
            for name in ("__init__.py", "models.py", "migrations/__init__.py"):
                (folder / label / name).touch()

    def write(
        self, label: str, name: str, operations: str, *dependencies: tuple[str, str], atomic: bool = True, top: str = ""
    ) -> None:
        before = [*dependencies, *((label, path.stem) for path in sorted(self.migrations(label).glob("0*.py"))[-1:])]
        body = [
            "class Migration(migrations.Migration):",
            f"    atomic = {atomic}",
            f"    dependencies = {before!r}",
            "    operations = [",
            textwrap.indent(operations.strip(), " " * 8),
            "    ]",
        ]
        text = f"{HEAD}{top}\n\n" + "\n".join(body) + "\n"
        (self.migrations(label) / f"{name}.py").write_text(text, encoding="utf-8")
        forget()

    def migrations(self, label: str) -> Path:
        return self.folder / label / "migrations"

    def build(self, operation: str, **move: bool) -> None:
        """Every migration, up to the one that re-points."""
        self.write("old", "0001_initial", BOOK)
        self.write("other", "0001_initial", "\n".join(map(referrer, FIELDS)), ("old", "0001_initial"))
        self.write("new", "0001_initial", BOOK)
        options = "".join(f", {name}={value}" for name, value in move.items())
        self.write(
            "new",
            "0002_move",
            "migrations.RunPython(move.forwards, move.backwards)",
            ("old", "0001_initial"),
            atomic=False,
            top=f'move = rehome.Move("old.Book", "new.Book"{options})',
        )
        self.repoint(operation)

    def repoint(self, operation: str, *, atomic: bool | None = None, after: str = "0002_move") -> None:
        changes = [
            f'{operation}("{model}", "{name}", {field.format("new")}),' for model, (name, field) in FIELDS.items()
        ]
        plain = operation == "migrations.AlterField"
        self.write(
            "other", "0002_repoint", "\n".join(changes), ("new", after), atomic=plain if atomic is None else atomic
        )


def referrer(model: str) -> str:
    name, field = FIELDS[model]
    return (
        f'migrations.CreateModel("{model}", [("id", models.BigAutoField(primary_key=True)), '
        f'("{name}", {field.format("old")})]),'
    )


def forget() -> None:
    """Modules that were imported are read again."""
    importlib.invalidate_caches()
    for name in [name for name in sys.modules if name.split(".")[0] in LABELS and ".migrations" in name]:
        del sys.modules[name]


@contextlib.contextmanager
def installed(folder: Path) -> Iterator[Library]:
    """A project of its own, and an empty database."""
    library = Library(folder)
    sys.path.insert(0, str(folder))
    try:
        with (
            database(f"test_library_{WORKER}") as name,
            connected_to(name),
            override_settings(INSTALLED_APPS=[*INSTALLED, *LABELS]),
        ):
            yield library
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.split(".")[0] in LABELS]:
            del sys.modules[name]
        for label in LABELS:
            apps.all_models.pop(label, None)


def migrate(*target: str) -> str:
    out = StringIO()
    call_command("migrate", *target, stdout=out, no_color=True)
    return out.getvalue()


def retire(*options: str) -> None:
    name = connection.settings_dict["NAME"] if "--drop" in options else None
    call_command(
        "retiremoves", "new.Book", *options, stdout=StringIO(), stderr=StringIO(), interactive=False, confirm=name
    )


def fill() -> None:
    sql("INSERT INTO old_book (code, title) SELECT 'c' || n, 'Book ' || n FROM generate_series(1, 20) n")
    sql("INSERT INTO other_shelf DEFAULT VALUES")
    for key in range(1, 6):
        refer(key)


def refer(key: int) -> None:
    """A row of every kind that names a book."""
    sql("INSERT INTO other_loan (book_id) VALUES (%s)", [key])
    sql("INSERT INTO other_card (book_id) VALUES (%s)", [key])
    sql("INSERT INTO other_note (book_id) VALUES (%s)", [key])
    sql("INSERT INTO other_label (book_code) VALUES (%s)", [f"c{key}"])
    sql("INSERT INTO other_shelf_books (shelf_id, book_id) VALUES (1, %s)", [key])


def ends() -> dict[str, set[tuple[str, bool]]]:
    """By table: what its keys to books lead to, and whether they are validated."""
    found = sql(
        "SELECT conrelid::regclass::text, confrelid::regclass::text, convalidated FROM pg_constraint "
        "WHERE contype = 'f' AND conrelid::regclass::text LIKE 'other\\_%' AND confrelid::regclass::text LIKE '%book'"
    )
    return {table: {(end, valid) for own, end, valid in found if own == table} for table, *_ in found}


def lead_to(table: str) -> None:
    assert ends() == {key: {(table, True)} for key in KEYS}


def use(*names: str) -> None:
    """Rows are born, named, changed and deleted through each of the names; rows that are nowhere can't be named."""
    for name in names:
        ((key,),) = sql(f"INSERT INTO {name} (code, title) VALUES ('', 'new') RETURNING id")
        sql(f"UPDATE {name} SET code = 'c' || id WHERE id = %s", [key])
        refer(key)
        for other in names:
            assert sql(f"SELECT code FROM {other} WHERE id = %s", [key]) == [(f"c{key}",)]
        with pytest.raises(IntegrityError):
            sql(f"DELETE FROM {name} WHERE id = %s", [key])
        for table in KEYS | {"other_note"}:
            column, value = ("book_code", f"c{key}") if table == "other_label" else ("book_id", key)
            sql(f"DELETE FROM {table} WHERE {column} = %s", [value])
        sql(f"DELETE FROM {name} WHERE id = %s", [key])
    for table in KEYS - {"other_label"}:
        with pytest.raises(IntegrityError):
            sql(f"UPDATE {table} SET book_id = -1")
    with pytest.raises(IntegrityError):
        sql("UPDATE other_label SET book_code = 'nowhere'")
    assert connection.execute_wrappers == []


def applied() -> set[str]:
    found = sql("SELECT app || '.' || left(name, 4) FROM django_migrations WHERE app = ANY(%s)", [list(LABELS)])
    return {name for (name,) in found}
