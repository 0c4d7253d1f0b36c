"""Channels of alerts by the API: made, changed, tried and deleted; one's own alone, and no address comes out."""

import threading
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from core.faults.models import Fault
from monitoring.alerts.channels import Outcome
from monitoring.alerts.forms import MOST_CHANNELS
from monitoring.alerts.models import Channel, Message, Rule
from tests.api.conftest import program, send, text_of_token
from tests.monitoring.alerts.conftest import hook, mailbox
from tests.monitoring.alerts.sinks import Mailbox, Service
from tests.url_map.people import Farm

__all__ = ["hook", "mailbox"]  # The fixtures.

CHANNELS, RULES = "/api/v1/alerts/channels/", "/api/v1/alerts/rules/"
SECRET = "T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
SLACK = f"https://hooks.slack.com/services/{SECRET}"


@pytest.fixture
def owner(farm: Farm) -> Client:
    return program(farm.owner)


@pytest.fixture
def known() -> Iterator[mock.Mock]:
    """Addresses are Slack's, without a process that looks at them."""
    with mock.patch("monitoring.alerts.channels.service_at", return_value=("Slack", "")) as looked:
        yield looked


def add(client: Client, **values: Any) -> Any:
    return send(client, "POST", CHANNELS, {"address": SLACK} | values)


def test_a_channel_is_made_and_its_address_found_out(owner: Client, farm: Farm) -> None:
    made = add(owner, name="#farm")

    assert made.status_code == 201
    assert made.json() == {"id": Channel.objects.get().pk, "kind": "service", "name": "#farm", "service": "Slack"}
    assert Channel.objects.get().address == SLACK
    assert owner.get(f"{CHANNELS}{made.json()['id']}/").json() == made.json()


def test_it_is_changed_and_what_is_left_out_stays(owner: Client, known: mock.Mock) -> None:
    one = f"{CHANNELS}{add(owner, name='#farm').json()['id']}/"
    known.return_value = ("Discord", "")
    assert send(owner, "PATCH", one, {"name": "#night"}).json()["service"] == "Slack"
    assert send(owner, "PATCH", one, {"address": ""}).status_code == 200
    assert (Channel.objects.get().name, Channel.objects.get().address) == ("#night", SLACK)

    changed = send(owner, "PATCH", one, {"address": "discord://1/2"})
    assert (changed.json()["name"], changed.json()["service"]) == ("#night", "Discord")
    assert Channel.objects.get().address == "discord://1/2"


def test_it_is_deleted_with_what_waits_to_be_sent_there(owner: Client, known: mock.Mock) -> None:
    channel = add(owner).json()["id"]
    send(owner, "POST", RULES, {"states": ["error"], "channels": [channel]})
    Message.objects.create(channel_id=channel, made_at=timezone.now(), next_at=timezone.now())
    assert send(owner, "DELETE", f"{CHANNELS}{channel}/").status_code == 204

    assert (Channel.objects.count(), Message.objects.count(), Rule.objects.get().channels.count()) == (0, 0, 0)
    assert send(owner, "DELETE", f"{CHANNELS}{channel}/").status_code == 404


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"address": "mailto://user:rosebud@example.org"}, 409), ({"address": "jsons://example.org/?rosebud"}, 409),
        ({"address": "x" * 1001}, 400), ({"address": "  "}, 400), ({"address": 5}, 400), ({"address": None}, 400),
        ({"address": "json://a\0"}, 400), ({"name": "x" * 81}, 400),
        ({"name": None}, 400),
    ],
)  # fmt: skip
def test_what_the_page_refuses_is_refused_and_not_repeated(wrong: dict[str, Any], status: int, owner: Client) -> None:
    response = add(owner, **wrong)

    assert response.status_code == status
    assert response.json()["errors"][0]["pointer"] == f"#/{next(iter(wrong))}"
    assert "rosebud" not in response.content.decode()
    assert not Channel.objects.exists()


def test_the_name_of_a_long_host_is_cut(owner: Client) -> None:
    made = add(owner, address=f"https://{'a' * 60}.{'b' * 60}.example.org/hook")

    assert made.status_code == 201
    assert made.json()["service"].startswith("Webhook at aaa")


def test_who_sends_it_twice_has_one_and_is_told_which(owner: Client, farm: Farm, known: mock.Mock) -> None:
    first = add(owner, name="#farm").json()
    again = add(owner)
    assert (again.status_code, again.json()["channel"]) == (409, first["id"])
    assert again.json()["detail"] == "#farm leads there already."
    assert SECRET not in again.content.decode()

    other = add(owner, address="slack://other").json()
    assert send(owner, "PATCH", f"{CHANNELS}{other['id']}/", {"address": SLACK}).status_code == 409
    assert send(owner, "PATCH", f"{CHANNELS}{first['id']}/", {"address": SLACK}).status_code == 200
    assert add(program(farm.operator)).status_code == 201, "somebody else's is nobody's business"


def test_nobody_has_more_than_there_may_be(owner: Client, farm: Farm, known: mock.Mock) -> None:
    Channel.objects.create(user=farm.owner, kind=Channel.Kind.MAIL)
    Channel.objects.bulk_create(Channel(user=farm.owner, address=f"json://{n}") for n in range(MOST_CHANNELS))

    assert "Delete one that is not needed any more." in add(owner).json()["detail"]
    assert Channel.objects.count() == MOST_CHANNELS + 1


def test_the_mails_channel_follows_the_profile(owner: Client, farm: Farm) -> None:
    one = f"{CHANNELS}{Channel.objects.create(user=farm.owner, kind=Channel.Kind.MAIL).pk}/"

    assert owner.get(one).json()["kind"] == "mail"
    refused = send(owner, "PATCH", one, {"address": SLACK})
    assert (refused.status_code, refused.json()["detail"]) == (
        409, "Mail goes to the confirmed address of your profile.",
    )  # fmt: skip


