"""Every command of rehome that Ctrl-C or SIGTERM ends says so in a sentence, and its exit code says which it was."""

import importlib
import signal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from rehome.management.base import DatabaseCommand
from tests.rehome.product.commands import registered

pytestmark = pytest.mark.django_db(transaction=True)

ARGUMENTS = {
    "checkschema": ["printers"],
    "makemove": ["portal.Printer", "printers.Printer"],
    "sqlmove": ["accounts", "0002"],
    "squashmigrations": ["accounts", "0002"],
}
"""Of commands that take some."""
READ_FIRST = {"makemove": "make_draft", "migrate": "patient", "squashmigrations": "MigrationLoader"}
"""Of commands that are none of one database: what they call before they write."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", registered())
def test_a_sentence_and_the_exit_code(name: str, number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    command, before = registered()[name], [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]

    def receive(*arguments: Any, **options: Any) -> None:
        signal.raise_signal(number)

    if isinstance(command, DatabaseCommand):
        monkeypatch.setattr(type(command), "handle_database", receive)
    else:
        monkeypatch.setattr(importlib.import_module(type(command).__module__), READ_FIRST[name], receive)
    with pytest.raises(CommandError, match=r"^Interrupted") as told:
        call_command(command, *ARGUMENTS.get(name, []))

    assert told.value.returncode == 128 + number
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before
    assert not connection.in_atomic_block
