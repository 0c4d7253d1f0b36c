"""History on the page of a printer, and as a file."""

import csv
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.people.look import KEY as LOOK
from monitoring.history import rolling
from printers.states import State
from tests.monitoring.history.rows import DAY, HOUR, MINUTE, become, rolled_until, warm
from tests.printers.pages.conftest import Make

pytestmark = pytest.mark.django_db

OSLO = ZoneInfo("Europe/Oslo")


def read(client: Client, address: str) -> list[list[str]]:
    response = client.get(address)
    assert response.status_code == 200
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.reader(b"".join(response.streaming_content).decode().splitlines()))


def in_zone(client: Client, zone: str) -> None:
    session = client.session
    session[LOOK] = {"time_zone": zone}
    session.save()


def test_the_page_of_a_printer_shows_its_last_hour(page: Client, make: Make) -> None:
    now, printer = timezone.now(), make()
    warm((now - 30 * MINUTE, 214.6), (now - 20 * MINUTE, 240.2), printer=printer.pk, target=240)
    become((now - 30 * MINUTE, State.PRINTING), printer=printer.pk)

    text = page.get(f"/printers/{printer.pk}/").content.decode().replace("\xa0", " ")

    assert 'aria-label="The last hour: nozzle between 215 and 240 °C."' in text
    assert '<span class="legend c1" data-now>Nozzle 240 °C</span>' in text
    assert text.count('<rect data-state="printing"') == 1
    assert "&quot;lines&quot;:[{&quot;word&quot;:&quot;Nozzle&quot;" in text
    assert f"/printers/{printer.pk}/history.csv?range=hour" in text


def test_what_a_server_calls_its_parts_is_text(page: Client, make: Make) -> None:
    printer = make()
    warm((timezone.now() - MINUTE, 20), printer=printer.pk, part='tool"><i>x</i>')

    text = page.get(f"/printers/{printer.pk}/history/").content.decode()

    assert "<i>" not in text
    assert 'tool">' not in text


def test_a_printer_without_history_says_so(page: Client, make: Make) -> None:
    text = page.get(f"/printers/{make().pk}/").content.decode()

    assert "The last hour: no temperatures are known." in text
    assert "data-drawing" not in text


@pytest.mark.parametrize(("asked", "shown"), [("day", "day"), ("week", "week"), ("year", "hour"), ("", "hour")])
def test_the_address_says_which_range(asked: str, shown: str, page: Client, make: Make) -> None:
    text = page.get(f"/printers/{make().pk}/history/?range={asked}").content.decode()

    assert f"The last {shown}:" in text
    assert text.count('aria-current="true"') == 1


@pytest.mark.parametrize("word", ["hour", "day", "week"])
def test_a_chart_takes_three_queries(
    word: str, page: Client, make: Make, django_assert_num_queries: DjangoAssertNumQueries
) -> None:  # fmt: skip
    now, printer = timezone.now(), make()
    warm(*((now - n * HOUR, 20 + n % 200) for n in range(200, 0, -1)), printer=printer.pk)
    rolled_until(rolling.full_hour(now - 2 * DAY))
    rolling.roll_up(now, seconds=60)

    # Session, user and side; the printer with its rights; how far all is rolled up, temperatures, states.
    with django_assert_num_queries(3 + 1 + 3):
        page.get(f"/printers/{printer.pk}/history/?range={word}")


def test_a_file_has_moments_with_their_distance_from_utc(page: Client, make: Make) -> None:
    """At 02:30 twice, in the night in which clocks go back."""
    printer = make()
    in_zone(page, "Europe/Oslo")
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    warm((first, 215.26), (first + HOUR, None), printer=printer.pk, target=215)

    found = read(page, f"/printers/{printer.pk}/history.csv?what=temperatures&first=2026-10-25&until=2026-10-25")

    assert found == [
        ["time", "part", "actual", "lowest", "highest", "target"],
        ["2026-10-25T02:30:00.000+02:00", "tool0", "215.3", "215.3", "215.3", "215.0"],
        ["2026-10-25T02:30:00.000+01:00", "tool0", "", "", "", "215.0"],
    ]


