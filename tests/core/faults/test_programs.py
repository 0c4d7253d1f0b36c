"""What ends a command or a thread is a fault as well: in a process of its own, with a server that stands for Slack."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.core.faults.slack import slack

BEGIN = """
import os, sys, threading
import django
from core.faults.handler import watch_program
watch_program()
os.environ["DJANGO_SETTINGS_MODULE"] = "core.settings"
django.setup()
"""
FAILS = {
    "command": "raise LookupError('api_key=hunter2')",
    "thread": "t = threading.Thread(target=lambda: {}['missing']); t.start(); t.join()",
    "logged": "import logging\ntry: 1 / 0\nexcept ZeroDivisionError: logging.getLogger('x').exception('on')",
}
NO_FAULT = {
    "interrupted": "raise KeyboardInterrupt",
    "refused": "from django.core.management import execute_from_command_line as e; e(['manage.py', 'no-such-command'])",
}


def run(code: str, webhook: str) -> subprocess.CompletedProcess[str]:
    # A database that is not there: what is told then is told without it.
    outside = {"SLACK_WEBHOOK_URL": webhook, "DATABASE_URL": "postgres://farm:secret@127.0.0.1:1/farm"}
    return subprocess.run(
        [sys.executable, "-c", BEGIN + code], cwd=ROOT, env=os.environ | outside, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize("way", FAILS)
def test_what_ends_a_program_is_told_before_it_is_gone(way: str) -> None:
    with slack() as server:
        done = run(FAILS[way], server.url)

    [message] = server.messages
    kind = {"command": "LookupError", "thread": "KeyError", "logged": "ZeroDivisionError"}[way]
    assert message.startswith(f"*{kind} at ")
    assert "hunter2" not in message
    assert kind in done.stderr
    assert done.returncode == (1 if way == "command" else 0)


@pytest.mark.long
@pytest.mark.parametrize("way", NO_FAULT)
def test_an_end_that_is_meant_is_no_fault(way: str) -> None:
    with slack() as server:
        assert run(NO_FAULT[way], server.url).returncode != 0

    assert server.messages == []
