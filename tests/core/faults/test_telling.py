"""Each unhandled exception reaches mail and Slack once an hour, and nothing that is nobody's business."""

import threading
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from core.faults import keeping, reporting, telling
from core.faults.models import Fault, FaultCount
from core.faults.seeing import see
from core.sides import sending
from core.sides.models import Side
from tests.core.faults.conftest import send_mail_to
from tests.core.faults.slack import Slack
from tests.waiting import until

pytestmark = pytest.mark.django_db

SECRETS = ["rosebud-rosebud", "session-cookie-value", "header-value-1", "query-value-1", "0f1e2d3c4b5a6978"]


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada")


@pytest.fixture
def client(ada: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(ada)
    return client


def fail(client: Client, path: str = "/printers/other/", **options: Any) -> Any:
    response = client.get(path, **options)
    assert response.status_code == 500
    return response


def text_of(message: Any) -> str:
    return "".join(part.get_payload(decode=True).decode() for part in message.walk() if not part.is_multipart())


def test_a_fault_is_told_by_mail_and_to_slack_with_the_side_and_the_user(
    client: Client, ada: User, slack_server: Slack, mailbox: Any
) -> None:
    fail(client)

    [message], [mail] = slack_server.messages, mailbox.messages
    assert mail["To"] == "ines@example.com"
    assert mail["Subject"].startswith("[Print farm] LookupError at ")
    for text in (message, text_of(mail)):
        assert "another one" in text
        assert "tests/core/faults/failing.py:" in text
        assert "new" in text
        assert str(ada.pk) in text
        assert Fault.objects.get().number in text
    assert Fault.objects.get().told == "Mail was sent. Slack was told."


def test_it_is_told_once_an_hour_and_counted_each_time(client: Client, slack_server: Slack, mailbox: Any) -> None:
    for _ in range(3):
        fail(client)
    assert (len(slack_server.messages), len(mailbox.messages)) == (1, 1)
    assert FaultCount.objects.get().count == 3

    Fault.objects.update(told_at=timezone.now() - timedelta(minutes=59))
    fail(client)
    assert len(slack_server.messages) == 1

    Fault.objects.update(told_at=timezone.now() - timedelta(minutes=61))
    fail(client)
    assert (len(slack_server.messages), len(mailbox.messages)) == (2, 2)


def test_faults_that_differ_in_what_they_say_alone_are_one(client: Client, slack_server: Slack) -> None:
    for number in (1, 2):
        fail(client, f"/printers/{number}/fail/")
    fail(client, "/printers/other/")

    assert sorted(Fault.objects.values_list("kind", flat=True)) == ["LookupError", "RuntimeError"]
    assert len(slack_server.messages) == 2


def test_no_secret_reaches_anybody(client: Client, slack_server: Slack, mailbox: Any, caplog: Any) -> None:
    client.cookies["another"] = "session-cookie-value"
    client.post(
        "/printers/repeat/?api_key=query-value-1",
        {"secret_word": "rosebud-rosebud"},
        headers={"X-Api-Key": "header-value-1"},
    )

    [message], [mail], fault = slack_server.messages, mailbox.messages, Fault.objects.get()
    session = client.cookies["sessionid"].value
    kept = f"{fault.__dict__} {fault.message} {fault.trace} {fault.told}"
    for text in (message, text_of(mail), kept, mail.as_string()):
        assert [secret for secret in [*SECRETS, session] if secret in text] == []
    assert "RuntimeError" in message


def test_values_that_postgresql_repeats_reach_nobody(client: Client, slack_server: Slack) -> None:
    fail(client, "/printers/twice/")

    [message] = slack_server.messages
    assert "IntegrityError" in message
    assert "rosebud" not in message + Fault.objects.get().message


def test_the_error_page_tells_the_number_that_finds_the_fault(client: Client) -> None:
    page = fail(client).content.decode()

    assert Fault.objects.get().number in page
    assert "another one" not in page


def test_each_side_has_its_own_count(client: Client, ada: User) -> None:
    fail(client)
    sending.send_user(ada, Side.OLD)
    client.post("/printers/other/")  # Opened on the new side before.

    assert list(FaultCount.objects.values_list("side", "user_id", "count")) == [("new", ada.pk, 2)]


def test_what_is_logged_with_its_exception_and_lived_on_with_is_told_too(
    client: Client, ada: User, slack_server: Slack
) -> None:
    assert client.get("/printers/lived-on/").status_code == 200

    [message] = slack_server.messages
    assert "TimeoutError" in message
    assert f"User: {ada.pk}" in message


@pytest.mark.parametrize("address", ["/no/such/page/", "/staff/cutover/"])
def test_what_django_answers_itself_is_no_fault(address: str, client: Client, slack_server: Slack) -> None:
    assert client.get(address).status_code == 404
    assert Client().get("/printers/", headers={"host": "evil.example.com"}).status_code == 400

    assert (slack_server.messages, Fault.objects.count()) == ([], 0)


def test_what_no_database_can_keep_is_left_out(slack_server: Slack) -> None:
    reporting.report(seen("a\0b" + "x" * 5000))

    assert Fault.objects.get().message.startswith("abxxx")


# ----- when something is down


def broken_database() -> Any:
    return mock.patch.object(connection, "cursor", side_effect=OperationalError("connection refused"))


def seen(message: str = "x") -> Any:
    try:
        raise RuntimeError(message)
    except RuntimeError as error:
        return see(error, None)


def test_a_fault_is_told_once_while_the_database_is_down(slack_server: Slack, settings: Settings) -> None:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "down"}}
    with broken_database():
        for _ in range(3):
            reporting.report(seen())

    assert len(slack_server.messages) == 1


