"""The same comparison on MariaDB: no false difference, every kind of drift, and the SQL that takes it away."""

import json
from collections.abc import Iterator
from contextlib import closing
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connections, models
from django.db.migrations import AlterField
from django.db.models import F, Q
from django.db.models.functions import Now
from pytest_django import DjangoDbBlocker

from rehome.checkschema.comparing import compare
from rehome.checkschema.report import Difference, Report
from rehome.errors import Refused
from tests.rehome.checkschema.test_drift import Drift
from tests.rehome.checkschema.test_zoo import FARM
from tests.rehome.support.lab import Lab
from tests.servers.mariadb import MariaDB

ALIAS = "older"


class Shop(Lab):
    """A laboratory in a database that is dropped as a whole."""

    def find_objects(self) -> set[tuple[str, str]]:
        return set()


@pytest.fixture
def shop(mariadb: MariaDB, django_db_blocker: DjangoDbBlocker) -> Iterator[Shop]:
    with django_db_blocker.unblock(), mariadb.database() as database, database.alias(ALIAS):
        yield Shop(ALIAS)


def fields() -> dict[str, models.Field]:
    return {
        "name": models.CharField(max_length=40),
        "code": models.CharField(max_length=8, unique=True),
        "price": models.DecimalField(max_digits=8, decimal_places=2, db_default=0),
        "seen": models.DateTimeField(null=True, db_index=True),
        "amount": models.PositiveIntegerField(default=1),
        "state": models.CharField(max_length=9, db_default="new", db_comment="it's new, paid or sent"),
        "label": models.CharField(max_length=9, db_collation="utf8mb4_bin"),
        "note": models.TextField(null=True),
        "data": models.JSONField(default=dict),
        "born": models.DateTimeField(db_default=Now()),
        "ready": models.BooleanField(default=False),
        "token": models.UUIDField(null=True),
        "day": models.DateField(null=True),
        "double": models.GeneratedField(
            expression=F("amount") * 2, output_field=models.IntegerField(), db_persist=True
        ),
        "parent": models.ForeignKey("self", models.CASCADE, null=True),
        "owner": models.ForeignKey("old.Owner", models.CASCADE),
        "tags": models.ManyToManyField("old.Owner", related_name="tagged"),
    }  # fmt: skip


META: dict[str, Any] = {
    "db_table_comment": "What's sold.",
    "unique_together": {("name", "amount")},
    "indexes": [models.Index(fields=["-price", "name"], name="thing_price_idx")],
    "constraints": [
        models.CheckConstraint(condition=Q(state__in=["new", "paid", "sent"]), name="thing_state"),
        models.UniqueConstraint(fields=["owner", "name"], name="thing_own_name"),
    ],
}

