"""Draws the rooms of rehome from their code: `make rooms` writes docs/architecture.svg.

The floors are those of the contract in pyproject.toml. What a room is and has, and which rooms it imports, is read from
the source; nothing of rehome is imported.
"""

import ast
import dataclasses
import html
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import grimp

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "rehome"
PICTURE = ROOT / "docs" / "architecture.svg"

PLACES = {
    "management": (0, 3),
    "ops": (1, 2),
    "graph": (0, 2),
    "move": (1, 2),
    "moves": (1, 2),
    "importing": (3, 3),
    "preflight": (1, 1),
    "verify": (2, 2),
    "checkschema": (0, 0),
    "parts": (1, 3),
    "plan": (0, 3),
    "postgres": (0, 3),
    "models": (0, 0),
    "constraints": (1, 1),
    "terminal": (2, 2),
    "errors": (3, 3),
}
"""The first and the last of four columns that a room takes on its floor."""
TITLE = "The packages of rehome on their floors: each imports only from floors below its own."

WIDTH, MARGIN, GAP, BETWEEN = 960, 16, 16, 34
COLUMN = (WIDTH - 2 * MARGIN - 3 * GAP) / 4
INSET, NAME, LINE, SMALL = 12, 22, 17, 15
"""Heights of a room's name, of a line of its sentence and of a line of its modules."""
SENTENCE_WIDTH, MODULE_WIDTH = 6.8, 6.7
"""How wide a character is at most on average, in the sizes that the style sheet gives."""

STYLE = """
    .page { fill: #ffffff }
    .room { fill: #f8fafc; stroke: #94a3b8 }
    .module { fill: #ffffff; stroke: #94a3b8; stroke-dasharray: 4 3 }
    .name { fill: #0f172a; font: 600 15px ui-monospace, Menlo, Consolas, monospace }
    .is { fill: #334155; font: 12.5px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif }
    .has { fill: #64748b; font: 11px ui-monospace, Menlo, Consolas, monospace }
    .arrow { fill: none; stroke: #475569; stroke-width: 1.5; marker-end: url(#end) }
    .head { fill: #475569 }
    @media (prefers-color-scheme: dark) {
      .page { fill: #0d1117 }
      .room { fill: #161b22; stroke: #484f58 }
      .module { fill: #0d1117; stroke: #484f58 }
      .name { fill: #f0f6fc }
      .is { fill: #c9d1d9 }
      .has { fill: #8b949e }
      .arrow { stroke: #8b949e }
      .head { fill: #8b949e }
    }
"""


# ----- what the code says


@dataclasses.dataclass(frozen=True)
class Room:
    """A package or a module at the top of rehome."""

    name: str
    is_package: bool
    sentence: str
    """What it is: the first of its docstring."""
    modules: tuple[str, ...]
    """What is in the package; a package within it ends in a slash."""


