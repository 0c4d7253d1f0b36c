"""The file of one migration without what is rehome's: as plain Django, or gone with the move."""

import ast
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.db.migrations import Migration, RunPython, SeparateDatabaseAndState
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.migrations.writer import MigrationWriter

from rehome.errors import Refused
from rehome.graph.drafting.layout import lay_out
from rehome.graph.ending.names import with_imports, without_unused
from rehome.graph.ending.source import Edits, Source, Text
from rehome.move import Move, Way

NOOP = (None, RunPython.noop)
Plain = Callable[[Operation, ProjectState], list[Operation]]
"""What an operation of rehome is in Django's own, by the state before it."""


class Rewriting:
    """`ends` says of which moves nothing is to stay, `plain` what other operations become, `last` that rehome goes."""

    def __init__(
        self,
        source: Source,
        migration: Migration,
        state: ProjectState,
        ends: Callable[[Move], bool],
        plain: Callable[[Operation, ProjectState], list[Operation] | None],
        *,
        last: bool,
    ) -> None:
        self.source = source
        self.migration = migration
        self.place = f"{migration.app_label}.{migration.name}"
        self.state = state.clone()
        self.ends = ends
        self.plain = plain
        self.last = last
        self.text = Text(source.text)
        self.edits = Edits(self.text)
        self.imports: list[Any] = []
        self.moves = False
        """Whether a move has gone."""

    def rewritten(self) -> bytes:
        """The file; itself where nothing of it is rehome's to end."""
        body = self.find_class().body
        given = {node.targets[0].id: node for node in body if isinstance(node, ast.Assign)
                 and isinstance(node.targets[0], ast.Name)}  # fmt: skip
        operations = given.get("operations")
        emptied = self.rewrite_list(operations.value if operations else None, self.migration.operations)
        for name in ("dependencies", "run_before"):
            if name in given and self.last:
                self.rewrite_dependencies(given[name].value)
        if emptied and self.moves and "atomic" in given:
            self.edits.replace(*self.without_line(given["atomic"]))
        if not self.edits.found:
            return self.source.content
        after = without_unused(self.source.text, self.edits.result())
        return self.source.encoded(with_imports(after, self.imports, self.source.newline))

    def find_class(self) -> ast.ClassDef:
        for node in self.text.tree.body:
            if isinstance(node, ast.ClassDef) and node.name == "Migration":
                return node
        raise self.unreadable()

    def unreadable(self, operation: object = None) -> Refused:
        what = f" {operation!r}" if operation else " what is rehome's"
        return Refused(
            f"{self.source.path} makes its operations by code, so{what} can't be rewritten there.",
            "Write them as one list, in `operations = [...]` of the class Migration, and run this command again.",
        )

    def without_line(self, node: ast.stmt) -> tuple[tuple[int, int], str]:
        return (self.text.lines[node.lineno - 1], self.text.lines[(node.end_lineno or node.lineno)]), ""

    # ----- operations

    def rewrite_list(self, node: ast.expr | None, operations: Sequence[Operation]) -> bool:
        """Whether nothing of it is left."""
        parts = node.elts if isinstance(node, ast.List | ast.Tuple) else []
        readable = len(parts) == len(operations) and not any(isinstance(part, ast.Starred) for part in parts)
        gone = []
        for number, operation in enumerate(operations):
            if not readable:
                self.refuse_unreadable(operation)
                operation.state_forwards(self.migration.app_label, self.state)
            elif self.rewrite(parts[number], operation):
                gone.append(parts[number])
        if not gone or node is None:
            return False
        return self.remove(node, parts, lambda part: part in gone)

    def refuse_unreadable(self, operation: Operation) -> None:
        for part in nested(operation):
            if self.is_gone(part) or self.plain(part, self.state) is not None:
                raise self.unreadable(operation)

    def rewrite(self, node: ast.expr, operation: Operation) -> bool:
        """Whether it is gone; the state is what it was before the operation, and is what it is after it."""
        state = self.state.clone()
        gone = self.is_gone(operation)
        if isinstance(operation, SeparateDatabaseAndState):
            self.rewrite_separate(node, operation)
        elif not gone and (plain := self.plain(operation, self.state)) is not None:
            gone = not plain
            if plain:
                self.replace(node, operation, plain)
        self.state = state
        operation.state_forwards(self.migration.app_label, self.state)
        return gone

    def is_gone(self, operation: Operation) -> bool:
        """Raises Refused where it runs code of the project's beside a move."""
        if not isinstance(operation, RunPython):
            return False
        codes = operation.code, operation.reverse_code
        moves = [code for code in codes if isinstance(code, Way) and code.move and self.ends(code.move)]
        if not moves:
            return False
        if others := [code for code in codes if not isinstance(code, Way) and code not in NOOP]:
            name = getattr(others[0], "__name__", repr(others[0]))
            raise Refused(
                f"{self.source.path} runs {name} beside {moves[0].move}, so that operation can't go.",
                "Give the code a RunPython of its own, and run this command again.",
            )
        self.moves = True
        return True

    def rewrite_separate(self, node: ast.expr, operation: SeparateDatabaseAndState) -> None:
        names = ("database_operations", "state_operations")
        call = node if isinstance(node, ast.Call) else None
        given: dict[str, ast.expr] = dict(zip(names, call.args, strict=False)) if call else {}
        given |= {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg} if call else {}
        before = self.state.clone()
        for name in names:
            self.state = before.clone()
            self.rewrite_list(given.get(name), getattr(operation, name))

    def replace(self, node: ast.expr, operation: Operation, plain: Sequence[Operation]) -> None:
        elements, imports = written(plain)
        if isinstance(node, ast.Call) and len(plain) == 1 and isinstance(operation, type(plain[0])):
            # It says the same with the same arguments.
            self.edits.replace(self.text.span(node.func), f"migrations.{type(plain[0]).__name__}")
            self.imports += ast.parse("from django.db import migrations").body
            return
        self.imports += imports
        indent = self.text.indent(node)
        laid = (self.source.newline.join(lay_out(one, "", indent).splitlines()) for one in elements)
        self.edits.replace(self.text.span(node), f",{self.source.newline}{' ' * indent}".join(laid))

    # ----- dependencies

    def rewrite_dependencies(self, node: ast.expr) -> None:
        if isinstance(node, ast.List | ast.Tuple) and any(map(is_rehomes, node.elts)):
            self.remove(node, node.elts, is_rehomes)

    def remove(self, node: ast.expr, parts: Sequence[ast.expr], gone: Callable[[ast.expr], bool]) -> bool:
        """Whether nothing of the list is left; a comment that stands alone there told of what is gone."""
        if self.edits.remove_parts(parts, gone):
            return False
        begin, end = self.text.span(node)
        self.edits.replace((begin + 1, end - 1))
        return True


def nested(operation: Operation) -> Iterator[Operation]:
    yield operation
    if isinstance(operation, SeparateDatabaseAndState):
        for part in (*operation.database_operations, *operation.state_operations):
            yield from nested(part)


def is_rehomes(node: ast.expr) -> bool:
    """Whether a dependency is on the app, which has no migrations."""
    parts = node.elts if isinstance(node, ast.Tuple | ast.List) else []
    return bool(parts) and isinstance(parts[0], ast.Constant) and parts[0].value == "rehome"


def written(operations: Sequence[Operation]) -> tuple[list[ast.expr], list[Any]]:
    """(the code of each, what it imports)."""
    migration: Any = Migration("written", "written")
    migration.operations = list(operations)
    tree = ast.parse(MigrationWriter(migration, include_header=False).as_string())
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    lists: dict[str, Any] = {node.targets[0].id: node.value for node in found.body if isinstance(node, ast.Assign)
                             and isinstance(node.targets[0], ast.Name)}  # fmt: skip
    return lists["operations"].elts, imports