COLUMN = "ALTER TABLE old_thing MODIFY"
DRIFTS: list[dict[str, Drift]] = [
    {
        "a shorter text": Drift(f"{COLUMN} name varchar(30) NOT NULL", 'column "name"', "length", "(40)", "(30)"),
        "no sign": Drift(
            "ALTER TABLE old_owner MODIFY `rank` smallint NOT NULL", 'column "rank"', "type", "unsigned", "smallint"
        ),
        "no default": Drift(f"{COLUMN} price decimal(8,2) NOT NULL", 'column "price"', "default", "0", None),
        "less precise": Drift(f"{COLUMN} seen datetime NULL", 'column "seen"', "length", "datetime(6)", "datetime"),
        "a default": Drift(f"{COLUMN} ready tinyint(1) NOT NULL DEFAULT 1", 'column "ready"', "default", None, "1"),
        "another collation": Drift(
            f"{COLUMN} label varchar(9) COLLATE utf8mb4_general_ci NOT NULL",
            'column "label"', "collation", "utf8mb4_bin", "utf8mb4_general_ci",
        ),
        "a comment": Drift(f"{COLUMN} note longtext COMMENT 'x'", 'column "note"', "comment", None, "x"),
        "a check": Drift(
            "ALTER TABLE old_thing ADD CONSTRAINT c CHECK (note <> '')", 'check "c"', "unknown", None, "''"
        ),
        "an index": Drift("CREATE INDEX i ON old_thing (day)", 'index "i"', "unknown", None, "KEY (`day`)"),
        "no check": Drift(
            "ALTER TABLE old_thing DROP CONSTRAINT thing_state", 'check "thing_state"', "missing", "'sent'", None
        ),
        "no unique": Drift("ALTER TABLE old_thing DROP KEY code", "unique", "missing", "(`code`)", None),
        "a column nobody fills": Drift(
            "ALTER TABLE old_thing ADD fax varchar(9) NOT NULL", 'column "fax"', "unknown", None, "no row can be"
        ),
        "the database deletes": Drift(
            "ALTER TABLE old_thing DROP FOREIGN KEY {owner_fk};"
            "ALTER TABLE old_thing ADD CONSTRAINT f FOREIGN KEY (owner_id) REFERENCES old_owner (id) ON DELETE CASCADE",
            'foreign key "f"', "definition", "REFERENCES `old_owner` (`id`)", "ON DELETE CASCADE",
        ),
    },
    {
        "no table of a relation": Drift("DROP TABLE old_thing_tags", "table", "missing", "old_thing_tags", None),
        "another comment": Drift("ALTER TABLE old_thing COMMENT = 'x'", "table", "comment", "What's sold.", "x"),
        "a value is optional": Drift(f"{COLUMN} name varchar(40) NULL", 'column "name"', "null", "NOT NULL", "NULL"),
        "an enum": Drift(
            f"{COLUMN} state enum('new','paid') NOT NULL DEFAULT 'new' COMMENT 'it''s new, paid or sent'",
            'column "state"', "type", "varchar(9)", "enum('new','paid')",
        ),
        "it moves by itself": Drift(
            f"{COLUMN} born datetime(6) NOT NULL DEFAULT current_timestamp(6) ON UPDATE current_timestamp(6)",
            'column "born"', "default", "current_timestamp(6)", "ON UPDATE",
        ),
        "no check of json": Drift(
            f"{COLUMN} data longtext COLLATE utf8mb4_bin NOT NULL", "check", "missing", "json_valid", None
        ),
        "another expression": Drift(
            f"{COLUMN} `double` int GENERATED ALWAYS AS (amount * 3) STORED",
            'column "double"', "generated", "(`amount` * 2)", "(`amount` * 3)",
        ),
        "no foreign key": Drift(
            "ALTER TABLE old_thing DROP FOREIGN KEY {owner_fk}", "foreign key", "missing", "REFERENCES", None
        ),
        "an index of another name": Drift(
            "ALTER TABLE old_thing RENAME INDEX thing_price_idx TO other", 'index "other"', "name", "thing_price_idx",
            "other",
        ),
        "no column": Drift("ALTER TABLE old_thing DROP COLUMN token", 'column "token"', "missing", "", None),
    },
    {
        "no numbers": Drift(f"{COLUMN} id bigint NOT NULL", 'column "id"', "sequence", "of its own", None),
        "an index upwards": Drift(
            "DROP INDEX thing_price_idx ON old_thing; CREATE INDEX thing_price_idx ON old_thing (price, name)",
            'index "thing_price_idx"', "definition", "`price` DESC", "KEY (`price`,`name`)",
        ),
        "a narrower check": Drift(
            "ALTER TABLE old_thing DROP CONSTRAINT thing_state;"
            "ALTER TABLE old_thing ADD CONSTRAINT thing_state CHECK (state IN ('new', 'paid'))",
            'check "thing_state"', "definition", "'sent'", "'paid'",
        ),
        "latin letters": Drift(
            f"{COLUMN} name varchar(40) CHARACTER SET latin1 NOT NULL",
            'column "name"', "collation", "utf8mb4", "latin1",
        ),
        "no json": Drift(f"{COLUMN} note text", 'column "note"', "type", "longtext", "text"),
    },
]  # fmt: skip


FOREIGN_KEY = (
    "SELECT constraint_name FROM information_schema.key_column_usage WHERE table_schema = DATABASE() "
    "AND column_name = '{}' AND referenced_table_name IN ('old_owner', 'old_user') "
    "AND table_name <> 'old_thing_tags'"
)


def report(shop: Shop) -> Report:
    return compare([shop.get("old.Thing"), shop.get("old.Owner")], shop.state, shop.apps, shop.connection)


def run(shop: Shop, *statements: str) -> None:
    for statement in statements:
        shop.sql(statement)


def build(shop: Shop) -> dict[str, str]:
    shop.model("old.Owner", {"name": models.CharField(max_length=10), "rank": models.PositiveSmallIntegerField()})
    shop.model("old.Thing", fields(), **META)
    return names_of(shop)


def names_of(shop: Shop) -> dict[str, str]:
    ((key,),) = shop.sql(FOREIGN_KEY.format("owner_id"))
    return {"owner_fk": key}


