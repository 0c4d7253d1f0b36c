"""The connection that MySQL is read by: its snapshot, what it may do, and what its end leaves."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections, models
from django.db.utils import OperationalError

from rehome import Import
from rehome.errors import ImportFailed
from rehome.importing.functions import StoredBytes
from rehome.importing.plan import ImportPlan, make_plan
from rehome.importing.sources.reading import open_reader, query
from tests.rehome.importing.workshop import OLDER, Workshop
from tests.servers.mariadb import MariaDB

THINGS = Import("old.Thing", "new.Thing", key={"legacy_id": "id"})
ROWS = 20_000


@pytest.fixture
def shop(mysql_shop: Workshop) -> Workshop:
    mysql_shop.older("old.Thing", {"name": models.TextField(), "photo": models.BinaryField(null=True)})
    new = {"name": models.TextField(), "photo": models.BinaryField(null=True)}
    mysql_shop.model("new.Thing", {"legacy_id": models.BigIntegerField(unique=True), **new})
    run_at_source(f"INSERT INTO old_thing (id, name) SELECT seq, repeat('x', 100) FROM seq_1_to_{ROWS}")
    return mysql_shop


def run_at_source(*statements: str) -> None:
    with connections[OLDER].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def plan_of(shop: Workshop) -> ImportPlan:
    return make_plan(THINGS, shop.apps, OLDER, shop.alias)


def midway(monkeypatch: pytest.MonkeyPatch, happens: Callable[[Any], object]) -> None:
    """Let something happen when the first block of rows has been read."""
    reader: Any = type(open_reader(connections[OLDER]))
    original = reader.rows

    def rows(self: Any, *arguments: Any) -> Any:
        blocks = original(self, *arguments)
        yield next(blocks)
        happens(self)
        yield from blocks

    monkeypatch.setattr(reader, "rows", rows)


@pytest.mark.parametrize(("kill", "said"), [("KILL", "Lost connection"), ("KILL QUERY", "interrupted")])
def test_a_connection_that_is_lost_midway_leaves_nothing(
    shop: Workshop, mariadb: MariaDB, monkeypatch: pytest.MonkeyPatch, kill: str, said: str
) -> None:
    # More than both ends' buffers hold, or everything would be underway before the connection is gone.
    run_at_source("UPDATE old_thing SET photo = repeat('x', 1000)")
    with monkeypatch.context() as patch:
        midway(patch, lambda reader: mariadb.run(f"{kill} {reader.own.connection.thread_id()}"))
        with pytest.raises(ImportFailed, match=rf"{said}.*Nothing is committed;.* run the import again"):
            shop.run(THINGS)
    assert not shop.new("new.Thing").exists()
    run_at_source("UPDATE old_thing SET photo = NULL")
    (report,) = shop.run(THINGS)
    assert report.counts.inserted == ROWS


def test_a_run_that_ends_midway_does_not_read_the_rest(shop: Workshop) -> None:
    run_at_source(
        "DROP TABLE old_thing",
        "CREATE VIEW old_thing AS SELECT seq AS id, 'endless' AS name, NULL AS photo FROM seq_1_to_1000000000000",
    )
    reader, plan = open_reader(connections[OLDER]), plan_of(shop)
    rows = reader.rows(plan, query(plan))
    with reader.snapshot([]):
        next(rows)
        own = reader.own
    assert own.connection is None


def test_every_query_sees_the_moment_of_the_snapshot_and_can_write_nothing(shop: Workshop) -> None:
    reader, plan = open_reader(connections[OLDER]), plan_of(shop)
    with reader.snapshot([]):
        with reader.connection.cursor() as beside:
            beside.execute("DELETE FROM old_thing WHERE id > 10")
        for _ in range(2):
            assert sum(block.count(b"\n") for block in reader.rows(plan, query(plan))) == ROWS
        with pytest.raises(OperationalError, match="READ ONLY"), reader.own.cursor() as cursor:
            cursor.execute("DELETE FROM old_thing")
    assert shop.old("old.Thing").count() == 10


def test_memory_does_not_grow_with_rows_or_with_what_is_large_in_them(shop: Workshop) -> None:
    run_at_source("UPDATE old_thing SET photo = repeat('\\0', 500000) WHERE id > 19900")
    reader, plan = open_reader(connections[OLDER]), plan_of(shop)
    with reader.snapshot([]):
        tracemalloc.start()
        try:
            size = sum(len(block) for block in reader.rows(plan, query(plan)))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert size > 100 * 1_000_000
    assert peak < size / 2


def test_utf8_in_a_latin1_column_is_read_as_what_was_meant(shop: Workshop) -> None:
    run_at_source(
        "TRUNCATE old_thing",
        "ALTER TABLE old_thing MODIFY name text CHARACTER SET latin1",
        # What an application did that wrote UTF-8 over a connection which said latin1.
        "SET NAMES latin1",
        "INSERT INTO old_thing (id, name) VALUES (1, _latin1 x'D8AAD987D8B1D8A7D986F09F96A8'), (2, 'plain')",
        "SET NAMES utf8mb4",
    )
    shop.run(THINGS)
    assert shop.new("new.Thing").get(legacy_id=1).name == "تهران🖨".encode().decode("cp1252")

    meant = Import("old.Thing", "new.Thing", key={"legacy_id": "id"}, fields={"name": StoredBytes("name")})
    shop.run(meant)
    assert [thing.name for thing in shop.new("new.Thing").order_by("legacy_id")] == ["تهران🖨", "plain"]

    run_at_source("INSERT INTO old_thing (id, name) VALUES (3, 'Zürich')")
    with pytest.raises(ImportFailed, match=r"legacy_id=3: name: is not UTF-8: byte 0xfc at 1 of b'Z"):
        shop.run(meant)
