"""docs/guide/new-features.md: what is known of a moved model stays while the move goes back and forth."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.db.migrations.loader import MigrationLoader
from pytest_django import DjangoDbBlocker

from tests.conftest import ROOT
from tests.rehome.support.site import Site, site

PAGE = (ROOT / "docs" / "guide" / "new-features.md").read_text(encoding="utf-8")
RECIPE, _, GROWING = PAGE.partition("## A column that grows")
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
BLOCKS = BLOCK.findall(RECIPE)
PRINTER = "class Printer(models.Model):\n    serial = models.CharField(max_length=20)\n"
NAMED = "from fleet.models import Machine; Machine.objects.create(printer_id={0}, name='m{0}', place='hall 2')"


@pytest.fixture
def moved(tmp_path: Path, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Site]:
    """Printers that have moved, with both tables live."""
    with django_db_blocker.unblock(), site(tmp_path) as made:
        made.models("portal", PRINTER)
        made.done(["makemigrations", "-v0"], ["migrate", "-v0"])
        made.sql("INSERT INTO portal_printer (serial) SELECT 's' || n FROM generate_series(1, 3) n")
        made.models("printers", PRINTER)
        made.done(["makemove", "portal.Printer", "printers.Printer", "-v0"], ["migrate", "-v0"])
        yield made


def edit(made: Site, block: str) -> None:
    heading, _, body = block.partition("\n")
    name = heading.removeprefix("# ")
    path = made.folder / name
    if "/migrations/" in name:
        text = path.read_text()
        (before,) = re.findall(r"dependencies = \[.*?\]", text, re.DOTALL)
        assert "printers', '0002_migrate_printer_data" in before, "what makemigrations takes"
        path.write_text(text.replace(before, body.strip()))
        return
    if name.partition("/")[0] not in made.apps:
        made.models(name.partition("/")[0], "")
    path.write_text(body)


def test_the_page(moved: Site) -> None:
    for kind, block in BLOCKS:
        if kind == "python":
            edit(moved, block)
            continue
        for command in block.splitlines():
            moved.done(command.split()[2:])
            if command.endswith("manage.py migrate") and moved.sql("SELECT count(*) FROM fleet_machine") == [(0,)]:
                moved.python(NAMED.format(1) + ";" + NAMED.format(2))
            if command.endswith("printers 0001"):
                assert moved.sql("SELECT printer_id, name FROM fleet_machine ORDER BY 1") == [(1, "m1"), (2, "m2")]
    printers = "from printers.models import Printer; print(*Printer.objects"
    found = f"{printers}.filter(machine__place='hall 2').values_list('pk'))"
    assert moved.python(found) == "(1,) (2,)"

    moved.python("from portal.models import Printer; Printer.objects.get(pk=1).delete()")
    assert moved.python(found) == "(2,)"
    assert moved.sql("SELECT count(*) FROM fleet_machine") == [(2,)], "old code does not know of it"
    moved.python("from fleet.sweep import sweep; sweep()")
    assert moved.sql("SELECT printer_id FROM fleet_machine") == [(2,)]
    moved.python("from printers.models import Printer; Printer.objects.get(pk=2).delete()")
    assert moved.sql("SELECT count(*) FROM fleet_machine") == [(0,)]


(MODEL,) = (block.partition("import models")[2].strip() for _, block in BLOCKS if block.startswith("# fleet/models.py"))
CONSTRAINED = MODEL.replace(", db_constraint=False", "")


@pytest.mark.long
@pytest.mark.parametrize(
    ("app", "model", "needs", "refusal"),
    [
        ("printers", f"{PRINTER}\n\n{MODEL}", "0002", "would drop public.printers_machine with 1 row"),
        ("fleet", MODEL, "0002", "would drop public.fleet_machine with 1 row"),
        ("fleet", CONSTRAINED, "0001", "fleet_machine.printer_id still points at rows 1 of public.printers_printer"),
    ],
    ids=["an app of its own", "a dependency on the first migration alone", "db_constraint=False"],
)
def test_without_one_of_the_rules_the_way_back_is_refused(
    moved: Site, app: str, model: str, needs: str, refusal: str
) -> None:
    moved.models(app, model)
    moved.done(["makemigrations", "-v0"])
    if needs == "0001":
        edit(moved, next(block for _, block in BLOCKS if "/migrations/" in block))
    moved.done(["migrate", "-v0"])
    moved.python(NAMED.format(1).replace("fleet.", f"{app}."))

    said = moved.manage("migrate", "printers", "0001")

    assert said.code == 1
    assert refusal in said
    assert moved.sql(f"SELECT name FROM {app}_machine") == [("m1",)]


def test_the_column_that_grows_is_the_one_of_this_project() -> None:
    ((_, block),) = BLOCK.findall(GROWING)
    name, _, body = block.removeprefix("# ").partition("\n")
    shown: dict[str, object] = {}
    exec(body, shown)  # noqa: S102
    real = importlib.import_module(name.removesuffix(".py").replace("/", ".")).Migration
    assert shown["dependencies"] == real.dependencies


@pytest.mark.parametrize(
    ("label", "moved", "move"),
    [
        ("fleet", "printers.Printer", "0002_migrate_printer_data"),
        ("people", "accounts.Profile", "0002_migrate_profile_data"),
    ],
)
def test_the_apps_of_the_farm_follow_the_recipe(label: str, moved: str, move: str) -> None:
    graph = MigrationLoader(None).graph
    (leaf,) = graph.leaf_nodes(label)
    assert (moved.partition(".")[0], move) not in graph.forwards_plan(leaf)

    fields = [field for model in apps.get_app_config(label).get_models() for field in model._meta.concrete_fields]
    keys = [field for field in fields if field.related_model is apps.get_model(moved)]
    assert keys
    assert [field for field in keys if field.db_constraint] == []
