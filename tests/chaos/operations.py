"""What old or new code does to a few rows of its own, and what must be there when it has committed."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable

from tests.chaos.sessions import Session
from tests.rehome.support.lab import Lab

Rows = dict[int, str]
"""The name of each row by its key."""
NEW = 100_000
"""Added to a key, it is one that nobody has."""
SPACE = 3
"""Keys of a cell: a parent, its child, and one that is alone."""


@dataclasses.dataclass(frozen=True)
class Operation:
    statements: tuple[str, ...]
    """{t} is the table; {parent}, {child}, {alone} and {new} are keys."""
    effect: Callable[[int], dict[int, str | None]]
    """From the first of the keys: the rows as they are then; None for one that is gone."""


OPERATIONS = {
    "insert": Operation(("INSERT INTO {t} (id, name) VALUES ({new}, 'new')",), lambda key: {key + NEW: "new"}),
    "update": Operation(("UPDATE {t} SET name = 'changed' WHERE id = {parent}",), lambda key: {key: "changed"}),
    "delete": Operation(("DELETE FROM {t} WHERE id = {alone}",), lambda key: {key + 2: None}),
    "key change": Operation(
        ("UPDATE {t} SET id = {new} WHERE id = {alone}",), lambda key: {key + 2: None, key + NEW: "first"}
    ),
    "re-insert of a deleted key": Operation(
        ("DELETE FROM {t} WHERE id = {alone}", "INSERT INTO {t} (id, name) VALUES ({alone}, 'again')"),
        lambda key: {key + 2: "again"},
    ),
    "cascade": Operation(("DELETE FROM {t} WHERE id = {parent}",), lambda key: {key: None, key + 1: None}),
    "bulk statement": Operation(
        ("UPDATE {t} SET name = 'bulk' WHERE id IN ({parent}, {child}, {alone})",),
        lambda key: dict.fromkeys(range(key, key + SPACE), "bulk"),
    ),
    "write by another trigger": Operation(
        ("INSERT INTO chaos_touch (place, key) VALUES ('{t}', {parent})",), lambda key: {key: "touched"}
    ),
}
TOUCH = """
CREATE TABLE chaos_touch (place text, key int);
CREATE FUNCTION chaos_touch() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN
  EXECUTE format('UPDATE %I SET name = ''touched'' WHERE id = $1', new.place) USING new.key;
  RETURN new;
END $$;
CREATE TRIGGER chaos_touch BEFORE INSERT ON chaos_touch FOR EACH ROW EXECUTE FUNCTION chaos_touch();
"""


class Cell:
    """One operation on one side by one session, which commits or rolls back."""

    def __init__(self, lab: Lab, first_key: int, table: str, name: str, end: str) -> None:
        self.key = first_key
        self.table = table
        self.name = f"{name}, {end}, {table}"
        self.operation = OPERATIONS[name]
        self.end = end
        self.session = Session(lab)

    def begin(self) -> None:
        keys = {"parent": self.key, "child": self.key + 1, "alone": self.key + 2, "new": self.key + NEW}
        self.session.send("BEGIN", *(text.format(t=self.table, **keys) for text in self.operation.statements))

    def finish(self) -> None:
        self.session.send(self.end)

    def born(self) -> Rows:
        return dict.fromkeys(range(self.key, self.key + SPACE), "first")

    def left(self) -> Rows:
        """The rows of this cell that must be there in the end."""
        rows: dict[int, str | None] = {**self.born()}
        if self.end == "COMMIT" and self.session.refusal is None:
            rows |= self.operation.effect(self.key)
        return {key: name for key, name in rows.items() if name is not None}


def cells_of(names: Iterable[str], lab: Lab, first_key: int) -> list[Cell]:
    """Each operation on each side with each end, every one on rows of its own."""
    combinations = itertools.product(("old_thing", "new_thing"), names, ("COMMIT", "ROLLBACK"))
    return [
        Cell(lab, first_key + number * SPACE, table, name, end)
        for number, (table, name, end) in enumerate(combinations)
    ]
