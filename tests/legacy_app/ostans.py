"""The older application's table of provinces, with names as its users' keyboards had them."""

import json
from typing import Any

from tests.conftest import ROOT
from tests.servers.postgis import PostGIS
from tests.servers.starting import USER, Database

FEATURES = json.loads((ROOT / "tests" / "fixtures" / "iran_provinces.geojson").read_text(encoding="utf-8"))["features"]
TABLE = "prjapi_ostans"
CREATE = f"""
CREATE TABLE {TABLE} (
  id serial PRIMARY KEY, name_fa varchar(100) UNIQUE, name_en varchar(100) UNIQUE,
  border geometry(MultiPolygon, 4326) NOT NULL
)
"""
INSERT = f"INSERT INTO {TABLE} (name_fa, name_en, border) VALUES (%s, %s, ST_GeomFromGeoJSON(%s))"

YA, KAF, ZWNJ, NO_BREAK, MADDA = "\u064a", "\u0643", "\u200c", "\u00a0", "\u0653"
ARABIC = str.maketrans({"\u06cc": YA, "\u06a9": KAF})
TYPED = {
    **{name: name.translate(ARABIC) for name in ("ایلام", "قزوین", "یزد", "گیلان")},
    **{name: name.translate(ARABIC) for name in ("کرمان", "کرمانشاه", "کردستان", "مرکزی")},
    "خراسان شمالی": "خراسان  شمالی ",
    "خراسان رضوی": f"خراسان{ZWNJ}رضوی",
    "سیستان و بلوچستان": f"س{YA}ستان و{NO_BREAK}بلوچستان",
    "چهارمحال و بختیاری": f"چهار محال{ZWNJ} و بخت{YA}ار\u0649",
    "کهگیلویه و بویراحمد": "کهگیلویه و بویر احمد",
    "آذربایجان شرقی": f"ا{MADDA}ذربایجان شرقی",
}
"""By its name in Persian letters: 14 of the 31."""


class Ostans:
    """The table in a database of its own; each statement commits by itself."""

    def __init__(self, server: PostGIS, database: Database) -> None:
        self.server = server
        self.database = database
        with server.connect(database.name, USER) as connection:
            connection.execute(CREATE)
            for feature in FEATURES:
                name, english = feature["properties"]["name:fa"], feature["properties"]["name:en"]
                connection.execute(INSERT, [TYPED.get(name, name), english, json.dumps(feature["geometry"])])

    def sql(self, statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        """As the older application, which owns the table."""
        with self.server.connect(self.database.name, USER) as connection:
            cursor = connection.execute(statement, parameters)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def id_of(self, english: str) -> int:
        return self.sql(f"SELECT id FROM {TABLE} WHERE name_en = %s", [english])[0][0]
