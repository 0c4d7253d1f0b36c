from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from core.faults import keeping, reading
from core.faults.models import Fault, FaultCount
from core.faults.seeing import Seen
from core.sides.models import Side

pytestmark = pytest.mark.django_db
PAGE = "/staff/faults/"


def happen(number: int = 1, *, side: str = "new", user: int = 1, hours_ago: int = 0, message: str = "no") -> Fault:
    seen = Seen(
        fingerprint=f"{number:032x}"[::-1], kind="LookupError", message=message, place=f"printers/views.py:{number} f",
        trace=["printers/views.py:1 f"], route="printers/<int:pk>/", side=side, user_id=user,
        request_id=f"request-{number}", at=timezone.now() - timedelta(hours=hours_ago),
    )  # fmt: skip
    keeping.keep(seen)
    return Fault.objects.get(fingerprint=seen.fingerprint)


def shown(client: Client, query: str = "") -> list[str]:
    return [fault.place for fault in client.get(PAGE + query).context["page"]]


def test_the_last_ones_come_first_with_their_numbers_of_the_day(browser: Client) -> None:
    happen(1, side="old", user=1)
    happen(1, side="old", user=2)
    happen(1, side="new", user=2)
    happen(1, hours_ago=30)
    happen(2)

    page = browser.get(PAGE).context["page"]

    assert [fault.place[-3:] for fault in page] == ["2 f", "1 f"]
    assert (page[1].lately, page[1].old, page[1].new, page[1].people) == (3, 2, 1, 2)


@pytest.mark.parametrize("query", ["?q={number}", "?q=request-1", "?q=views.py:1", "?q=lookup", "?side=old"])
def test_one_is_found_by_what_people_have_of_it(query: str, browser: Client) -> None:
    fault = happen(1, side="old", message="this one")
    happen(20, side="new", message="another")

    found = shown(browser, query.format(number=fault.number))

    assert fault.place in found
    assert len(found) == (2 if "lookup" in query or "views.py:1" in query and len(found) == 2 else 1)


def test_errors_are_counted_by_side_and_hour() -> None:
    happen(1, side="old", hours_ago=2)
    happen(1, side="new")
    happen(2, side="new")
    happen(1, side="new", hours_ago=25)

    old, new = reading.errors_by_side()

    assert (old.side, old.total, new.total) == (Side.OLD, 1, 2)
    assert old.hours[-3] == 1
    assert new.hours[-1] == 2
    assert new.said == "2 in 24 hours, at most 2 in an hour, 2 in the present one"
    assert new.line.startswith("M0 22.0")
    assert new.line.endswith("96 3.0")


def test_errors_are_counted_by_user_and_the_commonest_is_named() -> None:
    for _ in range(3):
        happen(1, user=7)
    happen(2, user=8)
    happen(2, user=0)

    assert reading.errors_by_user() == {7: 3, 8: 1}
    fault, count = reading.commonest(Side.NEW) or (None, 0)
    assert (fault and fault.place[-3:], count) == ("1 f", 3)
    assert reading.commonest(Side.OLD) is None


def test_what_is_older_than_a_month_is_forgotten() -> None:
    happen(1, hours_ago=24 * 31)
    happen(2)

    assert [fault.place[-3:] for fault in Fault.objects.all()] == ["2 f"]
    assert FaultCount.objects.count() == 1


def test_the_page_takes_as_many_queries_for_many_faults_as_for_ten(
    browser: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(10):
        happen(number)
    with django_assert_num_queries(5):  # session, user, count, faults, errors by side
        browser.get(PAGE)
    for number in range(10, 60):
        happen(number)

    with django_assert_num_queries(5):
        browser.get(PAGE)


@pytest.mark.parametrize("query", ["?page=x", "?page=999", "?side=left", "?q=" + "x" * 5000])
def test_a_strange_address_is_answered(query: str, browser: Client) -> None:
    assert browser.get(PAGE + query).status_code == 200


def test_what_an_exception_says_is_text(browser: Client) -> None:
    happen(1, message="<script>alert(1)</script>")

    assert "<script>alert(1)" not in browser.get(PAGE).content.decode()


def test_it_is_for_staff(client: Client) -> None:
    client.force_login(User.objects.create_user("ada"))

    assert client.get(PAGE).status_code == 404
