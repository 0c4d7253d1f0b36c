"""Two tables that are live, and one alone: whatever is done to the one must have the same effect on the two."""

from typing import Any

from django.db import models

from rehome import Move
from tests.rehome.support.lab import Lab

MOVE = Move("old.Thing", "new.Thing")
SIDES = ("old_thing", "new_thing")
ALONE = "one_thing"
TABLES = (*SIDES, ALONE)


class Trio:
    """`id`, a unique `code`, `place` and `rank` that are unique at the end of a statement and of a transaction."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        for app in ("old", "new", "one"):
            lab.model(
                f"{app}.Thing",
                {
                    "name": models.CharField(max_length=40),
                    "code": models.IntegerField(unique=True, null=True),
                    "place": models.IntegerField(null=True),
                    "rank": models.IntegerField(null=True),
                    "note": models.TextField(null=True),
                },
            )
            lab.sql(
                f"ALTER TABLE {app}_thing ADD CONSTRAINT {app}_place UNIQUE (place) DEFERRABLE, "
                f"ADD CONSTRAINT {app}_rank UNIQUE (rank) DEFERRABLE INITIALLY DEFERRED"
            )
        self.fill("old_thing")
        self.fill(ALONE)

    def fill(self, table: str) -> None:
        """Twenty rows: 1, 'thing 1', 10, 1, 1 and so on."""
        self.lab.sql(
            f"INSERT INTO {table} (id, name, code, place, rank) "
            "SELECT n, 'thing ' || n, n * 10, n, n FROM generate_series(1, 20) n"
        )

    def reset(self) -> None:
        """The live pair and the one alone have the twenty rows again, and give out the same next key."""
        self.lab.sql(f"TRUNCATE {', '.join(TABLES)}")
        for table in ("old_thing", ALONE):
            self.fill(table)
        for sequence in ("new_thing_id_seq", "one_thing_id_seq"):
            self.lab.sql(f"SELECT setval('{sequence}', 100)")

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        return self.lab.sql(f"SELECT * FROM {table} ORDER BY id")

    def agrees(self) -> bool:
        """Whether all three hold the same rows."""
        return self.rows("old_thing") == self.rows("new_thing") == self.rows(ALONE)


def trigger(lab: Lab, table: str, events: str, body: str) -> None:
    """A trigger that somebody else made; its name sorts before those of the sync."""
    name = f"a_trigger_on_{table}"
    lab.sql(f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN new; END $$")
    lab.sql(f"CREATE TRIGGER {name} {events} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")
