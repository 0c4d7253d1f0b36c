"""Fixtures of a session are made once: what imports one registers it again, and a database that two of them make is
dropped under the other's feet.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

TREES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(Path(ROOT, "tests").rglob("*.py"))
}


def of_the_session(tree: ast.Module) -> set[str]:
    """The names of those that a module defines."""
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
        if "fixture(scope='session'" in ast.unparse(decorator)
    }


def imported(fixtures: dict[str, set[str]], tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in fixtures:
            taken = {alias.name for alias in node.names} & {*fixtures[node.module], "*"}
            yield from (f"line {node.lineno}: {node.module}.{name}" for name in sorted(taken))


def test_a_fixture_of_the_session_is_imported_by_nobody() -> None:
    fixtures = {module: found for module, tree in TREES.items() if (found := of_the_session(tree))}

    assert "filled" in fixtures["tests.farm.plugin"]
    assert [f"{module}, {what}" for module, tree in TREES.items() for what in imported(fixtures, tree)] == []


def test_an_import_of_one_is_seen() -> None:
    fixtures = {"tests.farm.plugin": {"filled"}}

    for line in ("from tests.farm.plugin import filled", "from tests.farm.plugin import *"):
        assert len(list(imported(fixtures, ast.parse(line)))) == 1
    assert list(imported(fixtures, ast.parse("from tests.farm.plugin import empty"))) == []
