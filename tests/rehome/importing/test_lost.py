"""An import that is interrupted, by a server, a full disk or a signal: nothing is committed, and the next run works."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg
import pytest
from django.core.management.base import CommandError
from django.db import connections
from django.db.models import IntegerField, TextField

from rehome.errors import ImportFailed
from rehome.importing import merging, running, staging
from rehome.importing.rejected import skipping, text_staging
from rehome.importing.sources import postgresql
from tests.farm import farm
from tests.farm.databases import WORKER
from tests.rehome.importing.test_rejects import make, simple
from tests.rehome.importing.test_rejects_one_by_one import contents
from tests.rehome.importing.test_skip_bad import call
from tests.rehome.importing.workshop import OLDER, Workshop
from tests.servers.plugin import WITHOUT
from tests.servers.starting import folder
from tests.waiting import LIMIT_S, until

ROWS = 30_000


@pytest.fixture
def places(shop: Workshop) -> Workshop:
    """More rows than the buffers between both servers hold."""
    make(shop, {"size": IntegerField(), "code": TextField()}, {"size": IntegerField(), "code": TextField()})
    shop.query(f"INSERT INTO old_place SELECT n, n, repeat(md5(n::text), 10) FROM generate_series(1, {ROWS}) n")
    return shop


def onlooker() -> "psycopg.Connection[Any]":
    return psycopg.connect(**connections["default"].get_connection_params(), autocommit=True)


def end(alias: str) -> None:
    """The server ends the session of this process."""
    pid = connections[alias].connection.info.backend_pid
    with onlooker() as other:
        other.execute("SELECT pg_terminate_backend(%s, %s)", [pid, LIMIT_S * 1000])


@contextmanager
def at(place: tuple[Any, str], happens: Callable[[], object]) -> Iterator[None]:
    """Let something happen once, before a function of the import is called, or when it gives its first item."""
    owner, name = place
    original, done = getattr(owner, name), []

    def once() -> None:
        if not done:
            done.append(True)
            happens()

    def called(*arguments: Any, **options: Any) -> Any:
        once()
        return original(*arguments, **options)

    def gave(*arguments: Any, **options: Any) -> Iterator[Any]:
        for item in original(*arguments, **options):
            yield item
            once()

    with patch.object(owner, name, gave if name in {"copy", "watched"} else called):
        yield
    assert done, f"{name} was not called"


READING = (postgresql.PostgreSQLReader, "copy")
STEPS = {
    "before the rows": (staging, "stage"),
    "between rows": (staging, "watched"),
    "before the merge": (merging, "merge"),
    "in the merge": (merging, "update_and_insert"),
    "before the comparison": (merging, "compare"),
}
CAREFUL = {
    "before rows of text": (text_staging, "stage"),
    "while values are taken": (text_staging, "take_all"),
    "while rows are asked": (skipping.SkippingMerge, "ask"),
    "while rows are tried": (skipping.SkippingMerge, "try_all"),
}


def traces(alias: str) -> list[tuple[Any, ...]]:
    """What an import may have left on the target: temporary tables of this session, and locks of moves."""
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = pg_my_temp_schema() UNION ALL "
            "SELECT mode FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
        )
        return cursor.fetchall()


def assert_as_before(shop: Workshop) -> None:
    assert not shop.new("new.Place").exists()
    assert traces("default") == []


def test_a_source_that_is_lost_midway_is_named(places: Workshop) -> None:
    with at(READING, lambda: end(OLDER)), pytest.raises(ImportFailed) as failed:
        places.run(simple())
    assert str(failed.value).startswith("The connection to database 'older' was lost: ")
    assert str(failed.value).endswith("Nothing is committed; run the import again.")
    assert_as_before(places)
    (report,) = places.run(simple())
    assert report.counts.inserted == ROWS


@pytest.mark.parametrize("step", STEPS)
def test_a_target_that_is_lost_at_any_step_is_named(places: Workshop, step: str) -> None:
    with at(STEPS[step], lambda: end("default")), pytest.raises(ImportFailed) as failed:
        places.run(simple())
    assert str(failed.value).startswith("The connection to database 'default' was lost: ")
    assert str(failed.value).endswith("Nothing is committed; run the import again.")
    assert_as_before(places)
    places.run(simple())


@pytest.mark.parametrize("step", CAREFUL)
def test_a_target_that_is_lost_while_bad_rows_are_sought_is_named(places: Workshop, tmp_path: Path, step: str) -> None:
    places.query("ALTER TABLE old_place ALTER code DROP NOT NULL")
    places.query("UPDATE old_place SET code = NULL WHERE id = 7")
    with at(CAREFUL[step], lambda: end("default")), pytest.raises(ImportFailed, match="'default' was lost"):
        places.run(simple(), skip_bad=tmp_path / "bad")
    assert list(tmp_path.iterdir()) == []
    assert_as_before(places)
    (report,) = places.run(simple(), skip_bad=tmp_path / "bad")
    assert (report.counts.inserted, report.counts.rejected) == (ROWS - 1, 1)


def test_a_commit_that_brings_no_answer_is_not_said_to_be_undone(places: Workshop) -> None:
    with pytest.raises(ImportFailed, match="was lost in its commit: .*Run the import again") as failed:
        running.run([simple()], running.Options(), source=OLDER, apps=places.apps, committing=lambda: end("default"))
    assert "Nothing is committed" not in str(failed.value)
    assert traces("default") == []


@pytest.mark.parametrize(
    ("step", "number", "code"),
    [
        ("between rows", signal.SIGINT, 130),
        ("in the merge", signal.SIGTERM, 143),
        ("before the comparison", signal.SIGINT, 130),
        ("while rows are asked", signal.SIGTERM, 143),
    ],
)
def test_a_signal_ends_the_import_at_any_step(places: Workshop, step: str, number: int, code: int) -> None:
    if step in CAREFUL:
        places.query("ALTER TABLE old_place ALTER size DROP NOT NULL")
        places.query("UPDATE old_place SET size = NULL WHERE id = 7")
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with at((STEPS | CAREFUL)[step], lambda: os.kill(os.getpid(), number)), pytest.raises(CommandError) as failed:
        call(places)
    assert (failed.value.returncode, str(failed.value)) == (code, "Interrupted; nothing is committed.")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert_as_before(places)


def test_a_signal_ends_a_statement_that_the_server_is_at_work_on(places: Workshop) -> None:
    places.sql(
        "CREATE FUNCTION doze() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(600); RETURN NEW; END'"
    )
    places.sql("CREATE TRIGGER doze BEFORE INSERT ON new_place FOR EACH ROW EXECUTE FUNCTION doze()")

    def send() -> None:
        asleep = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
        with onlooker() as other:
            until(lambda: other.execute(asleep).rowcount, "nobody dozes")
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=send)
    thread.start()
    with pytest.raises(CommandError) as failed:
        call(places)
    thread.join()
    assert failed.value.returncode == 143
    assert_as_before(places)


def test_a_signal_that_comes_with_the_commit_is_too_late(places: Workshop) -> None:
    original = running.Run.finish

    def finish(self: running.Run, *arguments: Any) -> None:
        original(self, *arguments)
        os.kill(os.getpid(), signal.SIGINT)

    with patch.object(running.Run, "finish", finish):
        out, _ = call(places)
    assert "30,000" in out
    assert len(contents(places)) == ROWS


@pytest.fixture
def small_disk(places: Workshop) -> Iterator[str]:
    """A tablespace of two megabytes."""
    name = f"test_small_{WORKER}"
    ((data,),) = places.sql("SHOW data_directory")
    with ExitStack() as stack:
        path = stack.enter_context(folder("disk"))
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", path], capture_output=True, check=False
        )
        if mounted.returncode:
            required = os.environ.get("REQUIRE_LEGACY_SERVERS") == "1"
            (pytest.fail if required else pytest.skip)(f"{WITHOUT}the right to mount a small disk")
        stack.callback(subprocess.run, ["umount", path], check=True)
        os.chown(path, os.stat(data).st_uid, -1)
        farm.on_server(f"CREATE TABLESPACE {name} LOCATION '{path}'")
        stack.callback(farm.on_server, f"DROP TABLESPACE {name}")
        yield name
        places.sql("DROP TABLE new_place CASCADE")


def test_a_disk_that_is_full_while_rows_arrive_is_named(places: Workshop, small_disk: str) -> None:
    places.sql(f"SET temp_tablespaces = {small_disk}")
    said = "The disk of database 'default' is full: .*No space left.*Nothing is committed; free space there"
    with pytest.raises(ImportFailed, match=said):
        places.run(simple())
    assert_as_before(places)
    places.sql("RESET temp_tablespaces")
    places.run(simple())
    assert len(contents(places)) == ROWS


def test_a_disk_that_is_full_while_rows_are_merged_is_named(places: Workshop, small_disk: str) -> None:
    places.sql(f"ALTER TABLE new_place SET TABLESPACE {small_disk}")
    with pytest.raises(
        ImportFailed, match="The disk of database 'default' is full: .*Nothing is committed; free space"
    ):
        places.run(simple())
    assert_as_before(places)
    places.sql("ALTER TABLE new_place SET TABLESPACE pg_default")
    places.run(simple())
    assert len(contents(places)) == ROWS
