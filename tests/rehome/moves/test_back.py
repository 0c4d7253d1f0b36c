"""The way back: the source has everything again, whoever wrote it, and the target is empty, fenced and as it was."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, InterfaceError, models

from rehome import Move
from rehome.errors import MoveFailed, Refused
from tests.rehome.parts.test_sync_moves import just_before
from tests.rehome.support.clients import Client, await_end, connect
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

Open = Callable[..., Client]
MOVE = Move("old.Thing", "new.Thing")
TABLES = ("thing", "thing_tags")


@pytest.fixture
def tree(lab: Lab) -> Lab:
    """Things with a parent among themselves, an owner, and tags in a table that Django made."""
    lab.model("labels.Tag", {"name": models.CharField(max_length=20)})
    for app in ("old", "new"):
        lab.model(
            f"{app}.Thing",
            {
                "name": models.CharField(max_length=20, db_index=True),
                "code": models.IntegerField(unique=True, null=True),
                "parent": models.ForeignKey("self", models.CASCADE, null=True),
                "owner": models.ForeignKey("auth.User", models.CASCADE, null=True, related_name=f"{app}_things"),
                "tags": models.ManyToManyField("labels.Tag", related_name=f"{app}_things"),
            },
        )
    lab.sql("INSERT INTO labels_tag (name) SELECT 'tag ' || n FROM generate_series(1, 5) n")
    lab.sql(
        "INSERT INTO old_thing (name, code, parent_id) "
        "SELECT 'thing ' || n, n * 10, nullif(n / 2, 0) FROM generate_series(1, 20) n"
    )
    lab.sql("INSERT INTO old_thing_tags (thing_id, tag_id) SELECT n, n % 5 + 1 FROM generate_series(1, 20) n")
    return lab


def rows(lab: Lab, app: str) -> list[list[tuple[Any, ...]]]:
    return [lab.sql(f"SELECT * FROM {app}_{table} ORDER BY id") for table in TABLES]


def write(lab: Lab, app: str) -> None:
    """Insert, update, delete and change keys, in the table of the model and in that of its tags."""
    lab.sql(f"INSERT INTO {app}_thing (name, code, parent_id) VALUES ('born in {app}', NULL, 2)")
    lab.sql(f"UPDATE {app}_thing SET name = 'written in {app}', code = NULL WHERE id IN (3, 4)")
    lab.sql(f"UPDATE {app}_thing SET code = 30, parent_id = NULL WHERE id = 5")
    lab.sql(f"DELETE FROM {app}_thing_tags WHERE thing_id IN (18, 19, 20)")
    lab.sql(f"DELETE FROM {app}_thing WHERE id IN (18, 19)")
    lab.sql(f"UPDATE {app}_thing SET id = id + 1000, name = 'moved in {app}' WHERE id = 20")
    lab.sql(f"INSERT INTO {app}_thing_tags (thing_id, tag_id) VALUES (1020, 1), (1, 5)")
    lab.sql(f"UPDATE {app}_thing_tags SET tag_id = 4 WHERE thing_id = 7")


@pytest.mark.parametrize("app", ["old", "new"])
def test_rows_that_were_written_since_are_kept(tree: Lab, app: str) -> None:
    tree.forward(MOVE)
    write(tree, app)
    written = rows(tree, "old")
    assert rows(tree, "new") == written
    tree.back(MOVE)
    assert rows(tree, "old") == written
    assert rows(tree, "new") == [[], []]
    tree.forward(MOVE)
    assert rows(tree, "old") == rows(tree, "new") == written
    assert tree.verify(MOVE).comparison.equal


def test_the_target_wins_where_its_writes_were_not_carried(tree: Lab) -> None:
    """Its triggers were off for a while: inserts, updates, deletes and changed keys are made up for."""
    tree.forward(MOVE)
    for table in TABLES:
        tree.sql(f"ALTER TABLE new_{table} DISABLE TRIGGER USER")
    before = rows(tree, "old")
    write(tree, "new")
    written = rows(tree, "new")
    assert rows(tree, "old") == before != written
    tree.back(MOVE)
    assert rows(tree, "old") == written
    assert rows(tree, "new") == [[], []]
    assert tree.sql("INSERT INTO old_thing (name) VALUES ('next') RETURNING id") == [(1021,)]


def test_unique_values_that_changed_places_uncarried_stop_the_way_back(tree: Lab) -> None:
    """They can't be exchanged in one statement; the error names them, and both tables stay live."""
    tree.forward(MOVE)
    tree.sql("ALTER TABLE new_thing DISABLE TRIGGER USER")
    tree.sql("UPDATE new_thing SET code = -code")
    tree.sql("UPDATE new_thing SET code = 210 + code")
    before = rows(tree, "old"), rows(tree, "new")
    with pytest.raises(MoveFailed, match=r'"old_thing_code_key".*The move is live; nothing has been moved back'):
        tree.back(MOVE)
    assert (rows(tree, "old"), rows(tree, "new")) == before
    tree.sql("UPDATE old_thing SET code = NULL")
    tree.sql("UPDATE new_thing SET code = 210 - 10 * id")
    tree.back(MOVE)
    assert rows(tree, "old") == before[1]


