"""The text of a migration: what Django writes of it, laid out as formatters do."""

import ast
import re
from collections.abc import Iterable
from typing import Any

from django.db.migrations import Migration
from django.db.migrations.writer import MigrationWriter

WIDTH = 88
"""A line up to here stays whole; formatters of any common width leave it so."""
STEP = 4
OWN = re.compile(r"\brehome\.([A-Z]\w*)\(")
"""An operation of `rehome`."""

TEMPLATE = """\
{imports}

{before}
class Migration(migrations.Migration):
{attributes}
"""


def text_of(migration: Migration, *, before: str = "", operations: str = "", imports: Iterable[str] = ()) -> str:
    """The file. `before` stands above the class; `operations` is the code of the list where Django could not write it,
    with the `imports` that it needs.
    """
    written = MigrationWriter(bare(migration) if operations else migration, include_header=False).as_string()
    tree = ast.parse(OWN.sub(r"\1(", written))
    (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    values = {str(one_line(node.targets[0])): node.value for node in found.body if isinstance(node, ast.Assign)}
    attributes = ["    initial = True"] if migration.initial else []
    if not migration.atomic:
        attributes.append("    atomic = False")
    if not any(app_label == "__setting__" for app_label, _ in migration.dependencies):
        # Django sorts them, which says less than their order.
        values["dependencies"] = ast.parse(repr(list(map(tuple, migration.dependencies))), mode="eval").body
    if operations:
        values["operations"] = ast.parse(operations, mode="eval").body
    if migration.run_before:
        # Django does not write it.
        values["run_before"] = ast.parse(repr(list(migration.run_before)), mode="eval").body
    for name in ("replaces", "dependencies", "run_before", "operations"):
        if name in values:
            attributes.append(lay_out(values[name], f"    {name} = ", STEP))
    own = sorted({*OWN.findall(written), *imports})
    return TEMPLATE.format(
        imports="\n".join([*django_imports(tree), *(["", f"from rehome import {', '.join(own)}"] if own else [])]),
        before=f"{before}\n\n" if before else "",
        attributes="\n".join(attributes),
    )


def bare(migration: Migration) -> Migration:
    empty: Any = Migration(migration.name, migration.app_label)
    empty.dependencies = migration.dependencies
    return empty  # type: ignore[no-any-return]


def django_imports(tree: ast.Module) -> list[str]:
    lines = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    return [line for line in lines if line != "import rehome"]


def lay_out(node: ast.expr, begin: str, indent: int, end: str = "") -> str:
    """`begin`, the expression and `end` on one line where they fit, else each part of it on a line of its own."""
    whole = f"{begin}{one_line(node)}{end}"
    opening, parts, closing = taken_apart(node)
    if len(whole) <= WIDTH or not parts:
        return whole
    inner = " " * (indent + STEP)
    lines = [lay_out(part, f"{inner}{name}", indent + STEP, ",") for name, part in parts]
    return "\n".join([f"{begin}{opening}", *lines, f"{' ' * indent}{closing}{end}"])


def taken_apart(node: ast.expr) -> tuple[str, list[tuple[str, ast.expr]], str]:
    """What opens it, its parts with what stands before each, what closes it; no parts where it is one piece."""
    match node:
        case ast.Call(func=called, args=args, keywords=keywords):
            named = [(f"{keyword.arg}=" if keyword.arg else "**", keyword.value) for keyword in keywords]
            return f"{one_line(called)}(", [*(("", arg) for arg in args), *named], ")"
        case ast.List(elts=parts):
            return "[", [("", part) for part in parts], "]"
        case ast.Tuple(elts=parts):
            return "(", [("", part) for part in parts], ")"
        case ast.Set(elts=parts):
            return "{", [("", part) for part in parts], "}"
        case ast.Dict(keys=keys, values=values):
            items = zip(keys, values, strict=True)
            return "{", [(f"{one_line(key)}: " if key else "**", value) for key, value in items], "}"
    return "", [], ""


def one_line(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return quoted(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert):
        return f"~{one_line(node.operand)}"
    opening, parts, closing = taken_apart(node)
    if not opening:
        return ast.unparse(node)
    inside = ", ".join(f"{name}{one_line(part)}" for name, part in parts)
    comma = "," if isinstance(node, ast.Tuple) and len(parts) == 1 else ""
    return f"{opening}{inside}{comma}{closing}"


def quoted(text: str) -> str:
    """In double quotes, unless that takes more backslashes."""
    plain = repr(text)
    if plain[0] == '"' or '"' in text:
        return plain
    return f'"{plain[1:-1]}"'
