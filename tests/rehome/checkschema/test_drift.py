"""Every kind of drift is found, alone, with both sides; and its SQL takes it away."""

import dataclasses
import re
from typing import Any

import pytest
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower, Now

from rehome.checkschema.comparing import compare
from rehome.checkschema.report import Difference, Report
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server


def fields() -> dict[str, models.Field]:
    return {
        "name": models.CharField(max_length=40),
        "code": models.CharField(max_length=8, unique=True),
        "price": models.DecimalField(max_digits=8, decimal_places=2, db_default=0),
        "seen": models.DateTimeField(null=True, db_index=True),
        "amount": models.PositiveIntegerField(default=1),
        "state": models.CharField(max_length=9, db_default="new", db_comment="new, paid or sent"),
        "label": models.TextField(db_collation="C"),
        "data": models.JSONField(default=dict),
        "born": models.DateTimeField(db_default=Now()),
        "double": models.GeneratedField(
            expression=F("amount") * 2, output_field=models.IntegerField(), db_persist=True
        ),
        "parent": models.ForeignKey("self", models.CASCADE, null=True),
        "owner": models.ForeignKey("old.Owner", models.CASCADE),
        "tags": models.ManyToManyField("old.Owner", related_name="tagged"),
    }  # fmt: skip


META: dict[str, Any] = {
    "db_table_comment": "What is sold.",
    "unique_together": {("name", "amount")},
    "indexes": [
        models.Index(fields=["-price", "name"], name="thing_price_idx"),
        models.Index(Lower("name"), name="thing_lower_idx"),
        models.Index(fields=["owner"], condition=Q(state="new"), name="thing_new_idx"),
        GinIndex(fields=["data"], name="thing_data_idx"),
    ],
    "constraints": [
        models.CheckConstraint(condition=Q(state__in=["new", "paid", "sent"]), name="thing_state"),
        models.UniqueConstraint(fields=["owner", "name"], name="thing_own_name"),
        models.UniqueConstraint(fields=["label"], condition=Q(state="paid"), name="thing_paid_label"),
    ],
}


@pytest.fixture
def shop(db: None) -> Lab:
    """Everything here goes with the test's transaction."""
    lab = Lab()
    lab.model("old.Owner", {"name": models.CharField(max_length=10)})
    lab.model("old.Thing", fields(), **META)
    return lab


def report(lab: Lab) -> Report:
    return compare([lab.get("old.Thing"), lab.get("old.Owner")], lab.state, lab.apps, lab.connection)


MENDED = "UPDATE pg_index SET indisvalid = true WHERE NOT indisvalid"
"""What REINDEX does, in a transaction."""
UNKNOWN = "add fax = models.TextField(null=True)"
"""What becomes of a column that the model doesn't name is the model's to say."""


def run(lab: Lab, difference: Difference) -> None:
    for statement in difference.sql if difference.kind != "flaw" or "REINDEX" not in difference.sql[0] else [MENDED]:
        lab.sql(statement.replace(" CONCURRENTLY", ""))


@dataclasses.dataclass(frozen=True)
class Drift:
    planted: str
    """On public.old_thing, which is called `thing` here."""
    what: str
    kind: str
    expected: str | None
    """A part of the model's side; None for nothing."""
    found: str | None