FOREIGN_KEYS = """
SELECT conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint
 WHERE conrelid = ANY (ARRAY['other_part', 'other_tag', 'new_thing_tags', 'new_thing']::regclass[]) ORDER BY 1
"""


@pytest.fixture
def parts(tree: Lab) -> Lab:
    """Two tables that take no part in the move point at its target, one of them by the unique column."""
    tree.model("other.Part", {"thing": models.ForeignKey("new.Thing", models.CASCADE, null=True)})
    tree.model("other.Tag", {"code": models.IntegerField(null=True)})
    tree.sql(
        'ALTER TABLE other_tag ADD CONSTRAINT "odd Name" FOREIGN KEY (code) REFERENCES new_thing (code) '
        "ON UPDATE CASCADE ON DELETE SET NULL"
    )
    return tree


def test_foreign_keys_of_other_tables_step_aside_and_return(parts: Lab) -> None:
    before = parts.sql(FOREIGN_KEYS)
    assert len(before) > 4
    parts.sql("INSERT INTO other_part DEFAULT VALUES")
    for _ in range(2):
        parts.forward(MOVE)
        assert parts.sql(FOREIGN_KEYS) == before
        parts.back(MOVE)
        assert parts.sql(FOREIGN_KEYS) == before


def test_a_row_that_points_at_the_target_at_the_last_moment_stops_the_way_back(parts: Lab, open_client: Open) -> None:
    parts.forward(MOVE)
    client = open_client()
    live = rows(parts, "new")

    def point() -> None:
        assert client.run("INSERT INTO other_part (thing_id) VALUES (7)") == 1

    with (
        just_before(parts, "SELECT pg_catalog.count(*), ", point),
        pytest.raises(Refused, match="other_part.thing_id still points"),
    ):
        parts.back(MOVE)
    assert rows(parts, "new") == rows(parts, "old") == live
    assert parts.verify(MOVE).ok


def test_the_fence_turns_every_write_into_an_error_with_words(tree: Lab, open_client: Open) -> None:
    tree.forward(MOVE)
    tree.back(MOVE)
    client = open_client()
    script = """
        INSERT INTO {t} DEFAULT VALUES
        UPDATE {t} SET id = 1
        DELETE FROM {t}
        MERGE INTO {t} USING (VALUES (1)) s (n) ON id = n WHEN MATCHED THEN DELETE
        EXPLAIN ANALYZE UPDATE {t} SET id = 1
    """
    for table in TABLES:
        assert client.play(script, f"new_{table}") == ["55000"] * 5
        copy = client.connection.cursor().copy(f"COPY new_{table} FROM STDIN")
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as refused, copy as rows_of_copy:
            rows_of_copy.write_row([1])
        said = refused.value.diag
        assert said.message_primary == (
            f"public.new_{table} is not in use: its rows were moved back to public.old_{table}."
        )
        assert said.message_hint == f"Write to public.old_{table}, or run the migration forwards again."
        assert client.run(f"SELECT * FROM new_{table}") == []
    tree.forward(MOVE)
    assert client.run("UPDATE new_thing SET name = 'x'") == 20


