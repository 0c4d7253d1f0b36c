"""What the documents name is there: files, headings, make targets, commands; their Python is Python."""

import ast
import re
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"(?<!\\)\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
PATH = re.compile(r"\b((?:rehome|core|portal|accounts|printers|scripts|tests|docs|requirements)/[\w/.-]+\.\w+)")
COMMAND = re.compile(r"(?:manage\.py|python -m django) ([a-z_]+)")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """The fragments that GitHub makes of a page's headings."""
    text = BLOCK.sub("", read(page))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_no_merge_has_left_its_markers() -> None:
    texts = [*PAGES, *(path for path in ROOT.glob("*/templates/**/*") if path.is_file())]
    assert [str(path) for path in texts if re.search(r"^(<<<<<<<|>>>>>>>) ", read(path), re.MULTILINE)] == []


@pages
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(BLOCK.sub("", read(page))):
        if re.match(r"https?:", link):
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (fragment and fragment not in anchors(target)):
            broken.append(link)
    assert broken == []


@pages
def test_every_file_that_is_named_exists(page: Path) -> None:
    """Whatever looks like a path of the checkout: a known folder, a slash and a suffix. A template has its own name."""
    named = PATH.findall(re.sub(r"https?://\S+", "", read(page)))
    templates = {
        path.relative_to(folder).as_posix() for folder in ROOT.glob("*/templates") for path in folder.rglob("*")
    }
    assert [path for path in named if path not in templates and not (ROOT / path).exists()] == []


@pages
def test_every_command_exists(page: Path) -> None:
    known = get_commands()
    assert [name for name in COMMAND.findall(read(page)) if name not in known] == []


@pages
def test_every_make_target_exists(page: Path) -> None:
    text = read(page)
    targets = set(re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)", text, re.MULTILINE))
    known = set(re.findall(r"^([a-z-]+):", read(ROOT / "Makefile"), re.MULTILINE))
    assert {first or second for first, second in targets} <= known


@pages
def test_the_python_of_every_page_compiles(page: Path) -> None:
    for language, code in BLOCK.findall(read(page)):
        if language == "python":
            ast.parse(code)


def test_the_readme_begins_with_the_two_commands() -> None:
    shells = [code.strip() for language, code in BLOCK.findall(read(README)) if language == "sh"]
    assert [code for code in shells if code.startswith("make ")][:2] == ["make demo", "make test"]


def test_the_example_of_another_project_is_short_and_runs() -> None:
    (example,) = [code for language, code in BLOCK.findall(read(README)) if language == "python"]
    lines = [line for line in example.splitlines() if line.strip() and not line.startswith("#")]
    defined: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), defined)  # noqa: S102

    assert len(lines) < 20
    assert str(defined["book"]) == "shop.Book -> catalog.Book"
    assert not defined["Migration"].atomic


def test_every_command_of_rehome_is_linked_from_the_readme() -> None:
    own = [name for name, app in get_commands().items() if app == "rehome"]
    assert [name for name in own if f"`{name}`" not in read(README)] == []
    for name in own:
        assert load_command_class("rehome", name).help


def test_every_decision_is_in_their_list() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = set(LINK.findall(read(folder / "README.md")))
    assert listed == {path.name for path in folder.glob("[0-9]*.md")}


def test_every_setting_of_rehome_is_in_the_guide() -> None:
    source = "".join(read(path) for path in (ROOT / "rehome").rglob("*.py"))
    guide = "".join(read(page) for page in (ROOT / "docs" / "guide").glob("*.md"))
    settings = set(re.findall(r'"(REHOME_\w+)"', source))
    assert settings
    assert {name for name in settings if f"`{name}`" not in guide} == set()
