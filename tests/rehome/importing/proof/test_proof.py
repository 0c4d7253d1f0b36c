"""What the proof of an import finds, names and says, whatever the rows, the keys and the servers are like."""

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections, models
from django.db.models import F, Q, Value
from django.db.models.functions import Concat, Lower
from pytest_django import DjangoDbBlocker

from rehome import Import, Lookup
from rehome.importing.proof import jsonb, locating, proving, rows
from rehome.importing.proof.rows import Row
from rehome.importing.verifying import Verification, find_runs, verify
from tests.farm.databases import WORKER
from tests.rehome.importing.workshop import OLDER, Workshop, connect


def number(**options: Any) -> models.Field:
    return models.IntegerField(**options)


def text(**options: Any) -> models.Field:
    return models.CharField(max_length=60, **options)


def prove(shop: Workshop, declared: Import, **options: Any) -> Verification:
    ((_, run),) = find_runs([declared], "default")
    return verify(declared, run, "default", apps=shop.apps, **options)


def said(found: Verification) -> list[str]:
    assert found.comparison is not None, found.problem
    return [str(one).removeprefix("public.new_thing ") for one in found.comparison.differences]


def make_things(shop: Workshop, count: int = 4, **more: models.Field) -> Import:
    shop.older("old.Thing", {"name": text(null=True), **more})
    shop.model("new.Thing", {"legacy_id": number(unique=True, null=True), "name": text(null=True)})
    for pk in range(1, count + 1):
        shop.old("old.Thing").create(pk=pk, name=f"n{pk}")
    things = Import("old.Thing", "new.Thing", key={"legacy_id": "id"})
    shop.run(things)
    return things


def test_values_that_rows_have_exchanged_are_found_though_every_sum_is_the_same(shop: Workshop) -> None:
    things = make_things(shop)
    shop.sql("UPDATE new_thing SET name = CASE legacy_id WHEN 2 THEN 'n3' ELSE 'n2' END WHERE legacy_id IN (2, 3)")
    found = prove(shop, things)
    assert said(found) == ["2: different in name", "3: different in name"]
    assert found.proof is not None
    assert found.proof.figures == ()


def test_what_stands_between_values_can_not_be_forged_by_a_value(shop: Workshop) -> None:
    shop.older("old.Thing", {"name": text(null=True), "other": text(null=True)})
    shop.model("new.Thing", {"legacy_id": number(unique=True), "name": text(null=True), "other": text(null=True)})
    shop.old("old.Thing").create(name="a/1:b", other=None)
    things = Import("old.Thing", "new.Thing", key={"legacy_id": "id"})
    shop.run(things)
    for name, other in (("a", "b/~"), ("a/1:b", "~"), ("a", "1:b"), ("a/1:b/~", ""), (None, "a/1:b")):
        shop.new("new.Thing").update(name=name, other=other)
        assert not prove(shop, things).ok, (name, other)
    shop.new("new.Thing").update(name="a/1:b", other=None)
    assert prove(shop, things).ok


