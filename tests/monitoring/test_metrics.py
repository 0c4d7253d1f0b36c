"""`/metrics`: who may read it, what it says of the farm, and that Prometheus' own tool has no complaints."""

import ipaddress
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import DjangoAssertNumQueries, Settings

from monitoring.alerts.models import Channel, Message
from monitoring.metrics import farm
from monitoring.models import Lease
from printers import looking
from printers.clients.base import Seen
from printers.fleet.models import Machine
from printers.models import Printer
from printers.states import State
from rehome.plan.ledger import Ledger
from tests.conftest import ROOT

pytestmark = pytest.mark.django_db

QUERIES = 15
"""Most read the records of moves; none is one of many printers."""
HOUR = timedelta(hours=1)
TOKEN = "a token of fifty characters or so"
DASHBOARD = ROOT / "monitoring" / "metrics" / "grafana.json"


@pytest.fixture
def near(settings: Settings) -> Client:
    """From this machine, which may read it."""
    settings.METRICS_NETWORKS = [ipaddress.ip_network("127.0.0.0/8")]
    return Client()


def text_of(client: Client) -> str:
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return response.content.decode()


def samples(text: str) -> dict[str, float]:
    """By name and the values of their labels."""
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


# ----- who may read it


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (f"Basic {TOKEN}", 401),
        (f"Bearer {TOKEN}x", 401),
        ("Bearer schlüssel", 401),
        ("Bearer ", 401),
        ("", 401),
    ],
)
def test_a_token_lets_in(header: str, status: int, settings: Settings) -> None:
    settings.METRICS_TOKEN = TOKEN

    assert Client().get("/metrics", headers={"Authorization": header}).status_code == status


def test_no_token_lets_in_where_none_is_set() -> None:
    response = Client().get("/metrics", headers={"Authorization": "Bearer "})

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'Bearer realm="metrics"'
    assert "farm_" not in response.content.decode()


@pytest.mark.parametrize(
    ("address", "status"),
    [("127.0.0.9", 200), ("::ffff:127.0.0.9", 200), ("10.0.0.1", 401), ("::1", 401), ("", 401), ("a socket", 401)],
)
def test_a_network_lets_in(address: str, status: int, near: Client) -> None:
    assert near.get("/metrics", REMOTE_ADDR=address).status_code == status


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
def test_what_a_proxy_passes_on_comes_from_no_network(header: str, near: Client) -> None:
    assert near.get("/metrics", headers={header: "203.0.113.9"}).status_code == 401


def test_it_is_only_read_and_never_kept(near: Client) -> None:
    assert near.post("/metrics").status_code == 405
    assert "no-store" in near.get("/metrics")["Cache-Control"]


def test_a_database_that_does_not_answer_is_said(near: Client) -> None:
    def fail(*_: Any) -> Any:
        raise OperationalError("the connection to 10.0.0.5 is lost")

    with connection.execute_wrapper(fail):
        response = near.get("/metrics")

    assert (response.status_code, response.content) == (503, b"The database does not answer.\n")


# ----- what it says


def test_printers_are_counted_by_the_state_that_pages_show(near: Client) -> None:
    printers = [Printer.objects.create(ip_address="192.0.2.7", api_key=str(n)) for n in range(4)]
    now = timezone.now()
    looking.keep([(printers[0].pk, Seen(State.PRINTING)), (printers[1].pk, Seen(State.PRINTING))], now)
    looking.keep([(printers[2].pk, Seen(State.READY))], now)
    Machine.objects.create(printer=printers[1], out_of_order_since=now)

    found = samples(text_of(near))

    by_state = {name.partition(" ")[2]: count for name, count in found.items() if name.startswith("farm_printers ")}
    assert {state: count for state, count in by_state.items() if count} == {
        "printing": 1, "outoforder": 1, "ready": 1, "not_asked_yet": 1,
    }  # fmt: skip
    assert len(by_state) == len(State) + 1


def test_the_lag_of_polling_is_that_of_the_last_whole_round(near: Client) -> None:
    now = timezone.now()
    for kind, polled_at in [("octoprint", now - timedelta(seconds=42)), ("moonraker", None), ("prusalink", now + HOUR)]:
        Lease.objects.create(kind=kind, holder="one", until=now, polled_at=polled_at)

    found = samples(text_of(near))

    assert 42 <= found["farm_poll_lag_seconds octoprint"] < 3600
    assert "farm_poll_lag_seconds moonraker" not in found
    assert found["farm_poll_lag_seconds prusalink"] == 0


def test_alerts_that_were_not_delivered_are_counted(near: Client) -> None:
    assert samples(text_of(near))["farm_alert_deliveries_failed"] == 0
    channel = Channel.objects.create(user=User.objects.create_user("maren"), kind=Channel.Kind.MAIL)
    now = timezone.now()
    Message.objects.create(channel=channel, made_at=now, next_at=now, status=Message.Status.FAILED)

    assert samples(text_of(near))["farm_alert_deliveries_failed"] == 1


def test_overdue_verifications_are_counted(near: Client) -> None:
    assert samples(text_of(near))["farm_verifications_overdue"] == 0
    Ledger("default").runs.update(changed_at=timezone.now() - timedelta(hours=25))
    assert samples(text_of(near))["farm_verifications_overdue"] == 2


def test_reading_it_takes_few_queries(near: Client, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    text_of(near)
    with django_assert_max_num_queries(QUERIES):
        text_of(near)


def test_requests_are_counted_by_route_and_no_address_is_a_label(near: Client) -> None:
    for pk in (98765, 98766):
        near.get(f"/printers/{pk}/")
    text = text_of(near)

    assert 'view="printers:detail"' in text
    assert [name for name in samples(text) if "9876" in name] == []


def test_an_app_can_add_a_measure(near: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farm, "_measures", [])

    def measure() -> Iterator[Any]:
        yield farm.GaugeMetricFamily("farm_herons", "Herons.", value=3)

    for _ in range(2):
        farm.register(measure)

    assert text_of(near).count("\nfarm_herons 3.0\n") == 1


def test_processes_of_one_server_count_together(near: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = "from prometheus_client import Counter; counter = Counter('farm_requests', 'Requests.'); counter.inc({})"
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    for count in (2, 3):
        subprocess.run([sys.executable, "-c", counting.format(count)], check=True)

    found = samples(text_of(near))

    assert found["farm_requests_total"] == 5
    assert found["farm_printers ready"] == 0


def test_the_dashboard_asks_for_what_is_there(near: Client) -> None:
    near.get("/healthz")
    Lease.objects.create(kind="octoprint", holder="one", until=timezone.now(), polled_at=timezone.now())
    text = text_of(near)
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
        for name in re.findall(r"\b(?:farm|django|process)_\w+", target["expr"])
    }

    assert len(asked) > 4
    assert [name for name in asked if not re.search(rf"^{name}[ {{]", text, re.MULTILINE)] == []


@pytest.mark.promtool
def test_promtool_finds_nothing_to_complain_about(near: Client) -> None:
    Printer.objects.create(ip_address="192.0.2.7", api_key="k")
    Lease.objects.create(kind="octoprint", holder="one", until=timezone.now(), polled_at=timezone.now())
    near.get("/healthz")
    promtool = subprocess.run(
        ["promtool", "check", "metrics"], input=text_of(near), capture_output=True, text=True, check=False
    )

    assert (promtool.returncode, promtool.stdout, promtool.stderr) == (0, "", "")
