"""What is suggested for a model ends the difference: an older table is described by its suggestions alone."""

from decimal import Decimal
from typing import Any

import pytest
from django.db import models
from django.db.models.expressions import RawSQL

import rehome.constraints
from rehome.checkschema.comparing import compare
from rehome.checkschema.report import Difference
from tests.rehome.checkschema.test_mariadb import Shop, shop  # noqa: F401
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

KNOWN = {"Decimal": Decimal, "models": models, "RawSQL": RawSQL, "rehome": rehome}

OLDER = """
DROP TABLE old_thing;
CREATE TABLE old_thing (
    id bigserial PRIMARY KEY,
    name varchar(40) NOT NULL DEFAULT 'it''s', "Full Name" text, number integer NOT NULL DEFAULT 7,
    small smallint, big bigint, price numeric(8, 2) DEFAULT 0.50, ready boolean NOT NULL DEFAULT false, rate float8,
    day date, at timestamptz NOT NULL DEFAULT now(), hour time, span interval, token uuid, data jsonb DEFAULT '{}',
    raw bytea, host inet, note text,
    UNIQUE (number, name),
    CONSTRAINT thing_check CHECK (name NOT LIKE '%%x' AND number > 0 OR price IN (1, 2)),
    CONSTRAINT thing_words CHECK (note IN ('a', 'b'))
);
COMMENT ON COLUMN old_thing.number IS 'it"s';
CREATE INDEX thing_number ON old_thing (number, day);
"""

MARIA = """
CREATE TABLE old_thing (
    id bigint AUTO_INCREMENT PRIMARY KEY,
    name varchar(40) NOT NULL DEFAULT 'it''s', `Full Name` longtext, number int NOT NULL DEFAULT 7 COMMENT 'it"s',
    small smallint, big bigint, price decimal(8, 2) DEFAULT 0.50, ready tinyint(1) NOT NULL DEFAULT 0, rate double,
    day date, at datetime(6) NOT NULL DEFAULT current_timestamp(6), hour time(6), raw longblob,
    UNIQUE KEY thing_unique (number, name),
    CONSTRAINT thing_check CHECK (name <> '%x' AND number > 0),
    KEY thing_number (number, day)
)
"""


def suggested(change: str) -> Any:
    return eval(change, KNOWN)  # noqa: S307


def differences(lab: Lab, fields: dict[str, Any], **meta: Any) -> list[Difference]:
    """Of a model that nobody makes a table for."""
    key = models.BigAutoField(primary_key=True)
    lab.model("old.Thing", {"id": key, **fields}, managed=False, db_table="old_thing", **meta)
    found = compare([lab.get("old.Thing")], lab.state, lab.apps, lab.connection).differences
    lab.state.remove_model("old", "thing")
    return list(found)


def describe(lab: Lab) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """The fields, and what Meta says, from nothing but suggestions."""
    fields: dict[str, Any] = {}
    for each in differences(lab, {}):
        if each.change.startswith("add ") and " = " in each.change:
            name, _, declared = each.change.removeprefix("add ").partition(" = ")
            fields[name] = suggested(declared)
    meta: dict[str, list[Any]] = {"constraints": [], "indexes": []}
    for each in differences(lab, fields):
        place, _, declared = each.change.removeprefix("Meta.").partition(": ")
        meta[place].append(suggested(declared))
    return fields, meta


def test_a_table_of_postgresql(db: None) -> None:
    lab = Lab()
    lab.model("old.Thing", {})
    lab.sql(OLDER.replace("%%", "%"))
    lab.state.remove_model("old", "thing")

    fields, meta = describe(lab)

    assert (len(fields), len(meta["constraints"]), len(meta["indexes"])) == (17, 3, 1)
    assert [str(each) for each in differences(lab, fields, **meta)] == []


def test_a_table_of_mariadb(shop: Shop) -> None:  # noqa: F811
    shop.sql(MARIA)

    fields, meta = describe(shop)

    assert (len(fields), len(meta["constraints"]), len(meta["indexes"])) == (12, 2, 1)
    assert [(each.expected, each.found) for each in differences(shop, fields, **meta)] == []


@pytest.mark.parametrize(
    ("planted", "change"),
    [
        ("ALTER name TYPE varchar(9)", "name: models.CharField(max_length=9)"),
        ("ALTER name DROP NOT NULL", "name: null=True"),
        ("ALTER name SET DEFAULT 'x'", "name: db_default='x'"),
        ("ALTER name SET DEFAULT upper('x')", "name: db_default=RawSQL(\"upper('x'::text)\", [])"),
        ('ALTER name TYPE varchar(20) COLLATE "C"', "name: db_collation='C'"),
        ("ALTER name TYPE char(20)", "name: YourField(), of which db_type() returns 'character(20)'"),
        ("ALTER id TYPE integer", "id: models.AutoField(primary_key=True)"),
        ("ALTER up_id TYPE integer", "up: what it has is decided by old.Thing.id"),
        ('RENAME name TO "Name"', "name: db_column='Name'"),
        (
            "ADD EXCLUDE USING btree (name WITH =)",
            "Meta.constraints: ExclusionConstraint(name='old_thing_name_excl', …)",
        ),
    ],
)
def test_a_change_of_a_field(db: None, planted: str, change: str) -> None:
    lab = Lab()
    up = models.ForeignKey("self", models.CASCADE, null=True, db_constraint=False, db_index=False)
    lab.model("old.Thing", {"name": models.CharField(max_length=20), "up": up})
    lab.sql(f"ALTER TABLE old_thing {planted}")

    found = compare([lab.get("old.Thing")], lab.state, lab.apps, lab.connection).differences

    assert found[0].change == change
