"""Signing off by page: one, many, by a link; the list of prints and how often they succeed."""

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from monitoring.models import Print
from monitoring.prints import signing
from printers.fleet.models import LastSeen, Membership, PrinterGroup, Role
from printers.models import Printer
from printers.states import State
from tests.printers.pages.conftest import Make
from tests.printers.pages.test_listing import fill

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true", "HX-Target": "farm", "HX-Current-URL": "http://testserver/?by=place"}
BAD = {"reason": "Came loose", "count": "3", "note": "", "clear": "on"}
End = Callable[..., Print]


@pytest.fixture
def end(make: Make, maren: User) -> End:
    """A print that has ended, on a machine that waits with it."""

    def end(name: str, state: State = State.FINISHED, minutes: int = 5, **more: Any) -> Print:
        printer = make(f"http://192.0.2.{Printer.objects.count() + 1}", name=name, state="ready")
        LastSeen.objects.filter(printer=printer).update(waits=state)
        now = timezone.now()
        given = {"file": f"{name}.gcode", "outcome": state.value, "seconds": 3900.0, "started_by": maren}
        moments = {"started_at": now - timedelta(hours=2), "ended_at": now - timedelta(minutes=minutes)}
        return Print.objects.create(printer=printer, **given | moments | more)

    return end


def said(one: Print) -> tuple[str, str, int | None, str]:
    """What somebody said of it, and what its machine waits with."""
    one.refresh_from_db()
    waits = LastSeen.objects.values_list("waits", flat=True).get(pk=one.printer_id)
    return one.verdict, one.bad_reason, one.bad_count, waits


def messages(response: Any) -> str:
    return " ".join(str(message) for message in response.context["messages"])


@pytest.fixture
def viewer(db: None) -> Client:
    """Somebody who may look at every printer that there is."""
    crew, hall = Group.objects.create(name="Design"), PrinterGroup.objects.create(name="Hall A")
    Role.objects.create(user_group=crew, printer_group=hall, action="view")
    user = User.objects.create_user("viewer")
    user.groups.add(crew)
    client = Client()
    client.force_login(user)
    return client


def let_see(*prints: Print) -> None:
    for one in prints:
        Membership.objects.create(group=PrinterGroup.objects.get(name="Hall A"), printer_id=one.printer_id)


# ----- one


def test_a_tile_says_how_it_ended_and_offers_two_buttons(end: End, page: Client) -> None:
    later, first = end("Heron"), end("Wagtail", State.CANCELLED, 20, reason="It stopped at 64 %.")

    content = page.get("/").content.decode()

    assert re.findall(r'<h3><a[^>]*><bdi class="name">(.*?)</bdi>', content) == ["Wagtail", "Heron"]
    assert re.search(r"Ended <time[^>]*>[^<]*</time> after 1.h 05.min\. Started by <bdi>Maren Okafor</bdi>\.", content)
    assert re.search(r"Cancelled <time.*?</time> after .*?\. <bdi>It stopped at 64 %\.</bdi>", content)
    assert f'name="good" value="{first.pk}"' in content
    assert f'href="/prints/{later.pk}/" data-dialog="bad"' in content


def test_good_is_one_press_and_the_farm_is_shown_at_once(end: End, page: Client) -> None:
    one, other = end("Heron"), end("Wagtail")

    response = page.post("/prints/sign-off/", {"good": one.pk}, headers=HTMX)

    content = response.content.decode()
    assert said(one) == ("good", "", None, "")
    assert said(other)[3] == "finished"
    assert "1 machine needs you" in content
    assert 'hx-get="/live/?by=place"' in content
    assert 'hx-swap-oob="beforeend:#toasts"' in content
    assert "The print on Heron is signed off as good." in content


def test_without_script_it_leads_back_to_where_it_was_pressed(end: End, page: Client) -> None:
    one = end("Heron")

    response = page.post("/prints/sign-off/", {"good": one.pk, "next": "/?by=place"})

    assert (response.status_code, response["Location"]) == (302, "/?by=place")
    assert said(one)[0] == "good"


@pytest.mark.parametrize("key", ["", "0", "-1", "x", "9" * 30, "\N{SUPERSCRIPT TWO}"])
def test_a_button_of_nothing_changes_nothing(key: str, end: End, page: Client) -> None:
    one = end("Heron")

    assert page.post("/prints/sign-off/", {"good": key}).status_code == 302
    assert page.post("/prints/sign-off/", {"good": key}, headers=HTMX)["HX-Redirect"] == "/"
    assert said(one) == ("", "", None, "finished")