# ----- running a migration again


def test_a_key_that_was_dropped_since_stays_dropped_when_the_migration_is_run_again(tree: Lab) -> None:
    tree.forward(MOVE)
    ((key,),) = tree.sql(
        "SELECT conname FROM pg_constraint WHERE conrelid = 'new_thing'::regclass AND confrelid = 'auth_user'::regclass"
    )
    tree.sql(f'ALTER TABLE new_thing DROP CONSTRAINT "{key}"')

    tree.forward(MOVE)

    assert tree.sql("SELECT count(*) FROM pg_constraint WHERE conname = %s", [key]) == [(0,)]


def test_a_migration_that_django_did_not_record_changes_nothing_when_it_is_run_again(tree: Lab) -> None:
    tree.forward(MOVE)
    write(tree, "new")
    written = rows(tree, "new")
    tree.forward(MOVE)
    assert rows(tree, "old") == rows(tree, "new") == written
    tree.back(MOVE)
    tree.sql("UPDATE old_thing SET name = 'written since' WHERE id = 2")
    written = rows(tree, "old")
    tree.back(MOVE)
    assert rows(tree, "old") == written
    assert rows(tree, "new") == [[], []]


# To be killed before one of these is to be killed before the next that changes more.
PASSIVE = ("SELECT", "WITH", "SAVEPOINT", "RELEASE", "SET", "COMMENT", "REVOKE", "DROP FUNCTION", "ALTER FUNCTION",
           "CREATE OR REPLACE FUNCTION")  # fmt: skip

PICTURE = """
SELECT 'column', attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull::text,
       attidentity::text,
       (SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = attrelid AND adnum = attnum)
  FROM pg_attribute WHERE attrelid = ANY (%(tables)s::regclass[]) AND attnum > 0
 UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated::text, '', ''
  FROM pg_constraint WHERE conrelid = ANY (%(tables)s::regclass[])
 UNION ALL SELECT 'index', tablename, indexname, indexdef, '', '', ''
  FROM pg_indexes WHERE tablename = ANY (%(tables)s)
 UNION ALL SELECT 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid), tgenabled::text,
       tgfoid::regproc::text, (SELECT prosrc FROM pg_proc WHERE pg_proc.oid = tgfoid)
  FROM pg_trigger WHERE tgrelid = ANY (%(tables)s::regclass[]) AND NOT tgisinternal
 UNION ALL SELECT 'sequence', sequencename, sequences::text, '', '', '', ''
  FROM pg_sequences AS sequences WHERE sequencename LIKE '%%thing%%'
 UNION ALL SELECT 'function', proname, '', '', '', '', '' FROM pg_proc WHERE proname LIKE 'rehome%%'
 UNION ALL SELECT 'row of old', old_thing::text, '', '', '', '', '' FROM old_thing
 UNION ALL SELECT 'row of new', new_thing::text, '', '', '', '', '' FROM new_thing
 UNION ALL SELECT 'content type', app_label, model, id::text, '', '', '' FROM django_content_type
 ORDER BY 1, 2, 3
"""


@pytest.fixture
def things(lab: Lab) -> Lab:
    """One table with what a move puts away, shares and points at, and one that points at the target."""
    for app in ("old", "new"):
        lab.model(
            f"{app}.Thing",
            {
                "name": models.CharField(max_length=20, unique=True),
                "owner": models.ForeignKey("auth.User", models.CASCADE, null=True, related_name=f"{app}_things"),
            },
        )
    lab.model("other.Part", {"thing": models.ForeignKey("new.Thing", models.CASCADE, null=True)})
    lab.sql("INSERT INTO old_thing (name) SELECT 'thing ' || n FROM generate_series(1, 20) n")
    return lab


