"""Columns that have the names which rehome's own statements use: for variables, rows, tables and columns of theirs."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import models
from django.db.models import Value
from django.db.models.functions import Lower

from rehome import Move
from rehome.postgres.tables import PREFIX
from tests.rehome.support.lab import Lab

OWN = {"id", "name", "fax", "again", "token"}
GIVEN = {"backwards": {"fax": Value("none"), "name": "name"}, "discard": ["fax", "token"]}


def move_of(name: str) -> Move:
    return Move(f"old.{name}", f"new.{name}", fields={"name": Lower("name"), "again": "name"}, **GIVEN)


def make(lab: Lab, name: str, others: list[str]) -> None:
    """A field of each kind: computed, that only one side has, and that follows another; and text fields."""

    def fields(app: str) -> dict[str, models.Field]:
        found: dict[str, models.Field] = {"name": models.TextField(db_default="")}
        own = {"old": ["fax"], "new": ["again", "token"]}[app]
        return (
            found
            | {one: models.TextField(db_default="none") for one in own}
            | {f"f{number}": models.TextField(db_default="", db_column=other) for number, other in enumerate(others)}
        )

    lab.twins(fields, name)


def live_through(lab: Lab, name: str) -> None:
    """Every way, with rows that are born, change, die and take the keys of others in each phase."""
    move, old, new = move_of(name), f"old_{name.lower()}", f"new_{name.lower()}"
    lab.sql(f"INSERT INTO {old} (id, name, fax) VALUES (1, 'A', 'a'), (2, 'B', 'b'), (3, 'C', 'c'), (4, 'D', 'd')")
    lab.forward(move)
    for table in (old, new):
        take_key(lab, table, 2, 1)
        lab.sql(f"UPDATE {table} SET name = name || 'X' WHERE id = 1")
        lab.sql(f"UPDATE {table} SET id = 2 WHERE id = 1")
        # A row is born under the key of one that dies in the same statement, and looks the same.
        columns = ", ".join(f'"{c}"' for c in columns_of(lab, table) - {"fax", "token", "id"})
        lab.sql(
            f"WITH gone AS (DELETE FROM {table} WHERE id = 3 RETURNING *) "
            f"INSERT INTO {table} (id, {columns}) SELECT 3, {columns} FROM gone"
        )
        assert lab.sql(f"SELECT fax FROM {old} ORDER BY id")[1] == ("none",)
        lab.sql(f"INSERT INTO {table} (id, name) VALUES (1, 'E')")
    assert lab.verify(move).ok
    before = lab.sql(f"SELECT id, fax FROM {old} ORDER BY id")
    lab.retire(move)
    lab.sql(f"UPDATE {new} SET id = id + 10 WHERE id > 2")
    lab.sql(f"UPDATE {new} SET name = 'new'")
    lab.sql(f"INSERT INTO {old} (id, name) VALUES (7, 'F')")
    lab.unretire(move)
    after = [(key + 10 * (key > 2), fax) for key, fax in before]
    assert lab.sql(f"SELECT id, fax FROM {old} ORDER BY id") == sorted([*after, (7, "none")])
    lab.back(move)


def take_key(lab: Lab, table: str, key: int, of: int) -> None:
    """One statement deletes a row and gives its key to another."""
    lab.sql(
        f"WITH gone AS (DELETE FROM {table} WHERE id = {of} RETURNING 1) "
        f"UPDATE {table} SET id = {of} WHERE id = {key} AND EXISTS (SELECT FROM gone)"
    )


def columns_of(lab: Lab, table: str) -> set[str]:
    asked = "SELECT attname::text FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
    return {column for (column,) in lab.sql(asked, [table])}


@pytest.mark.long
def test_columns_of_any_name_that_the_statements_use(lab: Lab) -> None:
    """The names are those of the statements that a first move has run."""
    said: set[str] = set()

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        said.add(sql if isinstance(sql, str) else "")
        return execute(sql, params, many, context)

    make(lab, "Thing", [])
    with lab.connection.execute_wrapper(note):
        live_through(lab, "Thing")
    about = " ".join(text.lower() for text in said if "old_thing" in text)
    words = set(re.findall(r"\b[a-z_]\w{0,40}\b", about))
    words -= {"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"}
    keywords = {word for (word,) in lab.sql("SELECT word FROM pg_get_keywords() WHERE catcode = 'R'")}
    names = sorted(word for word in words - OWN - keywords if not word.startswith(PREFIX))
    assert {"tg_op", "lives", "kept", "carry", "now_1"} <= set(names)

    make(lab, "Other", names)
    live_through(lab, "Other")
