"""Imports run one way. Read from the source, so that an import inside a function counts as well."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(__file__).parent.parent

# What each app, and the scripts, may import, besides itself.
ALLOWED = {
    "rehome": set(),
    "core": {"rehome"},
    "portal": {"core", "rehome"},
    "accounts": {"core", "rehome"},
    "printers": {"accounts", "core", "rehome"},
    "monitoring": {"printers", "accounts", "core", "rehome"},
    "api": {"monitoring", "printers", "accounts", "core", "rehome"},
    "legacy_app": {"core", "rehome"},
    # A script's database stands at migrations of its choice, and the apps' models of today have columns of later ones:
    # scratch.models() has those that fit.
    "scripts": {"core", "rehome", "tests"},
}


def imported(source: str) -> Iterator[str]:
    """The first name of every module that this code imports, by statement or by import_module("…")."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import():
                yield from (alias.name.partition(".")[0] for alias in node.names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(module)), *_],
            ):
                yield module.partition(".")[0]


@pytest.mark.parametrize("app", ALLOWED)
def test_imports_run_one_way(app: str) -> None:
    files = sorted((ROOT / app).rglob("*.py"))
    assert files, f"{app} has no files to check"

    forbidden = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in imported(path.read_text())
        if name in (ALLOWED.keys() | {"tests", "scripts"}) - ALLOWED[app] - {app}
    ]

    assert forbidden == []


# Rooms of monitoring that hear of looks and prints; nothing beside them knows that they are there.
UPPER = ("alerts", "history", "maintenance", "metrics")


def test_what_hears_of_prints_is_known_to_nothing_below() -> None:
    folder = ROOT / "monitoring"
    below = [path for path in folder.rglob("*.py") if path.relative_to(folder).parts[0] not in UPPER]
    assert below

    assert [path.name for path in below if re.search(rf"monitoring\.({'|'.join(UPPER)})\b", path.read_text())] == []


def test_every_app_of_the_project_has_a_rule() -> None:
    apps = {app for app in settings.INSTALLED_APPS if (ROOT / app).is_dir()}

    assert apps | {"legacy_app", "scripts"} == ALLOWED.keys()  # It is installed with LEGACY_DB_DB alone.


@pytest.mark.parametrize(
    "source",
    [
        "import portal",
        "import portal.models as old",
        "from portal.models import Profile",
        "def late():\n    from portal import models",
        "import_module('portal.models')",
        "importlib.import_module('portal')",
    ],
)
def test_no_spelling_of_an_import_escapes(source: str) -> None:
    assert list(imported(source)) == ["portal"]


@pytest.mark.parametrize("source", ["from . import portal", "Move('portal.Profile', 'accounts.Profile')"])
def test_names_that_are_no_import_are_let_through(source: str) -> None:
    assert list(imported(source)) == []
