"""One name for one thing: words that the glossary of docs/architecture.md replaces are not used."""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GLOSSARY = ROOT / "docs" / "architecture.md"
HEADING = "## One name for one thing\n"

IRREGULAR = {
    "give": ["gave", "given"],
    "bring": ["brought"],
    "take": ["took", "taken"],
    "go": ["went", "gone"],
    "have": ["has", "had"],
}
OWN_PHRASE = "way|step|go|goes|going|gone|went|roll|rolls|rolled|rolling|moved|moving|a|an|the|in|of|to"
"""With the last word, these are a phrase of their own: "take the way back", "cut to a short pause"."""
WORD = r"[^\s|]*[^\s|.,;:!?()]"
GAP = rf"(?:(?:\s+{WORD}){{0,2}}\s+(?!(?:{OWN_PHRASE})\s){WORD})?"

Piece = tuple[int, str]
"""The number of its first line, and what stands there: a paragraph, a comment, a docstring or a name, read as one."""


def section(text: str) -> tuple[str, str, str]:
    before, heading, rest = text.partition(HEADING)
    own, following, after = rest.partition("\n## ")
    return before + heading, own, following + after


@cache
def glossary() -> dict[str, str]:
    """What not to say, and what to say instead."""
    _, table, _ = section(GLOSSARY.read_text(encoding="utf-8"))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"]
    return {phrase: say for say, phrases, _ in rows[2:] for phrase in phrases.split(", ") if phrase}


def inflect(verb: str) -> str:
    stem = verb.removesuffix("e")
    endings = [verb, f"{verb}s", f"{verb}es", f"{stem}ed", f"{stem}ing", f"{stem}{stem[-1]}ing", f"{verb}ment"]
    return "|".join(map(re.escape, [*endings, *IRREGULAR.get(verb, [])]))


@cache
def pattern(phrase: str) -> re.Pattern[str]:
    """The first word inflected, the others as they are, on one line or two; `in step 3` counts steps."""
    first, *others = phrase.split()
    rest = "".join(GAP if word == "…" else rf"[\s-]+{re.escape(word)}" for word in others)
    return re.compile(rf"(?<![\w-])(?:{inflect(first)}){rest}(?![\w-]|\s+\d)", re.IGNORECASE)


def found_in(text: str) -> Iterator[Piece]:
    """Each with the lines of the text before it."""
    text = text.replace("’", "'")
    for phrase, say in glossary().items():
        for match in pattern(phrase).finditer(text):
            words = " ".join(match[0].split())
            yield text.count("\n", 0, match.start()), f"{words!r}: say {say!r} instead of {phrase!r}"


def paragraphs(text: str) -> Iterator[Piece]:
    line = 1
    for paragraph in re.split(r"(\n\s*\n)", text):
        yield line, re.sub(r"(?m)^\s*#+ ", "", paragraph)
        line += paragraph.count("\n")


def page(path: Path) -> Iterator[Piece]:
    text = path.read_text(encoding="utf-8")
    if path == GLOSSARY:
        before, own, after = section(text)
        text = before + "\n" * own.count("\n") + after
    return paragraphs(text)


def comments(path: Path) -> Iterator[Piece]:
    """Comments on lines that follow each other are one."""
    first, last, words = 0, 0, ""
    with tokenize.open(path) as file:
        for token in tokenize.generate_tokens(io.StringIO(file.read()).readline):
            if token.type == tokenize.COMMENT:
                line, text = token.start[0], token.string.lstrip("# ")
                if line != last + 1:
                    yield first, words
                    first, words = line, text
                else:
                    words += "\n" + text
                last = line
    yield first, words


def docstrings(path: Path) -> Iterator[Piece]:
    """Of modules, classes and functions, and those below an attribute."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield node.lineno, text


def names(path: Path) -> Iterator[Piece]:
    """Of functions and classes, as words: `give_back` and `GiveBack` are "give back"."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, re.sub(r"_+|(?<=[a-z])(?=[A-Z])", " ", node.name).strip()


def names_of_tests(path: Path) -> Iterator[Piece]:
    yield 1, path.stem.replace("_", " ")
    yield from ((line, name) for line, name in names(path) if name.lower().startswith("test"))


def code(path: Path) -> Iterator[Piece]:
    return chain(comments(path), docstrings(path), names(path))


def script(path: Path) -> Iterator[Piece]:
    """What it prints as well."""
    return chain(page(path), names(path) if path.suffix == ".py" else ())


def report(pieces: Iterable[Piece], path: Path) -> list[str]:
    name = path.relative_to(ROOT)
    return [f"{name}:{line + below}: {found}" for line, text in pieces for below, found in found_in(text)]


PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "guide").glob("*.md")),
    *sorted((ROOT / "docs").glob("*.svg")),
    *(ROOT / name for name in ("Makefile", ".env.example", ".ci/run")),
]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
SCRIPTS = sorted([*(ROOT / "scripts").glob("*.py"), *(ROOT / "scripts").glob("*.sh")])


