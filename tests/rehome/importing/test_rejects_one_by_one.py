"""What only PostgreSQL can tell of a row, and unique values that rows exchange among each other."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, models
from django.db.models import CharField, IntegerField, TextField, Value

from rehome import Import
from rehome.errors import ImportFailed
from tests.rehome.importing.test_rejects import make, rejected, simple
from tests.rehome.importing.workshop import Workshop


def fill(shop: Workshop, **columns: list[Any]) -> None:
    """One row for each of the values, numbered from 1."""
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    shop.old("old.Place").bulk_create([shop.get("old.Place")(id=n, **row) for n, row in enumerate(rows, 1)])


def contents(shop: Workshop, *fields: str) -> list[tuple[Any, ...]]:
    return list(shop.new("new.Place").order_by("legacy_id").values_list("legacy_id", *fields))


def test_an_exclusion_constraint_names_the_rows_that_it_refuses(shop: Workshop) -> None:
    make(shop, {"size": TextField()}, {"size": IntegerField()})
    shop.sql("ALTER TABLE new_place ADD CONSTRAINT apart EXCLUDE USING gist (int4range(size, size + 10) WITH &&)")
    fill(shop, size=["0", "5", "20", "29", "x"])
    assert rejected(shop, simple()) == [
        'legacy_id=2: the row: conflicting key value violates exclusion constraint "apart". Key (int4range(size, '
        "size + 10))=([5,15)) conflicts with existing key (int4range(size, size + 10))=([0,10))",
        'legacy_id=4: the row: conflicting key value violates exclusion constraint "apart". Key (int4range(size, '
        "size + 10))=([29,39)) conflicts with existing key (int4range(size, size + 10))=([20,30))",
        "legacy_id=5: size 'x': invalid input syntax for type integer: \"x\"",
    ]


def test_a_trigger_s_own_words_are_told_with_the_row(shop: Workshop) -> None:
    make(shop, {"size": IntegerField()}, {"size": IntegerField()})
    shop.sql(
        "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.size > 2 THEN RAISE 'too much: %%', NEW.size; END IF; RETURN NEW; END $$",
        [],
    )
    shop.sql("CREATE TRIGGER guard BEFORE INSERT OR UPDATE ON new_place FOR EACH ROW EXECUTE FUNCTION guard()")
    fill(shop, size=[1, 2])
    shop.run(simple())
    shop.old("old.Place").filter(id=1).update(size=3)
    shop.old("old.Place").create(id=3, size=4)
    assert rejected(shop, simple()) == ["legacy_id=1: the row: too much: 3", "legacy_id=3: the row: too much: 4"]


def test_a_row_that_a_trigger_changes_is_told_as_a_difference(shop: Workshop) -> None:
    make(shop, {"name": TextField()}, {"name": TextField()})
    shop.sql(
        "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql "
        "AS 'BEGIN NEW.name := upper(NEW.name); RETURN NEW; END'"
    )
    shop.sql("CREATE TRIGGER shout BEFORE INSERT ON new_place FOR EACH ROW EXECUTE FUNCTION shout()")
    fill(shop, name=["A", "b"])
    cure = (
        "Nothing is committed; see that no trigger or rule of public.new_place changes or drops what is written to it"
    )
    with pytest.raises(ImportFailed, match=rf" 2: different in name\. {cure}"):
        shop.run(simple())
    assert not shop.new("new.Place").exists()


def test_a_row_that_a_rule_drops_is_told_as_missing(shop: Workshop) -> None:
    make(shop, {"name": TextField()}, {"name": TextField()})
    shop.sql("CREATE RULE nothing AS ON INSERT TO new_place DO INSTEAD NOTHING")
    fill(shop, name=["A"])
    with pytest.raises(ImportFailed, match=r"public.new_place 1: missing\. Nothing is committed; see that no trig"):
        shop.run(simple())


def test_a_domain_refuses_a_value_by_its_own_check(shop: Workshop) -> None:
    make(shop, {"size": TextField(null=True)}, {"size": IntegerField(null=True)})
    shop.sql("CREATE DOMAIN public.even AS integer CHECK (VALUE %% 2 = 0)", [])
    shop.sql("CREATE DOMAIN public.small AS public.even NOT NULL CHECK (VALUE < 100)")
    shop.sql("ALTER TABLE new_place ALTER size TYPE public.small")
    fill(shop, size=["2", "3", "200", None, "x"])
    assert rejected(shop, simple()) == [
        "legacy_id=2: size '3': value for domain small violates check constraint \"even_check\"",
        "legacy_id=3: size '200': value for domain small violates check constraint \"small_check\"",
        "legacy_id=4: the row: domain small does not allow null values",
        "legacy_id=5: size 'x': invalid input syntax for type integer: \"x\"",
    ]


def test_lengths_that_belong_to_the_type_are_its_own_business(shop: Workshop) -> None:
    make(shop, {"code": TextField(), "bits": TextField()}, {"code": TextField(), "bits": TextField()})
    shop.sql("ALTER TABLE new_place ALTER code TYPE character(3), ALTER bits TYPE bit(3) USING bits::bit(3)")
    fill(shop, code=["abc", "abcd", "a"], bits=["101", "101", "10"])
    assert rejected(shop, simple()) == [
        "legacy_id=2: code 'abcd': value too long for type character(3)",
        "legacy_id=3: bits '10': bit string length 2 does not match type bit(3)",
    ]


def test_a_constraint_that_is_not_enforced_refuses_nothing(shop: Workshop) -> None:
    make(shop, {"code": TextField(), "size": IntegerField()}, {"code": TextField(), "size": IntegerField()})
    if connection.pg_version >= 180000:
        shop.sql("ALTER TABLE new_place ADD CHECK (size > 0) NOT ENFORCED")
    fill(shop, code=["a", "b"], size=[-1, 0])
    shop.old("old.Place").create(id=3, code="c", size=1)
    shop.sql("ALTER TABLE new_place ADD CHECK (size < 1)")
    found = rejected(shop, simple())
    assert found == ["legacy_id=3: size '1': violates new_place_size_check1: CHECK ((size < 1))"] or (
        connection.pg_version < 180000
        and found == ["legacy_id=3: size '1': violates new_place_size_check: CHECK ((size < 1))"]
    )


def test_names_that_need_quotes(shop: Workshop, tmp_path: Path) -> None:
    shop.older("old.Place", {"kind": TextField(), "size": TextField(null=True)})
    fields = {
        "kind": CharField(max_length=9, db_column="k'ind %s"),
        "number": IntegerField(db_column="line"),
        "size": IntegerField(db_column="rehome %(x)s"),
        "owner": CharField(max_length=9, db_column="said"),
    }
    unique = models.UniqueConstraint(fields=["kind", "number", "owner"], name="o'ne")
    shop.model("new.Place", fields, db_table="Pl'ace %s", constraints=[unique])
    fill(shop, kind=["a", "b", "c", "d"], size=["1", "x", None, "4"])
    odd = Import(
        "old.Place", "new.Place", key={"kind": "kind", "number": "id", "owner": Value("o")}, fields={"size": "size"}
    )
    shop.sql(
        "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.line = 4 THEN RAISE '100%% no'; END IF; RETURN NEW; END $$"
    )
    table = '"Pl\'ace %s"'
    shop.sql(f"CREATE TRIGGER guard BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION guard()")
    path = tmp_path / "bad"
    (report,) = shop.run(odd, skip_bad=path)
    assert (report.counts.inserted, report.counts.rejected) == (1, 3)
    keys = [json.loads(line)["key"] for line in path.read_text().splitlines()]
    assert keys == [
        {"kind": kind, "number": number, "owner": "o"} for kind, number in [("b", "2"), ("c", "3"), ("d", "4")]
    ]
    shop.sql(f"DROP TRIGGER guard ON {table}")
    shop.old("old.Place").update(size="7")
    (report,) = shop.run(odd, from_rejects=path)
    assert (report.counts.read, report.counts.inserted) == (3, 3)


def test_a_constraint_that_is_checked_at_the_commit_names_its_row(shop: Workshop) -> None:
    shop.older("old.Place", {"size": IntegerField()})
    unique = models.UniqueConstraint(fields=["size", "mark"], name="late", deferrable=models.Deferrable.DEFERRED)
    shop.model(
        "new.Place",
        {"legacy_id": IntegerField(unique=True), "size": IntegerField(), "mark": IntegerField(default=1)},
        constraints=[unique],
    )
    fill(shop, size=[1, 1])
    (found,) = rejected(shop, simple())
    assert found.startswith('legacy_id=2: the row: duplicate key value violates unique constraint "late"')


def test_a_unique_index_with_a_condition_names_its_row(shop: Workshop) -> None:
    condition = models.UniqueConstraint(fields=["code"], condition=models.Q(code__gt="b"), name="some")
    make(shop, {"code": TextField()}, {"code": CharField(max_length=9)}, constraints=[condition])
    fill(shop, code=["a", "a", "c", "c"])
    assert rejected(shop, simple()) == [
        'legacy_id=4: the row: duplicate key value violates unique constraint "some". Key (code)=(c) already exists'
    ]


@pytest.mark.parametrize("kind", ["constraint", "index", "deferrable", "nulls equal"])
def test_rows_may_exchange_their_unique_values(shop: Workshop, kind: str) -> None:
    options: dict[str, Any] = {
        "constraint": {},
        "deferrable": {"deferrable": models.Deferrable.IMMEDIATE},
        "nulls equal": {"nulls_distinct": False},
        "index": {},
    }[kind]
    unique = [models.UniqueConstraint(fields=["code"], name="coded", **options)]
    make(
        shop,
        {"code": TextField(null=True)},
        {"code": TextField(null=True)},
        constraints=[] if kind == "index" else unique,
    )
    if kind == "index":
        shop.sql("CREATE UNIQUE INDEX coded ON new_place (code)")
    definitions = "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'new_place'::regclass ORDER BY 1"
    before = shop.sql(definitions)
    fill(shop, code=["a", "b", "c", None])
    shop.run(simple())
    keys = contents(shop, "pk")
    for pk, code in [(1, "b"), (2, None), (3, "a"), (4, "c")]:
        shop.old("old.Place").filter(pk=pk).update(code=code)
    (report,) = shop.run(simple())
    assert report.counts.updated == 4
    assert contents(shop, "code") == [(1, "b"), (2, None), (3, "a"), (4, "c")]
    assert contents(shop, "pk") == keys
    assert shop.sql(definitions) == before
    assert shop.sql("SELECT 1 FROM pg_constraint WHERE conname = 'coded' AND conrelid = 'new_place'::regclass") == (
        [] if kind == "index" else [(1,)]
    )


def test_a_unique_value_may_pass_from_an_old_row_to_a_new_one_but_not_to_two(shop: Workshop) -> None:
    make(shop, {"code": TextField()}, {"code": TextField(unique=True)})
    fill(shop, code=["a", "b"])
    shop.run(simple())
    shop.old("old.Place").filter(pk=1).update(code="b")
    shop.old("old.Place").filter(pk=2).update(code="c")
    shop.old("old.Place").create(id=3, code="a")
    shop.run(simple())
    assert contents(shop, "code") == [(1, "b"), (2, "c"), (3, "a")]

    shop.old("old.Place").filter(pk=1).update(code="c")
    found = rejected(shop, simple())
    assert sorted(line.split(" of the source")[0] for line in found) == [
        "legacy_id=1: code 'c': 2 rows",
        "legacy_id=2: code 'c': 2 rows",
    ]


def test_an_exchange_under_a_constraint_that_others_rely_on_is_refused_by_its_name(shop: Workshop) -> None:
    make(shop, {"code": TextField()}, {"code": CharField(max_length=9, unique=True)})
    place = models.ForeignKey("new.Place", models.CASCADE, to_field="code")
    shop.model("new.Sign", {"place": place})
    fill(shop, code=["a", "b"])
    shop.run(simple())
    shop.old("old.Place").filter(pk=1).update(code="b")
    shop.old("old.Place").filter(pk=2).update(code="a")
    found = rejected(shop, simple())
    assert [line.split(" constraint ")[0] for line in found] == [
        "legacy_id=1: the row: duplicate key value violates unique",
        "legacy_id=2: the row: duplicate key value violates unique",
    ]
    assert contents(shop, "code") == [(1, "a"), (2, "b")]


def test_a_row_that_is_gone_and_that_others_lead_to_is_no_row_s_fault(shop: Workshop) -> None:
    make(shop, {"code": TextField()}, {"code": TextField()})
    shop.model("new.Sign", {"place": models.ForeignKey("new.Place", models.CASCADE)})
    fill(shop, code=["a", "b"])
    shop.run(simple())
    shop.new("new.Sign").create(place=shop.new("new.Place").get(legacy_id=1))
    shop.old("old.Place").all().delete()
    with pytest.raises(ImportFailed, match="violates foreign key constraint .* is still referenced"):
        shop.run(simple(), delete_all=True)
    assert len(contents(shop)) == 2