def read_floors() -> list[list[str]]:
    """From the top: the names of the rooms that the contract has on each floor."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [[room.strip(" ()") for room in layer.split("|")] for layer in layers]


def read_room(name: str) -> Room:
    folder = PACKAGE / name
    file = folder / "__init__.py" if folder.is_dir() else PACKAGE / f"{name}.py"
    said = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    modules = {f"{path.parent.name}/" for path in folder.glob("*/__init__.py")}
    modules |= {path.stem for path in folder.glob("*.py")} - {"__init__"}
    return Room(name, folder.is_dir(), " ".join(said.split()).partition(". ")[0].rstrip("."), tuple(sorted(modules)))


def is_there(name: str) -> bool:
    return (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").exists()


def read_imports(names: list[str]) -> set[tuple[str, str]]:
    """(importer, imported) of the rooms, which are in the order of their floors; imports for types count as well."""
    graph = grimp.build_graph("rehome", cache_dir=None)
    return {
        (upper, lower)
        for number, upper in enumerate(names)
        for lower in names[number + 1 :]
        if graph.direct_import_exists(importer=f"rehome.{upper}", imported=f"rehome.{lower}", as_packages=True)
    }


def reduced(imports: set[tuple[str, str]], names: list[str]) -> list[tuple[str, str]]:
    """Without those that follow from others."""
    below: dict[str, set[str]] = {}
    for name in reversed(names):
        direct = {lower for upper, lower in imports if upper == name}
        below[name] = direct.union(*(below[lower] for lower in direct))
    return sorted(
        (upper, lower)
        for upper, lower in imports
        if not any(lower in below[between] for above, between in imports if above == upper)
    )


# ----- where it stands


@dataclasses.dataclass(frozen=True)
class Box:
    room: Room
    floor: int
    top: float
    height: float

    @property
    def left(self) -> float:
        return MARGIN + min(columns_of(self.room)) * (COLUMN + GAP)

    @property
    def width(self) -> float:
        return width_of(self.room)

    @property
    def bottom(self) -> float:
        return self.top + self.height

    @property
    def middle(self) -> float:
        return self.left + self.width / 2


def wrapped(words: Iterable[str], width: float, character: float, space: str = " ") -> list[str]:
    lines = [""]
    for word in words:
        longer = f"{lines[-1]}{space}{word}" if lines[-1] else word
        if lines[-1] and len(longer) * character > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def width_of(room: Room) -> float:
    return len(columns_of(room)) * (COLUMN + GAP) - GAP


def lines_of(room: Room) -> tuple[list[str], list[str]]:
    width = width_of(room) - 2 * INSET
    return wrapped(room.sentence.split(), width, SENTENCE_WIDTH), wrapped(room.modules, width, MODULE_WIDTH, "  ")


def height_of(room: Room) -> float:
    sentence, modules = lines_of(room)
    return INSET + NAME + LINE * len(sentence) + (SMALL * len(modules) + 4 if room.modules else 0) + INSET / 2


def place(floors: list[list[Room]]) -> dict[str, Box]:
    """A room that has nothing right above it grows upwards; the others say how high its floor is."""
    boxes: dict[str, Box] = {}
    bottom, above = float(MARGIN - BETWEEN), set(range(4))
    for number, floor in enumerate(floors):
        covered = [room for room in floor if above & columns_of(room)]
        height = max(map(height_of, covered or floor))
        bottom += BETWEEN + height
        for room in floor:
            own = height if room in covered else height_of(room)
            boxes[room.name] = Box(room, number, bottom - own, own)
        above = set().union(*map(columns_of, floor))
    return boxes


def columns_of(room: Room) -> set[int]:
    first, last = PLACES[room.name]
    return set(range(first, last + 1))


def find_path(upper: Box, lower: Box, boxes: Iterable[Box]) -> str:
    """Straight down where nothing is between; around a corner to a room of the next floor that is not below."""
    between = [box.room for box in boxes if upper.floor < box.floor < lower.floor]
    free = columns_of(upper.room) & columns_of(lower.room) - set().union(*map(columns_of, between))
    if free:
        x = MARGIN + (min(free) + max(free)) / 2 * (COLUMN + GAP) + COLUMN / 2
        return f"M{x:g} {upper.bottom:g}V{lower.top - 2:g}"
    if between:
        raise SystemExit(f"{upper.room.name} -> {lower.room.name}: no column is free. Change PLACES in {__file__}.")
    x = lower.left + lower.width - 40 if upper.left > lower.left else lower.left + 40
    return f"M{upper.middle:g} {upper.bottom:g}v{BETWEEN / 2:g}H{x:g}V{lower.top - 2:g}"


# ----- the picture


def draw() -> str:
    *floors, ground = merge_ground([[read_room(name) for name in floor if is_there(name)] for floor in read_floors()])
    names = [room.name for floor in floors for room in floor]
    boxes = place([*floors, ground])
    height = max(box.bottom for box in boxes.values()) + MARGIN
    arrows = reduced(read_imports(names), names)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-labelledby="title">',
        f'  <title id="title">{TITLE}</title>',
        f"  <style>{STYLE}  </style>",
        '  <marker id="end" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="head" d="M0 0 10 5 0 10z"/></marker>',
        f'  <rect class="page" width="{WIDTH}" height="{height:g}" rx="10"/>',
        *(f'  <path class="arrow" d="{find_path(boxes[a], boxes[b], boxes.values())}"/>' for a, b in arrows),
        *(line for box in boxes.values() for line in draw_box(box)),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def merge_ground(floors: list[list[Room]]) -> list[list[Room]]:
    """The modules under all packages, which every room may import, side by side and without arrows."""
    lowest = max(number for number, floor in enumerate(floors) if any(room.is_package for room in floor))
    ground = [room for floor in floors[lowest + 1 :] for room in floor]
    return [*filter(None, floors[: lowest + 1]), ground]


def draw_box(box: Box) -> Iterator[str]:
    sentence, modules = lines_of(box.room)
    kind = "room" if box.room.is_package else "module"
    place = f'x="{box.left:g}" y="{box.top:g}" width="{box.width:g}" height="{box.height:g}"'
    yield f'  <rect class="{kind}" {place} rx="8"/>'
    y = box.top + INSET + NAME / 2
    yield text("name", box, y, box.room.name)
    for line in sentence:
        y += LINE + (4 if line is sentence[0] else 0)
        yield text("is", box, y, line)
    for line in modules if box.room.modules else ():
        y += SMALL + (4 if line is modules[0] else 0)
        yield text("has", box, y, line)


def text(kind: str, box: Box, y: float, words: str) -> str:
    place = f'x="{box.left + INSET:g}" y="{y:g}"'
    return f'  <text class="{kind}" {place} xml:space="preserve">{html.escape(words, quote=False)}</text>'


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
