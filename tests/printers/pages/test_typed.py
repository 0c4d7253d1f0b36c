"""What was typed after a session had ended, or on a page that was opened before the login."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from core import typed
from monitoring.maintenance.models import Entry
from monitoring.models import Print
from printers.fleet.models import LastSeen
from printers.models import Printer
from tests.printers.pages.conftest import Make

pytestmark = pytest.mark.django_db
WORK = {"what": "New belt, tightened twice", "done_at": "2026-01-02T12:00", "parts": "Belt 6 mm"}


@pytest.fixture
def heron(make: Make) -> Printer:
    return make("http://192.0.2.1", name="Heron", state="ready")


def expire(client: Client) -> None:
    """As the database forgets a session: its cookie is still there."""
    client.session.flush()


def sign_in_again(client: Client, user: User, response: HttpResponse) -> HttpResponse:
    """By the form, to which the answer has led; what comes after it."""
    user.set_password("a password of some length")
    user.save()
    credentials = {"login": user.username, "password": "a password of some length"}
    there = client.post(response["Location"], credentials)
    assert there.status_code == 302
    return client.get(there["Location"])


def test_what_was_typed_when_the_session_had_ended_is_in_the_form_after_the_login(
    heron: Printer, maren: User, page: Client
) -> None:
    path = f"/printers/{heron.pk}/maintenance/record/"
    expire(page)

    response = sign_in_again(page, maren, page.post(path, WORK))

    content = response.content.decode()
    assert typed.HERE in content
    assert "New belt, tightened twice" in content
    assert "Belt 6 mm" in content
    assert not Entry.objects.exists()
    assert "New belt" not in page.get(path).content.decode(), "Once."
    page.post(path, WORK)
    assert Entry.objects.get().what == "New belt, tightened twice"


def test_keys_and_passwords_have_to_be_typed_again(heron: Printer, maren: User, page: Client) -> None:
    secret = "S3cret" * 5
    sent = {"name": "Heron II", "api_key": secret, "password": secret, "key": secret, "csrfmiddlewaretoken": secret}
    expire(page)

    response = sign_in_again(page, maren, page.post(f"/printers/{heron.pk}/edit/", sent))

    assert "Heron II" in response.content.decode()
    assert secret not in response.content.decode()
    assert secret not in str(dict(page.session))


def test_a_reason_for_a_bad_print_is_not_lost(heron: Printer, maren: User, page: Client) -> None:
    now = timezone.now()
    given = {"file": "a.gcode", "outcome": "finished", "started_at": now - timedelta(hours=2), "ended_at": now}
    waits = Print.objects.create(printer=heron, **given)
    LastSeen.objects.update(waits="finished")
    for path, more in {
        f"/prints/{waits.pk}/": {"bad": "1"},
        "/prints/sign-off/": {"do": "bad", "confirmed": "1"},
    }.items():
        expire(page)
        said = {"reason": "Layers shifted", "note": "belt slipped at layer 40", "print": waits.pk, **more}

        content = sign_in_again(page, maren, page.post(path, said)).content.decode()

        assert "belt slipped at layer 40" in content, path
        assert re.search(r'value="Layers shifted"[^>]* checked', content), path
    waits.refresh_from_db()
    assert waits.signed_off_at is None


def test_a_button_without_a_page_leads_back_and_says_that_nothing_was_done(
    heron: Printer, maren: User, page: Client
) -> None:
    expire(page)
    response = page.post(f"/printers/{heron.pk}/pause/", {"next": "/printers/?view=tiles"})

    response = sign_in_again(page, maren, response)

    assert response["Location"] == "/printers/?view=tiles"
    assert typed.AGAIN in page.get(response["Location"]).content.decode()


@pytest.mark.parametrize("there", ["https://evil.example/", "//evil.example", "no-page"])
def test_a_button_of_another_site_leads_to_no_other_site(there: str, heron: Printer, maren: User, page: Client) -> None:
    expire(page)
    response = page.post(f"/printers/{heron.pk}/pause/", {"next": there})

    assert sign_in_again(page, maren, response)["Location"] == "/"


def test_too_much_and_too_old_are_not_kept(
    heron: Printer, maren: User, page: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/printers/{heron.pk}/maintenance/record/"
    expire(page)
    page.post(path, WORK | {"what": "x" * 30_000})
    assert typed.KEY not in page.session

    response = page.post(path, WORK)
    now = typed.time.time()
    monkeypatch.setattr(typed.time, "time", lambda: now + 2 * 3600)
    assert "Belt 6 mm" not in sign_in_again(page, maren, response).content.decode()


@pytest.fixture
def strict(maren: User) -> Client:
    """A browser whose forms need their token."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(maren)
    return client


def test_a_form_from_before_the_login_is_shown_again_with_what_was_typed(heron: Printer, strict: Client) -> None:
    path = f"/printers/{heron.pk}/maintenance/record/"
    old = WORK | {"csrfmiddlewaretoken": "a" * 64}
    strict.get(path)

    response = strict.post(path, old, headers={"Origin": "http://testserver"})

    assert (response.status_code, response["Location"]) == (302, path)
    assert "New belt, tightened twice" in strict.get(path).content.decode()
    assert not Entry.objects.exists()


def test_a_press_with_a_token_from_before_the_login_loads_the_page_anew_and_says_so(
    heron: Printer, strict: Client
) -> None:
    """The answer to a press is put into the page of the farm: another page does not belong there."""
    strict.get("/")
    headers = {"HX-Request": "true", "HX-Target": "farm", "Origin": "http://testserver", "X-CSRFToken": "a" * 64}

    response = strict.post("/prints/sign-off/", {"good": "1"}, headers=headers)

    assert (response.status_code, response.content, response["HX-Refresh"]) == (200, b"", "true")
    assert typed.AGAIN in strict.get("/").content.decode()


def test_a_press_after_the_session_has_ended_is_said_to_be_lost(heron: Printer, maren: User, page: Client) -> None:
    expire(page)

    response = page.post("/prints/sign-off/", {"good": "1"}, headers={"HX-Request": "true", "HX-Target": "farm"})

    assert (response.content, response["HX-Refresh"]) == (b"", "true")
    assert typed.AGAIN in page.get("/", follow=True).content.decode()


def test_who_signs_out_leaves_nothing_behind(page: Client) -> None:
    page.post("/accounts/logout/")

    assert typed.KEY not in page.session


@pytest.mark.parametrize("origin", [{}, {"Origin": "https://evil.example"}])
def test_what_comes_from_another_site_is_refused_and_not_kept(
    origin: dict[str, str], heron: Printer, strict: Client
) -> None:
    path = f"/printers/{heron.pk}/maintenance/record/"

    response = strict.post(path, WORK, headers=origin)

    assert response.status_code == 403
    assert "That came from an old page" in response.content.decode()
    assert typed.KEY not in strict.session
