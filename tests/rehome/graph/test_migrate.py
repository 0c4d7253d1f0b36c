"""`migrate` resumes or cancels what Django has no record of: an interrupted move."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from rehome.errors import Stopped
from rehome.parts import batches
from rehome.plan.ledger import Ledger
from tests.farm import farm


def migrate(*target: str, **options: Any) -> str:
    out = StringIO()
    call_command("migrate", *target, stdout=out, no_color=True, **options)
    return out.getvalue()


def interrupt(monkeypatch: pytest.MonkeyPatch, *target: str, batch: int = 1) -> None:
    """Ctrl-C before a batch."""
    whole, calls = batches.copy_batch, []

    def interrupted(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == batch:
            raise KeyboardInterrupt
        return whole(*args)

    with monkeypatch.context() as patch:
        patch.setenv("REHOME_ONLINE", "1")
        patch.setattr(batches, "copy_batch", interrupted)
        with pytest.raises(Stopped):
            migrate(*target)


def phases() -> list[str]:
    ledger = Ledger("default")
    return [run.phase for run in ledger.runs.order_by("pk")] if ledger.exists() else []


def test_the_same_migrate_resumes(planned: str, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(monkeypatch, "accounts", "0002")
    assert phases() == ["copying"]

    migrate()

    assert phases() == ["live", "live"]
    farm.assert_in_step()


@pytest.mark.parametrize("target", [("accounts", "0001"), ("accounts", "zero")])
def test_migrating_to_the_previous_migration_cancels_it(
    planned: str, monkeypatch: pytest.MonkeyPatch, target: tuple[str, str]
) -> None:
    before = farm.picture()
    interrupt(monkeypatch, "accounts", "0002")
    if target[1] == "zero":
        assert "Cancelled portal.Profile -> accounts.Profile" in migrate("accounts", "zero")
        migrate("accounts", "0001")
        migrate("printers", "0001")
    else:
        assert "Cancelled portal.Profile -> accounts.Profile, which was interrupted." in migrate(*target)

    assert phases() == []
    assert farm.picture() == before


def test_unapplying_a_migration_cancels_the_moves_that_depend_on_it(
    planned: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = farm.picture()
    migrate("accounts", "0002")
    interrupt(monkeypatch, "printers", "0002")

    assert "Cancelled portal.Printer -> printers.Printer" in migrate("accounts", "0001")

    assert phases() == ["back"]
    farm.drop_traces()
    assert farm.picture() == before


@pytest.mark.parametrize(
    ("target", "options"),
    [(("accounts", "0002"), {"plan": True}), (("accounts", "0001"), {"plan": True}), (("printers", "0001"), {})],
)
def test_what_does_not_unapply_it_leaves_it_alone(
    planned: str, monkeypatch: pytest.MonkeyPatch, target: tuple[str, str], options: dict[str, Any]
) -> None:
    interrupt(monkeypatch, "accounts", "0002")

    assert "Cancelled" not in migrate(*target, **options)

    assert phases() == ["copying"]


def test_names_that_django_does_not_know_are_its_own_to_refuse(planned: str) -> None:
    for target in (("accounts", "0009"), ("nowhere", "zero"), ("accounts", "0")):
        with pytest.raises(Exception, match="Cannot find|No installed app|More than one"):
            migrate(*target)


def test_it_is_django_s_own_otherwise(planned: str) -> None:
    out = StringIO()
    call_command("migrate", "--plan", stdout=out, no_color=True)

    assert "accounts.0002_migrate_profile_data" in out.getvalue()
