"""The guide's troubleshooting, reference and glossary say what the code says; docs/why.md has a link for each claim."""

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

import rehome
from rehome.models import Phase
from tests.conftest import ROOT

GUIDE = ROOT / "docs" / "guide"
VALUE = re.compile(r"\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}")
"""In docs/messages.md, the expression that gives a value."""
EXAMPLE = re.compile(r"\.\.\.|\w+[._]\w+(?:[._]\w+)*(?: -> \w+\.\w+)?|\b(?:\d+|alice|bob|(?<=atabase )default)\b")
"""In the guide, a value of the examples, or three points for any."""


def read(name: str) -> str:
    return (GUIDE / name).read_text(encoding="utf-8")


def section(page: str, heading: str) -> str:
    (found,) = re.findall(rf"(?ms)^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", page)
    return found


def sentences() -> list[str]:
    said = (ROOT / "docs" / "messages.md").read_text(encoding="utf-8").replace("\\", "")
    listed = [VALUE.sub("\0", line[2:]).replace("'", "") for line in said.splitlines() if line.startswith("- ")]
    ending = (ROOT / "rehome" / "parts" / "ending.py").read_text(encoding="utf-8")
    return listed + re.findall(r"MESSAGE = (?:pg_catalog\.)?format\('([^']*)'", re.sub(r"%\w", "\0", ending))


def pattern(message: str) -> re.Pattern[str]:
    """Finds the sentence that the message begins, wherever values stand in either."""
    parts = [part.strip() for part in EXAMPLE.split(VALUE.sub("...", message).replace("'", ""))]
    return re.compile(r".*?".join(map(re.escape, parts)))


def messages() -> list[str]:
    page = read("troubleshooting.md")
    for other in ("From PostgreSQL, in your servers' log", "What rehome does not print"):
        page = page.replace(section(page, other), "")
    cells = [line.split(" | ")[0] for line in page.splitlines() if line.startswith("| `")]
    return [message for cell in cells for message in re.findall(r"`([^`]+)`", cell)]


def test_there_are_messages() -> None:
    assert len(messages()) > 50


@pytest.mark.parametrize("message", messages())
def test_each_message_of_the_troubleshooting_is_one_of_rehomes(message: str) -> None:
    wanted = pattern(message)
    assert any(wanted.search(sentence) for sentence in sentences()), wanted.pattern


def test_a_message_that_nobody_prints_is_found_out() -> None:
    wanted = pattern("public.printers_printer is not in use for ever.")
    assert not any(wanted.search(sentence) for sentence in sentences())


def rows(heading: str) -> dict[str, str]:
    """The default that the reference says, by parameter."""
    found = [line.split("|")[1:3] for line in section(read("reference.md"), heading).splitlines() if "| `" in line]
    return {name.strip(" `"): value.strip(" `") for name, value in found}


def said(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return ""
    return "none" if value in ((), None) else str(value) if not isinstance(value, str) else f'"{value}"'


@pytest.mark.parametrize("of", [rehome.Move, rehome.Import, rehome.Lookup, rehome.Changed], ids=lambda of: of.__name__)
def test_the_reference_has_every_parameter_with_its_default(of: Callable[..., Any]) -> None:
    parameters = inspect.signature(of).parameters
    found = rows(of.__name__)
    assert list(found) == list(parameters)
    none = {"none", "None"}
    for name, parameter in parameters.items():
        wanted = said(parameter.default)
        assert found[name] == wanted or {found[name], wanted} <= none, name


def test_the_reference_has_every_name_that_can_be_imported() -> None:
    page = read("reference.md")
    assert [name for name in rehome.__all__ if not re.search(rf"(?m)^#+ {name}$|^\| `{name}\(", page)] == []


def test_the_glossary_and_the_commands_have_every_phase() -> None:
    glossary = section(read("glossary.md"), "Phases")
    commands = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert [phase for phase in ("planned", *Phase.values) if f"**{phase}**" not in glossary] == []
    assert [phase for phase in ("planned", *Phase.values) if f"\n| {phase} |" not in commands] == []


def test_each_claim_about_another_way_has_a_link() -> None:
    why = (ROOT / "docs" / "why.md").read_text(encoding="utf-8")
    table = [line.strip("| ").split(" | ") for line in why.splitlines() if line.startswith("| [")]
    assert [len(cells) for cells in table] == [7] * 6
    assert [cell for cells in table for cell in cells if "](" not in cell] == []
