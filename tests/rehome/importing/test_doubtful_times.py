"""Times without a zone in arrays, ranges, texts, domains and lookups: one that is no moment, or two, is named."""

from pathlib import Path
from typing import Any

import pytest
from django.db import connections, models
from django.db.models import DateTimeField
from django.db.models.functions import Cast

from rehome import Import, Lookup
from rehome.errors import ImportFailed
from tests.rehome.importing.test_mysql_zones import proved
from tests.rehome.importing.workshop import OLDER, Workshop

NEVER, TWICE, CLEAR, SAID = (
    "2024-03-31 02:30:00",
    "2024-10-27 02:30:00",
    "2024-06-01 12:00:00",
    "2024-10-27 02:30:00+02",
)
"""In Berlin."""
KINDS = {
    "an array": ("timestamp[]", "timestamptz[]", "{{{}}}"),
    "an array of arrays": ("timestamp[]", "timestamptz[]", '{{{{NULL,2024-01-01}},{{2024-01-02,"{}"}}}}'),
    "an array of dates": ("date[]", "timestamptz[]", None),
    "a range": ("tsrange", "tstzrange", "[2024-01-01 00:00:00,{})"),
    "ranges": ("tsmultirange", "tstzmultirange", "{{[2024-01-01 00:00:00,{})}}"),
    "a text": ("text", "timestamptz", "{}"),
    "a text that is an array": ("text", "timestamptz[]", "{{{}}}"),
    "a domain": ("timestamp", "moment", "{}"),
    "a precision": ("timestamp", "timestamptz(3)", "{}"),
}


def field(kind: str) -> models.Field:
    return type("Field", (models.TextField,), {"db_type": lambda self, connection: kind})(null=True)


def in_berlin(shop: Workshop) -> None:
    connections[OLDER].settings_dict["TIME_ZONE"] = "Europe/Berlin"
    connections[OLDER].close()
    for setting in ("timezone", "timezone_name"):
        connections[OLDER].__dict__.pop(setting, None)


def make(shop: Workshop, older: str, newer: str) -> Import:
    in_berlin(shop)
    shop.older("old.Thing", {"at": field(older)})
    shop.sql("DROP DOMAIN IF EXISTS moment; CREATE DOMAIN moment AS timestamptz")
    shop.model("new.Thing", {"legacy_id": models.IntegerField(unique=True), "at": field(newer)})
    return Import("old.Thing", "new.Thing", key={"legacy_id": "id"})


@pytest.mark.parametrize("kind", [kind for kind, (_, _, written) in KINDS.items() if written])
def test_it_is_named(shop: Workshop, tmp_path: Path, kind: str) -> None:
    older, newer, written = KINDS[kind]
    things = make(shop, older, newer)
    for number, time in enumerate((NEVER, TWICE, CLEAR)):
        shop.query("INSERT INTO old_thing VALUES (%s, %s)", [number, str(written).format(time)])
    shop.query("INSERT INTO old_thing VALUES (9, NULL)")
    with pytest.raises(ImportFailed, match="2 rows cannot be imported") as refused:
        shop.run(things)
    lines = str(refused.value).splitlines()
    assert "legacy_id=0: at" in lines[1]
    assert "never comes in Europe/Berlin, whose clocks are set forward then" in lines[1]
    assert "comes twice in Europe/Berlin, whose clocks are set back then" in lines[2]
    (report,) = shop.run(things, skip_bad=tmp_path / "rejects")
    assert (report.counts.inserted, report.counts.rejected) == (2, 2)
    shop.query("DELETE FROM old_thing WHERE id < 2")
    assert shop.run(things)[0].counts.unchanged == 2
    assert proved(shop, things) == ""


def test_a_day_that_begins_with_an_hour_that_never_comes(shop: Workshop) -> None:
    things = make(shop, "date[]", "timestamptz[]")
    connections[OLDER].settings_dict["TIME_ZONE"] = "America/Santiago"
    for setting in ("timezone", "timezone_name"):
        connections[OLDER].__dict__.pop(setting, None)
    connections[OLDER].close()
    shop.query("INSERT INTO old_thing VALUES (1, '{2024-09-08}'), (2, '{2024-09-09}')")
    with pytest.raises(ImportFailed, match="legacy_id=1: at .*never comes in America/Santiago"):
        shop.run(things)


def test_a_text_that_says_its_zone_is_a_moment(shop: Workshop) -> None:
    things = make(shop, "text", "timestamptz")
    shop.query(
        "INSERT INTO old_thing VALUES (1, %s), (2, '2024-10-27T02:30:00+0100'), (3, '27 Oct 2024 02:30 CET')", [SAID]
    )
    assert shop.run(things)[0].counts.inserted == 3
    moments = "SELECT (at AT TIME ZONE 'UTC')::text FROM new_thing ORDER BY legacy_id"
    assert shop.sql(moments) == [("2024-10-27 00:30:00",), ("2024-10-27 01:30:00",), ("2024-10-27 01:30:00",)]
    assert proved(shop, things) == ""


@pytest.mark.parametrize("name", ["shop", "mysql_shop"])
def test_what_is_looked_up_as_a_moment_is_one_of_the_sources_zone(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    shop: Workshop = request.getfixturevalue(name)
    in_berlin(shop)
    kind = {"shop": "timestamp", "mysql_shop": "datetime"}[name]
    shop.older("old.Thing", {"at": field(kind), "known": field({"shop": "timestamptz"}.get(name, "timestamp"))})
    shop.model("crm.Event", {"at": models.DateTimeField(unique=True)})
    reference: dict[str, Any] = {"on_delete": models.CASCADE, "null": True, "related_name": "+"}
    events = {name: models.ForeignKey("crm.Event", **reference) for name in ("event", "other")}
    shop.model("new.Thing", {"legacy_id": models.IntegerField(unique=True), **events})
    shop.sql(
        "INSERT INTO crm_event VALUES (1, '2024-06-01 10:00:00+00'), (2, '2024-06-01 12:00:00+00'), "
        "(3, '2024-03-31 01:30:00+00'), (4, '2024-10-27 01:30:00+00')"
    )
    event = Lookup("crm.Event", by="at", normalise=lambda value: Cast(value, DateTimeField()))
    things = Import(
        "old.Thing", "new.Thing", key={"legacy_id": "id"}, fields={"event": "at", "other": "known"},
        lookups={"event": event, "other": event},
    )  # fmt: skip
    zone = "SET time_zone = '+00:00'" if name == "mysql_shop" else "SET timezone = 'UTC'"
    shop.query(zone)
    shop.query(
        f"INSERT INTO old_thing VALUES (1, '{CLEAR}', '2024-06-01 10:00'), (2, '{NEVER}', NULL), (3, '{TWICE}', NULL)"
    )
    with pytest.raises(ImportFailed, match="2 rows cannot be imported") as refused:
        shop.run(things)
    assert f"legacy_id=2: event_id '{NEVER}': has a time that never comes in Europe/Berlin" in str(refused.value)
    assert f"legacy_id=3: event_id '{TWICE}': has a time without a zone that comes twice" in str(refused.value)
    shop.run(things, skip_bad=tmp_path / "rejects")
    assert shop.sql("SELECT legacy_id, event_id, other_id FROM new_thing") == [(1, 1, 1)]
    shop.query("DELETE FROM old_thing WHERE id > 1")
    assert proved(shop, things) == ""
