"""The thread beside the poller: as long as chores come, and one at a time."""

import threading
import time
from typing import Any

import pytest

from monitoring.alerts import apps, pulse, rounds
from monitoring.polling import housekeeping
from tests.waiting import until


@pytest.fixture
def worked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Which threads have worked; the second round of all fails."""
    monkeypatch.setattr(pulse, "EVERY_S", 0.0)
    done: list[int] = []

    def work() -> None:
        done.append(threading.get_ident())
        if len(done) == 2:
            raise RuntimeError("once")

    monkeypatch.setattr(rounds, "work", work)
    monkeypatch.setattr(pulse.logger, "exception", lambda *_: None)
    return done


def test_it_works_while_chores_come_and_ends_without_them(worked: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "OUTLIVES_S", 0.2)
    mine = pulse.Pulse()
    mine.beat()
    thread = mine.thread
    mine.beat()
    until(lambda: len(worked) > 3, "A round that failed has ended it.")
    assert thread
    thread.join()
    assert len(set(worked)) == 1, "Two beats begin one thread."

    mine.beat()
    until(lambda: len(set(worked)) > 1 or mine.thread is None, "A beat after its end begins no other.")
    until(lambda: mine.thread is None, "It goes on.")


def test_it_does_not_outlive_its_process(worked: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    class Ended:
        def is_alive(self) -> bool:
            return False

    monkeypatch.setattr(threading, "main_thread", Ended)
    mine = pulse.Pulse()
    mine.beat()
    until(lambda: mine.thread is None, "It goes on.")

    assert worked == []


def test_the_poller_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    beats: list[float] = []
    monkeypatch.setattr(pulse.pulse, "beat", lambda: beats.append(time.monotonic()))
    assert pulse.chore in housekeeping.chores
    pulse.chore()

    assert beats
    assert apps.AlertsConfig.label == "alerts"


def test_the_command_does_it_once(db: None, capsys: Any) -> None:
    from django.core.management import call_command

    call_command("send_alerts")

    assert capsys.readouterr().out == "0 messages made, 0 tried.\n"
