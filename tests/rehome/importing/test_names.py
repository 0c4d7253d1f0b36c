"""Names that are long, or that a driver would read something else in, are names; on both kinds of source."""

import pytest
from django.db import connections, models
from django.db.migrations import CreateModel
from django.db.models import Q, Value
from django.db.models.functions import Concat

from rehome import Changed, Import, Lookup
from rehome.errors import Refused
from rehome.importing.verifying import find_runs, verify
from tests.rehome.importing.workshop import OLDER, Workshop

LONG = "x" * 63


def make(shop: Workshop, kind: str = "bigint") -> Import:
    """The source's and the target's tables and columns have percent signs, and lookups among them."""
    quote = connections[OLDER].ops.quote_name
    shop.query(f"CREATE TABLE {quote('all %s')} ({quote('the %')} {kind} PRIMARY KEY, {quote('50%d')} varchar(9))")
    shop.query(f"INSERT INTO {quote('all %s')} VALUES (1, 'a%b'), (2, 'c%')")
    fields = {"key": models.BigIntegerField(primary_key=True, db_column="the %")}

    named = [*fields.items(), ("share", models.CharField(max_length=9, db_column="50%d"))]
    shop.apply_state_only("old", CreateModel("Thing", named, options={"db_table": "all %s", "managed": False}))
    shop.sql('CREATE TABLE "new %d" (id bigserial PRIMARY KEY, "legacy %" bigint UNIQUE, "%s" text, "100%" text)')
    shop.sql("""CREATE TABLE "word %" (id bigserial PRIMARY KEY, "word %%s" text)""")
    shop.sql("""INSERT INTO "word %" ("word %%s") VALUES ('a%b'), ('c%')""")
    shop.apply_state_only(
        "new",
        CreateModel(
            "Thing",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("legacy_id", models.BigIntegerField(db_column="legacy %")),
                ("share", models.TextField(db_column="%s")),
                ("word", models.TextField(null=True, db_column="100%")),
            ],
            options={"db_table": "new %d"},
        ),
    )
    shop.apply_state_only(
        "new",
        CreateModel(
            "Word",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("word", models.TextField(db_column="word %%s")),
            ],
            options={"db_table": "word %"},
        ),
    )
    return Import(
        "old.Thing",
        "new.Thing",
        key={"legacy_id": "key"},
        fields={"share": Concat("share", Value("%")), "word": "share"},
        lookups={"word": Lookup({"a%b": "first %", "c%": "second"})},
        where=Q(key__gt=0) & Q(share__contains="%"),
        changed=Changed("key", overlap=0),
    )


def check(shop: Workshop, declared: Import) -> None:
    (report,) = shop.run(declared)
    assert report.counts.inserted == 2
    rows = shop.sql('SELECT "legacy %", "%s", "100%" FROM "new %d" ORDER BY 1')
    assert rows == [(1, "a%b%", "first %"), (2, "c%%", "second")]
    (again,) = shop.run(declared, since_last=True)
    assert (again.whole, again.counts.read, again.counts.unchanged) == (False, 1, 1)
    ((one, run),) = find_runs([declared], "default")
    found = verify(one, run, "default", apps=shop.apps)
    assert found.ok, found.problem


def test_percent_signs_on_postgresql(shop: Workshop) -> None:
    check(shop, make(shop))


def test_percent_signs_on_mariadb(mysql_shop: Workshop) -> None:
    check(mysql_shop, make(mysql_shop))


def test_two_columns_of_63_characters_are_looked_up(shop: Workshop) -> None:
    first, second = f"{LONG[:-1]}a", f"{LONG[:-1]}b"
    shop.older("old.Thing", {"one": models.TextField(), "two": models.TextField()})
    shop.model(
        "new.Thing",
        {
            "legacy_id": models.IntegerField(unique=True),
            "one": models.TextField(db_column=first),
            "two": models.TextField(db_column=second),
        },
    )
    shop.old("old.Thing").create(one="a", two="b")
    words = {"a": "first", "b": "second"}
    shop.run(
        Import("old.Thing", "new.Thing", key={"legacy_id": "id"}, lookups={"one": Lookup(words), "two": Lookup(words)})
    )
    assert list(shop.new("new.Thing").values_list("one", "two")) == [("first", "second")]


@pytest.mark.parametrize("name", ["shop", "mysql_shop"])
def test_a_table_without_a_primary_key_gets_advice(name: str, request: pytest.FixtureRequest) -> None:
    shop: Workshop = request.getfixturevalue(name)
    added = models.BigAutoField(primary_key=True, auto_created=True)
    shop.older("old.Bare", {"id": added, "code": models.CharField(max_length=9)})
    shop.query("ALTER TABLE old_bare DROP COLUMN id")
    shop.query("INSERT INTO old_bare VALUES ('a')")
    shop.model(
        "new.Bare", {"legacy_id": models.CharField(max_length=9, unique=True, null=True), "code": models.TextField()}
    )
    said = r"old_bare of database 'older' has no column id.*Write primary_key=True .* checkschema old --database older"
    with pytest.raises(Refused, match=said):
        shop.run(Import("old.Bare", "new.Bare", key={"legacy_id": "id"}))
    # What the advice says can be done; and without it, rows that are found by another column come in as well.
    (report,) = shop.run(Import("old.Bare", "new.Bare", key={"legacy_id": "code"}))
    assert report.counts.inserted == 1