def is_told(drift: Drift, found: list[Difference]) -> bool:
    return any(
        (each.what, each.kind) == (drift.what, drift.kind)
        and (each.expected is None, each.found is None) == (drift.expected is None, drift.found is None)
        and (drift.expected or "") in (each.expected or "")
        and (drift.found or "") in (each.found or "")
        for each in found
    )


@pytest.mark.parametrize("drifts", DRIFTS, ids=["one", "two", "three"])
def test_drift_is_found_and_its_sql_removes_it(shop: Shop, drifts: dict[str, Drift]) -> None:
    here = build(shop)
    assert report(shop).as_json() == {
        "ok": True,
        "compared": ["old.Thing", "old.Thing_tags", "old.Owner"],
        "differences": [],
        "notes": [],
    }
    for drift in drifts.values():
        run(shop, *drift.planted.format(**here).split(";"))

    found = list(report(shop).differences)

    assert [name for name, drift in drifts.items() if not is_told(drift, found)] == [], json.dumps(
        [each.as_json() for each in found], indent=1
    )
    assert all(each.sql or each.change for each in found)
    assert len(found) == len(drifts), [str(each) for each in found]
    for each in found:
        run(shop, *each.sql)
    assert [each.as_json() for each in report(shop).differences if each.kind != "unknown"] == []


def check(app: str, **options: Any) -> str:
    out = StringIO()
    call_command("checkschema", app, stdout=out, no_color=True, database=ALIAS, **options)
    return out.getvalue()


def test_what_django_migrated_has_no_difference_and_reading_is_enough(shop: Shop) -> None:
    apps = ["auth", "contenttypes", "sessions", "admin"]
    for app in apps:
        call_command("migrate", app, database=ALIAS, verbosity=0)
    shop.connection.close()
    shop.connection.settings_dict["OPTIONS"] = {"init_command": "SET SESSION TRANSACTION READ ONLY"}
    assert set(apps) < set(FARM)
    for app in apps:
        assert check(app).strip() == "The models and the database say the same."
    with pytest.raises(OperationalError, match="READ ONLY"):
        shop.sql("DELETE FROM auth_group")


def test_tables_with_a_history_equal_new_ones(shop: Shop) -> None:
    """That an unsigned number is not negative is said at the column at first, and in the table later."""
    build(shop)
    for kind in (models.IntegerField, models.PositiveBigIntegerField):
        shop.apply("old", AlterField("Thing", "amount", kind(default=1)))
    assert report(shop).ok


def test_fake_initial_is_refused_on_drift(shop: Shop) -> None:
    call_command("migrate", "sessions", database=ALIAS, verbosity=0)
    shop.sql("DELETE FROM django_migrations")
    shop.sql("ALTER TABLE django_session MODIFY expire_date datetime NOT NULL")

    with pytest.raises(Refused, match='column "expire_date": length: datetime.6. in the model, datetime in the data'):
        call_command("migrate", "sessions", database=ALIAS, verbosity=0, fake_initial=True)
    assert shop.sql("SELECT count(*) FROM django_migrations") == ((0,),)

    shop.sql("ALTER TABLE django_session MODIFY expire_date datetime(6) NOT NULL")
    call_command("migrate", "sessions", database=ALIAS, verbosity=0, fake_initial=True)
    assert shop.sql("SELECT name FROM django_migrations") == (("0001_initial",),)


def test_what_no_model_can_say_is_noted(shop: Shop) -> None:
    call_command("migrate", "sessions", database=ALIAS, verbosity=0)
    shop.sql("ALTER TABLE django_session ENGINE=MyISAM COMMENT 'x' PARTITION BY KEY (session_key) PARTITIONS 2")
    shop.sql("ALTER TABLE django_session CONVERT TO CHARACTER SET latin1")
    shop.sql("CREATE TRIGGER stamp BEFORE UPDATE ON django_session FOR EACH ROW SET NEW.expire_date = NOW()")

    with pytest.raises(CommandError, match="1 difference"):
        check("sessions")
    shop.sql("ALTER TABLE django_session COMMENT ''")
    shown = check("sessions")

    assert "Note on `django_session`: It has partitions" in shown
    assert "Its collation is latin1_swedish_ci, and new tables get utf8mb4_general_ci" in shown
    assert "Note on `django_session`: Its engine MyISAM has no transactions" in shown
    assert "Note on `django_session`: Trigger stamp runs BEFORE UPDATE." in shown