def test_a_file_has_the_days_of_the_readers_zone(page: Client, make: Make) -> None:
    printer = make()
    midnight = datetime(2026, 3, 1, tzinfo=UTC)
    moments = [midnight - 4 * HOUR, midnight - 3 * HOUR, midnight + 20 * HOUR, midnight + 21 * HOUR]
    become(*((at, State.READY) for at in moments), printer=printer.pk)
    address = f"/printers/{printer.pk}/history.csv?what=states&first=2026-03-01&until=2026-03-01"

    assert [line[0][:16] for line in read(page, address)[1:]] == ["2026-03-01T20:00", "2026-03-01T21:00"]
    in_zone(page, "Asia/Tehran")
    assert read(page, address)[1:] == [
        ["2026-03-01T00:30:00.000+03:30", "Ready", "1"],
        ["2026-03-01T23:30:00.000+03:30", "Ready", "1"],
    ]


def test_a_file_goes_on_from_quarters_to_what_is_whole(page: Client, make: Make) -> None:
    now, printer = timezone.now(), make()
    old = (now - 2 * DAY).replace(hour=12, minute=0, second=0, microsecond=0)
    warm((old, 20), (old + 7.5 * MINUTE, 40), (now - HOUR, 50), printer=printer.pk)
    rolled_until(old)
    rolling.roll_up(now, seconds=60)

    lines = read(page, f"/printers/{printer.pk}/history.csv?range=week")[1:]
    without_midnights = [line[2:5] for line in lines if "T00:00:00.000" not in line[0]]
    assert without_midnights[:2] == [["30.0", "20.0", "40.0"], ["40.0", "40.0", "40.0"]]
    assert without_midnights[-1] == ["50.0", "50.0", "50.0"]


def test_a_long_file_comes_in_pieces(page: Client, make: Make) -> None:
    now, printer = timezone.now(), make()
    warm(*((now - n * timedelta(seconds=1), n) for n in range(1, 3000)), printer=printer.pk)

    pieces = list(page.get(f"/printers/{printer.pk}/history.csv?range=hour").streaming_content)

    assert len(pieces) > 5
    assert sum(piece.count(b"\r\n") for piece in pieces) == 3000


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("what=states&first=2026-03-02&until=2026-03-01", "2026-03-01 is before 2026-03-02; give a later day."),
        ("what=states&first=2026-02-30&until=2026-03-01", "Enter a valid date."),
        ("what=states&first=0001-01-01&until=9999-12-31", "Ensure this value is greater than or equal to 2000-01-01."),
        ("what=passwords&first=2026-03-01&until=2026-03-01", "Select a valid choice."),
    ],
)
def test_days_that_are_wrong_are_asked_for_again(query: str, sentence: str, page: Client, make: Make) -> None:
    response = page.get(f"/printers/{make().pk}/history.csv?{query}")

    assert response.status_code == 400
    assert sentence in response.content.decode()


def test_the_form_begins_with_the_last_week(page: Client, make: Make) -> None:
    text = page.get(f"/printers/{make().pk}/history/file/").content.decode()

    today = timezone.localdate()
    assert f'value="{today - timedelta(days=6)}"' in text
    assert f'value="{today}"' in text


def test_a_name_that_is_no_file_name_does_no_harm(page: Client, make: Make) -> None:
    for name in ('../"heron"\r\nX-Evil: 1', "چاپگر", "n" * 200):
        printer = make(key=name[:20], name=name)
        header = page.get(f"/printers/{printer.pk}/history.csv")["Content-Disposition"]
        assert header.startswith('attachment; filename="')
        assert header.count('"') == 2
        assert "/" not in header