def test_processes_that_share_a_cache_tell_once_without_a_database(slack_server: Slack, settings: Settings) -> None:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "shared"}}
    cache.clear()
    with broken_database():
        for _ in range(2):
            keeping._told_here.clear()  # As another process.
            reporting.report(seen())

    assert len(slack_server.messages) == 1


def test_a_fault_is_told_with_neither_database_nor_cache(slack_server: Slack) -> None:
    with broken_database(), mock.patch.object(keeping.cache, "add", side_effect=ConnectionError):
        for _ in range(2):
            reporting.report(seen())

    assert len(slack_server.messages) == 1


@pytest.mark.parametrize("status", [302, 404, 500])
def test_where_nobody_was_reached_the_next_time_tells_again(status: int, client: Client, slack_server: Slack) -> None:
    slack_server.status, slack_server.location = status, slack_server.url
    fail(client)
    fault = Fault.objects.get()
    assert (fault.told, fault.told_at) == (f"Slack answered {status}.", None)
    assert len(slack_server.messages) == 1  # A redirect is not followed.

    slack_server.status, slack_server.location = 200, ""
    fail(client)
    assert Fault.objects.get().told == "Slack was told."


def test_where_one_of_two_was_reached_nobody_is_told_twice(
    client: Client, slack_server: Slack, settings: Settings
) -> None:
    settings.ADMINS = ["ines@example.com"]
    send_mail_to(1, settings)

    fail(client)
    fail(client)

    assert len(slack_server.messages) == 1
    assert Fault.objects.get().told == "Mail was not sent: ConnectionRefusedError. Slack was told."


def test_the_address_of_the_webhook_is_repeated_nowhere(
    client: Client, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.SLACK_WEBHOOK_URL = "http://127.0.0.1:1/services/webhook-secret"

    fail(client)

    assert "Slack was not reached" in caplog.text
    assert "webhook-secret" not in caplog.text + Fault.objects.get().told


def test_a_silent_slack_is_waited_for_so_long_and_no_longer(
    client: Client, slack_server: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "SLACK_TIMEOUT_S", 0.05)
    slack_server.silent.set()

    fail(client)

    assert Fault.objects.get().told == "Slack was not reached: TimeoutError."


@pytest.mark.parametrize("where", ["keep", "tell"])
def test_an_error_of_the_reporter_is_a_warning_and_no_fault(
    where: str, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    module = keeping if where == "keep" else telling
    with mock.patch.object(module, where, side_effect=ZeroDivisionError("api_key=hunter2")):
        assert fail(client).status_code == 500

    assert "could not be reported: ZeroDivisionError" in caplog.text


def test_an_exception_that_cannot_be_written_down_hides_nothing(client: Client) -> None:
    class Strange(Exception):
        def __str__(self) -> str:
            raise ValueError

    with mock.patch("tests.core.faults.failing.LookupError", Strange, create=True):
        assert fail(client).status_code == 500


# ----- beside the answer


def test_the_answer_waits_for_nobody_who_is_told(slack_server: Slack, monkeypatch: pytest.MonkeyPatch) -> None:
    """`submit` comes back while Slack is still silent."""
    reporter = reporting.Reporter()
    told = threading.Event()
    monkeypatch.setattr(reporting, "report", lambda one: (told.wait(), None)[1])

    reporter.submit(seen())

    assert not reporter.flush(timeout=0)
    told.set()
    assert until(lambda: reporter.flush(timeout=1), "The fault is never reported.")


def test_a_storm_is_dropped_beyond_a_hundred(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    reporter, free, reported = reporting.Reporter(), threading.Event(), []
    monkeypatch.setattr(reporting, "report", lambda one: (free.wait(), reported.append(one))[0])

    for _ in range(reporting.WAITING + 10):
        reporter.submit(seen())
    free.set()
    until(lambda: reporter.flush(timeout=1), "The faults are never reported.")

    assert reporting.WAITING <= len(reported) <= reporting.WAITING + 1
    assert "others wait" in caplog.text