def test_a_user_without_temporary_tables_is_told(shop: Shop, mariadb: MariaDB) -> None:
    settings = connections[ALIAS].settings_dict
    name, user = settings["NAME"], settings["USER"]
    mariadb.run(f"REVOKE ALL ON `{name}`.* FROM '{user}'@'%'", f"GRANT SELECT ON `{name}`.* TO '{user}'@'%'")
    connections[ALIAS].close()

    with pytest.raises(Refused, match="no temporary tables.*Access denied.*GRANT CREATE TEMPORARY TABLES"):
        check("sessions")


def test_a_view_is_compared_by_its_columns(shop: Shop) -> None:
    shop.sql("CREATE VIEW seen AS SELECT 1 AS id, CAST('a' AS char(9)) AS name")
    fields = {"id": models.IntegerField(primary_key=True), "name": models.CharField(max_length=8)}
    shop.model("old.Seen", fields, db_table="seen", managed=False)

    found = compare([shop.get("old.Seen")], shop.state, shop.apps, shop.connection).differences

    assert [(each.what, each.kind, each.found) for each in found] == [('column "name"', "length", "varchar(9)")]


def test_a_missing_table_is_told(shop: Shop, mariadb: MariaDB) -> None:
    with closing(mariadb.connect(connections[ALIAS].settings_dict["NAME"])), pytest.raises(CommandError) as raised:
        check("sessions")
    assert raised.value.returncode == 1


def test_what_is_ignored_or_kept_is_told_once(shop: Shop) -> None:
    shop.model("old.Owner", {"name": models.CharField(max_length=10)})
    shop.model(
        "old.Item",
        {"owner": models.ForeignKey("old.Owner", models.CASCADE), "n": models.IntegerField()},
        indexes=[models.Index(fields=["n"], name="item_n")],
    )
    ((key,),) = shop.sql(FOREIGN_KEY.format("owner_id"))
    run(
        shop,
        f"ALTER TABLE old_item DROP FOREIGN KEY {key}",
        "ALTER TABLE old_item ENGINE=MyISAM",
        "ALTER TABLE old_item ALTER INDEX item_n IGNORED",
        "ALTER TABLE old_owner ADD SYSTEM VERSIONING",
    )

    found = compare([shop.get("old.Item"), shop.get("old.Owner")], shop.state, shop.apps, shop.connection)

    assert [(each.what, each.kind, each.found) for each in found.differences] == [
        ("table", "engine", "MyISAM, without foreign keys"),
        ('index "item_n"', "flaw", "IGNORED"),
        ("foreign key", "missing", None),
    ]
    (note,) = found.notes
    assert note[0] == "`old_owner`"
    assert note[1].startswith(
        "It keeps its history, and the server refuses to alter it, a migration too, without: SET "
    )


def test_keys_without_a_sign_change_on_both_ends_together(shop: Shop) -> None:
    """As Laravel makes them, and inspectdb reads them."""
    shop.model("old.User", {"email": models.CharField(max_length=10)})
    shop.model("old.Comment", {"user": models.ForeignKey("old.User", models.CASCADE)})
    ((key,),) = shop.sql(FOREIGN_KEY.format("user_id"))
    run(
        shop,
        f"ALTER TABLE old_comment DROP FOREIGN KEY {key}",
        "ALTER TABLE old_comment MODIFY user_id bigint unsigned NOT NULL",
        "ALTER TABLE old_user MODIFY id bigint unsigned NOT NULL AUTO_INCREMENT",
        "ALTER TABLE old_comment ADD CONSTRAINT comments_user FOREIGN KEY (user_id) REFERENCES old_user (id)",
        "INSERT INTO old_user VALUES (1, 'a')",
        "INSERT INTO old_comment VALUES (1, 1)",
    )

    # The user's model alone: what it is joined with goes along all the same.
    (found,) = compare([shop.get("old.User")], shop.state, shop.apps, shop.connection).differences
    assert [one.split(" ", 4)[2] for one in found.sql] == [
        "`old_comment`",
        "`old_comment`",
        "`old_user`",
        "`old_comment`",
    ]
    both = compare([shop.get("old.User"), shop.get("old.Comment")], shop.state, shop.apps, shop.connection).differences
    assert [(each.what, bool(each.sql), each.cured_with) for each in both] == [
        ('column "id"', True, ""),
        ('column "user_id"', False, 'old.User, column "id": type'),
    ]
    run(shop, *found.sql)
    assert compare([shop.get("old.User"), shop.get("old.Comment")], shop.state, shop.apps, shop.connection).ok
    assert shop.sql("SELECT user_id FROM old_comment") == ((1,),)