def group(path: Path) -> str:
    return "/".join(path.relative_to(ROOT).parts[:-1][:3])


def groups(*folders: str) -> dict[str, list[Path]]:
    """Folder by folder, three deep."""
    grouped: dict[str, list[Path]] = {}
    for path in sorted(chain.from_iterable((ROOT / folder).rglob("*.py") for folder in folders)):
        grouped.setdefault(group(path), []).append(path)
    return grouped


CODE = groups("rehome", "core", "portal", "accounts", "printers", "legacy_app")
TESTS = groups("tests")


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


USED = [
    ("give … back", ["gives everything back", "gave it back", "giving what was written back", "given back"]),
    ("put … back", ["puts `the index` back", "putting them back", "put back"]),
    ("bring … back", ["brings the old table back", "brought\nback", "Bringing it back"]),
    ("take … back", ["takes portal.Printer back", "took the move back", "taken back"]),
    ("switch … back", ["switched back", "switches both tables back"]),
    ("give … up", ["was given up", "gives the whole move up", "giving up"]),
    ("cut … short", ["cuts the run short", "was cut short", "cutting it short"]),
    ("go on with", ["went on with the copy", "is gone on with", "goes on with it", "going on with it"]),
    ("half done", ["half done", "half-done"]),
    ("in step", ["kept in step.", "in\nstep"]),
    ("out of step", ["out of step"]),
    ("mend", ["mended", "mends", "mending"]),
    ("abandon", ["abandons", "abandoned", "abandoning", "abandonment"]),
    ("can't go in", ["can't go in", "can’t go in"]),
    ("have not its", ["has not its rights", "had not its rights"]),
]
INNOCENT = [
    "going on a trip", "Writers go on while rows are copied.", "Take a step back.", "It takes the way back.",
    "It takes 3 s. Back in sync.", "It gives way, then moves back", "moved back", "roll back", "go back", "in step 3",
    "in steps", "recommended", "amends", "Return the rows.", "Restore the backup.", "cut to a short pause",
    "a short cut", "goes in order", "| takes | back |", "has not been moved", "half of it is done",
    "set up", "brings up", "giveback",
]  # fmt: skip


SOURCE = '''
"""One.

It is mended."""

X = "mended"
# Rows are given
# back.
class GiveBack:
    def test_brings_it_back(self):
        """In step."""
'''


@pytest.mark.parametrize(("phrase", "text"), [(phrase, text) for phrase, texts in USED for text in texts])
def test_every_inflection_is_found_with_words_in_between(phrase: str, text: str) -> None:
    [(_, found)] = found_in(f"It was seen: {text}")

    assert found.endswith(f"say {glossary()[phrase]!r} instead of {phrase!r}")


def test_every_word_of_the_second_column_is_found() -> None:
    assert {phrase for phrase, _ in USED} <= set(glossary())
    assert [phrase for phrase in glossary() if not list(found_in(phrase.replace("…", "all of it")))] == []


@pytest.mark.parametrize("text", INNOCENT)
def test_other_words_are_not_found(text: str) -> None:
    assert list(found_in(text)) == []


def test_words_are_found_where_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "test_going_back.py"
    file.write_text(SOURCE, encoding="utf-8")

    found = sorted(
        (line + below, words.partition(":")[0]) for line, text in code(file) for below, words in found_in(text)
    )
    assert found == [
        (4, "'mended'"), (7, "'given back'"), (9, "'Give Back'"), (10, "'brings it back'"), (11, "'In step'"),
    ]  # fmt: skip
    assert [(line, text) for line, text in names_of_tests(file)] == [
        (1, "test going back"),
        (10, "test brings it back"),
    ]


def test_the_table_itself_may_name_them_and_the_rest_of_its_page_may_not() -> None:
    text = GLOSSARY.read_text(encoding="utf-8")
    before, own, after = section(text)

    assert before + own + after == text
    assert "give … back" in own
    assert (text.splitlines().index("## When the check fails") + 1, "When the check fails") in list(page(GLOSSARY))


@pytest.mark.parametrize("path", [*PAGES, *DECISIONS], ids=relative)
def test_pages_use_the_words_of_the_glossary(path: Path) -> None:
    assert report(page(path), path) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=relative)
def test_scripts_use_the_words_of_the_glossary(path: Path) -> None:
    assert report(script(path), path) == []


@pytest.mark.parametrize("folder", CODE)
def test_comments_docstrings_and_names_use_the_words_of_the_glossary(folder: str) -> None:
    assert [line for path in CODE[folder] for line in report(code(path), path)] == []


@pytest.mark.parametrize("folder", TESTS)
def test_tests_are_named_in_the_words_of_the_glossary(folder: str) -> None:
    assert [line for path in TESTS[folder] for line in report(names_of_tests(path), path)] == []


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_old_code_is_explained_by_the_previous_release(path: Path) -> None:
    before, mentioned, after = "\n\n".join(text for _, text in page(path)).lower().partition("old code")
    assert not mentioned or "previous release" in before + after.partition("\n\n")[0]
