"""Where the project's code and settings name a model in a string: no import fails there, and no migration helps."""

import ast
import re
import shutil
import subprocess
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings

from rehome.graph import row_locks
from rehome.graph.drafting.pairs import Pair

TEMPLATES = {".html", ".jinja", ".jinja2", ".j2", ".djhtml", ".mjml"}
"""Files of other kinds are templates where their folder says so."""
MANY = 40
"""More places than that nobody reads."""


def find(pairs: Sequence[Pair]) -> list[str]:
    """One sentence for each place."""
    found = [sentence for pair in pairs for sentence in in_settings(pair)]
    places = [place for root in row_locks.project_folders() for place in in_files(root, pairs)]
    more = [f"{len(places) - MANY} more places name it in a string."] if len(places) > MANY else []
    return [*found, *places[:MANY], *more]


def in_settings(pair: Pair) -> Iterator[str]:
    for name in filter(str.isupper, dir(settings)):
        # Django warns of a setting that is deprecated when it is read, whoever reads it.
        with warnings.catch_warnings(action="ignore"):
            value = getattr(settings, name)
        if names(value, pair.source_label.lower()):
            yield f'Settings: {name} names {pair.source_label}; write "{pair.target_label}".'


def names(value: Any, label: str) -> bool:
    match value:
        case str():
            return value.lower() == label
        case dict():
            return any(names(part, label) for part in [*value.keys(), *value.values()])
        case list() | tuple() | set():
            return any(names(part, label) for part in value)
    return False


def in_files(root: Path, pairs: Sequence[Pair]) -> Iterator[str]:
    patterns = [(pair, pattern_of(pair)) for pair in pairs]
    for path in tracked(root):
        if "migrations" in path.parts:
            continue
        try:
            text = (root / path).read_text(encoding="utf-8")
            lines = sorted(strings_of(text) if path.suffix == ".py" else enumerate(text.splitlines(), start=1))
        except (OSError, SyntaxError, ValueError):
            continue
        for line, string in lines:
            for pair, pattern in patterns:
                if found := pattern.search(string):
                    yield f'{path}:{line} says "{found[0]}"; it means {pair.target_label} from now on.'


def pattern_of(pair: Pair) -> re.Pattern[str]:
    """Its label, its permissions and the names of its pages in the admin."""
    app, model = re.escape(pair.source[0]), re.escape(pair.source[1])
    actions = "add|change|delete|view"
    return re.compile(
        rf"(?:(?<![\w.])|(?<=\bperms\.))(?:{app}\.(?:(?:{actions})_)?{model}(?![\w.])|{app}_{model}_(?:{actions}|changelist|history)\b)",
        re.IGNORECASE,
    )


def strings_of(text: str) -> Iterator[tuple[int, str]]:
    """Every string of a module but for those that only document it."""
    tree = ast.parse(text)
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents:
            yield node.lineno, node.value


def tracked(root: Path) -> Iterator[Path]:
    """The files that Git knows; without Git, those that the project's apps are in."""
    git = shutil.which("git")
    listed = git and subprocess.run(  # noqa: S603
        [git, "-C", str(root), "ls-files", "-z"], capture_output=True, check=False
    )
    if listed and listed.returncode == 0 and listed.stdout:
        paths = (Path(name.decode(errors="replace")) for name in listed.stdout.split(b"\0") if name)
        found = [path for path in paths if not (root / path).is_symlink()]
    else:
        found = [path.relative_to(root) for path in every_file(root)]
    yield from (path for path in sorted(found) if path.suffix in {".py", *TEMPLATES} or "templates" in path.parts)


def every_file(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or path.name.startswith(".") or path.name in {"node_modules", "site-packages"}:
            continue
        if path.is_dir() and not (path / "pyvenv.cfg").exists():
            yield from every_file(path)
        elif path.is_file():
            yield path
