"""What one of two live tables alone has belongs to the life of a row: it dies with it, and goes with its key."""

import pytest
from django.db import models
from django.db.models import Value

from rehome import Move
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVE = Move("old.Person", "new.Person", discard=["fax", "note"], backwards={"fax": Value("none")})
NAMES = "abcd"


@pytest.fixture
def people(lab: Lab) -> Lab:
    """Each table has a column that the other does not, with a default in the database or in the model, and unique."""
    key = models.CharField(primary_key=True, max_length=9)
    lab.model("old.Person", {"code": key, "name": models.TextField(), "fax": models.TextField(default="")})
    new = {"code": key.clone(), "name": models.TextField(), "note": models.TextField(default="none")}
    lab.model("new.Person", {**new, "badge": models.IntegerField(null=True, unique=True)})
    return lab


BOB_BECOMES_A = (
    "WITH gone AS (DELETE FROM {0} WHERE code = 'a' RETURNING code) "
    "UPDATE {0} AS bob SET code = gone.code FROM gone WHERE bob.code = 'b'"
)
KEPT = {name: f"of {name}" for name in NAMES}
WRITES = {
    "another value": ("UPDATE {0} SET name = 'x' WHERE code = 'a'", KEPT),
    "every value": ("UPDATE {0} SET name = 'x'", KEPT),
    "gone, and born again": (
        "DELETE FROM {0} WHERE code = 'a'; INSERT INTO {0} (code, name) VALUES ('a', 'a')",
        KEPT | {"a": "none"},
    ),
    "gone, and born again in one transaction": (
        "BEGIN; DELETE FROM {0} WHERE code = 'a'; INSERT INTO {0} (code, name) VALUES ('a', 'a'); COMMIT",
        KEPT | {"a": "none"},
    ),
    "gone, and born again in one statement": (
        "WITH gone AS (DELETE FROM {0} WHERE code = 'a' RETURNING *) "
        "INSERT INTO {0} (code, name) SELECT code, name FROM gone",
        KEPT | {"a": "none"},
    ),
    "gone, and another born in one statement": (
        "WITH gone AS (DELETE FROM {0} WHERE code = 'a' RETURNING *) "
        "INSERT INTO {0} (code, name) SELECT code, 'x' FROM gone",
        KEPT | {"a": "none"},
    ),
    "another key": (
        "UPDATE {0} SET code = 'e' WHERE code = 'a'",
        {"b": "of b", "c": "of c", "d": "of d", "e": "of a"},
    ),
    "the key of one that is gone by the same statement": (BOB_BECOMES_A, {"a": "of b", "c": "of c", "d": "of d"}),
    "the key of one that looks the same": (
        "UPDATE {0} SET name = 'x'; " + BOB_BECOMES_A,
        {"a": "of b", "c": "of c", "d": "of d"},
    ),
    "a key that goes from hand to hand": (
        "WITH gone AS (DELETE FROM {0} WHERE code = 'a' RETURNING code) "
        "UPDATE {0} AS it SET code = chr(ascii(it.code) - 1) FROM gone",
        {"a": "of b", "b": "of c", "c": "of d"},
    ),
    "all by one": (
        "UPDATE {0} SET code = chr(ascii(code) - 1)",
        {"`": "of a", "a": "of b", "b": "of c", "c": "of d"},
    ),
    "changed places": (
        "UPDATE {0} SET code = 'x' WHERE code = 'a'; UPDATE {0} SET code = 'a' WHERE code = 'b'; "
        "UPDATE {0} SET code = 'b' WHERE code = 'x'",
        KEPT | {"a": "of b", "b": "of a"},
    ),
    "the key of one that is gone, and its own is born again": (
        "WITH gone AS (DELETE FROM {0} WHERE code = 'a' RETURNING code), "
        "moved AS (UPDATE {0} AS it SET code = gone.code FROM gone WHERE it.code = 'b' RETURNING 1) "
        "INSERT INTO {0} (code, name) SELECT 'b', 'born' FROM (SELECT count(*) FROM moved) AS all_moved",
        KEPT | {"a": "of b", "b": "none"},
    ),
    "the key and the values of one that is gone": (
        "WITH gone AS (DELETE FROM {0} WHERE code = 'a' RETURNING *) "
        "UPDATE {0} AS bob SET code = gone.code, name = gone.name FROM gone WHERE bob.code = 'b'",
        {"a": "of b", "c": "of c", "d": "of d"},
    ),
    "all gone, and born again under each other's keys": (
        "WITH gone AS (DELETE FROM {0} RETURNING *) "
        "INSERT INTO {0} (code, name) SELECT chr(197 - ascii(code)), name FROM gone ORDER BY name",
        dict.fromkeys(NAMES, "none"),
    ),
    "a value of one that is gone, whose key another takes": (
        "WITH gone AS (DELETE FROM {0} WHERE code = 'a' RETURNING *), "
        "born AS (INSERT INTO {0} (code, name) SELECT 'e', name FROM gone RETURNING 1) "
        "UPDATE {0} AS bob SET code = 'a' FROM born WHERE bob.code = 'b'",
        {"a": "of b", "c": "of c", "d": "of d", "e": "none"},
    ),
    "undone": ("BEGIN; " + BOB_BECOMES_A + "; ROLLBACK", KEPT),
}


