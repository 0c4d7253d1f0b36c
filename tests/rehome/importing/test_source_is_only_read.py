"""No statement of an import writes to the source, whatever a view or an expression there calls."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections, models
from django.db.models import F, Func, IntegerField, Q

from rehome import Import
from rehome.errors import ImportFailed
from rehome.importing.declaration import Changed
from rehome.importing.verifying import find_runs, verify
from tests.rehome.importing.workshop import OLDER, Workshop

POSTGRESQL = (
    "CREATE TABLE journal (n int)",
    "CREATE SEQUENCE tickets",
    "CREATE FUNCTION noted(n int) RETURNS int LANGUAGE plpgsql AS "
    "$$BEGIN INSERT INTO journal VALUES (n); RETURN n; END$$",
    "CREATE FUNCTION drawn(n int) RETURNS int LANGUAGE sql AS 'SELECT n + 0 * nextval(''tickets'')::int'",
)
MARIADB = (
    "CREATE TABLE journal (n int) ENGINE={engine}",
    "CREATE SEQUENCE tickets ENGINE={engine}",
    "CREATE FUNCTION noted(n int) RETURNS int MODIFIES SQL DATA BEGIN INSERT INTO journal VALUES (n); RETURN n; END",
    "CREATE FUNCTION drawn(n int) RETURNS int MODIFIES SQL DATA RETURN n + 0 * nextval(tickets)",
)
TABLE = ("CREATE TABLE thing (id int PRIMARY KEY, size int)", "INSERT INTO thing VALUES (1, 10), (2, 20)")


def at_source(*statements: str) -> None:
    with connections[OLDER].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def written(statement: str) -> list[Any]:
    with connections[OLDER].cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def call(name: str) -> Func:
    return Func(F("size"), function=name, output_field=IntegerField())


def attempts(name: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """The source's table, and what the import declares besides."""
    return {
        "a view": ("seen", {}),
        "an expression": ("thing", {"fields": {"size": call(name)}}),
        "where": ("thing", {"where": Q(size=call(name))}),
        "the watermark": ("seen", {"changed": Changed("size", overlap=1)}),
    }


def bring(shop: Workshop, name: str, attempt: str) -> None:
    at_source(f"CREATE VIEW seen AS SELECT id, {name}(size) AS size FROM thing")
    table, declared = attempts(name)[attempt]
    shop.older("old.Thing", {"size": models.IntegerField()}, managed=False, db_table=table)
    shop.model("new.Thing", {"legacy_id": models.IntegerField(unique=True), "size": models.IntegerField()})
    with pytest.raises(ImportFailed, match=r"(?i)read.only"):
        shop.run(Import("old.Thing", "new.Thing", key={"legacy_id": "id"}, **declared))
    connections[OLDER].close()


def prove(shop: Workshop, name: str, attempt: str) -> None:
    """A proof of what was imported before somebody let the source write at each look."""
    shop.older("old.Thing", {"size": models.IntegerField()}, managed=False, db_table="seen")
    shop.model("new.Thing", {"legacy_id": models.IntegerField(unique=True), "size": models.IntegerField()})
    at_source("CREATE VIEW seen AS SELECT id, size FROM thing")
    key = {"legacy_id": "id"}
    shop.run(Import("old.Thing", "new.Thing", key=key))
    if attempt == "a view":
        at_source(f"CREATE OR REPLACE VIEW seen AS SELECT id, {name}(size) AS size FROM thing")
    declared = Import("old.Thing", "new.Thing", key=key, **attempts(name)[attempt][1])
    ((_, run),) = find_runs([declared], "default")
    assert re.search(r"(?i)read.only", verify(declared, run, "default", apps=shop.apps).problem)
    connections[OLDER].close()


def try_on_postgresql(act: Callable[..., object], shop: Workshop, name: str, attempt: str) -> None:
    """Nothing of the source has changed afterwards."""
    at_source(*POSTGRESQL, *TABLE)
    act(shop, name, attempt)
    assert written("SELECT count(*) FROM journal") == [(0,)]
    assert written("SELECT is_called FROM tickets") == [(False,)]


def try_on_mariadb(act: Callable[..., object], shop: Workshop, engine: str, name: str, attempt: str) -> None:
    """The same."""
    at_source(*(statement.format(engine=engine) for statement in (*MARIADB, *TABLE)))
    act(shop, name, attempt)
    assert written("SELECT count(*) FROM journal") == [(0,)]
    assert written("SELECT next_not_cached_value FROM tickets") == [(1,)]


PROVED = ["a view", "an expression", "where"]


@pytest.mark.parametrize("attempt", PROVED)
@pytest.mark.parametrize("name", ["noted", "drawn"])
def test_a_proof_on_postgresql(shop: Workshop, name: str, attempt: str) -> None:
    try_on_postgresql(prove, shop, name, attempt)


@pytest.mark.parametrize("attempt", PROVED)
@pytest.mark.parametrize("name", ["noted", "drawn"])
@pytest.mark.parametrize("engine", ["InnoDB", pytest.param("MyISAM", marks=pytest.mark.long)])
def test_a_proof_on_mariadb(mysql_shop: Workshop, engine: str, name: str, attempt: str) -> None:
    try_on_mariadb(prove, mysql_shop, engine, name, attempt)


@pytest.mark.parametrize("attempt", attempts(""))
@pytest.mark.parametrize("name", ["noted", "drawn"])
def test_postgresql(shop: Workshop, name: str, attempt: str) -> None:
    try_on_postgresql(bring, shop, name, attempt)


@pytest.mark.parametrize("attempt", attempts(""))
@pytest.mark.parametrize("name", ["noted", "drawn"])
@pytest.mark.parametrize("engine", ["InnoDB", "MyISAM"])
def test_mariadb(mysql_shop: Workshop, engine: str, name: str, attempt: str) -> None:
    try_on_mariadb(bring, mysql_shop, engine, name, attempt)
