"""Times mean the same in a query as in Python, whatever zone the alias and the server's sessions are in."""

import datetime
import re
import subprocess
import zoneinfo
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Coalesce, Now, TruncDate

from rehome import Import
from rehome.errors import ImportFailed, Refused
from rehome.importing import local_times
from rehome.importing.verifying import find_runs, verify
from rehome.models import ImportRun
from tests.rehome.importing.workshop import OLDER, Workshop
from tests.servers.mariadb import MariaDB

UTC = datetime.UTC
ZONES = ["America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"]
"""Behind, ahead, by half an hour, with a summer of half an hour, and none."""
FOLD = datetime.datetime(2024, 10, 27, 0, 30, tzinfo=UTC)
"""In Berlin 2:30 comes half an hour past midnight in UTC, and again an hour later."""
MOMENTS = [FOLD, FOLD + datetime.timedelta(hours=1), datetime.datetime(2024, 7, 1, 12, tzinfo=UTC)]
MOMENTS += [datetime.datetime(2024, 1, 15, 23, 45, 1, 250000, tzinfo=UTC)]
NEVER_KNOWN = "Europe/Paris", "Asia/Dubai"
"""In no other test: the server remembers a zone that it has known."""
TABLES = ("time_zone", "time_zone_name", "time_zone_transition", "time_zone_transition_type")


@pytest.fixture
def known(mariadb: MariaDB) -> Iterator[Callable[[str], None]]:
    """Lets the server know a zone, by the tables that it has for them."""

    def load(zone: str) -> None:
        command = ["mariadb-tzinfo-to-sql", f"/usr/share/zoneinfo/{zone}", zone]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        mariadb.run(*re.findall(r"^(?:INSERT INTO|SET @time_zone_id)[^;]*;", said, re.MULTILINE))

    yield load
    mariadb.run(*(f"DELETE FROM {table}" for table in TABLES), "FLUSH TABLES")


def begin(shop: Workshop, zone: str) -> None:
    """Things with a time that knows its zone and one that is written in the alias's; sessions begin in another zone."""
    source = connections[OLDER]
    source.settings_dict["TIME_ZONE"] = zone
    source.settings_dict["OPTIONS"] |= {"init_command": "SET time_zone = '-07:00'"}
    source.close()
    for name in ("timezone", "timezone_name"):
        source.__dict__.pop(name, None)
    fields = {"known": models.DateTimeField(), "written": models.DateTimeField()}
    shop.older("old.Thing", fields, managed=False, db_table="old_thing")
    new = {"legacy_id": models.IntegerField(unique=True), "day": models.DateField(null=True)}
    shop.model("new.Thing", {**new, **fields, "first": models.DateTimeField(null=True)})
    with source.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00'")
        cursor.execute("CREATE TABLE old_thing (id int PRIMARY KEY, known timestamp(6) NULL, written datetime(6))")
        for number, moment in enumerate(MOMENTS, 1):
            local = moment.astimezone(zoneinfo.ZoneInfo(zone)).replace(tzinfo=None)
            cursor.execute("INSERT INTO old_thing VALUES (%s, %s, %s)", [number, moment.replace(tzinfo=None), local])
    source.close()


def things(**declared: Any) -> Import:
    return Import("old.Thing", "new.Thing", key={"legacy_id": "id"}, **declared)


def found(shop: Workshop, *fields: str) -> list[Any]:
    rows = shop.new("new.Thing").order_by("legacy_id").values_list(*fields)
    return [row[0] if len(fields) == 1 else row for row in rows]


def in_fold(moment: datetime.datetime, zone: str, fold: int) -> datetime.datetime:
    """What is left of a moment where only the time is written that its zone's clocks show."""
    return moment.astimezone(zoneinfo.ZoneInfo(zone)).replace(fold=fold).astimezone(UTC)


