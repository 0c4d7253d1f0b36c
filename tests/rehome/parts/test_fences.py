"""A table that is not in use is closed to every kind of write, and to those of nobody who has to pass."""

from collections.abc import Callable

import pytest
from django.db import OperationalError, models
from django.db.models.functions import Lower

from rehome import Move
from tests.rehome.support.clients import Client
from tests.rehome.support.lab import Lab
from tests.rehome.support.stopping import stop_at

pytestmark = pytest.mark.server

WRITES = {
    "insert": "INSERT INTO {t} (name) VALUES ('x')",
    "update": "UPDATE {t} SET name = 'x'",
    "delete": "DELETE FROM {t}",
    "truncate": "TRUNCATE {t}",
    "merge": "MERGE INTO {t} USING (SELECT 1) AS one ON true WHEN MATCHED THEN DELETE",
}
WITHOUT_A_WAY_BACK = Move("old.Thing", "new.Thing", fields={"name": Lower("name")}, irreversible=True)


@pytest.fixture
def things(lab: Lab) -> Lab:
    lab.twins(lambda app: {"name": models.TextField()})
    lab.sql("INSERT INTO old_thing (name) VALUES ('Lamp'), ('Desk')")
    return lab


@pytest.mark.parametrize("kind", WRITES)
def test_a_frozen_source_keeps_its_rows(things: Lab, kind: str) -> None:
    """What the move could not carry is nowhere else."""
    things.forward(WITHOUT_A_WAY_BACK)
    assert not things.plan(WITHOUT_A_WAY_BACK).reversible
    with pytest.raises(OperationalError, match="public.old_thing is read-only: its rows moved to public.new_thing"):
        things.sql(WRITES[kind].format(t="old_thing"))
    assert things.sql("SELECT name FROM old_thing ORDER BY id") == [("Lamp",), ("Desk",)]


def test_a_frozen_source_and_its_target_are_emptied_at_once(things: Lab) -> None:
    """As TransactionTestCase does with all tables."""
    things.forward(WITHOUT_A_WAY_BACK)
    things.sql("TRUNCATE old_thing, new_thing")


@pytest.mark.parametrize("kind", WRITES)
def test_a_target_that_was_moved_back_takes_nothing(things: Lab, kind: str) -> None:
    move = Move("old.Thing", "new.Thing")
    things.forward(move)
    things.back(move)
    things.sql("ALTER TABLE new_thing DISABLE TRIGGER USER; INSERT INTO new_thing (name) VALUES ('stray')")
    things.sql("ALTER TABLE new_thing ENABLE TRIGGER USER")
    with pytest.raises(OperationalError, match="public.new_thing is not in use: its rows were moved back"):
        things.sql(WRITES[kind].format(t="new_thing"))
    things.sql("ALTER TABLE new_thing DISABLE TRIGGER USER; TRUNCATE new_thing")
    things.sql("ALTER TABLE new_thing ENABLE TRIGGER USER; TRUNCATE new_thing")
    things.forward(move)


ACTION = "/* DELETE FROM ONLY new_thing WHERE $1 OPERATOR(pg_catalog.=) id */"


@pytest.mark.parametrize("kind", [*WRITES, "insert within"])
def test_a_write_that_looks_like_that_of_a_foreign_key_brings_no_row(things: Lab, kind: str) -> None:
    """Called by a function, its text is where that of a foreign key would be."""
    move = Move("old.Thing", "new.Thing")
    things.forward(move)
    things.back(move)
    within = "WITH born AS (INSERT INTO {t} (name) VALUES ('x') RETURNING 1) UPDATE {t} SET name = 'x'"
    write = {**WRITES, "insert within": within}[kind].format(t="new_thing")
    things.sql(
        f"CREATE FUNCTION plays() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE $q${ACTION} {write}$q$; "
        "EXCEPTION WHEN object_not_in_prerequisite_state THEN NULL; END $$"
    )
    things.sql("SELECT plays()")
    assert things.sql("SELECT FROM new_thing") == []


# ----- beside another move that is live


@pytest.mark.parametrize("action", ["DELETE FROM new_author WHERE id = 1", "UPDATE new_author SET id = 0 WHERE id = 1"])
@pytest.mark.parametrize("point", ["before the first batch", "before the foreign keys", "before the switch"])
def test_a_live_parent_is_written_to_while_its_children_are_copied(
    lab: Lab, point: str, action: str, open_client: Callable[..., Client]
) -> None:
    """The old database cascades to the table that is being copied, and so it is written to for the other move."""
    for app in ("old", "new"):
        lab.model(f"{app}.Author", {"name": models.TextField()})
        author = models.ForeignKey(f"{app}.Author", models.CASCADE)
        lab.model(f"{app}.Thing", {"name": models.TextField(), "author": author})
    [(key,)] = lab.sql("SELECT conname FROM pg_constraint WHERE conrelid = 'old_thing'::regclass AND contype = 'f'")
    lab.sql(
        f"ALTER TABLE old_thing DROP CONSTRAINT {key}, ADD CONSTRAINT {key} FOREIGN KEY (author_id) "
        "REFERENCES old_author ON DELETE CASCADE ON UPDATE CASCADE"
    )
    lab.sql("INSERT INTO old_author (name) VALUES ('ada'), ('bob')")
    lab.sql("INSERT INTO old_thing (name, author_id) SELECT n, 1 + n % 2 FROM generate_series(1, 500) n")
    authors = Move("old.Author", "new.Author")
    things = Move("old.Thing", "new.Thing", online=True)
    lab.forward(authors)
    client = open_client()
    stop_at(lab, point, lambda: client.run(action), move=things)
    assert lab.sql("SELECT id, author_id FROM new_thing ORDER BY 1") == lab.sql(
        "SELECT id, author_id FROM old_thing ORDER BY 1"
    )
    assert lab.verify(authors).ok
    assert lab.verify(things).ok
