"""Every block of the documents says what it is; one with commands is run by a test, or here is why not.

The words of each command are looked at here, which is quick: bash reads it, manage.py, make and Compose know its
options, targets and services, and systemd's units are there.
"""

import contextlib
import importlib
import io
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class
from django.core.management.base import CommandError

from tests.conftest import ROOT
from tests.deploy.test_compose import COMPOSE, SET
from tests.pages import PAGES, blocks, commands

LANGUAGES = {"console", "diff", "ini", "json", "nginx", "python", "sh", "sql", "text", "yaml"}
"""sh is typed, console is typed behind a $ and shows what is printed, text is neither."""
RUN = {
    "README.md": "tests.test_readme_commands",
    "docs/another-server.md": "tests.deploy.test_another_server",
    "docs/backups.md": "tests.rehome.ops.test_backups_page",
    "docs/docker.md": "tests.deploy.test_docker_page",
    "docs/guide/back.md": "tests.rehome.test_guide_commands",
    "docs/guide/new-features.md": "tests.rehome.test_new_features",
    "docs/guide/online.md": "tests.rehome.test_guide_commands",
    "docs/guide/retire-and-end.md": "tests.rehome.test_guide_commands",
    "docs/guide/troubleshooting.md": "tests.rehome.test_guide_commands",
    "docs/managed-postgresql.md": "tests.deploy.test_managed_page",
    "docs/rehearsal.md": "tests.rehome.ops.test_rehearsal_page",
    "docs/runbook.md": "tests.test_runbook",
    "docs/running.md": "tests.core.sides.test_cutover",
    "docs/systemd.md": "tests.deploy.test_systemd_page",
    "docs/takeover.md": "tests.rehome.test_takeover",
    "docs/tutorial.md": "tests.rehome.test_tutorial",
    "docs/user-model.md": "tests.rehome.graph.test_user_model",
}
"""Of a page, the module that runs its blocks, and fails where it leaves one out."""
SHOWN = {
    "CONTRIBUTING.md": "targets of the Makefile that take minutes or do not end; .ci/run runs its tests and its image",
    "docs/api.md": "a request to somebody's server; tests/api sends such ones",
    "docs/benchmarks.md": "half an hour of measuring; tests/scripts/test_benchmarks.py runs each script, small",
    "docs/commands.md": "examples of other projects; tests/rehome/management runs each command",
    "docs/imports.md": "of a shop that the page makes up; tests/rehome/importing/test_page.py runs its imports",
    "docs/legacy.md": "of somebody's older database; tests/legacy_app runs both commands on one",
    "docs/monitoring.md": "programs that do not end; tests/deploy/test_services.py runs the first two",
    "docs/portal.md": "a program that does not end; tests/scripts/test_up.py runs it",
}
"""Of a page, why its blocks are not run as they stand there."""
PREFIXES = r"\w+=|(?:.*/)?python3?$|sudo$|-u$|farm$|postgres$|!$|until$|do$"
"""What may stand before a program: variables, Python, somebody else's name, words of the shell."""
typed = [block for page in PAGES for block in commands(str(page.relative_to(ROOT)))]


def words(program: str) -> list[list[str]]:
    """What is typed behind a program, wherever it stands in a line."""
    lines = [line for block in typed for line in re.sub(r"\\\n", " ", block.commands).splitlines() if program in line]
    found = {tuple(one) for line in lines for one in simple_commands(line) if one and one[0] == program}
    assert found
    return [list(one[1:]) for one in sorted(found)]


def simple_commands(line: str) -> list[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    parts: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("|&;<>()"):
            parts.append([])
        elif parts[-1] or not re.match(PREFIXES, word):
            parts[-1].append(word)
    return parts


def test_there_are_blocks() -> None:
    assert len(typed) > 80
    assert len(words("manage.py")) > 50


def test_every_block_says_what_it_is() -> None:
    found = [block for page in PAGES for block in blocks(str(page.relative_to(ROOT)))]
    assert [str(block) for block in found if block.language not in LANGUAGES] == []
    assert [str(block) for block in found if block.language != "console" and block.text.startswith("$ ")] == []


def test_every_page_with_commands_is_run_by_a_test_or_says_why_not() -> None:
    assert {block.page for block in typed} == RUN.keys() | SHOWN.keys()
    assert RUN.keys() & SHOWN.keys() == set()


@pytest.mark.parametrize("page", RUN)
def test_the_module_that_runs_a_page_reads_it(page: str) -> None:
    source = Path(importlib.import_module(RUN[page]).__file__ or "").read_text(encoding="utf-8")
    assert Path(page).name in source
    assert re.search(r"(?m)^def test_", source)


def test_bash_reads_every_block() -> None:
    for block in typed:
        done = subprocess.run(["bash", "-n", "-c", block.commands], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), block


def test_manage_py_knows_every_option() -> None:
    for command, *arguments in words("manage.py"):
        if re.match(r"\d", command) or "legacy" in arguments:
            continue  # There only beside an older database.
        parser = load_command_class(get_commands()[command], command).create_parser("manage.py", command)
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said):
                parser.parse_args(arguments)
        except (SystemExit, CommandError) as error:
            pytest.fail(f"{command} {arguments}: {said.getvalue()}{error}")


def test_make_has_every_target() -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    for line in words("make"):
        given = {word for word in line if "=" not in word}
        assert given
        assert given <= targets


def test_systemd_has_every_unit() -> None:
    there = {path.name for path in (ROOT / "deploy" / "systemd").iterdir()}
    for line in words("systemctl"):
        _, *units = (word for word in line if not word.startswith("-"))
        assert {unit if "." in unit else f"{unit}.service" for unit in units} <= there


@pytest.mark.long
def test_compose_reads_every_line_of_its_as_far_as_it_can_without_docker(tmp_path: Path) -> None:
    """It asks for Docker only when it knows the command, its options, and what is in the file."""
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    known = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DOCKER_HOST": "unix:///nowhere"} | SET
    services = re.findall(r"(?m)^  (\w+):$", (tmp_path / "docker-compose.yml").read_text())
    for line in words("docker"):
        assert line[0] == "compose"
        done = subprocess.run([COMPOSE, *line[1:]], cwd=tmp_path, env=known, capture_output=True, text=True)
        assert "Cannot connect to the Docker daemon" in done.stderr, f"{line}: {done.stderr}"
        assert line[1] == "build" or set(line[2:]) & set(services), line
