"""Every command is documented, explains itself, and has tests of its own."""

import argparse
import re
from pathlib import Path

import django.core
import pytest
from django.core.management import find_commands, load_command_class
from django.core.management.base import BaseCommand

import rehome
from tests.conftest import ROOT

COMMANDS = find_commands(str(Path(rehome.__file__).parent / "management"))
DJANGO = find_commands(str(Path(django.core.__file__).parent / "management"))
PAGE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")


def section(command: str) -> str:
    found = re.search(rf"(?ms)^## {command}\n(.*?)(?=^## |\Z)", PAGE)
    return found[1] if found else ""


def own_arguments(command: str) -> list[argparse.Action]:
    """Those that Django does not give to every command, or to its own of the name."""
    parser = load_command_class("rehome", command).create_parser("manage.py", command)
    overridden = load_command_class("django.core", command) if command in DJANGO else BaseCommand()
    common = {action.dest for action in overridden.create_parser("manage.py", command)._actions}
    return [action for action in parser._actions if action.dest not in common]


def test_there_are_commands() -> None:
    assert {"makemove", "showmoves", "sqlmove", "verifymoves"} <= set(COMMANDS)
    assert re.findall(r"(?m)^## (.*)$", PAGE) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_has_an_example_and_every_argument(command: str) -> None:
    text = section(command)

    assert re.search(rf"(?m)^\$ python manage\.py {command}\b", text)
    names = {name for action in own_arguments(command) for name in action.option_strings or [action.dest]}
    documented = re.findall(r"(?m)^- ((?:`[^`]+`(?:, )?)+):", text)
    assert {name for line in documented for name in re.findall(r"`([^`]+)`", line)} == names


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_explains_itself(command: str) -> None:
    assert load_command_class("rehome", command).help.endswith(".")
    assert [action.dest for action in own_arguments(command) if not action.help] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_test_file_calls_it(command: str) -> None:
    (file,) = (ROOT / "tests" / "rehome").rglob(f"test_{command}.py")

    assert f'call_command("{command}"' in file.read_text()
