"""Rules and channels in the browser: made, edited, tried, deleted; one's own alone, and no address shown again."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts import profiles
from monitoring.alerts import channels
from monitoring.alerts.forms import MOST_CHANNELS, MOST_RULES
from monitoring.alerts.models import Channel, Rule
from monitoring.models import Print
from printers.states import State
from tests.monitoring.alerts.conftest import START, Farm
from tests.monitoring.alerts.sinks import Mailbox, Service

pytestmark = pytest.mark.django_db

RULE = {"states": ["error", "unreachable"], "minutes": "5", "mail": "on", "place": "Hall A"}
SECRET = "T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"


@pytest.fixture
def client(maren: User, settings: Any) -> Client:
    settings.CUTOVER_PERCENT = 100
    cache.clear()
    client = Client()
    client.force_login(maren)
    return client


def post(client: Client, page: str, /, *args: Any, **data: Any) -> Any:
    return client.post(reverse(f"alerts:{page}", args=args), data)


def told(response: Any, client: Client) -> str:
    assert response.status_code == 302
    return client.get(response["Location"]).content.decode()


def test_the_first_rule_is_offered_with_what_is_usual(client: Client) -> None:
    assert "You are told nothing yet" in client.get(reverse("alerts:list")).content.decode()
    page = client.get(reverse("alerts:new")).content.decode()

    assert "By mail to maren@example.org" in page
    assert page.count("checked") == 6, "Five states, and mail."


def test_a_rule_is_made_edited_and_deleted(client: Client, maren: User) -> None:
    assert "Errors and printers out of reach in Hall A" in told(post(client, "new", **RULE), client)
    rule = Rule.objects.get()
    assert [channel.kind for channel in rule.channels.all()] == ["mail"]
    assert (rule.user, rule.minutes, rule.paused) == (maren, 5, False)

    post(client, "edit", rule.pk, **RULE | {"states": ["failed"], "minutes": "", "paused": "on"})
    rule.refresh_from_db()
    assert (rule.states, rule.minutes, rule.paused) == (["failed"], 0, True)
    before = rule.since
    post(client, "edit", rule.pk, **RULE)
    rule.refresh_from_db()
    assert rule.since > before, "What happened while it was paused is not told now."

    told(post(client, "delete", rule.pk), client)
    assert not Rule.objects.exists()


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"states": []}, "states"),
        ({"states": ["outoforder"]}, "states"),
        ({"mail": ""}, "mail"),
        ({"minutes": "-1"}, "minutes"),
        ({"minutes": "99999"}, "minutes"),
        ({"quiet_from": "22:00"}, "quiet_until"),
        ({"quiet_until": "06:00"}, "quiet_from"),
        ({"quiet_from": "22:00", "quiet_until": "22:00"}, "quiet_until"),
        ({"channels": ["999"]}, "mail"),
    ],
)
def test_what_is_wrong_is_said_in_words(client: Client, changes: dict[str, Any], wrong: str) -> None:
    response = post(client, "new", **RULE | changes)

    if wrong == "mail" and "channels" in changes:
        assert response.status_code == 302, "A channel of nobody's is left out where none is offered."
        return
    assert response.status_code == 400
    assert list(response.context["form"].errors) == [wrong]


def test_nobody_has_rules_and_channels_without_end(client: Client, maren: User) -> None:
    Rule.objects.bulk_create(Rule(user=maren, states=["error"], since=START) for _ in range(MOST_RULES))
    Channel.objects.bulk_create(Channel(user=maren, address="json://192.0.2.1") for _ in range(MOST_CHANNELS))

    assert "You have 100 rules. Delete one" in post(client, "new", **RULE).content.decode()
    assert post(client, "edit", Rule.objects.first().pk, **RULE).status_code == 302
    more = post(client, "new-channel", name="One more", address="json://192.0.2.2")
    assert "You have 20 channels. Delete one" in more.content.decode()
    assert (Rule.objects.count(), Channel.objects.filter(kind="service").count()) == (MOST_RULES, MOST_CHANNELS)


def test_a_rule_for_one_printer_begins_on_its_page(client: Client, farm: Farm) -> None:
    printer = farm.printer(name="Kestrel")
    assert f"{reverse('alerts:new')}?printer={printer.pk}" in client.get(
        reverse("printers:detail", args=[printer.pk])
    ).content.decode()  # fmt: skip
    assert "Only <b><bdi>Kestrel</bdi></b>" in client.get(
        reverse("alerts:new") + f"?printer={printer.pk}"
    ).content.decode()  # fmt: skip

    assert "Errors and printers out of reach of Kestrel" in told(
        post(client, "new", **RULE | {"place": "", "printer": printer.pk}), client
    )
    assert Rule.objects.get().printer == printer
    assert "of Kestrel" in client.get(reverse("printers:detail", args=[printer.pk])).content.decode()


@pytest.mark.parametrize("key", ["0", "x", "99999999999999999999", "{other}"])
def test_no_rule_for_a_printer_that_its_maker_may_not_view(client: Client, farm: Farm, key: str) -> None:
    stranger = User.objects.create_user("stranger")
    profiles.ensure(stranger)
    other = Farm(stranger, farm.clock).printer(name="Secret bird")
    key = key.format(other=other.pk)

    page = client.get(reverse("alerts:new"), {"printer": key})
    assert "Secret bird" not in page.content.decode()
    response = post(client, "new", **RULE | {"printer": key})
    assert response.status_code == 400
    assert not Rule.objects.exists()


def test_an_address_is_written_and_never_shown(client: Client) -> None:
    shown = told(
        post(client, "new-channel", name="#farm", address=f"https://hooks.slack.com/services/{SECRET}"), client
    )
    channel = Channel.objects.get()
    assert channel.service == "Slack"
    shown += client.get(reverse("alerts:edit-channel", args=[channel.pk])).content.decode()
    wrong = post(client, "edit-channel", channel.pk, name="x" * 81, address=f"slack://{SECRET}/#farm")
    assert wrong.status_code == 400
    shown += wrong.content.decode()
    assert SECRET[-10:] not in shown

    post(client, "edit-channel", channel.pk, name="#night", address="")
    channel.refresh_from_db()
    assert (channel.name, channel.address) == ("#night", f"https://hooks.slack.com/services/{SECRET}")


def test_who_clicks_twice_on_saving_has_one_channel(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "service_at", lambda address: ("Slack", ""))
    first, again = (post(client, "new-channel", name="#farm", address=f"slack://{SECRET}") for _ in range(2))

    assert (first.status_code, again.status_code) == (302, 400)
    assert "#farm leads there already." in again.content.decode()
    assert Channel.objects.count() == 1


def test_a_channel_that_is_deleted_while_it_is_edited_stays_deleted(
    client: Client, maren: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = Channel.objects.create(user=maren, service="Slack", address="slack://old")

    def look(address: str) -> tuple[str, str]:
        Channel.objects.all().delete()
        return "Slack", ""

    monkeypatch.setattr(channels, "service_at", look)
    edited = post(client, "edit-channel", channel.pk, name="", address="slack://new")

    assert "is not there any more" in told(edited, client)
    assert not Channel.objects.exists()


def test_an_address_that_is_none_is_refused_in_words(client: Client) -> None:
    response = post(client, "new-channel", name="", address="mailto://user:rosebud@example.org")

    assert response.status_code == 400
    assert "This is no address that alerts can go to." in response.content.decode()
    assert "rosebud" not in response.content.decode()


def test_a_rule_is_tried_at_once(client: Client, farm: Farm, mailbox: Mailbox, hook: Service) -> None:
    hook.status = 500
    rule = farm.rule(State.ERROR, channels=[farm.channel(), farm.channel(hook.host, name="Ops")])

    page = told(post(client, "try", rule.pk), client)

    assert "Mail: the trial was sent." in page
    assert "Ops: Webhook at 127.0.0.1 answered 500." in page
    text, html = mailbox.parts()
    assert "This rule reaches you here: Errors anywhere, at any hour." in text
    assert "It reaches you" in html


def test_tries_are_counted(client: Client, farm: Farm, mailbox: Mailbox) -> None:
    rule = farm.rule(State.ERROR)
    pages = [told(post(client, "try", rule.pk), client) for _ in range(6)]

    assert len(mailbox.messages) == 5
    assert "wait for the next one" in pages[-1]


@pytest.mark.parametrize("name", ["edit", "delete", "try", "edit-channel", "delete-channel"])
def test_anothers_rules_and_channels_are_not_there(client: Client, farm: Farm, hook: Service, name: str) -> None:
    stranger = User.objects.create_user("stranger")
    profiles.ensure(stranger)
    theirs = Farm(stranger, farm.clock)
    channel = theirs.channel(hook.host)
    rule = theirs.rule(State.ERROR, channels=[channel])
    key = channel.pk if "channel" in name else rule.pk

    assert "is not there any more" in told(post(client, name, key, **RULE), client)
    assert (Rule.objects.count(), Channel.objects.count(), hook.requests) == (1, 1, [])
    assert post(client, "new", **RULE | {"mail": "", "channels": [channel.pk]}).status_code == 400


def test_how_deliveries_went_stands_on_the_page(client: Client, farm: Farm, mailbox: Mailbox) -> None:
    mailbox.refuses = True
    farm.rule(State.ERROR)
    farm.see(State.ERROR, farm.printer())
    farm.settle()

    page = client.get(reverse("alerts:list")).content.decode()

    assert "mail server did not take it: SMTPDataError." in page


def test_the_list_costs_the_same_for_many_rules(
    client: Client, farm: Farm, hook: Service, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    webhook = farm.channel(hook.host)
    for count in (1, 20):
        for printer in farm.printers(count):
            farm.rule(State.ERROR, printer=printer, channels=[farm.channel(), webhook])
        client.get(reverse("alerts:list"))
        with django_assert_num_queries(QUERIES):
            client.get(reverse("alerts:list"))


QUERIES = 8
"""Session, user, side; rules, their channels, channels, messages, address."""


def test_the_link_of_an_alert_opens_the_page_that_signs_off_and_changes_nothing(
    client: Client, farm: Farm, hook: Service
) -> None:
    """Mail scanners open links, and whoever is not signed in is asked to."""
    printer = farm.printer()
    farm.rule(State.FINISHED, channels=[farm.channel(hook.host)])
    farm.see(State.PRINTING, printer, file="hinge.gcode", progress=99.0)
    farm.see(State.FINISHED, printer, file="hinge.gcode", progress=100.0)
    farm.settle()
    [post] = hook.posts
    path = f"/prints/waiting/{printer.pk}/"
    assert path in post["message"]

    assert "login" in Client().get(path)["Location"]
    page = client.get(path, follow=True)

    assert "Good, plate clear" in page.content.decode()
    assert Print.objects.get().signed_off_at is None


def test_channels_by_mail_lead_to_the_profile(client: Client, farm: Farm) -> None:
    response = client.get(reverse("alerts:edit-channel", args=[farm.channel().pk]))

    assert response["Location"] == reverse("profile")
    assert channels.mail_address(farm.owner) == "maren@example.org"
    assert START
