"""What no migration can be drafted for, by the project's settings and files."""

import ast
import inspect
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.migrations.writer import MigrationWriter

from rehome.errors import Refused
from rehome.graph.drafting.loading import compare
from rehome.graph.drafting.pairs import Pair, is_proxy, label_of
from rehome.graph.relations import bases_of


def refuse_conflicts(loader: MigrationLoader) -> None:
    if conflicts := loader.detect_conflicts():
        names = "; ".join(f"{', '.join(names)} in {app}" for app, names in sorted(conflicts.items()))
        raise Refused(
            f"Several migrations are the last of their app: {names}.", "Run `manage.py makemigrations --merge` first."
        )


def refuse_unmigrated(loader: MigrationLoader, app_label: str) -> None:
    if app_label not in loader.unmigrated_apps:
        return
    module, explicit = loader.migrations_module(app_label)
    if module is None:
        raise Refused(
            f"MIGRATION_MODULES switches the migrations of {app_label!r} off.",
            "Remove that entry, or set it to the package that the migrations belong in.",
        )
    folder = Path(*module.split(".")) if explicit else Path(apps.get_app_config(app_label).path, "migrations")
    raise Refused(f"{app_label!r} has no package for migrations.", f"Create it with an empty {folder}/__init__.py.")


def user_model(pairs: Sequence[Pair]) -> Pair | None:
    """The one whose target AUTH_USER_MODEL names."""
    return next((pair for pair in pairs if pair.target_label.lower() == settings.AUTH_USER_MODEL.lower()), None)


def refuse_user_model(pairs: Sequence[Pair], command: str) -> None:
    """Every migration that says settings.AUTH_USER_MODEL means the new model by now, and databases have applied such
    ones: no migration that moves its rows can come before them any more.
    """
    if pair := user_model(pairs):
        raise Refused(
            f"AUTH_USER_MODEL names {pair.target_label} already.",
            f'Leave it at "{pair.source_label}" and keep that class until the rows have moved; or keep the table with '
            f"`{command} --state-only`.",
        )


def refuse_beside_user_model(pairs: Sequence[Pair], before: ProjectState) -> None:
    """Its migration comes before all others of the project, those that create the other models too."""
    user, others = user_model(pairs), [pair for pair in pairs if pair.has_rows]
    if user:
        refuse_children(user, before)
    if user and len(others) > 1:
        raise Refused(
            f"AUTH_USER_MODEL names {user.target_label}, which moves alone.",
            f"Leave the classes of the others where they were, run `manage.py makemove {user.source_label} "
            f"{user.target_label} --state-only`, and move them in another call.",
        )


def refuse_children(user: Pair, before: ProjectState) -> None:
    """Their parent links follow the setting at once, and their bases do not."""
    for model in before.models.values():
        if user.source in bases_of(model) and not is_proxy(model):
            raise Refused(
                f"{label_of(model)} inherits from {user.source_label}, which AUTH_USER_MODEL has named.",
                "A user model with such children can't leave its app with its table; move its rows.",
            )


def refuse_conditional(pair: Pair) -> None:
    """A class that is there only sometimes, or twice, is not the one that the migrations should know."""
    for label in (pair.target_label, *([] if pair.cut else [pair.source_label])):
        model = apps.get_model(label)
        try:
            path = inspect.getsourcefile(model)
            tree = ast.parse(Path(path or "").read_bytes())
        except (OSError, TypeError, SyntaxError):
            continue  # A class that code has made has no place of its own.
        found = list(definitions(tree.body, model.__name__, sure=True))
        if len(found) > 1:
            lines = " and ".join(str(line) for line, _ in found)
            raise Refused(f"{label} is defined twice in {path}, in lines {lines}.", "Remove one of them.")
        if found and not found[0][1]:
            raise Refused(
                f"{label} is defined under a condition, in line {found[0][0]} of {path}.",
                "Define it without one first, for its migrations can't depend on it.",
            )


def definitions(body: Sequence[ast.stmt], name: str, *, sure: bool) -> Iterator[tuple[int, bool]]:
    """(line, whether it is always reached) of each class of that name in a module, but for those within others."""
    for node in body:
        match node:
            case ast.ClassDef(name=found) if found == name:
                yield node.lineno, sure
            case ast.If() | ast.Try() | ast.With() | ast.For() | ast.While():
                for part in (node.body, getattr(node, "orelse", []), getattr(node, "finalbody", [])):
                    yield from definitions(part, name, sure=False)
                for handler in getattr(node, "handlers", []):
                    yield from definitions(handler.body, name, sure=False)


def refuse_foreign_folder(app_label: str, path: Path) -> None:
    """The migrations of an installed package are not the project's to write."""
    if is_foreign(path):
        raise Refused(
            f"{app_label!r} is an installed package, and the move needs a migration in it.",
            f'Set MIGRATION_MODULES = {{"{app_label}": "..."}} to a copy of its migrations in the project.',
        )


def is_foreign(path: Path) -> bool:
    folders = (sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    return "site-packages" in path.parts or any(map(path.is_relative_to, folders))


def unwritten(loader: MigrationLoader, code: ProjectState) -> list[tuple[str, Operation]]:
    """Changes of the project's code that no migration has. Those of installed packages, such as the key of another
    DEFAULT_AUTO_FIELD, are not the project's to write, and no move needs them.
    """
    return [
        (app_label, operation)
        for app_label, operation in compare(loader, loader.project_state(), code)
        if not is_package(app_label)
    ]


def is_package(app_label: str) -> bool:
    """Whether the app's migrations are those of an installed package."""
    return is_foreign(Path(MigrationWriter(Migration("any", app_label)).path))
