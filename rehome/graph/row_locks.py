"""Finds where a project's code locks rows, and of which models: two live tables are two lock spaces.

Read from the source, as far as it says which model a call is about. What it does not say is named as unknown: the place
counts, and a person looks at it.
"""

import ast
import dataclasses
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.apps import apps as installed
from django.contrib.auth import get_user_model
from django.db.models import Model

Models = frozenset[str]
"""Labels in lower case, as of a class that several apps have; empty where the code does not say."""
SQL_LOCK = re.compile(r"\bFOR\s+(NO\s+KEY\s+)?(UPDATE|SHARE)\b", re.IGNORECASE)
SKIPS = re.compile(r"\bSKIP\s+LOCKED\b", re.IGNORECASE)
LEFT_OUT = re.compile(r"\.|tests?$|test_|node_modules$|site-packages$")
"""Folders and modules that are not the project's running code."""
OURS = Path(__file__).parent.parent


@dataclasses.dataclass(frozen=True)
class RowLock:
    path: Path
    line: int
    models: Models
    skips: bool
    """Whether locked rows are skipped, as in a queue."""

    def concerns(self, *models: type[Model]) -> bool:
        return not self.models or not self.models.isdisjoint(model._meta.label_lower for model in models)

    def __str__(self) -> str:
        kind = " (SKIP LOCKED)" if self.skips else ""
        return f"{self.path}:{self.line}{kind}{'' if self.models else ', of which model is unknown'}"


def find() -> list[RowLock]:
    """In the order of the files. A file that Python can't read is left to Python."""
    known = Known()
    found: list[RowLock] = []
    for root in project_folders():
        for path in files_in(root):
            try:
                tree = ast.parse(path.read_bytes())
            except (SyntaxError, ValueError):
                continue
            found += Reader(path.relative_to(root), known).read(tree)
    return found


def project_folders() -> list[Path]:
    """Those that the project's own apps are imported from; installed packages are somewhere else."""
    installed_in = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib")]
    found = set()
    for config in installed.get_app_configs():
        path = Path(config.path)
        ours = any(path.is_relative_to(folder) for folder in (*installed_in, OURS)) or "site-packages" in path.parts
        if not ours:
            found.add(path.parents[config.name.count(".")])
    return sorted(root for root in found if not any(root.is_relative_to(other) for other in found - {root}))