COLUMN = "ALTER TABLE thing ALTER COLUMN"
DRIFTS = {
    "a shorter text": Drift(f"{COLUMN} name TYPE varchar(30)", 'column "name"', "length", "(40)", "(30)"),
    "a longer text": Drift(f"{COLUMN} name TYPE varchar(50)", 'column "name"', "length", "(40)", "(50)"),
    "another scale": Drift(f"{COLUMN} price TYPE numeric(8, 1)", 'column "price"', "length", "(8,2)", "(8,1)"),
    "no zone": Drift(
        f"{COLUMN} seen TYPE timestamp", 'column "seen"', "type", "timestamp with time zone", "timestamp without"
    ),
    "text for json": Drift(
        "DROP INDEX thing_data_idx; ALTER TABLE thing ALTER data TYPE json;"
        "CREATE INDEX thing_data_idx ON thing USING gin ((data::jsonb))",
        'column "data"', "type", "jsonb", "json",
    ),
    "a narrow key": Drift(f"{COLUMN} id TYPE integer", 'column "id"', "type", "bigint", "integer"),
    "a value is optional": Drift(f"{COLUMN} name DROP NOT NULL", 'column "name"', "null", "NOT NULL", "NULL"),
    "a value is demanded": Drift(f"{COLUMN} seen SET NOT NULL", 'column "seen"', "null", "NULL", "NOT NULL"),
    "no default": Drift(f"{COLUMN} price DROP DEFAULT", 'column "price"', "default", "0", None),
    "a default": Drift(f"{COLUMN} name SET DEFAULT 'x'", 'column "name"', "default", None, "'x'"),
    "another default": Drift(f"{COLUMN} state SET DEFAULT 'old'", 'column "state"', "default", "'new'", "'old'"),
    "another time": Drift(
        f"{COLUMN} born SET DEFAULT now()", 'column "born"', "default", "statement_timestamp", "now()"
    ),
    "another collation": Drift(
        f'{COLUMN} label TYPE text COLLATE "POSIX"', 'column "label"', "collation", '"C"', '"POSIX"'
    ),
    "no collation": Drift(
        f'{COLUMN} label TYPE text COLLATE "default"', 'column "label"', "collation", '"C"', '"default"'
    ),
    "no comment": Drift("COMMENT ON COLUMN thing.state IS NULL", 'column "state"', "comment", "new, paid", None),
    "a comment": Drift("COMMENT ON COLUMN thing.name IS 'its name'", 'column "name"', "comment", None, "its name"),
    "another comment of the table": Drift("COMMENT ON TABLE thing IS 'x'", "table", "comment", "What is sold.", "x"),
    "no column": Drift(
        "ALTER TABLE thing DROP COLUMN price, DROP COLUMN amount CASCADE", 'column "price"', "missing", "numeric", None
    ),
    "a column nobody knows": Drift("ALTER TABLE thing ADD fax text", 'column "fax"', "unknown", None, "text"),
    "a column nobody fills": Drift(
        "ALTER TABLE thing ADD fax text NOT NULL", 'column "fax"', "unknown", None, "no row can be inserted"
    ),
    "another expression": Drift(
        "ALTER TABLE thing DROP COLUMN double, ADD double integer GENERATED ALWAYS AS (amount * 3) STORED",
        'column "double"', "generated", "(amount * 2)", "(amount * 3)",
    ),
    "a plain column": Drift(f"{COLUMN} double DROP EXPRESSION", 'column "double"', "generated", "(amount * 2)", None),
    "no sequence": Drift(f"{COLUMN} id DROP IDENTITY", 'column "id"', "sequence", "of its own", None),
    "keys are refused": Drift(f"{COLUMN} id SET GENERATED ALWAYS", 'column "id"', "sequence", "of its own", "ALWAYS"),
    "a short sequence": Drift(
        "ALTER SEQUENCE old_thing_id_seq AS integer", 'column "id"', "sequence", "of its own", "ends at 2147483647"
    ),
    "a round sequence": Drift(
        "ALTER SEQUENCE old_thing_id_seq CYCLE", 'column "id"', "sequence", "of its own", "cycles"
    ),
    "a sequence of nobody": Drift(
        f"{COLUMN} id DROP IDENTITY; CREATE SEQUENCE numbers; {COLUMN} id SET DEFAULT nextval('numbers')",
        'column "id"', "sequence", "of its own", "belongs to no column",
    ),
    "no key": Drift(
        "ALTER TABLE thing DROP CONSTRAINT old_thing_pkey CASCADE", "primary key", "missing", "PRIMARY KEY (id)", None
    ),
    "another key": Drift(
        "ALTER TABLE thing DROP CONSTRAINT old_thing_pkey CASCADE,"
        "ADD CONSTRAINT old_thing_pkey PRIMARY KEY (id, code)",
        'primary key "old_thing_pkey"', "definition", "(id)", "(id, code)",
    ),
    "no unique": Drift("ALTER TABLE thing DROP CONSTRAINT old_thing_code_key", "unique", "missing", "(code)", None),
    "a unique": Drift("ALTER TABLE thing ADD CONSTRAINT u UNIQUE (label)", 'unique "u"', "unknown", None, "(label)"),
    "a unique that is only an index": Drift(
        "ALTER TABLE thing DROP CONSTRAINT old_thing_code_key; CREATE UNIQUE INDEX u ON thing (code)",
        'unique index "u"', "definition", "UNIQUE (code)", "btree (code)",
    ),
    "a unique that waits": Drift(
        "ALTER TABLE thing DROP CONSTRAINT thing_own_name,"
        "ADD CONSTRAINT thing_own_name UNIQUE (owner_id, name) DEFERRABLE",
        'unique "thing_own_name"', "definition", "(owner_id, name)", "DEFERRABLE",
    ),
    "another order": Drift(
        "ALTER TABLE thing DROP CONSTRAINT thing_own_name, ADD CONSTRAINT thing_own_name UNIQUE (name, owner_id)",
        'unique "thing_own_name"', "definition", "(owner_id, name)", "(name, owner_id)",
    ),
    "no condition": Drift(
        "DROP INDEX thing_paid_label; CREATE UNIQUE INDEX thing_paid_label ON thing (label)",
        'unique index "thing_paid_label"', "definition", "'paid'", "btree (label)",
    ),
    "no check": Drift(
        "ALTER TABLE thing DROP CONSTRAINT thing_state", 'check "thing_state"', "missing", "'sent'", None
    ),
    "a check": Drift("ALTER TABLE thing ADD CONSTRAINT c CHECK (name <> '')", 'check "c"', "unknown", None, "''"),
    "a narrower check": Drift(
        "ALTER TABLE thing DROP CONSTRAINT thing_state, ADD CONSTRAINT thing_state CHECK (state IN ('new', 'paid'))",
        'check "thing_state"', "definition", "'sent'", "'paid'",
    ),
    "a check that nobody has run": Drift(
        "ALTER TABLE thing DROP CONSTRAINT thing_state,"
        "ADD CONSTRAINT thing_state CHECK (state IN ('new', 'paid', 'sent')) NOT VALID",
        'check "thing_state"', "flaw", "in force", "not validated",
    ),
    "the numbers may be negative": Drift(
        "ALTER TABLE thing DROP CONSTRAINT old_thing_amount_check", "check", "missing", "amount >= 0", None
    ),
    "no foreign key": Drift(
        "ALTER TABLE thing DROP CONSTRAINT {owner_fk}", "foreign key", "missing", "REFERENCES public.old_owner", None
    ),
    "a foreign key": Drift(
        "ALTER TABLE thing ADD CONSTRAINT f FOREIGN KEY (code) REFERENCES thing (code)",
        'foreign key "f"', "unknown", None, "public.old_thing",
    ),
    "the database deletes": Drift(
        "ALTER TABLE thing DROP CONSTRAINT {owner_fk}, ADD CONSTRAINT f FOREIGN KEY (owner_id) REFERENCES old_owner "
        "ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED",
        'foreign key "f"', "definition", "DEFERRABLE", "ON DELETE CASCADE",
    ),
    "the database empties a column that it names": Drift(
        "ALTER TABLE thing DROP CONSTRAINT {owner_fk}, ADD CONSTRAINT f FOREIGN KEY (owner_id) REFERENCES old_owner "
        "ON DELETE SET NULL (owner_id) DEFERRABLE INITIALLY DEFERRED",
        'foreign key "f"', "definition", "DEFERRABLE", 'ON DELETE SET NULL ("owner_id")',
    ),
    "checked at once": Drift(
        "ALTER TABLE thing ALTER CONSTRAINT {owner_fk} NOT DEFERRABLE",
        'foreign key "{owner_fk}"', "definition", "DEFERRABLE INITIALLY DEFERRED", "REFERENCES",
    ),
    "another table": Drift(
        "CREATE SCHEMA away; CREATE TABLE away.old_owner (id bigint PRIMARY KEY);"
        "ALTER TABLE thing DROP CONSTRAINT {owner_fk}, ADD CONSTRAINT f FOREIGN KEY (owner_id) "
        "REFERENCES away.old_owner DEFERRABLE INITIALLY DEFERRED",
        'foreign key "f"', "definition", "public.old_owner", "away.old_owner",
    ),
    "no index of a foreign key": Drift(
        "DROP INDEX {owner_index}", "index", "missing", "btree (owner_id)", None
    ),
    "an index": Drift("CREATE INDEX i ON thing (amount)", 'index "i"', "unknown", None, "btree (amount)"),
    "an index twice": Drift("CREATE INDEX i ON thing (lower(name))", 'index "i"', "unknown", None, "lower"),
    "an index upwards": Drift(
        "DROP INDEX thing_price_idx; CREATE INDEX thing_price_idx ON thing (price, name)",
        'index "thing_price_idx"', "definition", "price DESC", "btree (price, name)",
    ),
    "another method": Drift(
        "DROP INDEX thing_data_idx; CREATE INDEX thing_data_idx ON thing USING gin (data jsonb_path_ops)",
        'index "thing_data_idx"', "definition", "gin (data)", "jsonb_path_ops",
    ),
    "an index of another name": Drift(
        "ALTER INDEX thing_lower_idx RENAME TO other", 'index "other"', "name", "thing_lower_idx", "other"
    ),
    "a constraint of another name": Drift(
        "ALTER TABLE thing RENAME CONSTRAINT thing_state TO other", 'check "other"', "name", "thing_state", "other"
    ),
    "an index that is none": Drift(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'thing_lower_idx'::regclass",
        'index "thing_lower_idx"', "flaw", "in force", "invalid",
    ),
    "no table of a relation": Drift("DROP TABLE old_thing_tags", "table", "missing", "old_thing_tags", None),
    "a column of a relation": Drift(
        "ALTER TABLE old_thing_tags ALTER COLUMN owner_id TYPE integer",
        'column "owner_id"', "type", "bigint", "integer",
    ),
}  # fmt: skip
ALONE = {"no column", "text for json", "no key", "another key", "a narrow key"}
"""Where something else has to go or to come along, and is told of too."""


