"""Rules of alerts by the API: one's own, with the care of the page's form; no channel's address comes out."""

from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.test import Client
from django.utils import timezone

from monitoring.alerts.models import Channel, Message, Rule
from printers.fleet.models import Membership, PrinterGroup
from printers.models import Printer
from tests.api.conftest import program, send
from tests.url_map import people
from tests.url_map.people import Farm

RULES = "/api/v1/alerts/rules/"
SECRET = "https://hooks.example.com/services/T000/B000/secret"


@pytest.fixture
def owner(farm: Farm) -> Client:
    EmailAddress.objects.create(user=farm.owner, email="owner@example.org", verified=True, primary=True)
    return program(farm.owner)


@pytest.fixture
def channel(farm: Farm) -> Channel:
    return Channel.objects.create(user=farm.owner, name="#farm", service="Slack", address=SECRET)


def add(client: Client, **values: Any) -> Any:
    return send(client, "POST", RULES, {"states": ["error"], "mail": True} | values)


def test_a_rule_is_added_changed_and_deleted(farm: Farm, owner: Client, channel: Channel) -> None:
    quiet = {"quiet_from": "22:00", "quiet_until": "06:30"}
    made = add(owner, minutes=5, printer=farm.printer.pk, channels=[channel.pk], **quiet)
    rule = made.json()
    assert made.status_code == 201
    assert (rule["mail"], rule["channels"], rule["minutes"], rule["printer"]) == (
        True,
        [channel.pk],
        5,
        farm.printer.pk,
    )
    assert "not from 22:00 to 06:30" in rule["sentence"]

    changed = send(owner, "PATCH", f"{RULES}{rule['id']}/", {"states": ["failed", "error"], "mail": False}).json()
    assert changed["states"] == ["failed", "error"]
    assert {name: changed[name] for name in ("minutes", "printer", "channels", *quiet)} == {
        name: rule[name] for name in ("minutes", "printer", "channels", *quiet)
    }
    assert send(owner, "PATCH", f"{RULES}{rule['id']}/", {"quiet_from": None, "quiet_until": None}).status_code == 200
    assert send(owner, "DELETE", f"{RULES}{rule['id']}/").status_code == 204
    assert not Rule.objects.exists()


def test_a_rule_that_goes_on_tells_nothing_of_its_pause(owner: Client) -> None:
    rule = f"{RULES}{add(owner).json()['id']}/"
    send(owner, "PATCH", rule, {"paused": True})
    Rule.objects.update(since=timezone.now() - timedelta(days=1))
    send(owner, "PATCH", rule, {"minutes": 3})
    assert Rule.objects.get().since < timezone.now() - timedelta(hours=23)
    send(owner, "PATCH", rule, {"paused": False})
    assert Rule.objects.get().since > timezone.now() - timedelta(hours=1)


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"mail": False}, 409), ({"quiet_from": "22:00"}, 409), ({"printer": 2**31 - 1}, 409), ({"channels": [1]}, 409),
        ({"states": []}, 400), ({"states": ["outoforder"]}, 400), ({"minutes": -1}, 400),
        ({"quiet_from": "25:00"}, 400),
    ],
)  # fmt: skip
def test_what_the_page_refuses_is_refused(wrong: dict[str, Any], status: int, owner: Client) -> None:
    assert add(owner, **wrong).status_code == status
    assert not Rule.objects.exists()


def test_what_is_anothers_is_not_there(farm: Farm, owner: Client, channel: Channel) -> None:
    rule = add(owner, channels=[channel.pk]).json()
    Message.objects.create(channel=channel, made_at=timezone.now(), next_at=timezone.now())
    stranger = program(farm.stranger)

    for method in ("GET", "PATCH", "DELETE"):
        assert send(stranger, method, f"{RULES}{rule['id']}/", {"minutes": 1}).status_code == 404
    for path in ("rules", "channels", "messages"):
        assert stranger.get(f"/api/v1/alerts/{path}/").json()["results"] == []
        assert len(owner.get(f"/api/v1/alerts/{path}/").json()["results"]) >= 1
    assert add(stranger, mail=False, channels=[channel.pk]).status_code == 409
    other = Printer.objects.create(ip_address="http://10.0.0.9", api_key="x")
    assert add(owner, printer=other.pk).status_code == 409


def test_a_rule_says_nothing_of_what_its_owner_may_not_view_any_more(farm: Farm) -> None:
    """By the API and on the page: neither how a printer or a group is called now, nor where it was."""
    group = PrinterGroup.objects.get()
    Rule.objects.create(user=farm.viewer, states=["error"], printer=farm.printer)
    Rule.objects.create(user=farm.viewer, states=["error"], group=group)
    viewer, page = program(farm.viewer), Client()
    page.force_login(farm.viewer)
    assert people.NAME in viewer.get(RULES).content.decode()
    Membership.objects.all().delete()
    PrinterGroup.objects.update(name="Top secret hall")

    shown = viewer.get(RULES).content.decode()
    assert "Errors of a printer that you may not view" in shown
    assert "Errors in a group that you may not view" in shown
    shown += page.get("/alerts/").content.decode()
    assert not any(name in shown for name in (people.NAME, people.ADDRESS, "Top secret hall"))


def test_no_answer_has_the_address_of_a_channel(owner: Client, channel: Channel) -> None:
    add(owner, channels=[channel.pk])
    answers = [owner.get(f"/api/v1/alerts/{path}/").content.decode() for path in ("rules", "channels", "messages")]
    assert "#farm" in answers[1]
    assert not any(SECRET in answer for answer in answers)