def files_in(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if LEFT_OUT.match(path.name) or path.is_symlink() or path == OURS:
            continue
        if path.is_dir() and not (path / "pyvenv.cfg").exists():
            yield from files_in(path)
        elif path.suffix == ".py":
            yield path


class Known:
    """The models of the project, by what code may call them or reach them through."""

    def __init__(self) -> None:
        self.classes: dict[str, list[type[Model]]] = {}
        self.accessors: dict[str, set[str]] = {}
        """By the name of a relation that leads to many rows."""
        self.managers: dict[tuple[str, str], set[str]] = {}
        """By module and name of a manager's or a query set's class."""
        self.tables: dict[str, str] = {}
        for model in installed.get_models(include_auto_created=True):
            self.classes.setdefault(model.__name__, []).append(model)
            self.tables[model._meta.db_table] = model._meta.label_lower
            self.read_relations(model)
            self.read_managers(model)

    def read_relations(self, model: type[Model]) -> None:
        for relation in model._meta.get_fields(include_hidden=True):
            field: Any = relation
            many = field.one_to_many or field.many_to_many
            name = field.get_accessor_name() if field.auto_created and not field.concrete else field.name
            if many and name and isinstance(field.related_model, type):
                related: type[Model] = field.related_model
                self.accessors.setdefault(name, set()).add(related._meta.label_lower)

    def read_managers(self, model: type[Model]) -> None:
        for manager in model._meta.managers:
            kinds = [*type(manager).__mro__, *getattr(manager, "_queryset_class", object).__mro__]
            for kind in kinds:
                self.managers.setdefault((kind.__module__, kind.__name__), set()).add(model._meta.label_lower)

    def named(self, name: str, module: str = "") -> Models:
        """The models of a class's name; those that `module`, or one within it, defines, where there are any."""
        found = self.classes.get(name, [])
        within = [m for m in found if module and f"{m.__module__}.".startswith(f"{module}.")]
        return frozenset(model._meta.label_lower for model in within or found)

    def labelled(self, label: str) -> Models:
        return frozenset({label.lower()} & {m._meta.label_lower for models in self.classes.values() for m in models})

    def in_sql(self, text: str) -> Models:
        return frozenset(label for table, label in self.tables.items() if re.search(rf"\b{re.escape(table)}\b", text))


class Reader:
    """Reads one module."""

    def __init__(self, path: Path, known: Known) -> None:
        self.path = path
        self.known = known
        self.module = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
        self.imported: dict[str, tuple[str, str]] = {}
        """By the name that the module gives it: where something is from, and its name there."""

    def read(self, tree: ast.Module) -> Iterator[RowLock]:
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    self.imported[alias.asname or alias.name] = (self.origin(node), alias.name)
        yield from self.locks_in(tree, (tree,))

    def origin(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = self.module if self.path.name == "__init__.py" else self.module.rpartition(".")[0]
        parents = package.split(".")[: len(package.split(".")) - node.level + 1]
        return ".".join([*parents, *([node.module] if node.module else [])])

    def locks_in(self, node: ast.AST, around: tuple[ast.AST, ...]) -> Iterator[RowLock]:
        """`around` are the module and the classes and functions that the node is in, the innermost last."""
        match node:
            case ast.Call(func=ast.Attribute(attr="select_for_update", value=rows)):
                skips = any(k.arg == "skip_locked" and not is_false(k.value) for k in node.keywords)
                yield RowLock(self.path, node.lineno, self.models_of(rows, around), skips)
            case ast.Constant(value=str(text)) if SQL_LOCK.search(text):
                yield RowLock(self.path, node.lineno, self.known.in_sql(text), bool(SKIPS.search(text)))
        inner = isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.iter_child_nodes(node):
            yield from self.locks_in(child, (*around, node) if inner else around)

    def models_of(self, rows: ast.expr, around: tuple[ast.AST, ...], seen: frozenset[str] = frozenset()) -> Models:
        """Of the rows that an expression leads to: the last link of its chain that says so decides."""
        match rows:
            case ast.Call(func=ast.Attribute(attr="get_model"), args=[*labels]) if labels:
                texts = [label.value for label in labels if isinstance(label, ast.Constant)]
                return self.known.labelled(".".join(map(str, texts)))
            case ast.Call(func=ast.Name(id="get_user_model")):
                return frozenset({get_user_model()._meta.label_lower})
            case ast.Call(func=ast.Name(id="super")):
                return self.of_class(around)
            case ast.Call(func=ast.Name(id="type"), args=[owner]):
                return self.models_of(owner, around, seen)
            case ast.Call(func=ast.Name(id="get_object_or_404" | "get_list_or_404"), args=[first, *_]):
                return self.models_of(first, around, seen)
            case ast.Call(func=called):
                return self.models_of(called, around, seen)
            case ast.Attribute(attr=name) if name in self.known.accessors:
                return frozenset(self.known.accessors[name])
            case ast.Attribute(value=owner, attr=name) if name in self.known.classes:
                module = ast.unparse(owner)
                return self.known.named(name, ".".join(self.imported.get(module, (module,))))
            case ast.Attribute(value=before):
                return self.models_of(before, around, seen)
            case ast.Name(id="self" | "cls"):
                return self.of_class(around)
            case ast.Name(id=name) if name not in seen:
                return self.of_name(name, around, seen | {name})
        return frozenset()

    def of_name(self, name: str, around: tuple[ast.AST, ...], seen: frozenset[str]) -> Models:
        """Of a model's class, or of a variable, by what the function or the module assigns to it."""
        module, original = self.imported.get(name, (self.module, name))
        if original in self.known.classes:
            return self.known.named(original, module)
        found: Models = frozenset()
        for scope in around:
            for target, value in assignments(scope):
                if target == name and (models := self.models_of(value, around, seen)):
                    found = models
        return found

    def of_class(self, around: tuple[ast.AST, ...]) -> Models:
        """Of the class that a method is in: a model, a manager or query set, or a view of a model."""
        kind = next((node for node in reversed(around) if isinstance(node, ast.ClassDef)), None)
        if kind is None:
            return frozenset()
        if found := self.known.managers.get((self.module, kind.name)):
            return frozenset(found)
        if any(model.__module__ == self.module for model in self.known.classes.get(kind.name, [])):
            return self.known.named(kind.name, self.module)
        for target, value in assignments(kind):
            if target in {"model", "queryset"} and (models := self.models_of(value, around)):
                return models
        return frozenset()


def assignments(scope: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """(name, what says its value) of each variable and annotated argument of a module, class or function."""
    inner: list[ast.AST] = list(ast.iter_child_nodes(scope))
    while inner:
        node = inner.pop(0)
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                continue
            case ast.arg(arg=name, annotation=ast.Subscript(slice=model)):
                yield name, model
            case ast.Assign(targets=targets, value=value):
                yield from ((target.id, value) for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is not None:
                yield name, value
            case ast.For(target=ast.Name(id=name), iter=value) | ast.NamedExpr(target=ast.Name(id=name), value=value):
                yield name, value
        inner += ast.iter_child_nodes(node)


def is_false(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is False