def proved(shop: Workshop, declared: Import) -> str:
    ((one, run),) = find_runs([declared], "default")
    found = verify(one, run, "default", apps=shop.apps)
    return found.problem or ", ".join(map(str, found.comparison.differences))


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("tables", [True, False], ids=["with tables", "without"])
def test_a_moment_arrives_as_that_moment(
    mysql_shop: Workshop, known: Callable[[str], None], zone: str, *, tables: bool
) -> None:
    if tables:
        known(zone)
    begin(mysql_shop, zone)
    mysql_shop.run(things(fold=0))
    assert found(mysql_shop, "known") == MOMENTS
    assert found(mysql_shop, "written") == [in_fold(moment, zone, 0) for moment in MOMENTS]
    mysql_shop.run(things(fold=1))
    assert found(mysql_shop, "written") == [in_fold(moment, zone, 1) for moment in MOMENTS]
    assert proved(mysql_shop, things(fold=1)) == ""
    # A wrong moment is a difference, also where it is an hour off.
    mysql_shop.sql("UPDATE new_thing SET known = known + interval '1 hour' WHERE legacy_id = 1")
    assert proved(mysql_shop, things(fold=1)) == "public.new_thing 1: different in known"


@pytest.mark.parametrize("zone", ZONES)
def test_what_a_query_reckons_is_reckoned_in_the_zone_of_the_alias(
    mysql_shop: Workshop, known: Callable[[str], None], zone: str
) -> None:
    for name in {zone, "UTC"}:
        known(name)
    begin(mysql_shop, zone)
    epoch = Func(Value(1_700_000_000), function="FROM_UNIXTIME", output_field=models.DateTimeField())
    for field in ("known", "written"):
        one = things(where=Q((f"{field}__gte", MOMENTS[2])) & Q((f"{field}__lte", MOMENTS[2])), fold=0)
        mysql_shop.run(one, delete=True)
        assert found(mysql_shop, "legacy_id") == [3], field
        assert proved(mysql_shop, one) == ""
    reckoned = things(fields={"first": Coalesce("known", "written"), "day": TruncDate("known")}, fold=0)
    mysql_shop.run(reckoned)
    assert proved(mysql_shop, reckoned) == ""
    # The first two have one written time in Berlin.
    assert found(mysql_shop, "first")[2:] == MOMENTS[2:]
    assert found(mysql_shop, "day") == [moment.date() for moment in MOMENTS]
    now = datetime.datetime.now(UTC)
    mysql_shop.run(things(where=Q(known__lte=Now()), fields={"first": Now()}, fold=0))
    assert all(abs(moment - now) < datetime.timedelta(minutes=15) for moment in found(mysql_shop, "first"))
    mysql_shop.run(things(fields={"first": epoch}, fold=0))
    assert set(found(mysql_shop, "first")) == {datetime.datetime.fromtimestamp(1_700_000_000, UTC)}


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("field", ["known", "written"])
def test_since_last_reads_what_has_changed(
    mysql_shop: Workshop, known: Callable[[str], None], zone: str, field: str
) -> None:
    known(zone)
    begin(mysql_shop, zone)
    mysql_shop.run(things(changed=field, fold=0))
    (mark,) = ImportRun.objects.values_list("watermark", flat=True)
    assert datetime.datetime.fromisoformat(mark or "") == in_fold(max(MOMENTS), zone, 0)
    later = max(MOMENTS) + datetime.timedelta(hours=1)
    local = later.astimezone(zoneinfo.ZoneInfo(zone if field == "written" else "UTC")).replace(tzinfo=None)
    with connections[OLDER].cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00'")
        cursor.execute(f"UPDATE old_thing SET {field} = %s WHERE id = 2", [local])
    connections[OLDER].close()
    (report,) = mysql_shop.run(things(changed=field, fold=0), since_last=True)
    assert found(mysql_shop, field)[1] == later
    assert report.counts.read < len(MOMENTS)


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"where": Q(known__gte=MOMENTS[2])}, "where compares times in the time zone Europe/Paris"),
        ({"changed": "known"}, r"changed=\.\.\. compares times"),
        ({"fields": {"first": Coalesce(F("known"), F("written"))}}, "the expression for first may reckon"),
    ],
)
def test_without_tables_what_a_query_would_reckon_otherwise_is_refused(
    mysql_shop: Workshop, declared: dict[str, Any], said: str
) -> None:
    begin(mysql_shop, NEVER_KNOWN[0])
    with pytest.raises(Refused, match=said + r".*Load the time zone tables there: mariadb-tzinfo-to-sql"):
        mysql_shop.run(things(**declared))
    assert found(mysql_shop, "legacy_id") == []


