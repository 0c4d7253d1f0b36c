"""The migration that makemove writes is the one that an author would write by hand, and it runs."""

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

from rehome import Move
from rehome.errors import Refused
from rehome.graph.discovery import find_moves
from rehome.graph.draft import make_draft
from rehome.graph.status import read_statuses
from rehome.management.commands.makemove import refuse_conflicts
from tests.conftest import ROOT
from tests.farm.conftest import WORKER, connected_to, database
from tests.rehome.support.graph import graph_of

# ----- the draft


def model(name: str, /, *, proxy: bool = False, **fields: models.Field) -> Operation:
    if proxy:
        return migrations.CreateModel(f"{name}Proxy", [], options={"proxy": True}, bases=(f"old.{name}",))
    return migrations.CreateModel(name, [("id", models.BigAutoField(primary_key=True)), *fields.items()])


def points_at(label: str) -> models.ForeignKey:
    return models.ForeignKey(label, models.CASCADE, related_name="+")


def run(move: Move) -> Operation:
    return migrations.RunPython(move.forwards, move.backwards)


def operations_of(app: str, name: str) -> list[Operation]:
    return list(MigrationLoader(None).graph.nodes[app, name].operations)


def normal(code: str) -> str:
    """Without the line breaks that depend on lengths, and with migrations by their numbers alone."""
    return ast.unparse(ast.parse(re.sub(r'"(\d{4})_\w+"', r'"\1"', code)))


@pytest.mark.parametrize("app", ["accounts", "printers"])
def test_the_draft_is_what_was_written_by_hand(app: str) -> None:
    written, name = {
        "accounts": ("0002_migrate_profile_data", "Profile"),
        "printers": ("0002_migrate_printer_data", "Printer"),
    }[app]
    loader = graph_of(
        portal=[operations_of("portal", "0001_initial")],
        accounts=[
            operations_of("accounts", "0001_initial"),
            *([] if app == "accounts" else [operations_of("accounts", "0002_migrate_profile_data")]),
        ],
        printers=[operations_of("printers", "0001_initial")],
    )
    loader.unmigrated_apps = {"auth", "contenttypes"}

    draft = make_draft(f"PORTAL.{name.lower()}", f"{app}.{name.upper()}", loader)

    assert (draft.app_label, draft.name, draft.questions) == (app, written, ())
    assert normal(draft.as_text()) == normal((ROOT / app / "migrations" / f"{written}.py").read_text())


def test_every_move_that_a_relation_needs_is_a_dependency_once() -> None:
    tag, owner = Move("old.Tag", "new.Tag"), Move("old.Owner", "people.Owner")
    old = [model("Tag"), model("Owner"), model("Item", parent=points_at("self"))]
    old += [
        migrations.AddField("Item", "owner", points_at("old.Owner")),
        migrations.AddField("Item", "previous", points_at("old.Owner")),
        migrations.AddField("Item", "tags", models.ManyToManyField("old.Tag", related_name="+")),
    ]
    loader = graph_of(
        old=[old, [model("Unrelated")]],
        people=[[model("Owner")], [run(owner)]],
        new=[
            [model("Tag")],
            [run(tag)],
            [
                model("Item", parent=points_at("self"), owner=points_at("people.Owner")),
                migrations.AddField("Item", "previous", points_at("people.Owner")),
                migrations.AddField("Item", "tags", models.ManyToManyField("new.Tag", related_name="+")),
            ],
        ],
    )

    draft = make_draft("old.Item", "new.Item", loader, name="items")

    assert draft.name == "0004_items"
    assert draft.dependencies == (("new", "0003"), ("people", "0002"), ("old", "0002"))


def test_fields_that_only_the_author_can_place_are_asked_for_in_the_file() -> None:
    loader = graph_of(
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
    )

    draft = make_draft("old.Class", "new.Class", loader)

    assert draft.questions == (
        'old.Class.nickname has no counterpart: fields={"...": "nickname"} carries it, discard=["nickname"] loses it.',
        'new.Class.serial may not be null and has no default: fields={"serial": ...} fills it.',
    )
    text = draft.as_text()
    assert "# Decide before this can run:\n# - old.Class.nickname has no counterpart:" in text
    assert '\nclass_ = Move("old.Class", "new.Class")\n' in text
    assert "RunPython(class_.forwards, class_.backwards)" in text
    compile(text, "draft", "exec")


def test_long_names_are_broken_as_formatters_break_them() -> None:
    name = "Thing" + "x" * 60
    draft = make_draft(f"old.{name}", f"new.{name}", graph_of(old=[[model(name)]], new=[[model(name)]]))

    assert f'{name.lower()} = Move(\n    "old.{name}",\n    "new.{name}",\n)\n' in draft.as_text()


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("old.Thing", "new.Nothing", "'new.Nothing' is no model that the migrations know. Those of 'new' are: Moved,"),
        ("none.Thing", "new.Thing", "'none.Thing' is no model that the migrations know. Write it as app_label.Mo"),
        ("old.Thing", "OLD.thing", "old.Thing and OLD.thing are one model. Name the model of the other app"),
        ("old.ThingProxy", "new.Thing", "old.ThingProxy is a proxy and has no rows of its own. Move old.Thing instead"),
        ("old.Moved", "new.moved", "new.0002 moves old.Moved to new.Moved already. Change that migration"),
        ("old.Part", "new.Part", "new.Part.thing points at new.Thing, but no migration moves old.Thing there. Run "),
    ],
)
def test_what_can_not_be_drafted_is_refused_with_a_hint(source: str, target: str, message: str) -> None:
    moved = Move("old.moved", "new.Moved")
    loader = graph_of(
        old=[[model("Thing"), model("Moved"), model("Part", thing=points_at("old.Thing")), model("Thing", proxy=True)]],
        new=[[model("Thing"), model("Moved"), model("Part", thing=points_at("new.Thing"))], [run(moved)]],
    )
    with pytest.raises(Refused) as refused:
        make_draft(source, target, loader)

    assert str(refused.value).startswith(message)


def test_a_conflict_in_the_graph_is_refused() -> None:
    loader = graph_of(old=[[model("Thing")]], new=[[model("Thing")]])
    loader.graph.add_node(("new", "0001_other"), Migration("0001_other", "new"))

    with pytest.raises(CommandError, match=r"0001, 0001_other in new\. Run `manage.py makemigrations --merge` first"):
        refuse_conflicts(loader)


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
    assert owners.read_text() == printed
    assert said.startswith("Migrations for 'stock':\n")
    assert said.endswith("stock/migrations/0002_migrate_owner_data.py\n    + Move shelf.Owner to stock.Owner\n")
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

    items.write_text(items.read_text().replace('"stock.Item")', '"stock.Item", discard=["nickname"])'))
    forget_modules({"stock.migrations"})
    del sys.modules["stock.migrations.0003_items"]
    importlib.invalidate_caches()
    call_command("migrate", "stock", verbosity=0)

    assert sql("SELECT id, owner_id, label FROM stock_item") == [(3, 7, "lamp")]
    statuses = read_statuses(find_moves(MigrationLoader(connection)), connection)
    assert [(status.declared.place, status.phase) for status in statuses if status.declared.key[0] == "stock"] == [
        ("stock.0002_migrate_owner_data", "live"),
        ("stock.0003_items", "live"),
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
