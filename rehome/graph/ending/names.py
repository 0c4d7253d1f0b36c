"""Names of a migration's module that nothing reads any more, and those that it has to import."""

import ast
from collections.abc import Iterable, Iterator
from typing import Any

from rehome.graph.ending.source import Edits, Text, loaded

Import = ast.Import | ast.ImportFrom


def without_unused(before: str, after: str) -> str:
    """Without what `before` read and `after` does not: imports, and values that stand under a name of the module. What
    nobody reads of rehome goes, too.
    """
    tree = ast.parse(before)
    read = loaded([tree]) | {bound(alias) for node in imports_of(tree, "rehome") for alias in node.names}
    while (shorter := once_without_unused(read, after)) != after:
        after = shorter
    return after


def once_without_unused(read: set[str], text: str) -> str:
    parsed = Text(text)
    edits = Edits(parsed)
    gone = read - loaded([parsed.tree])
    for statement in parsed.tree.body:
        match statement:
            case ast.Import() | ast.ImportFrom():
                if not any(bound(alias) in gone for alias in statement.names):
                    continue
                if not edits.remove_parts(statement.names, lambda alias: bound(alias) in gone):
                    edits.replace(*parsed.remains_of(statement))
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)) if name in gone:
                edits.replace(*parsed.remains_of(statement, comments=True))
    return edits.result()


def bound(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]


def with_imports(text: str, wanted: Iterable[Import], newline: str) -> str:
    """With the imports that are not there yet."""
    parsed = Text(text)
    edits = Edits(parsed)
    there = [node for node in parsed.tree.body if isinstance(node, Import)]
    known = {name for node in there for name in described(node)}
    lines = []
    for node in wanted:
        lacking = [alias for alias, name in zip(node.names, described(node), strict=True) if name not in known]
        known |= set(described(node))
        if not lacking:
            continue
        same = next((one for one in there if isinstance(node, ast.ImportFrom) and is_same(one, node)), None)
        if same:
            end = parsed.span(same.names[-1])[1]
            edits.replace((end, end), "".join(f", {ast.unparse(alias)}" for alias in lacking))
        else:
            whole: Any = ast.ImportFrom(node.module, [], 0) if isinstance(node, ast.ImportFrom) else ast.Import([])
            whole.names = lacking
            lines.append(ast.unparse(whole) + newline)
    if lines:
        begin = parsed.lines[there[0].lineno - 1] if there else 0
        edits.replace((begin, begin), "".join(lines))
    return edits.result()


def is_same(one: Import, other: ast.ImportFrom) -> bool:
    return isinstance(one, ast.ImportFrom) and (one.module, one.level) == (other.module, 0)


def described(node: Import) -> Iterator[tuple[str, str, str]]:
    module = f"{'.' * node.level}{node.module or ''}" if isinstance(node, ast.ImportFrom) else ""
    return ((module, alias.name, alias.asname or "") for alias in node.names)


def imports_of(tree: ast.Module, package: str) -> list[Import]:
    """The statements anywhere in a module that import a package or a part of it."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and node.level == 0
        and is_part(node.module or "", package)
        or isinstance(node, ast.Import)
        and any(is_part(alias.name, package) for alias in node.names)
    ]


def is_part(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")
