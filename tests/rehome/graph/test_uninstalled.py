"""A release that has taken rehome out of INSTALLED_APPS too early is told before anything of a plan is done."""

from typing import Any

import pytest
from django.apps import apps
from django.db import models
from django.db.migrations import Migration, RunPython, RunSQL, SeparateDatabaseAndState
from django.db.migrations.operations.base import Operation
from django.db.models.signals import pre_migrate

from rehome import Move, Repoint
from rehome.errors import Refused

MOVE = Move("old.Thing", "new.Thing")
NEEDING: dict[str, Operation] = {
    "move": RunPython(MOVE.forwards, MOVE.backwards),
    "operation": Repoint("Job", "thing", models.ForeignKey("new.Thing", models.CASCADE)),
    "nested": SeparateDatabaseAndState([RunPython(MOVE.forwards)]),
}


@pytest.fixture(autouse=True)
def uninstalled(monkeypatch: pytest.MonkeyPatch) -> None:
    known = apps.is_installed
    monkeypatch.setattr(apps, "is_installed", lambda name: name != "rehome" and known(name))


def send(*operations: Operation, backwards: bool = False) -> None:
    """As any `migrate` does before the first migration of its plan."""
    migration: Any = Migration("0002_more", "new")
    migration.operations = list(operations)
    pre_migrate.send(sender=send, using="default", plan=[(migration, backwards)])


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("kind", NEEDING)
def test_a_plan_that_needs_rehome_is_refused(kind: str, *, backwards: bool) -> None:
    with pytest.raises(Refused, match="'rehome' is not in INSTALLED_APPS. Add it until its moves have ended"):
        send(RunSQL("SELECT 1"), NEEDING[kind], backwards=backwards)


def test_others_are_none_of_its_business() -> None:
    send(RunSQL("SELECT 1"), RunPython(RunPython.noop), SeparateDatabaseAndState([RunSQL("SELECT 1")]))
    pre_migrate.send(sender=send, using="default")
