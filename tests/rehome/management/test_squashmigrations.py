"""The command refuses what can't be one migration; what it writes is in tests/rehome/graph/test_squashing.py."""

import pytest
from django.core.management import CommandError, call_command
from django.db import migrations

from rehome import Move
from rehome.management.commands import squashmigrations
from tests.rehome.support.graph import graph_of

MOVE = Move("accounts.Thing", "printers.Thing")


@pytest.mark.django_db
def test_a_squash_around_a_move_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    run = migrations.RunPython(MOVE.forwards, MOVE.backwards)
    loader = graph_of(accounts=[[], [], []], printers=[[], [run]])
    after, move = ("accounts", "0003"), ("printers", "0002")
    loader.graph.add_dependency(loader.graph.nodes[after], after, move)
    loader.disk_migrations = dict(loader.graph.nodes)
    monkeypatch.setattr(squashmigrations, "MigrationLoader", lambda connection, **options: loader)

    with pytest.raises(CommandError) as refused:
        call_command("squashmigrations", "accounts", "0003", interactive=False)

    assert str(refused.value) == (
        "Squashing accounts.0001 to 0003 is circular: accounts.0003 depends on printers.0002, which depends on "
        "accounts.0001. Cut before accounts.0003: `manage.py squashmigrations accounts 0001 0002`."
    )