def touched(drift: Drift) -> set[str]:
    """The names that it is about; two drifts of one name can't be told apart."""
    known = {*fields(), "id", "owner_id", *re.findall(r"thing_\w+|{\w+}|\b[a-z]\b|fax", drift.planted)}
    planted = drift.planted.replace("old_thing_id_seq", "id").replace("old_thing_code_key", "code")
    return {name for name in known if re.search(rf"(?<!\w){name}(?!\w)", planted)} or {"table"}


def in_rounds() -> list[dict[str, Drift]]:
    """As many drifts beside each other as have nothing in common."""
    rounds: list[dict[str, Drift]] = []
    for name, drift in DRIFTS.items():
        if name in ALONE:
            rounds.append({name: drift})
            continue
        free = (
            others
            for others in rounds
            if not ALONE.intersection(others) and not any(touched(drift) & touched(other) for other in others.values())
        )
        room = next(free, None)
        if room is None:
            rounds.append({name: drift})
        else:
            room[name] = drift
    return rounds


def names(lab: Lab) -> dict[str, str]:
    ((key,),) = lab.sql("SELECT conname FROM pg_constraint WHERE contype = 'f' AND conname LIKE 'old_thing_owner%'")
    ((index,),) = lab.sql(
        "SELECT indexname FROM pg_indexes WHERE tablename = 'old_thing' AND indexdef LIKE '%btree (owner_id)'"
    )
    return {"owner_fk": key, "owner_index": index}


