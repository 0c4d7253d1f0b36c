"""`manage.py cutover`: who is on which side, and sending people."""

import io
import shlex
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from pytest_django import Settings

from core.sides.deciding import side_of
from core.sides.models import Choice
from tests.pages import commands

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nobody_is_over(settings: Settings) -> None:
    settings.CUTOVER_PERCENT = 0


def cutover(*arguments: str, **options: Any) -> str:
    out = io.StringIO()
    call_command("cutover", *arguments, stdout=out, **options)
    return out.getvalue()


@pytest.fixture
def crew() -> Group:
    return Group.objects.create(name="Hall A operators")


@pytest.fixture
def people(crew: Group) -> dict[str, User]:
    made = {name: User.objects.create_user(name) for name in ("ada", "bob", "eve")}
    made["bob"].groups.add(crew)
    return made


def sides(people: dict[str, User]) -> str:
    return " ".join(f"{name}:{side_of(user)}" for name, user in people.items())


def test_it_lists_without_changing_anything(people: dict[str, User]) -> None:
    assert cutover() == "0 of 3 people are on the new side.\nPercentage: 0 %\n"
    assert not Choice.objects.exists()


def test_users_groups_and_a_percentage_are_sent_over_and_back(people: dict[str, User]) -> None:
    cutover("--user", "ada")
    assert sides(people) == "ada:new bob:old eve:old"
    cutover("--group", "Hall A operators", reason="they asked")
    assert sides(people) == "ada:new bob:new eve:old"
    said = cutover("--percent", "100")
    assert sides(people) == "ada:new bob:new eve:new"
    assert "3 of 3 people are on the new side.\nPercentage: 100 %\n" in said
    assert "Group Hall A operators: new side since " in said
    assert "by manage.py cutover: they asked" in said

    cutover("--back", "--user", "ada", "--group", "Hall A operators")
    assert sides(people) == "ada:old bob:old eve:new"
    cutover("--back")
    assert sides(people) == "ada:old bob:old eve:old"


def test_many_are_sent_at_once(people: dict[str, User]) -> None:
    cutover("--user", "ada", "--user", "eve")

    assert sides(people) == "ada:new bob:old eve:new"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--user", "ada", "--user", "nobody"], "There is no user 'nobody'; nothing is changed."),
        (["--user", "ada", "--group", "Hall Z"], "There is no group 'Hall Z'; nothing is changed."),
        (["--percent", "5", "--back"], "--back and --percent exclude each other"),
        (["--percent", "101"], "'101' is not a percentage; give a number from 0 to 100."),
        (["--percent", "-1"], "'-1' is not a percentage"),
        (["--percent", "half"], "'half' is not a percentage"),
    ],
)
def test_a_slip_sends_nobody_anywhere(arguments: list[str], sentence: str, people: dict[str, User]) -> None:
    with pytest.raises(CommandError) as refusal:
        cutover(*arguments)

    assert sentence in str(refusal.value)
    assert not Choice.objects.exists()


def test_the_commands_of_docs_running_md(people: dict[str, User]) -> None:
    (block,) = commands("docs/running.md")
    after = []
    for line in block.commands.splitlines():
        program, command, *arguments = shlex.split(line, comments=True)
        assert (program, command) == ("manage.py", "cutover")
        cutover(*arguments)
        after.append(sides(people))
    looked, ada, crew, quarter, ada_back, all_back = after
    assert looked == "ada:old bob:old eve:old"
    assert ada == "ada:new bob:old eve:old"
    assert crew == "ada:new bob:new eve:old"
    assert quarter.startswith("ada:new bob:new ")
    assert ada_back.startswith("ada:old bob:new ")
    assert all_back == looked
