"""When a server that is gone is asked again."""

import pytest

from monitoring.polling.hosts import Hosts


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def hosts(clock: Clock, spread: float = 1.0) -> Hosts:
    return Hosts(10.0, clock, lambda low, high: low + (high - low) * spread / 2)


def miss(known: Hosts, clock: Clock, times: int) -> list[float]:
    """How long it was left alone after each."""
    host, waits = known.find("http://192.0.2.7"), []
    for _ in range(times):
        known.note(host, False)
        waits.append(max(host.due - clock.now, 0.0))
    return waits


def test_a_server_is_asked_as_often_as_before_until_it_is_certainly_gone_and_then_less_and_less_often() -> None:
    clock = Clock()

    assert miss(hosts(clock), clock, 9) == [0.0, 0.0, 0.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0]


@pytest.mark.parametrize(("spread", "wait"), [(0.0, 15.0), (2.0, 25.0)])
def test_servers_that_went_together_are_not_asked_together(spread: float, wait: float) -> None:
    clock = Clock()

    assert miss(hosts(clock, spread), clock, 4)[-1] == wait


def test_it_is_due_when_its_time_has_come_and_alive_when_it_answers() -> None:
    clock = Clock()
    known = hosts(clock)
    host = known.find("http://192.0.2.7", answered=True)
    assert (host.alive, known.is_due(host)) == (True, True)
    miss(known, clock, 4)
    assert (host.alive, known.is_due(host)) == (False, False)
    clock.now = 20.0
    assert known.is_due(host)

    known.note(host, True)
    assert (host.alive, host.misses, known.is_due(host)) == (True, 0, True)


def test_what_others_saw_counts_for_a_server_that_was_never_asked_or_is_left_alone() -> None:
    known = hosts(Clock())
    known.note(known.find("http://192.0.2.7"), False)

    assert not known.find("http://192.0.2.7", answered=True).alive
    known.note(known.find("http://192.0.2.7"), False)
    known.note(known.find("http://192.0.2.7"), False)
    known.note(known.find("http://192.0.2.7"), False)
    assert known.find("http://192.0.2.7", answered=True).alive
    known.note(known.find("http://192.0.2.7"), False)
    known.forget_others(set())
    assert known.find("http://192.0.2.7", answered=True).alive


def test_thousands_of_misses_are_no_overflow() -> None:
    clock = Clock()

    assert miss(hosts(clock), clock, 5000)[-1] == 300.0
