"""checkschema reads older databases through a connection that only reads."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db.backends.base.base import BaseDatabaseWrapper

from tests.legacy_app.conftest import Connect
from tests.legacy_app.ostans import Ostans
from tests.servers.mariadb import GIS_ENGINE
from tests.servers.starting import Database


def differences() -> set[tuple[str | None, ...]]:
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("checkschema", "legacy_app", database="legacy", format="json", stdout=out)
    found = json.loads(out.getvalue())["differences"]
    return {tuple(each[key] for key in ("what", "kind", "expected", "found")) for each in found}


def test_geometries_and_their_indexes_on_postgis(legacy: BaseDatabaseWrapper, older: Ostans) -> None:
    assert differences() == {
        ('column "id"', "type", "bigint", "integer"),
        ("index", "missing", "INDEX gist (border)", None),
        ("index", "missing", "INDEX btree (name_en varchar_pattern_ops)", None),
        ("index", "missing", "INDEX btree (name_fa varchar_pattern_ops)", None),
    }
    older.sql("ALTER TABLE prjapi_ostans ALTER border TYPE geometry(Polygon, 4326) USING ST_GeometryN(border, 1)")
    shape = ('column "border"', "length", "public.geometry(MultiPolygon,4326)", "public.geometry(Polygon,4326)")
    assert shape in differences()


def test_geometries_and_their_indexes_on_mariadb(maria: Database, connect: Connect) -> None:
    with connect(maria, ENGINE=GIS_ENGINE):
        assert differences() == {
            ('column "id"', "type", "bigint", "int"),
            ('column "id"', "sequence", "numbered by a sequence of its own", None),
            ('column "border"', "type", "multipolygon", "geometry"),
            ('column "border"', "null", "NOT NULL", "NULL"),
            ("index", "missing", "INDEX SPATIAL KEY (`border`)", None),
            ("unique", "missing", "UNIQUE KEY (`name_en`)", None),
            ("unique", "missing", "UNIQUE KEY (`name_fa`)", None),
        }
