"""Measures of the farm itself. They are read from the database, so each process of the portal says the same."""

from collections.abc import Callable, Iterable, Iterator

from django.db.models import Count
from django.utils import timezone
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from core.moves.overdue import overdue_verifications
from monitoring.models import Lease
from printers.models import Printer
from printers.states import NOT_ASKED, State

Measure = Callable[[], Iterable[Metric]]
_measures: list[Measure] = []


def register(measure: Measure) -> None:
    """Let `/metrics` have what `measure` returns as well; apps do so in `ready`. It may read the database."""
    if measure not in _measures:
        _measures.append(measure)


def register_number(name: str, words: str, count: Callable[[], float]) -> None:
    """The same for one number, that `count` reads."""
    register(lambda: [GaugeMetricFamily(name, words, value=count())])


class Farm:
    """A collector as prometheus_client takes it."""

    def collect(self) -> Iterator[Metric]:
        for measure in (printers_by_state, poll_lag, verifications, *_measures):
            yield from measure()


def printers_by_state() -> Iterator[Metric]:
    found = dict(Printer.objects.with_state().values_list("state_value").annotate(Count("pk")).order_by())
    metric = GaugeMetricFamily("farm_printers", "Printers by the state that pages show.", labels=["state"])
    for state in State:
        metric.add_metric([state.value], found.get(state.value, 0))
    metric.add_metric([NOT_ASKED.word.lower().replace(" ", "_")], found.get("", 0))
    yield metric


def poll_lag() -> Iterator[Metric]:
    """Of each kind that is or was polled."""
    metric = GaugeMetricFamily(
        "farm_poll_lag_seconds", "Since the last whole round of polling began, by kind of printers.", labels=["kind"]
    )
    for kind, polled_at in Lease.objects.exclude(polled_at=None).values_list("kind", "polled_at"):
        metric.add_metric([kind], max((timezone.now() - polled_at).total_seconds(), 0))
    yield metric


def verifications() -> Iterator[Metric]:
    """Nothing where the records of moves can't be read: what is not known is not nought."""
    overdue = overdue_verifications()
    if overdue is not None:
        yield GaugeMetricFamily(
            "farm_verifications_overdue", "Live moves that were not verified for too long.", value=len(overdue)
        )