def test_a_link_opens_a_page_and_only_what_is_posted_signs_off(end: End, page: Client) -> None:
    one = end("Heron")
    path = f"/prints/{one.pk}/"

    for method in (page.get, page.head):
        assert method(path, {"good": "1"}).status_code == 200
    content = page.get(path).content.decode()
    assert said(one) == ("", "", None, "finished")
    assert "Heron</bdi>: how did it go?" in content
    assert "Nothing starts on <bdi>Heron</bdi> before you answer." in content

    assert page.post(path, {"good": "1"}).status_code == 302
    assert said(one) == ("good", "", None, "")
    assert "<b>Good</b>, said Maren Okafor" in page.get(path).content.decode()


def test_a_link_asks_whoever_is_not_signed_in_to_do_so(end: End) -> None:
    one = end("Heron")

    response = Client().get(f"/prints/{one.pk}/")

    assert (response.status_code, response["Location"]) == (302, f"/accounts/login/?next=/prints/{one.pk}/")


def test_bad_takes_a_reason_a_count_and_a_look_at_the_plate(end: End, page: Client) -> None:
    one = end("Heron")
    path = f"/prints/{one.pk}/"

    for wrong in ({"clear": ""}, {"reason": ""}, {"reason": "Nonsense"}, {"count": "-1"}, {"note": "x" * 201}):
        response = page.post(path, {name: value for name, value in (BAD | wrong).items() if value})
        assert response.status_code == 400, wrong
    assert 'name="clear" checked' not in response.content.decode()
    assert said(one) == ("", "", None, "finished")

    page.post(path, BAD | {"note": "one corner"})
    assert said(one) == ("bad", "Came loose: one corner", 3, "")
    assert "Came loose: one corner · 3 bad parts" in page.get(path).content.decode()


def test_who_comes_second_is_told_who_came_first(end: End, page: Client) -> None:
    one = end("Heron")
    page.post(f"/prints/{one.pk}/", {"good": "1"})

    response = page.post(f"/prints/{one.pk}/", BAD, follow=True)

    assert "Maren Okafor has signed the print on Heron off as good already." in messages(response)
    assert said(one)[0] == "good"


def test_who_may_only_look_reads_and_signs_nothing_off(end: End, viewer: Client) -> None:
    one = end("Heron")
    let_see(one)

    content = viewer.get(f"/prints/{one.pk}/").content.decode()
    assert "before somebody who operates it has said how it went" in content
    assert "<form" not in content.partition("<main")[2].partition("</main>")[0]
    assert viewer.post(f"/prints/{one.pk}/", {"good": "1"}).status_code == 403
    bad = BAD | {"do": "bad", "print": one.pk, "confirmed": "1"}
    for sent in (bad, {"good": one.pk}, {"do": "good", "print": one.pk}, {"do": "good", "printer": one.printer_id}):
        viewer.post("/prints/sign-off/", sent)
    assert said(one) == ("", "", None, "finished")
    assert "No print waits for you" in viewer.get("/prints/sign-off/").content.decode()


def test_a_printers_page_leads_to_the_print_that_it_waits_with(end: End, page: Client) -> None:
    one = end("Heron")

    assert page.get(f"/prints/waiting/{one.printer_id}/")["Location"] == f"/prints/{one.pk}/"
    page.post(f"/prints/{one.pk}/", {"good": "1"})
    assert page.get(f"/prints/waiting/{one.printer_id}/")["Location"] == f"/printers/{one.printer_id}/"


