"""The migration of a user model that keeps its table: every other of the project depends on it, applied ones too."""

import ast
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from django.db.migrations import CreateModel
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from rehome.errors import Refused
from rehome.graph.discovery import Key
from rehome.graph.drafting.pairs import Pair
from rehome.graph.drafting.writing import File

OPTION = '"managed": False'


def first_of_all(
    found: Sequence[Any], pair: Pair, loader: MigrationLoader, adopt: Callable[[CreateModel], Operation]
) -> Any:
    """Of what the autodetector writes to create the model: the first migration of its app, and before that of the old
    model. What says settings.AUTH_USER_MODEL depends on an app's first one.
    """
    if len(found) != 1:
        raise Refused(*circle(pair, found[0]))
    (migration,) = found
    migration.operations = [
        adopt(operation) if isinstance(operation, CreateModel) else operation for operation in migration.operations
    ]
    later = [creator(pair, loader), *loader.graph.root_nodes(pair.target[0])]
    migration.run_before = later
    if len(later) > 1:
        migration.name, migration.initial = f"0000_{pair.target[1]}", None
        migration.dependencies = [key for key in migration.dependencies if key[0] != pair.target[0]]
    return migration


def creator(pair: Pair, loader: MigrationLoader) -> Key:
    """The migration that creates the old model."""
    nodes: dict[Key, Any] = loader.graph.nodes
    return next(
        key
        for key, migration in nodes.items()
        for operation in (migration.operations if migration and key[0] == pair.source[0] else ())
        if isinstance(operation, CreateModel) and operation.name_lower == pair.source[1]
    )


def without_table(pair: Pair, loader: MigrationLoader) -> list[File]:
    """The migrations that create the old model, squashed ones too, with the option that keeps Django from its table:
    in a new database the new model's has that name.
    """
    found: list[File] = []
    for (app_label, _), migration in sorted(loader.disk_migrations.items()):
        created = [
            operation
            for operation in migration.operations
            if isinstance(operation, CreateModel) and (app_label, operation.name_lower) == pair.source
        ]
        if created and created[0].options.get("managed", True):
            path = Path(inspect.getfile(type(migration)))
            found.append(File(path, with_option(path.read_text(encoding="utf-8"), pair, path)))
    return found


def with_option(text: str, pair: Pair, path: Path) -> str:
    """Raises Refused where the file does not say in so many words what it creates."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("CreateModel"):
            named: dict[str | None, Any] = {keyword.arg: keyword.value for keyword in node.keywords}
            name = named.get("name") or next(iter(node.args), None)
            if isinstance(name, ast.Constant) and str(name.value).lower() == pair.source[1]:
                options, fields = named.get("options"), named.get("fields")
                if isinstance(options, ast.Dict) and "'managed'" not in map(ast.unparse, filter(None, options.keys)):
                    return inserted(text, options.lineno, options.col_offset + 1, f"{OPTION}, ")
                if options is None and fields:
                    return inserted(text, fields.end_lineno or 0, fields.end_col_offset or 0, f", options={{{OPTION}}}")
    raise Refused(
        f"{path} creates {pair.source_label} in a way that can't be read.",
        f"Write {OPTION} into the options of that CreateModel, and run this command again.",
    )


def inserted(text: str, line: int, offset: int, piece: str) -> str:
    """`offset` counts bytes, as the syntax tree does."""
    lines = text.splitlines(keepends=True)
    whole = lines[line - 1].encode()
    lines[line - 1] = (whole[:offset] + piece.encode() + whole[offset:]).decode()
    return "".join(lines)


def circle(pair: Pair, migration: Any) -> tuple[str, str]:
    ends = sorted({app_label for app_label, _ in migration.dependencies} - {"auth", "contenttypes", "__setting__"})
    return (
        f"{pair.target_label} has to come before every migration that says settings.AUTH_USER_MODEL, and after those "
        f"of {', '.join(ends)}, which it points at and which say so.",
        "Remove these fields of the user model first, with a migration of their own, and add them afterwards.",
    )


def told(pair: Pair, migration: Any, state: ProjectState) -> str:
    table = state.models[pair.target].options["db_table"]
    place = f"{migration.app_label}.{migration.name}"
    return (
        f'Deploy AUTH_USER_MODEL = "{pair.target_label}" with these migrations. `migrate` records {place} on a '
        f"database that has {table}, for migrations that it has applied depend on that one by now. To go back, run "
        f'`manage.py migrate {place.replace(".", " ")}` and set AUTH_USER_MODEL = "{pair.source_label}" again.'
    )