def cure(shop: Shop, *labels: str) -> list[Difference]:
    """Run the SQL of every difference; returns them."""
    found = compare([shop.get(label) for label in labels], shop.state, shop.apps, shop.connection).differences
    for difference in found:
        for statement in difference.sql:
            shop.sql(statement)
    left = compare([shop.get(label) for label in labels], shop.state, shop.apps, shop.connection).differences
    assert not left, [*found, "left:", *left]
    return list(found)


def test_keys_to_and_from_another_database(shop: Shop, mariadb: MariaDB) -> None:
    keys = (
        "SELECT constraint_name, table_schema, referenced_table_schema, referenced_table_name "
        "FROM information_schema.key_column_usage WHERE referenced_table_name IS NOT NULL ORDER BY constraint_name"
    )
    with mariadb.database("other"):
        shop.sql("CREATE TABLE other.place (id int PRIMARY KEY AUTO_INCREMENT)")
        far = {"managed": False, "db_table": "`other`.`place`"}
        shop.model("far.Place", {"id": models.BigAutoField(primary_key=True)}, **far)
        shop.model("old.Owner", {"id": models.BigAutoField(primary_key=True)})
        shop.sql(
            "ALTER TABLE old_owner MODIFY id int NOT NULL AUTO_INCREMENT",
        )
        shop.sql(
            "CREATE TABLE other.visit (id int PRIMARY KEY, owner_id int, CONSTRAINT inwards FOREIGN KEY (owner_id) "
            "REFERENCES legacy.old_owner (id) ON DELETE CASCADE)"
        )
        shop.model("old.Thing", {"place": models.BigIntegerField(), "size": models.IntegerField()})
        shop.sql("ALTER TABLE old_thing MODIFY place int NOT NULL")
        shop.sql("ALTER TABLE old_thing ADD CONSTRAINT outwards FOREIGN KEY (place) REFERENCES other.place (id)")

        # No model says it.
        report = compare([shop.get("old.Thing")], shop.state, shop.apps, shop.connection)
        (key,) = [one for one in report.differences if one.what == 'foreign key "outwards"']
        assert key.found == "FOREIGN KEY (`place`) REFERENCES `other`.`place` (`id`)"
        assert key.change == "place: a ForeignKey to a model with managed = False and db_table = '`other`.`place`'"

        # Both ends change together, in both databases.
        reference = models.ForeignKey("far.Place", models.CASCADE, db_column="place")
        shop.apply_state_only("old", AlterField("thing", "place", reference))
        cure(shop, "old.Thing", "old.Owner")
        assert list(shop.sql(keys)) == [
            ("inwards", "other", "legacy", "old_owner"),
            ("outwards", "legacy", "other", "place"),
        ]
        for table, column in (("legacy.old_thing", "place"), ("other.place", "id"), ("other.visit", "owner_id")):
            assert shop.sql(f"SHOW COLUMNS FROM {table} LIKE '{column}'")[0][1].startswith("bigint")

        # One that should lead to a table here.
        shop.sql("ALTER TABLE old_thing DROP FOREIGN KEY outwards")
        shop.sql("CREATE TABLE other.old_owner LIKE legacy.old_owner")
        shop.model("old.Child", {"owner": models.ForeignKey("old.Owner", models.CASCADE)})
        ((name,),) = shop.sql(
            "SELECT constraint_name FROM information_schema.referential_constraints WHERE table_name = 'old_child'"
        )
        shop.sql(f"ALTER TABLE old_child DROP FOREIGN KEY `{name}`")
        shop.sql("ALTER TABLE old_child ADD CONSTRAINT astray FOREIGN KEY (owner_id) REFERENCES other.old_owner (id)")
        (key,) = cure(shop, "old.Child")
        assert (key.expected, key.found) == (
            "FOREIGN KEY (`owner_id`) REFERENCES `old_owner` (`id`)",
            "FOREIGN KEY (`owner_id`) REFERENCES `other`.`old_owner` (`id`)",
        )
        notes = compare([shop.get("old.Owner")], shop.state, shop.apps, shop.connection).notes
        assert ("`old_owner`", "Foreign key inwards of table other.visit, which has no model, points here.") in notes
