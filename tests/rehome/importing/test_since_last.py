"""`--since-last` reads what has changed since the last run, and loses nothing that a whole run would have brought."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, models, transaction
from django.db.models import Q
from django.db.models.functions import Trim, Upper
from django.utils import timezone

from rehome import Changed, Import, Lookup
from rehome.errors import Refused, RehomeError
from rehome.importing.verifying import find_runs, verify
from rehome.models import ImportRun
from tests.rehome.importing.workshop import OLDER, Workshop, connect

HOUR = datetime.timedelta(hours=1)
NOW = timezone.now()


def things(**changes: Any) -> Import:
    return Import("old.Thing", "new.Thing", key={"legacy_id": "id"}, **{"changed": "at", "discard": ["fax"]} | changes)


def make_things(shop: Workshop, kind: Callable[..., models.Field] = models.DateTimeField) -> None:
    shop.older("old.Thing", {"name": models.TextField(), "fax": models.TextField(default=""), "at": kind(null=True)})
    shop.model(
        "new.Thing",
        {"name": models.TextField(), "legacy_id": models.IntegerField(), "fax": models.TextField(default="")},
    )


def put(shop: Workshop, pk: int, at: Any, name: str = "first") -> None:
    shop.old("old.Thing").update_or_create(pk=pk, defaults={"name": name, "at": at})


def came(shop: Workshop) -> dict[int, str]:
    return dict(shop.new("new.Thing").values_list("legacy_id", "name"))


def test_only_what_changed_is_read(shop: Workshop) -> None:
    make_things(shop)
    for pk, at in {1: NOW - 9 * HOUR, 2: NOW - 5 * HOUR, 3: NOW - HOUR, 4: None}.items():
        put(shop, pk, at)
    (first,) = shop.run(things(), since_last=True)
    assert (first.whole, first.counts.read, first.counts.gone) == (True, 4, 0)
    put(shop, 2, NOW, "second")
    put(shop, 5, NOW, "new")
    put(shop, 4, None, "without a time")
    shop.old("old.Thing").filter(pk=1).update(name="changed without a trace")
    (report,) = shop.run(things(), since_last=True)
    # The third is read again, for it was the last that was read; one without a time is read by every run.
    assert (report.whole, report.counts.read) == (False, 4)
    assert (report.counts.inserted, report.counts.updated, report.counts.gone) == (1, 2, None)
    assert came(shop) == {1: "first", 2: "second", 3: "first", 4: "without a time", 5: "new"}
    assert report.as_json()["gone"] is None

    (whole,) = shop.run(things())
    assert (whole.counts.read, whole.counts.updated, whole.counts.gone) == (5, 1, 0)


def test_a_row_committed_late_is_found_by_the_overlap(shop: Workshop) -> None:
    make_things(shop)
    with connect("late", NAME=connections[OLDER].settings_dict["NAME"]), transaction.atomic(using="late"):
        late = shop.get("old.Thing")._base_manager.using("late")
        late.create(pk=1, name="late", at=NOW - datetime.timedelta(minutes=9))
        put(shop, 2, NOW)
        put(shop, 3, NOW)
        shop.run(things())
        assert came(shop).keys() == {2, 3}
    put(shop, 4, NOW)  # The same time as the largest that was read.
    (report,) = shop.run(things(), since_last=True)
    assert (report.counts.inserted, report.counts.unchanged) == (2, 2)
    assert came(shop).keys() == {1, 2, 3, 4}


def test_a_time_in_the_future_hides_no_later_change(shop: Workshop) -> None:
    make_things(shop)
    put(shop, 1, NOW + 24 * HOUR)
    put(shop, 2, NOW - HOUR)
    shop.run(things())
    put(shop, 3, NOW)
    (report,) = shop.run(things(), since_last=True)
    assert (report.whole, report.counts.read, report.counts.inserted) == (False, 3, 1)


@pytest.mark.parametrize(
    "other",
    [
        {"where": Q(pk__gt=0)},
        {"fields": {"fax": "fax"}},
        {"changed": Changed("at", overlap=HOUR)},
        {"lookups": {"name": {"first": "one"}}},
    ],
)
def test_another_declaration_reads_everything_once(shop: Workshop, other: dict[str, Any]) -> None:
    make_things(shop)
    put(shop, 1, NOW - 9 * HOUR)
    put(shop, 2, NOW)
    shop.run(things())
    assert [shop.run(things(**other), since_last=True)[0].whole for _ in range(2)] == [True, False]


def test_another_database_reads_everything_once(shop: Workshop) -> None:
    make_things(shop)
    put(shop, 1, NOW)
    shop.run(things())
    with connect("same", NAME=connections[OLDER].settings_dict["NAME"]):
        shop.source = "same"
        assert shop.run(things(), since_last=True)[0].whole
        shop.source = OLDER


def test_the_watermark_is_as_old_as_the_rows(shop: Workshop) -> None:
    make_things(shop)
    put(shop, 1, NOW)
    shop.run(things())
    (before,) = ImportRun.objects.values_list("watermark", flat=True)
    put(shop, 2, NOW + datetime.timedelta(microseconds=1))
    shop.run(things(), dry_run=True)
    shop.sql("ALTER TABLE new_thing ADD CHECK (legacy_id < 2)")
    with pytest.raises(RehomeError, match="violates new_thing"):
        shop.run(things())
    assert list(ImportRun.objects.values_list("watermark", flat=True)) == [before]


def test_what_was_skipped_is_read_again(shop: Workshop, tmp_path: Path) -> None:
    make_things(shop)
    shop.sql("ALTER TABLE new_thing ADD CHECK (name <> 'bad')")
    put(shop, 1, NOW - 9 * HOUR)
    shop.run(things())
    put(shop, 2, NOW - HOUR, "bad")
    put(shop, 3, NOW)
    for _ in range(2):
        (report,) = shop.run(things(), since_last=True, skip_bad=tmp_path / "rejects")
        assert report.counts.rejected == 1
    shop.sql("ALTER TABLE new_thing DROP CONSTRAINT new_thing_name_check")
    assert shop.run(things(), since_last=True)[0].counts.inserted == 1
    assert came(shop).keys() == {1, 2, 3}


def test_conditions_are_combined(shop: Workshop) -> None:
    make_things(shop)
    put(shop, 1, NOW)
    put(shop, 2, NOW, "not this")
    chosen = things(where=~Q(name="not this") | Q(pk=9))
    shop.run(chosen)
    put(shop, 3, NOW, "not this")
    put(shop, 4, NOW, "this")
    assert shop.run(chosen, since_last=True)[0].counts.read == 2
    assert came(shop).keys() == {1, 4}


def test_a_number_needs_an_overlap(shop: Workshop) -> None:
    make_things(shop, models.BigIntegerField)
    with pytest.raises(Refused, match=r"at is no date or time.* changed=Changed\('at', overlap=...\)"):
        shop.run(things())
    version = things(changed=Changed("at", overlap=5))
    for pk, at in {1: 2**40, 2: 2**40 - 5, 3: 2**40 - 6}.items():
        put(shop, pk, at)
    shop.run(version)
    assert shop.run(version, since_last=True)[0].counts.read == 2


def test_dates_are_read_from_the_day_before(shop: Workshop) -> None:
    make_things(shop, models.DateField)
    today = datetime.date.today()  # noqa: DTZ011  As the watermark has it.
    for days in (0, 1, 2):
        put(shop, days + 1, today - datetime.timedelta(days=days))
    shop.run(things())
    assert shop.run(things(), since_last=True)[0].counts.read == 2


def test_times_without_a_zone_are_the_sources(shop: Workshop) -> None:
    make_things(shop, type("Local", (models.DateTimeField,), {"db_type": lambda self, connection: "timestamp"}))
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    for pk, minutes in {1: 0, 2: 9, 3: 11}.items():
        shop.query("INSERT INTO old_thing VALUES (%s, 'a', '', %s)", [pk, now - datetime.timedelta(minutes=minutes)])
    shop.run(things())
    assert shop.run(things(), since_last=True)[0].counts.read == 2


def test_an_empty_source_reads_everything_next_time(shop: Workshop) -> None:
    make_things(shop)
    shop.run(things())
    put(shop, 1, NOW - 999 * HOUR)
    (report,) = shop.run(things(), since_last=True)
    assert (report.whole, report.counts.inserted) == (True, 1)


def test_options_that_do_not_fit_are_refused(shop: Workshop) -> None:
    make_things(shop)
    with pytest.raises(Refused, match="old.Thing -> new.Thing names no field that grows"):
        shop.run(things(changed=None, discard=["fax", "at"]), since_last=True)
    with pytest.raises(Refused, match="Use --since-last without --delete"):
        shop.run(things(), since_last=True, delete=True)
    with pytest.raises(Refused, match="no field 'when', which changed"):
        shop.run(things(changed="when", discard=["fax", "at"]))


def test_a_mariadb_is_read_since_the_last_run_and_verified(mysql_shop: Workshop) -> None:
    make_things(mysql_shop)
    for pk, hours in {1: 9, 2: 5, 3: 0}.items():
        put(mysql_shop, pk, NOW - hours * HOUR)
    mysql_shop.run(things())
    put(mysql_shop, 2, NOW, "second")
    (report,) = mysql_shop.run(things(), since_last=True)
    assert (report.whole, report.counts.read, report.counts.updated) == (False, 2, 1)
    put(mysql_shop, 1, NOW - 9 * HOUR, "unseen")
    ((declared, run),) = find_runs([things()], "default")
    found = verify(declared, run, "default", apps=mysql_shop.apps)
    assert [str(one) for one in found.comparison.differences] == ["public.new_thing 1: different in name"]


def test_an_edited_function_of_a_lookup_reads_everything(shop: Workshop) -> None:
    def normalise(value: Any) -> Any:
        return Upper(value)

    first = normalise

    def normalise(value: Any) -> Any:  # type: ignore[no-redef]
        return Upper(Trim(value))

    assert first.__qualname__ == normalise.__qualname__
    make_things(shop)
    shop.model("new.Word", {"word": models.TextField()})
    shop.new("new.Word").create(word="first")
    put(shop, 1, NOW - 9 * HOUR)
    put(shop, 2, NOW)
    assert not shop.run(things(lookups={"name": Lookup("new.Word", by="word", gives="word", normalise=first)}))[0].told
    for function, whole in ((first, False), (normalise, True), (normalise, False)):
        looked_up = things(lookups={"name": Lookup("new.Word", by="word", gives="word", normalise=function)})
        assert shop.run(looked_up, since_last=True)[0].whole is whole


def test_a_watermark_that_goes_back_is_told_and_followed(shop: Workshop) -> None:
    make_things(shop, models.BigIntegerField)
    version = things(changed=Changed("at", overlap=0))
    for pk, at in {1: 10, 2: 900}.items():
        put(shop, pk, at)
    shop.run(version)
    # As a backup of yesterday is restored: the next changes count from there.
    shop.old("old.Thing").filter(pk=2).delete()
    put(shop, 3, 11)
    (report,) = shop.run(version, since_last=True)
    assert came(shop).keys() == {1, 2, 3}
    assert report.told.startswith(
        "the largest at of the source is 11, and was 900 at the last run: its last rows were del"
    )
    (again,) = shop.run(version, since_last=True)
    assert not again.told
    assert not shop.run(things(changed=Changed("at", overlap=1)))[0].told


def test_what_autumn_writes_twice_is_read_the_second_time(shop: Workshop) -> None:
    """A clock that is set back writes smaller times than the largest that was read."""
    connections[OLDER].settings_dict["TIME_ZONE"] = "Europe/Berlin"
    connections[OLDER].close()
    for name in ("timezone", "timezone_name"):
        connections[OLDER].__dict__.pop(name, None)
    local = type("Local", (models.DateTimeField,), {"db_type": lambda self, connection: "timestamp"})
    make_things(shop, local)
    begins = things(changed=Changed("at", overlap=datetime.timedelta(minutes=10)))
    shop.query(
        "INSERT INTO old_thing VALUES (1, 'first', '', '2024-10-27 02:50'), (2, 'first', '', '2024-10-27 01:00')"
    )
    shop.run(begins)
    shop.query("INSERT INTO old_thing VALUES (3, 'an hour later', '', '2024-10-27 02:20')")
    (report,) = shop.run(begins, since_last=True)
    assert (came(shop).keys(), report.counts.read) == ({1, 2, 3}, 2)
    shop.query("DELETE FROM old_thing WHERE id = 1")
    assert not shop.run(begins, since_last=True)[0].told, "The clock has gone back, and not the source."


def test_after_rejects_the_next_run_begins_where_a_watermark_had_gone_back_to(shop: Workshop, tmp_path: Path) -> None:
    make_things(shop, models.BigIntegerField)
    version = things(changed=Changed("at", overlap=0))
    shop.sql("ALTER TABLE new_thing ADD CONSTRAINT good CHECK (name <> 'bad')")
    put(shop, 1, 900)
    shop.run(version)
    put(shop, 1, 10)
    put(shop, 2, 11, "bad")
    (report,) = shop.run(version, since_last=True, skip_bad=tmp_path / "bad")
    assert (report.counts.rejected, bool(report.told)) == (1, True)
    # The source soon is further than it has ever been.
    put(shop, 3, 12)
    put(shop, 4, 901)
    shop.sql("ALTER TABLE new_thing DROP CONSTRAINT good")
    shop.run(version, since_last=True)
    assert came(shop).keys() == {1, 2, 3, 4}


def test_a_number_that_is_larger_than_the_model_s_own(shop: Workshop) -> None:
    make_things(shop, models.IntegerField)
    shop.query("ALTER TABLE old_thing ALTER at TYPE bigint")
    version = things(changed=Changed("at", overlap=0))
    shop.query("INSERT INTO old_thing VALUES (1, 'first', '', 3000000000)")
    shop.run(version)
    shop.query("INSERT INTO old_thing VALUES (2, 'second', '', 3000000001)")
    shop.run(version, since_last=True)
    assert came(shop) == {1: "first", 2: "second"}


def test_an_unsigned_number_of_mysqls(mysql_shop: Workshop) -> None:
    make_things(mysql_shop, models.BigIntegerField)
    mysql_shop.query("ALTER TABLE old_thing MODIFY at bigint unsigned")
    version = things(changed=Changed("at", overlap=0))
    mysql_shop.query("INSERT INTO old_thing VALUES (1, 'first', '', 18446744073709551610)")
    mysql_shop.run(version)
    mysql_shop.query("INSERT INTO old_thing VALUES (2, 'second', '', 18446744073709551611)")
    mysql_shop.run(version, since_last=True)
    assert came(mysql_shop) == {1: "first", 2: "second"}


@pytest.mark.parametrize(("kind", "zero"), [("datetime", "0000-00-00"), ("timestamp", "0"), ("date", "0000-00-00")])
def test_a_date_of_zeros_is_read_by_every_run(mysql_shop: Workshop, kind: str, zero: str) -> None:
    make_things(mysql_shop, models.DateField if kind == "date" else models.DateTimeField)
    mysql_shop.query("SET SESSION sql_mode = ''")
    mysql_shop.query(f"ALTER TABLE old_thing MODIFY at {kind} NULL")
    mysql_shop.query("INSERT INTO old_thing VALUES (1, 'first', '', '2024-06-01')")
    mysql_shop.run(things())
    mysql_shop.query(f"INSERT INTO old_thing VALUES (2, 'second', '', '{zero}')")
    mysql_shop.run(things(), since_last=True)
    assert came(mysql_shop) == {1: "first", 2: "second"}
