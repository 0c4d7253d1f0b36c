"""Two programs at the same time: no change is lost, what is deleted stays so, and nobody is told of a fault."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.db import connection
from django.test import Client

from accounts import profiles
from monitoring.alerts.forms import RuleForm
from monitoring.alerts.models import Channel, Rule
from printers.fleet.models import LastSeen, Machine
from printers.models import Printer
from tests.api.conftest import program, send
from tests.url_map.people import Farm
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)
RULES, CHANNELS, PRINTERS = "/api/v1/alerts/rules/", "/api/v1/alerts/channels/", "/api/v1/printers/"
TIMES = 3
"""However they meet; once, they might not."""
Call = Callable[[], Any]
WAITS = "SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND datname = current_database()"


def together(*calls: Call) -> list[int]:
    """The statuses of their answers, in their order."""
    answers, begin = [0] * len(calls), threading.Barrier(len(calls))

    def run(number: int, call: Call) -> None:
        try:
            begin.wait()
            answers[number] = call().status_code
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=each) for each in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.fixture
def owner(farm: Farm) -> Client:
    return program(farm.owner)


@pytest.fixture
def channel(farm: Farm) -> Channel:
    return Channel.objects.create(user=farm.owner, service="Slack", address="slack://x")


def rule_of(farm: Farm, channel: Channel) -> str:
    rule = Rule.objects.create(user=farm.owner, states=["error"])
    rule.channels.set([channel])
    return f"{RULES}{rule.pk}/"


def test_changes_of_one_rule_are_all_made(farm: Farm, owner: Client, channel: Channel) -> None:
    for _ in range(TIMES):
        one = rule_of(farm, channel)
        changes: list[dict[str, Any]] = [{"minutes": 5}, {"paused": True}, {"place": "Hall B"}]
        assert together(*[partial(send, owner, "PATCH", one, data) for data in changes]) == [200] * 3
        shown = owner.get(one).json()
        assert (shown["minutes"], shown["paused"], shown["place"]) == (5, True, "Hall B")


def test_a_rule_that_is_deleted_while_it_is_changed_stays_deleted(farm: Farm, owner: Client, channel: Channel) -> None:
    for _ in range(TIMES):
        one = rule_of(farm, channel)
        statuses = together(
            partial(send, owner, "PATCH", one, {"minutes": 5}),
            partial(send, owner, "DELETE", one),
        )
        assert statuses in ([200, 204], [404, 204])
        assert not Rule.objects.exists()


def test_a_channel_waits_to_be_deleted_until_a_rule_is_made_for_it(
    farm: Farm, owner: Client, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    EmailAddress.objects.create(user=farm.owner, email="owner@example.org", verified=True, primary=True)
    begun, going, made, answers = threading.Event(), threading.Event(), RuleForm.mail_channel, {}

    def slowly(form: RuleForm) -> Channel:
        begun.set()
        going.wait()
        return made(form)

    def make() -> None:
        data = {"states": ["error"], "mail": True, "channels": [channel.pk]}
        answers["made"] = send(owner, "POST", RULES, data).status_code
        connection.close()

    def delete() -> None:
        answers["deleted"] = send(owner, "DELETE", f"{CHANNELS}{channel.pk}/").status_code
        connection.close()

    monkeypatch.setattr(RuleForm, "mail_channel", slowly)
    threads = [threading.Thread(target=make), threading.Thread(target=delete)]
    threads[0].start()
    begun.wait()
    threads[1].start()
    until(lambda: "deleted" in answers or somebody_waits(), "it was neither deleted nor waited")
    going.set()
    for thread in threads:
        thread.join()

    assert answers == {"made": 201, "deleted": 204}
    assert [one.kind for one in Rule.objects.get().channels.all()] == ["mail"]


def somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(WAITS)
        return cursor.rowcount > 0


def test_a_printer_is_deleted_while_others_work_with_it(farm: Farm, owner: Client, channel: Channel) -> None:
    for number in range(TIMES):
        printer = Printer.objects.create(
            profile=farm.owner.profile, ip_address=f"http://127.0.0.1:9/{number}", api_key="x"
        )
        one, key = f"{PRINTERS}{printer.pk}/", {"Idempotency-Key": "1"}
        rule = {"states": ["error"], "printer": printer.pk, "channels": [channel.pk]}
        deleted, *others = together(
            partial(send, owner, "DELETE", one),
            partial(send, owner, "PATCH", one, {"place": "Hall B"}),
            partial(send, owner, "POST", f"{one}out-of-order/", {"why": "It leaks."}),
            partial(send, owner, "POST", f"{one}status/", {"state": "ready"}, headers=key),
            partial(send, owner, "POST", RULES, rule),
        )
        assert deleted == 204
        assert set(others) <= {200, 201, 404, 409}
        assert not Printer.objects.filter(pk=printer.pk).exists()
        assert not Machine.objects.filter(pk=printer.pk).exists()


def test_who_is_late_with_putting_it_in_service_is_told_so(farm: Farm, owner: Client) -> None:
    LastSeen.objects.all().delete()
    one = f"{PRINTERS}{farm.printer.pk}/"
    for _ in range(TIMES):
        send(owner, "POST", f"{one}out-of-order/", {"why": "It leaks."})
        assert sorted(together(*[partial(send, owner, "POST", f"{one}in-service/")] * 3)) == [200, 409, 409]


def test_changes_of_one_profile_are_all_made(farm: Farm, owner: Client) -> None:
    mine = "/api/v1/profiles/me/"
    for number in range(TIMES):
        changes = [{"name": f"Maren {number}"}, {"organization": f"Farm {number}"}, {"shares_printers": not number % 2}]
        assert together(*[partial(send, owner, "PATCH", mine, data) for data in changes]) == [200] * 3
        shown = profiles.of(farm.owner)
        assert (shown.name, shown.organization) == (f"Maren {number}", f"Farm {number}")
