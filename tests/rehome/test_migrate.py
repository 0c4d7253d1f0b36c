"""`migrate` takes back what Django has no record of: a move that was cut short."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from rehome import batches
from rehome.errors import Stopped
from rehome.ledger import Ledger


def migrate(*target: str, **options: Any) -> str:
    out = StringIO()
    call_command("migrate", *target, stdout=out, no_color=True, **options)
    return out.getvalue()


@pytest.fixture
def half_done(planned: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The profiles' move was interrupted at its third batch."""
    monkeypatch.setenv("REHOME_ONLINE", "1")
    whole, calls = batches.copy_batch, []

    def interrupted(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return whole(*args)

    with monkeypatch.context() as patch:
        patch.setattr(batches, "FIRST_BLOCKS", 1)
        patch.setattr(batches, "copy_batch", interrupted)
        with pytest.raises(Stopped):
            migrate("accounts", "0002")


def phases() -> list[str]:
    return [run.phase for run in Ledger("default").runs.order_by("pk")] if Ledger("default").exists() else []