def test_what_is_anothers_is_not_there(farm: Farm, owner: Client, known: mock.Mock) -> None:
    one = f"{CHANNELS}{add(owner).json()['id']}/"
    rule = Rule.objects.create(user=farm.owner, states=["error"])
    for user in (farm.stranger, farm.staff):
        client = program(user)
        with mock.patch("monitoring.alerts.channels.carry") as carried:
            for method in ("GET", "PATCH", "DELETE"):
                assert send(client, method, one, {"name": "mine"}).status_code == 404
            assert send(client, "POST", f"{one}try/").status_code == 404
            assert send(client, "POST", f"{RULES}{rule.pk}/try/").status_code == 404
        assert not carried.called
    assert Channel.objects.get().name == ""


def test_who_may_only_read_calls_nobody(farm: Farm, known: mock.Mock) -> None:
    one = f"{CHANNELS}{Channel.objects.create(user=farm.owner, address=SLACK).pk}/"
    client = program(farm.owner, writes=False)

    assert client.get(one).status_code == 200
    for method, path in (("POST", CHANNELS), ("PATCH", one), ("DELETE", one), ("POST", f"{one}try/")):
        assert send(client, method, path, {"address": "slack://x"}).status_code == 403
    assert not known.called


def test_a_channel_is_tried_at_once(owner: Client, farm: Farm, hook: Service) -> None:
    one = f"{CHANNELS}{Channel.objects.create(user=farm.owner, address=f'json://{hook.host}/hook', name='Ops').pk}/"
    tried = send(owner, "POST", f"{one}try/")

    assert (tried.status_code, tried.json()["sent"], tried.json()["sentence"]) == (
        200,
        True,
        "Ops: the trial was sent.",
    )
    assert hook.posts[0]["title"] == "This is a trial: nothing has happened"
    assert hook.posts[0]["message"].startswith("Alerts reach you here.")


def test_a_trial_that_fails_is_a_sentence_without_the_address(owner: Client, farm: Farm, hook: Service) -> None:
    hook.status = 500
    address = f"json://{hook.host}/{SECRET}"
    one = f"{CHANNELS}{Channel.objects.create(user=farm.owner, address=address, name='Ops').pk}/"
    tried = send(owner, "POST", f"{one}try/")

    assert (tried.status_code, tried.json()["detail"]) == (409, "Ops: Webhook at 127.0.0.1 answered 500.")
    assert "TIiajk" not in tried.content.decode()


def test_a_rule_is_tried_in_all_its_channels(owner: Client, farm: Farm, mailbox: Mailbox) -> None:
    channel = Channel.objects.create(user=farm.owner, address="json://127.0.0.1:9/", name="Ops")
    mail = Channel.objects.create(user=farm.owner, kind=Channel.Kind.MAIL)
    rule = Rule.objects.create(user=farm.owner, states=["error"])
    rule.channels.set([channel, mail])
    with mock.patch("monitoring.alerts.channels.by_service", return_value=Outcome(False, "Ops was not reached.")):
        results = send(owner, "POST", f"{RULES}{rule.pk}/try/").json()["results"]

    assert results == [
        {"channel": channel.pk, "sent": False, "sentence": "Ops: Ops was not reached."},
        {"channel": mail.pk, "sent": False, "sentence": "Mail: You have no confirmed address."},
    ]


def test_trials_are_counted_with_those_of_the_page(owner: Client, farm: Farm) -> None:
    one = f"{CHANNELS}{Channel.objects.create(user=farm.owner, address=SLACK).pk}/try/"
    page = Client()
    page.force_login(farm.owner)
    with mock.patch("monitoring.alerts.channels.carry", return_value=Outcome(True)) as carried:
        page.post(f"/alerts/{Rule.objects.create(user=farm.owner, states=['error']).pk}/try/")
        answers = [send(owner, "POST", one) for _ in range(5)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 429]
    assert (answers[-1]["Content-Type"], answers[-1]["Retry-After"]) == ("application/problem+json", "60")
    assert carried.call_count == 4


@pytest.mark.parametrize("written", ['{"address":"%s"}', '{"address":        "%s"}', '{"a" : ["",\t"%s"]}'])
@pytest.mark.parametrize("slash", ["/", "\\/", "\\u002f"])
def test_an_error_is_kept_without_the_address(slash: str, written: str, owner: Client) -> None:
    address = "json://hooks.example.org/rosebud"
    body = written.replace("%s", address.replace("/", slash))
    with mock.patch("api.views.alerts.View.sent", side_effect=ValueError(f"{address} is wrong")):
        response = owner.generic("POST", CHANNELS, body, "application/json")

    assert response.status_code == 500
    assert Fault.objects.get().message == "[hidden] is wrong"


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_one_is_made(farm: Farm, known: mock.Mock) -> None:
    """However the two meet: one is told that the other leads there."""
    headers = {"Authorization": f"Bearer {text_of_token(farm.owner)}"}
    answers, together = [], threading.Barrier(3)

    def tell() -> None:
        try:
            together.wait()
            answers.append(add(Client(headers=headers)).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=tell) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == [201, 409, 409]
    assert Channel.objects.count() == 1


def test_one_that_is_deleted_meanwhile_stays_deleted(owner: Client, known: mock.Mock) -> None:
    one = f"{CHANNELS}{add(owner).json()['id']}/"

    def look(address: str) -> tuple[str, str]:
        Channel.objects.all().delete()
        return "Slack", ""

    known.side_effect = look
    assert send(owner, "PATCH", one, {"address": "slack://other"}).status_code == 404
    assert not Channel.objects.exists()