def sides(drift: Drift, difference: Difference) -> bool:
    """Whether both are told as they are."""
    pairs = ((drift.expected, difference.expected), (drift.found, difference.found))
    return all((part is None) == (whole is None) and (part or "") in (whole or "") for part, whole in pairs)


@pytest.mark.parametrize("drifts", in_rounds(), ids="; ".join)
def test_drift_is_found_and_its_sql_removes_it(shop: Lab, drifts: dict[str, Drift]) -> None:
    here = names(shop)
    for drift in drifts.values():
        shop.sql(re.sub(r"\bthing\b(?!_)", "old_thing", drift.planted).format(**here))

    found = report(shop).differences

    told = {(difference.what, difference.kind): difference for difference in found}
    for drift in drifts.values():
        assert sides(drift, told[drift.what.format(**here), drift.kind]), told
    assert all(difference.sql or difference.change for difference in found)
    assert len(found) == len(drifts) or ALONE.issuperset(drifts), told

    for difference in found:
        run(shop, difference)
    left = [difference for difference in report(shop).differences if difference.change != UNKNOWN]
    for difference in left if ALONE.issuperset(drifts) else []:
        run(shop, difference)
        left = list(report(shop).differences)
    assert left == []


def test_what_django_made_has_no_difference(shop: Lab) -> None:
    assert report(shop).as_json() == {
        "ok": True,
        "compared": ["old.Thing", "old.Thing_tags", "old.Owner"],
        "differences": [],
        "notes": [],
    }