def test_a_start_is_refused_with_a_way_to_the_print(end: End, page: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("printers.control.refreshed", lambda user, printers: printers)
    monkeypatch.setattr("printers.clients.asking.files", lambda endpoint: [])
    one = end("Heron")

    content = page.get(f"/printers/{one.printer_id}/start/").content.decode()

    assert f'href="/prints/waiting/{one.printer_id}/"' in content
    assert f'href="/printers/{one.printer_id}/">Back</a>' in content


# ----- undo


UNDO = r'action="(/prints/undo/\?[^"]*)"><input[^>]*csrfmiddlewaretoken[^>]*><input[^>]*value="([^"]*)"'


def undo_of(content: str) -> tuple[str, str]:
    """Where the toast posts to, and where that leads back to."""
    [(address, there)] = re.findall(UNDO, content)
    return unescape(address), there


def test_a_toast_undoes_what_a_tile_has_said(end: End, page: Client) -> None:
    one = end("Heron")
    content = page.post("/prints/sign-off/", {"good": one.pk}, headers=HTMX).content.decode()
    address, there = undo_of(content)
    assert (address, there) == (f"/prints/undo/?print={one.pk}", "/?by=place")

    response = page.post(address, {"next": there}, follow=True)

    assert response.redirect_chain[-1][0] == "/?by=place"
    assert "The print on Heron waits again" in messages(response)
    assert "1 machine needs you" in response.content.decode()
    assert said(one) == ("", "", None, "finished")


def test_a_toast_undoes_what_was_said_of_many(end: End, page: Client) -> None:
    mine, other = end("Heron"), end("Wagtail")
    signing.sign_off(User.objects.create_superuser("ada"), [other.pk], "good")
    third = end("Knot", State.CANCELLED)
    sent = {"do": "good", "print": [mine.pk, other.pk, third.pk]}

    response = page.post("/prints/sign-off/", sent, follow=True)
    address, there = undo_of(response.content.decode())
    assert there == "/prints/sign-off/"
    response = page.post(address, follow=True)

    assert messages(response) == "2 prints wait again for somebody to say how they went."
    assert [said(one)[3] for one in (mine, other, third)] == ["finished", "", "cancelled"]


def test_a_print_says_how_it_is_undone_as_long_as_it_may_be(end: End, page: Client) -> None:
    one = end("Heron")
    path = f"/prints/{one.pk}/"
    page.post(path, {"good": "1"})
    assert undo_of(page.get(path).content.decode().partition("<main")[2].partition("</main>")[0])[1] == path

    Print.objects.update(signed_off_at=timezone.now() - timedelta(minutes=11))
    assert "/prints/undo/" not in page.get(path).content.decode()
    assert "is older than 10 minutes, and stays" in messages(page.post(f"/prints/undo/?print={one.pk}", follow=True))


def test_who_may_only_look_undoes_nothing(end: End, viewer: Client, page: Client) -> None:
    one = end("Heron")
    let_see(one)
    page.post(f"/prints/{one.pk}/", {"good": "1"})

    assert "None of these" in messages(viewer.post(f"/prints/undo/?print={one.pk}", follow=True))
    assert viewer.get(f"/prints/undo/?print={one.pk}").status_code == 405
    for nonsense in ("", "?print=x", "?print=-1", "?print=99999999999"):
        assert page.post(f"/prints/undo/{nonsense}").status_code == 302
    assert said(one)[0] == "good"


# ----- many


def test_many_are_good_at_once(end: End, page: Client) -> None:
    one, other, third = end("Heron"), end("Wagtail"), end("Knot")

    content = page.get("/prints/sign-off/").content.decode()
    assert "3 prints wait for you" in content
    response = page.post("/prints/sign-off/", {"do": "good", "print": [one.pk, other.pk]}, follow=True)

    assert messages(response) == "2 prints are signed off as good."
    assert [said(each)[3] for each in (one, other, third)] == ["", "", "finished"]
    assert "1 print waits for you" in response.content.decode()


def test_many_are_bad_for_one_reason_which_a_page_asks_for(end: End, page: Client) -> None:
    one, other = end("Heron"), end("Wagtail")
    sent = {"do": "bad", "print": [one.pk, other.pk], "next": "/prints/sign-off/"}

    asked = page.post("/prints/sign-off/", sent)
    assert "What went wrong with 2 prints?" in asked.content.decode()
    wrong = page.post("/prints/sign-off/", sent | {"confirmed": "1", "reason": "Came loose"})
    assert wrong.status_code == 400
    assert said(one) == ("", "", None, "finished")

    page.post("/prints/sign-off/", sent | BAD | {"confirmed": "1"})
    assert said(one) == said(other) == ("bad", "Came loose", 3, "")


def test_printers_that_were_ticked_in_their_list_are_offered(end: End, page: Client) -> None:
    one, _ = end("Heron"), end("Wagtail")

    asked = page.post("/prints/sign-off/", {"do": "ask", "printer": [one.printer_id]}).content.decode()

    assert "1 print waits for you" in asked
    assert f'name="print" value="{one.pk}"' in asked
    assert "Wagtail" not in asked


def test_nothing_ticked_says_so(end: End, page: Client) -> None:
    end("Heron")

    assert "None of those" in messages(page.post("/prints/sign-off/", {"do": "good"}, follow=True))
    assert "None of those" in messages(page.post("/prints/sign-off/", {"do": "x", "print": "y"}, follow=True))


@pytest.mark.parametrize("there", ["https://evil.example.com/", "//evil.example.com", "no-page", "-1"])
def test_a_way_back_leads_to_no_other_host(there: str, end: End, page: Client) -> None:
    one = end("Heron")

    response = page.post("/prints/sign-off/", {"good": one.pk, "next": there})

    assert response["Location"] == "/"


# ----- the list


def test_the_list_says_what_went_how_and_why(end: End, page: Client) -> None:
    end("Heron", verdict="bad", bad_reason="Came loose: a corner", bad_count=1, signed_off_at=timezone.now())
    end("Wagtail", verdict="good", signed_off_at=timezone.now())
    end("Knot", State.FAILED, reason="Heaters are off.")
    end("Ruff", outcome="", ended_at=None, seconds=None)

    content = page.get("/prints/").content.decode()

    assert "1 of 3 good in 90 days · 33\N{NO-BREAK SPACE}%" in content
    for words in ("Came loose: a corner · 1 bad part", "Heaters are off.", "Printing", "1 of 1"):
        assert words in content
    assert re.findall(r"<bdi class=\"name\">(Came loose|Heaters are off\.)</bdi></a></th><td", content)


@pytest.mark.parametrize(
    ("query", "files"),
    [
        ("?show=good", ["Wagtail.gcode"]),
        ("?show=bad", ["Heron.gcode"]),
        ("?show=waiting", ["Knot.gcode"]),
        ("?q=knot", ["Knot.gcode"]),
        ("?file=Heron.gcode", ["Heron.gcode"]),
        ("?why=Came+loose", ["Heron.gcode"]),
        ("?show=nonsense&page=-1&printer=x", ["Knot.gcode", "Wagtail.gcode", "Heron.gcode"]),
    ],
)
def test_the_address_filters(query: str, files: list[str], end: End, page: Client) -> None:
    now = timezone.now()
    end(
        "Heron",
        verdict="bad",
        bad_reason="Came loose: a corner",
        signed_off_at=now,
        started_at=now - timedelta(hours=9),
    )
    end("Wagtail", verdict="good", signed_off_at=now, started_at=now - timedelta(hours=8))
    end("Knot")
    LastSeen.objects.exclude(printer__machine__name="Knot").update(waits="")

    content = page.get(f"/prints/{query}").content.decode()

    table = content.partition("Prints</caption>")[2].partition("</tbody>")[0]
    assert re.findall(r'<th scope="row"><a[^>]*><bdi class="name">(.*?)</bdi>', table) == files


def test_prints_of_others_are_in_no_row_and_no_rate(end: End, viewer: Client, page: Client) -> None:
    mine = end("Heron", verdict="good", signed_off_at=timezone.now())
    end("Wagtail", verdict="bad", bad_reason="Layers shifted", signed_off_at=timezone.now())
    let_see(mine)

    content = viewer.get("/prints/").content.decode()

    assert "1 of 1 good" in content
    assert "Wagtail" not in content
    assert "Layers shifted" not in content
    assert "Wagtail" not in viewer.get(f"/prints/?printer={Printer.objects.last().pk}").content.decode()


def test_the_page_of_a_printer_has_its_last_prints_and_their_rate(end: End, page: Client) -> None:
    one = end("Heron")
    for number in range(7):
        Print.objects.create(
            printer_id=one.printer_id, file=f"part {number}.gcode", started_at=timezone.now(), ended_at=timezone.now(),
            outcome="finished", verdict="bad" if number == 3 else "good", signed_off_at=timezone.now(),
        )  # fmt: skip

    content = page.get(f"/printers/{one.printer_id}/").content.decode()

    assert "6 of 7 good · 86\N{NO-BREAK SPACE}%" in content
    assert len(re.findall(r"part \d\.gcode", content)) == 5
    assert f"/prints/?printer={one.printer_id}" in content


# ----- statements


PINNED = {"/prints/": 10, "/prints/?show=bad&q=a": 10, "/prints/sign-off/": 4}


@pytest.mark.parametrize("count", [10, 1000])
def test_prints_take_as_many_statements_however_many_there_are(
    count: int, maren: User, page: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    fill(maren, count)
    now = timezone.now()
    LastSeen.objects.update(waits=State.FINISHED)
    Print.objects.bulk_create(
        Print(printer=printer, file="a.gcode", started_at=now, ended_at=now, outcome="failed", started_by=maren)
        for printer in Printer.objects.all()
    )
    for path, number in PINNED.items():
        with django_assert_num_queries(number):
            assert page.get(path).status_code == 200