def strict(lab: Lab, write: str, expected: dict[str, str]) -> None:
    """What is true of each row of either table, before and after, is true of a row on its way."""
    for table, own in (("old_person", "fax"), ("new_person", "note")):
        lab.sql(f"ALTER TABLE {table} ADD one bigint GENERATED ALWAYS AS IDENTITY")
        if "name =" not in write:
            lab.sql(f"ALTER TABLE {table} ADD UNIQUE (name)")
        if "name =" not in write and "none" not in expected.values():
            lab.sql(f"ALTER TABLE {table} ADD CHECK ({own} = 'of ' || name)")


@pytest.mark.parametrize("kind", WRITES)
@pytest.mark.parametrize("written", ["old_person", "new_person"])
def test_it_goes_with_its_row(people: Lab, written: str, kind: str) -> None:
    """Whichever table is written to; the values that the same table has go with its row by themselves."""
    people.forward(MOVE)
    people.sql("DELETE FROM old_person")
    for number, name in enumerate(NAMES):
        people.sql(f"INSERT INTO old_person VALUES ('{name}', '{name}', 'of {name}')")
        people.sql(f"UPDATE new_person SET note = 'of {name}', badge = {number} WHERE code = '{name}'")
    write, expected = WRITES[kind]
    strict(people, write, expected)
    names = "note, badge" if written == "old_person" else "fax"
    own = "fax" if written == "old_person" else "note"
    people.sql(f"ALTER TABLE {written} ALTER {own} SET DEFAULT 'own'")
    people.sql(write.format(written))
    people.sql(f"ALTER TABLE {written} ALTER {own} DROP DEFAULT")
    badges = {f"of {name}": number for number, name in enumerate(NAMES)}
    found = people.sql(f"SELECT code, {names} FROM {'new' if written == 'old_person' else 'old'}_person ORDER BY code")
    assert {code: alone for code, alone, *_ in found} == expected
    if written == "old_person":
        assert {code: badge for code, _, badge in found} == {c: badges.get(alone) for c, alone in expected.items()}
    assert people.sql("SELECT code, name FROM old_person ORDER BY 1") == people.sql(
        "SELECT code, name FROM new_person ORDER BY 1"
    )
    assert people.verify(MOVE).ok


def test_a_key_that_a_trigger_gives_on_at_once_leaves_both_rows(people: Lab) -> None:
    """The trigger's own write is carried before the one that it is called for."""
    people.forward(MOVE)
    people.sql("INSERT INTO old_person VALUES ('b', 'bob', ''), ('c', 'cleo', '')")
    people.sql(
        "CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "UPDATE old_person SET code = 'b' WHERE code = 'c'; RETURN new; END $$"
    )
    people.sql(
        "CREATE TRIGGER a_follow AFTER UPDATE ON old_person FOR EACH ROW WHEN (new.code = 'a') "
        "EXECUTE FUNCTION follow()"
    )
    people.sql("UPDATE old_person SET code = 'a' WHERE code = 'b'")
    for table in ("old_person", "new_person"):
        assert people.sql(f"SELECT code, name FROM {table} ORDER BY 1") == [("a", "bob"), ("b", "cleo")]


@pytest.mark.parametrize("name", ["old.name", "'another'"])
@pytest.mark.parametrize("order", "az")
def test_a_row_that_a_trigger_makes_again_at_once_is_in_both_tables(people: Lab, order: str, name: str) -> None:
    """The trigger's own write is carried before the one that it is called for, or after it; the row may be the same."""
    people.forward(MOVE)
    people.sql("INSERT INTO old_person VALUES ('a', 'ada', ''), ('b', 'bob', '')")
    people.sql(
        "CREATE FUNCTION undo() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"INSERT INTO old_person (code, name, fax) VALUES (old.code, {name}, 'again'); RETURN NULL; END $$"
    )
    people.sql(
        f"CREATE TRIGGER {order}_undo AFTER DELETE ON old_person FOR EACH ROW WHEN (old.fax <> 'again') "
        "EXECUTE FUNCTION undo()"
    )
    people.sql("UPDATE new_person SET note = 'of ' || code")
    people.sql("BEGIN; UPDATE old_person SET name = name || '!'; DELETE FROM old_person; COMMIT")
    found = people.sql("SELECT code, name, note FROM new_person ORDER BY 1")
    assert [row[:2] for row in found] == people.sql("SELECT code, name FROM old_person ORDER BY 1")
    assert [row[0] for row in found] == ["a", "b"]


@pytest.mark.parametrize("written", ["old_person", "new_person"])
def test_what_hangs_on_a_row_goes_with_it_and_not_with_its_key(people: Lab, written: str) -> None:
    people.forward(MOVE)
    people.sql("INSERT INTO old_person (code, name, fax) VALUES ('a', 'ada', ''), ('b', 'bob', '')")
    for table in ("old_person", "new_person"):
        people.sql(
            f"CREATE TABLE of_{table} (person varchar(9) REFERENCES {table} ON DELETE CASCADE ON UPDATE CASCADE, n int)"
        )
        people.sql(f"INSERT INTO of_{table} VALUES ('a', 1), ('b', 2)")
    people.sql(BOB_BECOMES_A.format(written))
    for table in ("old_person", "new_person"):
        assert people.sql(f"SELECT * FROM of_{table}") == [("a", 2)]


def test_a_column_that_one_table_gets_later_leaves_the_triggers_as_they_are(people: Lab) -> None:
    people.forward(MOVE)
    for table in ("old_person", "new_person"):
        people.sql(f"ALTER TABLE {table} ADD more_of_{table} integer NOT NULL DEFAULT 1")
    assert people.verify(MOVE).ok
