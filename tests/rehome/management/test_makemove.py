"""The migration of a move that makemove writes is the one that an author would write by hand, and it runs."""

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection, migrations, models
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from pytest_django import DjangoDbBlocker
from pytest_django.fixtures import Settings

from rehome.errors import Refused
from rehome.graph.discovery import Key, find_moves
from rehome.graph.drafting.loading import Loader, code_state
from rehome.graph.drafting.move import find_questions, move_text
from rehome.graph.drafting.pairs import Pair
from rehome.graph.drafting.stages import Stages
from rehome.graph.status import read_statuses
from rehome.management.commands.makemove import KINDS
from tests.conftest import ROOT
from tests.farm.databases import WORKER, connected_to, database
from tests.rehome.support.graph import graph_of

# ----- the migration of a move


def model(name: str, /, **fields: models.Field) -> Operation:
    return migrations.CreateModel(name, [("id", models.BigAutoField(primary_key=True)), *fields.items()])


def pair_of(source: str, target: str) -> Pair:
    keys = [(app, name.lower()) for app, _, name in (label.partition(".") for label in (source, target))]
    return Pair(*keys, source, target, cut=False)


def normal(code: str) -> str:
    """Without the line breaks that depend on lengths, and with migrations by their numbers alone."""
    return ast.unparse(ast.parse(re.sub(r'"(\d{4})_\w+"', r'"\1"', code)))


@pytest.mark.parametrize(
    ("app", "name", "written", "needed"),
    [
        ("accounts", "Profile", "0002_migrate_profile_data", []),
        ("printers", "Printer", "0002_migrate_printer_data", [("accounts", "0002_migrate_profile_data")]),
    ],
)
def test_it_is_what_was_written_by_hand(app: str, name: str, written: str, needed: list[Key]) -> None:
    pair = pair_of(f"portal.{name}", f"{app}.{name}")
    whole = MigrationLoader(None).graph
    changed = ("portal", "0002_printer_longer_api_key")
    later = {key for root in [(app, written), changed] for key in whole.backwards_plan(root)}
    stages = Stages(Loader(later), code_state(), [pair], [pair], KINDS)

    (migration,) = stages.move({pair: needed}).values()

    assert migration.name == written
    text = move_text(migration, pair, [], [])
    assert normal(text) == normal((ROOT / app / "migrations" / f"{written}.py").read_text())


def text_for(source: str, target: str, questions: list[str]) -> str:
    return move_text(Migration("0002", "new"), pair_of(source, target), questions, [])


def test_fields_that_only_the_author_can_place_are_asked_for_in_the_file() -> None:
    known = graph_of(
        old=[[model("Class", name=models.TextField(), nickname=models.TextField())]],
        new=[
            [
                model(
                    "Class",
                    name=models.TextField(),
                    serial=models.TextField(),
                    note=models.TextField(null=True),
                    size=models.IntegerField(default=0),
                    born=models.DateTimeField(db_default=models.functions.Now()),
                )
            ]
        ],
    ).project_state().apps  # fmt: skip

    questions = list(find_questions(known.get_model("old.Class"), known.get_model("new.Class")))

    assert questions == [
        'old.Class.nickname has no counterpart: fields={"...": "nickname"} carries it; '
        'discard=["nickname"], irreversible=True loses it and the way back.',
        'new.Class.serial may not be null and has no default: fields={"serial": ...} fills it.',
    ]
    text = text_for("old.Class", "new.Class", questions)
    assert "# Decide before this can run:\n# - old.Class.nickname has no counterpart:" in text
    assert '\nclass_ = Move("old.Class", "new.Class")\n' in text
    assert "RunPython(class_.forwards, class_.backwards)" in text
    compile(text, "draft", "exec")


def test_long_names_are_broken_as_formatters_break_them() -> None:
    name = "Thing" + "x" * 60

    text = text_for(f"old.{name}", f"new.{name}", [])

    assert f'{name.lower()} = Move(\n    "old.{name}",\n    "new.{name}",\n)\n' in text


# ----- the command, in a project of its own

MODELS = """
from django.db import models


class Owner(models.Model):
    name = models.CharField(max_length=20)


class Item(models.Model):
    owner = models.ForeignKey(Owner, models.CASCADE, related_name="+")
    label = models.CharField(max_length=20)
"""


@pytest.fixture
def project(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Path]:
    """Two apps, shelf and stock, with the same models, in a database of their own; shelf has one field more."""
    names = {"shelf", "stock"}
    for name in names:
        (tmp_path / name / "migrations").mkdir(parents=True)
        (tmp_path / name / "__init__.py").touch()
        (tmp_path / name / "migrations" / "__init__.py").touch()
        (tmp_path / name / "models.py").write_text(MODELS)
    with (tmp_path / "shelf" / "models.py").open("a") as file:
        file.write("    nickname = models.CharField(max_length=20)\n")
    monkeypatch.syspath_prepend(tmp_path)
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, *sorted(names)]
    with django_db_blocker.unblock(), database(f"test_project_{WORKER}") as name, connected_to(name):
        yield tmp_path
    forget_modules(names)
    for name in names:
        del apps.all_models[name]
    apps.clear_cache()


