"""Months are by UTC: made ahead, crossed by whatever is read, and dropped when they are old."""

import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.db import connection, transaction
from pytest_django import Settings

from monitoring.history import partitions, reading, rolling
from monitoring.history.models import Quarter, Temperature
from printers.states import State
from tests.monitoring.history.rows import DAY, HERON, HOUR, MINUTE, become, rolled_until, warm

pytestmark = pytest.mark.django_db

MIDNIGHT = datetime(2026, 2, 1, tzinfo=UTC)
TEHRAN = timezone(timedelta(hours=3, minutes=30))


def months() -> list[str]:
    return [name.removeprefix("history_temperature_") for name in partitions.existing() if "temperature" in name]


def test_the_next_month_is_there_before_it_begins() -> None:
    partitions.make_ahead(MIDNIGHT - 20 * DAY)
    assert months() == ["2026_01"]
    partitions.make_ahead(MIDNIGHT - 14 * DAY)
    assert months() == ["2026_01", "2026_02"]


def test_what_is_there_is_not_made_again() -> None:
    for _ in range(2):
        partitions.make_ahead(MIDNIGHT)
    assert months() == ["2026_02"]
    assert len(partitions.existing()) == 3


@pytest.mark.parametrize("zone", ["Asia/Tehran", "America/St_Johns", "Pacific/Kiritimati"])
def test_a_month_begins_by_utc_in_sessions_of_any_zone(zone: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('TimeZone', %s, true)", [zone])
        partitions.ensure([MIDNIGHT.astimezone(TEHRAN)])
        cursor.execute(
            "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid = 'history_quarter_2026_02'::regclass"
        )
        [(bounds,)] = cursor.fetchall()
        ends = bounds.split("'")[1:4:2]
        cursor.execute("SELECT extract(epoch FROM %s::timestamptz), extract(epoch FROM %s::timestamptz)", ends)
        assert cursor.fetchone() == (MIDNIGHT.timestamp(), (MIDNIGHT + 28 * DAY).timestamp())


def test_a_partition_has_the_indexes_of_its_table() -> None:
    partitions.ensure([MIDNIGHT])
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename, indexdef FROM pg_indexes WHERE tablename LIKE 'history%2026_02'")
        found = sorted(f"{table} {definition.partition(' USING ')[2]}" for table, definition in cursor.fetchall())
        cursor.execute(
            "SELECT count(*) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
            " WHERE relkind = 'i' AND relname LIKE 'history%2026_02%'"
        )
        assert cursor.fetchone() == (5,), "an index that is not attached to its table's"

    assert found == [
        "history_quarter_2026_02 brin (printer_id, at) WITH (pages_per_range='2', autosummarize='on')",
        "history_statechange_2026_02 brin (at) WITH (autosummarize='on')",
        "history_statechange_2026_02 btree (printer_id, at)",
        "history_temperature_2026_02 brin (at) WITH (autosummarize='on')",
        "history_temperature_2026_02 btree (printer_id, part, at)",
    ]


def test_reading_crosses_a_month() -> None:
    warm((MIDNIGHT - MINUTE, 20), (MIDNIGHT, 21), (MIDNIGHT + MINUTE, 22))
    become((MIDNIGHT - MINUTE, State.HEATING), (MIDNIGHT, State.PRINTING))

    found = reading.temperatures(HERON, MIDNIGHT - HOUR, MIDNIGHT + HOUR)["tool0"]
    assert [(point.at - MIDNIGHT, point.actual) for point in found] == [(-MINUTE, 20), (0 * MINUTE, 21), (MINUTE, 22)]
    spans = reading.states(HERON, MIDNIGHT - HOUR, MIDNIGHT + HOUR)
    assert [(span.state, span.lasted) for span in spans] == [(State.HEATING, MINUTE), (State.PRINTING, HOUR)]


def test_what_was_before_the_start_is_found_in_the_month_before() -> None:
    warm((MIDNIGHT - 9 * DAY, 25))
    become((MIDNIGHT - 9 * DAY, State.READY))

    [point] = reading.temperatures(HERON, MIDNIGHT, MIDNIGHT + HOUR)["tool0"]
    assert (point.at, point.actual) == (MIDNIGHT, 25)
    [span] = reading.states(HERON, MIDNIGHT, MIDNIGHT + HOUR)
    assert (span.state, span.begins) == (State.READY, MIDNIGHT)


def test_rolling_up_crosses_a_month_and_a_quarter_is_in_the_month_in_which_it_began() -> None:
    warm((MIDNIGHT - 5 * MINUTE, 20), (MIDNIGHT, 30), (MIDNIGHT + 5 * MINUTE, 60))
    rolled_until(MIDNIGHT - HOUR)
    assert rolling.roll_up(MIDNIGHT + DAY + HOUR) == 2

    found = list(Quarter.objects.order_by("at").values_list("at", "mean"))
    assert found[:2] == [(MIDNIGHT - 15 * MINUTE, 20), (MIDNIGHT, 50)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT mean FROM ONLY history_quarter_2026_01")
        assert cursor.fetchall() == [(20,)]


def test_months_are_dropped_by_the_setting(settings: Settings) -> None:
    settings.HISTORY_MONTHS = 2
    partitions.ensure(MIDNIGHT - days * DAY for days in (0, 10, 40, 70, 100))
    warm((MIDNIGHT - 10 * DAY, 20))
    assert months() == ["2025_10", "2025_11", "2025_12", "2026_01", "2026_02"]

    dropped = partitions.drop_old(MIDNIGHT + 27 * DAY)

    assert sorted({name[-7:] for name in dropped}) == ["2025_10", "2025_11"]
    assert months() == ["2025_12", "2026_01", "2026_02"]
    assert Temperature.objects.count() == 1
    assert partitions.drop_old(MIDNIGHT + 28 * DAY) == [f"{table}_2025_12" for table in sorted(partitions.TABLES)]


@pytest.mark.django_db(transaction=True)
def test_two_who_need_a_month_at_once_make_it_once() -> None:
    failed: list[Exception] = []

    def make(begun: threading.Barrier) -> None:
        try:
            begun.wait()
            with transaction.atomic():
                partitions.ensure([MIDNIGHT])
        except Exception as error:  # noqa: BLE001  It is shown by the test.
            failed.append(error)
        finally:
            connection.close()

    begun = threading.Barrier(4)
    threads = [threading.Thread(target=make, args=[begun]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []
    assert months() == ["2026_02"]


@pytest.mark.django_db(transaction=True)
def test_a_month_that_is_being_read_is_dropped_later(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings.HISTORY_MONTHS = 1
    monkeypatch.setattr(partitions, "PATIENCE", "SET LOCAL lock_timeout = '1ms'")
    partitions.ensure([MIDNIGHT - 100 * DAY])
    reader = connection.copy()
    try:
        with transaction.atomic(), reader.cursor() as cursor:
            reader.set_autocommit(False)
            cursor.execute("SELECT count(*) FROM history_temperature")
            assert len(partitions.drop_old(MIDNIGHT)) == 2
        reader.rollback()
        assert partitions.drop_old(MIDNIGHT) == ["history_temperature_2025_10"]
    finally:
        reader.close()
    assert "is in use, and is dropped later" in caplog.text