@contextmanager
def killed_before(lab: Lab, number: int) -> Iterator[list[str]]:
    """Terminate the backend of the move before its statement of that number; yields the statement."""
    numbers = itertools.count(1)
    killed: list[str] = []
    lab.connection.ensure_connection()
    backend = lab.connection.connection.info.backend_pid
    with connect(lab) as killer:

        def watch(execute: Any, statement: str, params: Any, many: bool, context: Any) -> Any:
            writes = "setval(" in statement or not statement.lstrip().startswith(PASSIVE)
            if writes and not killed and next(numbers) == number:
                killed.append(statement)
                killer.execute("SELECT pg_terminate_backend(%s)", [backend])
            return execute(statement, params, many, context)

        with lab.connection.execute_wrapper(watch):
            yield killed
        if killed:
            # Until then it holds its locks.
            await_end(killer, backend)


def run_killed(lab: Lab, run: Callable[[Move], None], number: int) -> list[str]:
    """Run with a backend that dies before its statement of that number, if it has as many."""
    with killed_before(lab, number) as killed:
        try:
            run(MOVE)
        except (MoveFailed, DatabaseError, InterfaceError):
            assert killed
            lab.connection.close()
    return killed


def picture(lab: Lab) -> list[tuple[Any, ...]]:
    return lab.sql(PICTURE, {"tables": ["old_thing", "new_thing", "other_part"]})


@pytest.mark.long
@pytest.mark.timeout(1800)  # Each statement of both ways is a move there and back.
def test_a_backend_killed_at_any_statement_costs_nothing_but_another_run(things: Lab) -> None:
    things.forward(MOVE)
    live = picture(things)
    things.back(MOVE)
    returned = picture(things)
    forwards, backwards = [""], [""]
    for number in itertools.count(1):
        if len(forwards) == number:
            forwards += run_killed(things, things.forward, number)
        things.forward(MOVE)
        assert picture(things) == live, forwards[-1]
        if len(backwards) == number:
            backwards += run_killed(things, things.back, number)
        things.back(MOVE)
        assert picture(things) == returned, backwards[-1]
        if max(len(forwards), len(backwards)) == number:
            break
    assert forwards[-1].startswith('UPDATE "rehome_moverun"')
    assert "VALIDATE" in backwards[-1]
    assert (len(forwards) > 20, len(backwards) > 15) == (True, True)


def test_a_column_that_must_have_a_value_since_is_told_and_does_not_stop_the_way_back(lab: Lab) -> None:
    """What new code alone knows is not needed there."""
    move = Move("old.Thing", "new.Thing", discard=["note"])
    note = {"note": models.TextField(null=True)}
    lab.twins(lambda app: {"name": models.CharField(max_length=20), **(note if app == "new" else {})})
    lab.sql("INSERT INTO old_thing (name) VALUES ('Ada')")
    lab.forward(move)
    lab.sql("UPDATE new_thing SET note = 'hers'")
    lab.sql("ALTER TABLE new_thing ALTER note SET NOT NULL")
    assert [defect.text for defect in lab.verify(move).defects] == [
        "public.new_thing.note must have a value, and a row that is inserted into public.old_thing has none for it: "
        "every such insert fails."
    ]
    lab.back(move)
    assert lab.sql("SELECT name FROM old_thing") == [("Ada",)]


def test_a_source_that_a_crash_empties_stops_the_way_back(lab: Lab) -> None:
    lab.twins(lambda app: {"name": models.CharField(max_length=20)})
    lab.sql("INSERT INTO old_thing (name) VALUES ('Ada')")
    lab.forward(MOVE)
    lab.sql("ALTER TABLE old_thing SET UNLOGGED")
    assert [defect.text for defect in lab.verify(MOVE).defects] == [
        "public.old_thing is unlogged: a crash of the server would empty it."
    ]
    with pytest.raises(Refused, match="public.old_thing is unlogged, and a crash of the server would empty it"):
        lab.back(MOVE)