def forget_modules(names: set[str]) -> None:
    """As a new process would begin."""
    for module in [module for module in sys.modules if module.partition(".")[0] in names]:
        del sys.modules[module]


def make_migrations() -> None:
    call_command("makemigrations", "shelf", "stock", verbosity=0)


def run_makemove(*arguments: str, **options: Any) -> str:
    # The finder looks at a folder again when its time has changed, which two writes at once may not do.
    importlib.invalidate_caches()
    stdout = StringIO()
    call_command("makemove", *arguments, stdout=stdout, no_color=True, **options)
    importlib.invalidate_caches()
    return stdout.getvalue()


def sql(statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


LOST = 'discard=["nickname"], irreversible=True'


@pytest.mark.long
def test_the_written_migration_is_clean_and_moves_the_rows(project: Path) -> None:
    owners = project / "stock" / "migrations" / "0002_migrate_owner_data.py"
    items = project / "stock" / "migrations" / "0003_items.py"

    with pytest.raises(Refused, match=r"No migration creates 'shelf\.Owner'\. Run `manage\.py makemigrations shelf`"):
        run_makemove("shelf.Owner", "stock.Owner")
    make_migrations()
    with pytest.raises(Refused, match=r"stock\.Item\.owner points at stock\.Owner, but no migration moves shelf"):
        run_makemove("shelf.Item", "stock.Item")
    assert not list((project / "stock" / "migrations").glob("0002*"))

    printed = run_makemove("shelf.Owner", "stock.Owner", dry_run=True)
    assert not owners.exists()
    said = run_makemove("Shelf.owner", "STOCK.OWNER")
    place, _, text = printed.partition("\n")
    assert (place.startswith("# "), place.endswith("stock/migrations/0002_migrate_owner_data.py")) == (True, True)
    assert owners.read_text() == text
    assert said.startswith("Migrations for 'stock':\n")
    assert "stock/migrations/0002_migrate_owner_data.py\n    + Move shelf.Owner to stock.Owner\n" in said
    assert "  - shelf.Item.owner points at shelf.Owner still: change it to" in said
    with pytest.raises(Refused, match=r"stock\.0002_migrate_owner_data moves shelf\.Owner to stock\.Owner already"):
        run_makemove("shelf.Owner", "stock.Owner")

    said = run_makemove("shelf.Item", "stock.Item", name="items")
    assert "Decide before it can run:\n  - shelf.Item.nickname has no counterpart" in said

    assert (
        subprocess.run([sys.executable, "-m", "ruff", "check", "--quiet", owners, items], check=False).returncode == 0
    )
    formatted = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--check", "--diff", owners, items],
        capture_output=True,
        text=True,
        check=False,
    )
    assert formatted.returncode == 0, formatted.stdout
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)

    call_command("migrate", "shelf", verbosity=0)
    call_command("migrate", "stock", "0001", verbosity=0)
    sql("INSERT INTO shelf_owner (id, name) VALUES (7, 'Ada')")
    sql("INSERT INTO shelf_item (id, owner_id, label, nickname) VALUES (3, 7, 'lamp', 'Lucy')")
    with pytest.raises(Refused, match=r"stock\.Item has no field for shelf\.Item\.nickname"):
        call_command("migrate", "stock", verbosity=0)

    items.write_text(items.read_text().replace('"stock.Item")', f'"stock.Item", {LOST})'))
    forget_modules({"stock.migrations"})
    del sys.modules["stock.migrations.0003_items"]
    importlib.invalidate_caches()
    call_command("migrate", "stock", verbosity=0)

    assert sql("SELECT id, owner_id, label FROM stock_item") == [(3, 7, "lamp")]
    statuses = read_statuses(find_moves(MigrationLoader(connection)), connection)
    assert [(status.declared.place, status.phase) for status in statuses if status.declared.key[0] == "stock"] == [
        ("stock.0002_migrate_owner_data", "live"),
        ("stock.0003_items", "frozen"),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["portal", "accounts.Profile"], "'portal' is no model; write it as app_label.ModelName."),
        (["portal.Profile", "accounts.a.b"], "'accounts.a.b' is no model; write it as app_label.ModelName."),
        (["portal.Profile", "accounts.Profile", "--name=two words"], "'two words' can't be the name of a Python"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError) as refused:
        call_command("makemove", *arguments)

    assert str(refused.value).startswith(message)
    assert refused.value.returncode == 2