def test_rows_that_are_on_one_side_alone(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with more of them than memory and a query take at a time."""
    monkeypatch.setattr(locating, "IN_MEMORY", 7)
    monkeypatch.setattr(rows, "FEW", 3)
    things = make_things(shop, 40)
    shop.old("old.Thing").filter(pk__lte=10).delete()
    shop.new("new.Thing").filter(legacy_id__gt=35).delete()
    shop.new("new.Thing").create(legacy_id=None, name="made here")
    found = prove(shop, things, limit=3)
    assert found.comparison is not None
    counted = found.comparison
    assert (counted.source_rows, counted.target_rows) == (30, 35)
    assert (counted.missing, counted.extra, counted.different) == (5, 10, 0)
    assert said(found) == ["1: extra", "10: extra", "2: extra"]


def test_a_key_that_two_rows_have(shop: Workshop) -> None:
    things = make_things(shop)
    shop.sql("ALTER TABLE new_thing DROP CONSTRAINT new_thing_legacy_id_key")
    shop.sql("INSERT INTO new_thing (legacy_id, name) VALUES (2, 'n2'), (2, 'n2')")
    found = prove(shop, things)
    assert said(found) == ["2: extra", "2: extra"]


def test_columns_that_have_to_be_looked_up_and_a_key_of_them(shop: Workshop) -> None:
    shop.older("old.Thing", {"owner": text(null=True), "kind": text(), "size": number()})
    shop.model("new.Owner", {"name": text()})
    owner = models.ForeignKey("new.Owner", models.CASCADE)
    shop.model("new.Thing", {"owner": owner, "kind": number(), "size": number(), "what": text()})
    for name in ("Ada", "bob", "eve"):
        shop.new("new.Owner").create(name=name)
    for name, kind in (("ADA", "a"), ("ada", "b"), ("Bob", "a")):
        shop.old("old.Thing").create(owner=name, kind=kind, size=ord(name[0]))
    things = Import(
        "old.Thing",
        "new.Thing",
        key={"owner": "owner", "kind": "kind"},
        fields={"what": Value("a {thing} 100%")},
        lookups={"owner": Lookup("new.Owner", by="name", normalise=Lower), "kind": {"a": 1, "b": 2}},
    )
    shop.run(things)
    found = prove(shop, things)
    assert found.ok, found.explanation
    assert found.ways.splitlines() == [
        "  owner_id: value by value, looked up in new.Owner by name",
        "  kind: value by value, looked up in the 2 values given",
        "  what, size: value by value, since the key is",
    ]
    shop.new("new.Thing").filter(kind=2).update(size=0)
    shop.new("new.Thing").filter(owner__name="bob").update(what="another", kind=2)
    found = prove(shop, things)
    assert [(one.kind, one.key[1:], one.columns) for one in found.comparison.differences] == [  # type: ignore[union-attr]
        ("different", ["2"], ["size"]),
        ("extra", ["2"], []),
        ("missing", ["a"], []),
    ]
    shop.run(things, delete=True)
    shop.new("new.Owner").create(name="BOB")
    found = prove(shop, things)
    assert {(one.kind, one.key[0]) for one in found.comparison.differences} >= {("missing", "Bob")}  # type: ignore[union-attr]


def test_a_reference_to_another_row_than_the_one_that_is_looked_up(shop: Workshop) -> None:
    shop.older("old.Thing", {"owner": text(null=True)})
    shop.model("new.Owner", {"name": text()})
    owner = models.ForeignKey("new.Owner", models.CASCADE, null=True)
    shop.model("new.Thing", {"legacy_id": number(unique=True), "owner": owner})
    ada, bob = (shop.new("new.Owner").create(name=name) for name in ("Ada", "Bob"))
    for name in ("Ada", "Bob", None):
        shop.old("old.Thing").create(owner=name)
    lookups = {"owner": Lookup("new.Owner", by="name")}
    things = Import("old.Thing", "new.Thing", key={"legacy_id": "id"}, lookups=lookups)
    shop.run(things)
    shop.new("new.Thing").filter(owner=ada).update(owner=None)
    shop.new("new.Thing").filter(owner=bob).update(owner=ada)
    assert said(prove(shop, things)) == ["1: different in owner_id", "2: different in owner_id"]


@pytest.mark.parametrize("where", [Q(name="n2") | Q(name__contains="%"), ~Q(name__in=["n1", "n2"])])
def test_the_rows_that_where_chooses(shop: Workshop, where: Q) -> None:
    make_things(shop)
    chosen = Import("old.Thing", "new.Thing", key={"legacy_id": "id"}, where=where)
    shop.run(chosen, delete_all=True)
    found = prove(shop, chosen)
    assert found.ok, found.explanation
    shop.new("new.Thing").create(legacy_id=77)
    assert said(prove(shop, chosen)) == ["77: extra"]
    # Of which Django knows that it has no rows.
    nothing = Import("old.Thing", "new.Thing", key={"legacy_id": "id"}, where=Q(pk__in=[]))
    assert "77: extra" in said(prove(shop, nothing))


def test_rows_with_which_others_share_the_target(shop: Workshop) -> None:
    make_things(shop)
    shared = Import("old.Thing", "new.Thing", key={"name": "name"}, fields={"legacy_id": F("id")}, shared=True)
    shop.run(shared)
    shop.new("new.Thing").create(legacy_id=70, name="its own")
    found = prove(shop, shared)
    assert found.ok
    assert (found.comparison.source_rows, found.comparison.target_rows) == (4, 4)  # type: ignore[union-attr]
    shop.new("new.Thing").filter(name="n2").delete()
    shop.new("new.Thing").filter(name="n3").update(legacy_id=71)
    assert said(prove(shop, shared)) == ["n3: different in legacy_id", "n2: missing"]


def test_what_is_computed_and_what_the_target_makes_of_a_text(shop: Workshop) -> None:
    shop.older("old.Thing", {"name": text(null=True), "day": text(null=True), "size": text(null=True)})
    fields = {"name": text(null=True), "day": models.DateField(null=True), "size": models.DecimalField(
        max_digits=9, decimal_places=3, null=True)}  # fmt: skip
    shop.model("new.Thing", {"legacy_id": number(unique=True), **fields})
    shop.old("old.Thing").create(name="a", day="2024-2-3", size=" 1.50")
    shop.old("old.Thing").create(name=None, day=None, size="1e2")
    given = {"name": Concat("name", Value(" %s {0}"))}
    things = Import("old.Thing", "new.Thing", key={"legacy_id": "id"}, fields=given)
    shop.run(things)
    found = prove(shop, things)
    assert found.ok, found.explanation
    assert found.ways.splitlines() == [
        "  legacy_id: by both servers, as numbers",
        "  name: value by value, computed by an expression",
        "  day: value by value, as date, which the target makes of character varying",
        "  size: value by value, as numeric, which the target makes of character varying",
    ]
    for changed in ({"name": "a"}, {"day": "2024-03-02"}, {"size": "1.501"}):
        shop.run(things)
        shop.new("new.Thing").filter(legacy_id=1).update(**changed)
        assert said(prove(shop, things)) == [f"1: different in {next(iter(changed))}"]
    shop.old("old.Thing").create(name="bad", day="no day")
    assert "3: missing" in said(prove(shop, things))


def test_the_report_says_which_figure_of_a_column_differs(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    things = make_things(shop)
    shop.new("new.Thing").filter(legacy_id=4).update(name="longer")
    monkeypatch.setattr("rehome.management.commands.verifymoves.find_imports", lambda: [things])
    monkeypatch.setattr(
        "rehome.importing.verifying.verify.__kwdefaults__", {**verify.__kwdefaults__, "apps": shop.apps}
    )
    out = StringIO()
    with pytest.raises(CommandError, match="Not in order: old.Thing -> new.Thing"):
        call_command("verifymoves", "new.Thing", stdout=out, stderr=StringIO())
    shown = out.getvalue()
    assert "how its columns were compared:\n  legacy_id: by both servers, as numbers\n  name: by both" in shown
    assert "  name: the sum of their bytes is 8 at the source and 12 here\n" in shown
    assert "  name: the maximum of their bytes is 2 at the source and 6 here\n" in shown
    assert "  public.new_thing 4: different in name\n" in shown


def test_nothing_is_written_at_the_source_by_what_the_proof_asks(shop: Workshop) -> None:
    things = make_things(shop)
    shop.query("ALTER TABLE old_thing RENAME TO kept")
    shop.query("CREATE TABLE journal (n int)")
    shop.query(
        "CREATE FUNCTION noted(n int) RETURNS int LANGUAGE plpgsql AS "
        "$$BEGIN INSERT INTO journal VALUES (n); RETURN n; END$$"
    )
    shop.query("CREATE VIEW old_thing AS SELECT noted(id) AS id, name FROM kept")
    connections[OLDER].close()
    found = prove(shop, things)
    assert "read-only transaction" in found.problem
    assert shop.query("SELECT count(*) FROM journal") == [(0,)]


def test_with_debug_on(shop: Workshop, settings: Any) -> None:
    things = make_things(shop)
    settings.DEBUG = True
    assert prove(shop, things).ok


@pytest.mark.parametrize("encoding", ["LATIN1", "WIN1256", "SQL_ASCII"])
def test_a_source_in_another_encoding(shop: Workshop, django_db_blocker: DjangoDbBlocker, encoding: str) -> None:
    name = f"test_encoded_{WORKER}"
    written = {"LATIN1": "Zürich ÿ", "WIN1256": "سلام ", "SQL_ASCII": "Zürich سلام"}[encoding]
    connections[OLDER].close()
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
    try:
        with connect("encoded", NAME=name):
            shop.source = "encoded"
            shop.older("old.Thing", {"name": text(), "long": models.TextField()})
            fields = {"name": text(), "long": models.TextField()}
            shop.model("new.Thing", {"legacy_id": number(unique=True), **fields})
            shop.old("old.Thing").create(name=written, long=written)
            shop.old("old.Thing").create(name="", long="a")
            things = Import("old.Thing", "new.Thing", key={"legacy_id": "id"})
            shop.run(things)
            found = prove(shop, things)
            assert found.ok, found.explanation
            shop.new("new.Thing").filter(legacy_id=1).update(long=written.encode().decode("latin1"))
            assert said(prove(shop, things)) == ["1: different in long"]
    finally:
        shop.source = OLDER
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_of_two_moments_that_the_clocks_show_alike_the_declared_one_is_meant(shop: Workshop) -> None:
    local = type("Local", (models.DateTimeField,), {"db_type": lambda self, connection: "timestamp"})
    shop.older("old.Thing", {"at": local(null=True)})
    shop.model("new.Thing", {"legacy_id": number(unique=True), "at": models.DateTimeField(null=True)})
    shop.query("INSERT INTO old_thing VALUES (1, '2024-10-27 03:00'), (2, '2024-10-27 01:59')")
    source = connections[OLDER]
    source.close()
    source.settings_dict["TIME_ZONE"] = "Europe/Berlin"
    for cached in ("timezone", "timezone_name"):
        vars(source).pop(cached, None)
    first, second = (Import("old.Thing", "new.Thing", key={"legacy_id": "id"}, fold=fold) for fold in (0, 1))
    shop.run(first)
    shop.query("INSERT INTO old_thing VALUES (3, '2024-10-27 02:30')")
    for hour, meant, other in (("00", first, second), ("01", second, first)):
        shop.sql("DELETE FROM new_thing WHERE legacy_id = 3")
        shop.sql(f"INSERT INTO new_thing (legacy_id, at) VALUES (3, '2024-10-27 {hour}:30+00')")
        assert prove(shop, meant).ok
        assert said(prove(shop, other)) == ["3: different in at"]
    shop.sql("UPDATE new_thing SET at = at + interval '1 hour' WHERE legacy_id < 3")
    assert said(prove(shop, second)) == ["1: different in at", "2: different in at"]


# ----- parts of it


def test_what_ends_the_wait_for_the_source_ends_what_the_target_is_asked(shop: Workshop) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    # In the thread, the project's name for it would mean another connection.
    target: Any = shop.connection

    def sleep() -> None:
        with target.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(100000)")

    with pytest.raises(KeyboardInterrupt):
        proving.at_once(interrupt, sleep, target)
    assert shop.sql("SELECT 1") == [(1,)]


DOCUMENTS = [
    "null", "true", '""', "[]", "{}", " [ 1 , 2.50 , -0.0 , -0 , 1e2 , 1.50e3 , 1E-3 , 0e5, 0.00e1 ] ",
    '{"bb": 1, "a": 2, "bb": 3, "é": 4, "ab": {"x": [null, {}]}}', '"\\u00fc\\n\\t\\b\\f\\r\\\\\\"\\/\\u001f\x7f 🖨"',
    "123456789012345678901234567890.12345678901234567890", "1e400", "9007199254740993", '{"": ""}',
]  # fmt: skip


def test_json_is_written_as_jsonb_is(db: None) -> None:
    for document in DOCUMENTS:
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s::jsonb::text", [document])
            assert [jsonb.written(document)] == list(cursor.fetchone()), document
    for broken in ("", "{", "NaN", '"\\u0000"', "1e999999", "[1,]"):
        with pytest.raises(ValueError, match=r"."):
            jsonb.written(broken)


def keyed(*keys: str) -> Iterator[Row]:
    return (Row(key, (key,), ()) for key in keys)


def test_rows_are_merged_in_the_order_of_their_keys() -> None:
    found = [
        (here and here.key, there and there.key)
        for here, there in locating.pairs(keyed("a", "b", "b", "d"), keyed("b", "c", "d", "d"))
    ]
    assert found == [("a", None), ("b", "b"), ("b", None), (None, "c"), ("d", "d"), (None, "d")]