def test_without_tables_a_date_that_django_asks_them_for_is_refused(mysql_shop: Workshop) -> None:
    begin(mysql_shop, NEVER_KNOWN[1])
    with pytest.raises(Refused, match="an expression converts times from Asia/Dubai to UTC"):
        mysql_shop.run(things(fields={"day": TruncDate("known")}))


NEVER, TWICE = "2024-03-31 02:30:00", "2024-10-27 02:30:00"
"""In Berlin."""


@pytest.mark.parametrize("name", ["mysql_shop", "shop"])
def test_times_that_are_no_moment_or_two_are_named(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    shop: Workshop = request.getfixturevalue(name)
    settings = connections[OLDER].settings_dict
    settings["TIME_ZONE"] = "Europe/Berlin"
    connections[OLDER].close()
    for setting in ("timezone", "timezone_name"):
        connections[OLDER].__dict__.pop(setting, None)
    local = type("Local", (models.DateTimeField,), {"db_type": lambda self, connection: LOCAL[connection.vendor]})
    shop.older("old.Thing", {"written": local(null=True)})
    shop.model("new.Thing", {"legacy_id": models.IntegerField(unique=True), "written": models.DateTimeField(null=True)})
    shop.query(f"INSERT INTO old_thing VALUES (1, '{NEVER}'), (2, '{TWICE}'), (3, '2024-10-27 03:00:00'), (4, NULL)")

    with pytest.raises(ImportFailed, match="2 rows cannot be imported") as refused:
        shop.run(things())
    lines = str(refused.value).splitlines()
    assert (
        f"legacy_id=1: written '{NEVER}': never comes in Europe/Berlin, whose clocks are set forward then" in lines[1]
    )
    assert f"legacy_id=2: written '{TWICE}': comes twice in Europe/Berlin, whose clocks are set back then" in lines[2]

    for fold, hours in ((0, 0), (1, 1)):
        (report,) = shop.run(things(fold=fold), skip_bad=tmp_path / "rejects")
        assert report.counts.rejected == 1
        assert found(shop, "legacy_id") == [2, 3, 4]
        assert found(shop, "written")[0] == FOLD + datetime.timedelta(hours=hours)
    shop.query("DELETE FROM old_thing WHERE id = 1")
    assert shop.run(things(fold=1))[0].counts.unchanged == 3
    assert proved(shop, things(fold=1)) == ""


LOCAL = {"postgresql": "timestamp", "mysql": "datetime"}


def test_a_moment_that_a_query_would_write_as_a_time_that_comes_twice_is_refused(
    mysql_shop: Workshop, known: Callable[[str], None]
) -> None:
    known("Europe/Berlin")
    begin(mysql_shop, "Europe/Berlin")
    with pytest.raises(Refused, match="where compares with 2024-10-27 00:30:00.00:00, whose time comes twice"):
        mysql_shop.run(things(where=Q(known__gte=FOLD), fold=0))


@pytest.mark.parametrize(
    ("zone", "day", "count"),
    [("Asia/Tehran", "2022-03-22", 70), ("Australia/Lord_Howe", "2024-04-07", 238), ("UTC", "", 0)],
)
def test_the_shifts_of_a_zone_are_those_of_its_clocks(zone: str, day: str, count: int) -> None:
    shifts = local_times.shifts(zone)
    assert len(shifts) >= count * 0.9
    for shift in shifts[-20:]:
        middle = shift.begin + (shift.end - shift.begin) / 2
        moments = [middle.replace(tzinfo=zoneinfo.ZoneInfo(zone), fold=fold) for fold in (0, 1)]
        shown = [moment.astimezone(UTC).astimezone(zoneinfo.ZoneInfo(zone)).replace(tzinfo=None) for moment in moments]
        assert (shown == [middle, middle]) is shift.twice
        assert moments[0].utcoffset() != moments[1].utcoffset()
    assert not day or any(str(shift.begin).startswith(day) for shift in shifts)


def test_fold_is_one_of_two() -> None:
    with pytest.raises(Refused, match="has fold=2. Give 0 for the first"):
        things(fold=2)
