"""A test that patches a name of `rehome` patches one that is read there: what nobody reads would pass in silence.

A name is read from its module by `module.name`, or by the module itself. What another module took by
`from module import name` is a name of its own, and stays as it was.
"""

import ast
import dataclasses
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


@dataclasses.dataclass(frozen=True)
class Patch:
    place: str
    module: str
    owner: str
    """The class in the module; empty for the module itself."""
    name: str

    def __str__(self) -> str:
        return f"{self.place}: {'.'.join(filter(None, (self.module, self.owner, self.name)))}"


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def modules() -> dict[str, Path]:
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in (ROOT / "rehome").rglob("*.py")
    }


def imports(tree: ast.Module) -> Iterator[tuple[str, str, str]]:
    """(name here, module, name there) of what is imported from rehome; a module itself has no name there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "rehome":
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield (alias.asname or alias.name, *((whole, "") if whole in modules() else (node.module, alias.name)))


def patches(path: Path) -> Iterator[Patch]:
    """Wherever an object of rehome is followed by a name of it in quotes: in a call, in a tuple; and names in full."""
    tree, place = parsed(path), str(path.relative_to(ROOT))
    known = {here: (module, there) for here, module, there in imports(tree)}
    for node in ast.walk(tree):
        match node:
            case ast.Call(args=parts) | ast.Tuple(elts=parts):
                for thing, name in zip(parts, parts[1:], strict=False):
                    yield from patch_of(thing, name, known, f"{place}:{node.lineno}")
            case ast.Constant(value=str(text)) if text.startswith("rehome.") and text.replace(".", "_").isidentifier():
                module = text
                while module not in modules():
                    module = module.rpartition(".")[0]
                *owner, name = text[len(module) :].split(".")[1:] or [""]
                if name and module != "rehome":
                    yield Patch(f"{place}:{node.lineno}", module, ".".join(owner), name)


def patch_of(thing: ast.expr, name: ast.expr, known: dict[str, tuple[str, str]], place: str) -> Iterator[Patch]:
    match thing, name:
        case ast.Name(id=here), ast.Constant(value=str(text)) if here in known and text.isidentifier():
            module, owner = known[here]
            if has(module, owner, text):
                yield Patch(place, module, owner, text)
        case ast.Attribute(value=ast.Name(id=here), attr=owner), ast.Constant(value=str(text)) if here in known:
            module, there = known[here]
            if not there and isinstance(getattr(import_module(module), owner, None), type):
                yield Patch(place, module, owner, text)


def has(module: str, owner: str, name: str) -> bool:
    thing: Any = import_module(module)
    return hasattr(getattr(thing, owner), name) if owner else hasattr(thing, name)


@cache
def names_read() -> set[tuple[str, str]]:
    """(module, name) of whatever is read from its module while rehome runs."""
    found = set()
    for module, path in modules().items():
        tree = parsed(path)
        aliases = {here: whole for here, whole, there in imports(tree) if not there}
        for node in ast.walk(tree):
            match node:
                case ast.Attribute(value=ast.Name(id=here), attr=name) if here in aliases:
                    found.add((aliases[here], name))
                case ast.Name(id=name, ctx=ast.Load()):
                    found.add((module, name))
    return found


def is_read(patch: Patch) -> bool:
    if patch.owner:
        return has(patch.module, patch.owner, patch.name)
    return (patch.module, patch.name) in names_read()


FILES = sorted((ROOT / "tests").rglob("*.py"))


def test_every_patched_name_is_read() -> None:
    found = [patch for path in FILES for patch in patches(path)]
    assert len(found) > 50
    assert [str(patch) for patch in found if not is_read(patch)] == []


@pytest.mark.parametrize(
    ("module", "name", "read"),
    [
        ("rehome.parts.batches", "copy_batch", True),  # By its own module.
        ("rehome.parts.sequences", "share", True),  # As sequences.share.
        ("rehome.plan.resolve", "renew", False),  # Each way has taken it for a name of its own.
        ("rehome.moves.back", "renew", True),  # That is one.
    ],
)
def test_what_is_read_is_told_from_what_was_taken(module: str, name: str, read: bool) -> None:
    assert is_read(Patch("here", module, "", name)) is read
