"""Geometries of PostGIS: as they are between two such databases, as GeoJSON elsewhere, and made valid on the way."""

import json
from collections.abc import Iterator

import pytest
from django.db import models
from django.db.models import F, Func, Q, Value

from rehome import Import
from rehome.errors import RehomeError
from rehome.importing import running
from rehome.importing.running import Options
from tests.rehome.importing.workshop import OLDER, Workshop
from tests.servers.postgis import PLAIN_ENGINE, PostGIS

BOW_TIE = "POLYGON((0 0, 2 2, 2 0, 0 2, 0 0))"
SQUARE = "POLYGON((0 0, 0 1, 1 1, 1 0, 0 0))"


class Border(models.TextField):
    """As an unmanaged model has it where GeoDjango is not installed; its functions are the same by name."""

    def db_type(self, connection: object) -> str:
        return "geometry(Geometry, 4326)"


def as_geojson(given: object) -> Func:
    return Func(given, Value(7), function="ST_AsGeoJSON", output_field=models.TextField())


def make_valid(given: str) -> Func:
    return Func(F(given), function="ST_MakeValid", output_field=Border())


@pytest.fixture
def maps(target: str, shop: Workshop, postgis: PostGIS) -> Iterator[Workshop]:
    """A source on PostGIS with a square, a bow tie and nothing."""
    with postgis.database("maps", engine=PLAIN_ENGINE) as older, older.alias("maps"):
        shop.source = "maps"
        shop.older("old.Place", {"border": Border(null=True)})
        shop.query("INSERT INTO old_place VALUES (1, %s), (2, %s), (3, NULL)", [SQUARE, BOW_TIE])
        yield shop
        shop.source = OLDER


def borders(shop: Workshop) -> dict[int, str | None]:
    rows = shop.new("new.Place").values_list("legacy_id", "border")
    return {pk: border and border["type"] for pk, border in rows}


def declare(**changes: object) -> Import:
    return Import("old.Place", "new.Place", key={"legacy_id": "id"}, **changes)


def test_what_is_invalid_comes_as_it_is_or_is_made_valid_at_the_source(maps: Workshop) -> None:
    maps.model("new.Place", {"legacy_id": models.IntegerField(), "border": models.JSONField(null=True)})
    maps.run(declare(fields={"border": as_geojson(F("border"))}))
    assert borders(maps) == {1: "Polygon", 2: "Polygon", 3: None}
    (came,) = maps.new("new.Place").filter(legacy_id=2).values_list("border", flat=True)
    ((valid,),) = maps.query("SELECT ST_IsValid(ST_GeomFromGeoJSON(%s))", [json.dumps(came)])
    assert valid is False

    (report,) = maps.run(declare(fields={"border": as_geojson(make_valid("border"))}))
    assert (report.counts.updated, report.counts.unchanged) == (1, 2)
    assert borders(maps) == {1: "Polygon", 2: "MultiPolygon", 3: None}


def test_what_is_invalid_can_be_left_out_and_names_itself_where_it_fails(maps: Workshop) -> None:
    maps.model("new.Place", {"legacy_id": models.IntegerField(), "border": models.JSONField(null=True)})
    valid = Func(F("border"), function="ST_IsValid", output_field=models.BooleanField())
    maps.run(declare(fields={"border": as_geojson(F("border"))}, where=Q(valid)))
    assert borders(maps) == {1: "Polygon"}
    moved = Func(F("border"), Value("nowhere"), function="ST_Transform", output_field=Border())
    with pytest.raises(RehomeError, match="nowhere"):
        maps.run(declare(fields={"border": as_geojson(moved)}))
    assert borders(maps) == {1: "Polygon"}


def test_between_two_postgis_a_geometry_is_carried_whole(maps: Workshop, postgis: PostGIS) -> None:
    with postgis.database("newer", engine=PLAIN_ENGINE) as newer, newer.alias("newer"):
        shop = Workshop("maps", "newer")
        shop.state = maps.state
        shop.model("new.Place", {"legacy_id": models.IntegerField(), "border": Border(null=True)})
        for count in (3, 0):
            (report,) = running.run([declare()], Options(), source="maps", target="newer", apps=shop.apps)
            assert report.counts.inserted == count
        text = "SELECT ST_AsEWKT(border) FROM {} ORDER BY 1"
        assert shop.sql(text.format("new_place")) == maps.query(text.format("old_place"))
        shop.sql("ALTER TABLE new_place ADD CHECK (ST_IsValid(border)) NOT VALID")
        shop.sql("TRUNCATE new_place")
        with pytest.raises(RehomeError, match="legacy_id=2.*new_place_border_check"):
            running.run([declare()], Options(), source="maps", target="newer", apps=shop.apps)
