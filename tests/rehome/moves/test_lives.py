"""What only a retired table knows of a row dies with the row, and goes with its key, until the table is used again."""

import pytest
from django.db import models
from django.db.models import Value

from rehome import Move
from rehome.moves import runner
from rehome.moves.steps import open_session
from rehome.parts import lives
from rehome.plan.ledger import Ledger
from rehome.plan.record import Record
from rehome.verify.report import verify_views
from tests.rehome.support.lab import Lab

MOVE = Move("old.Person", "new.Person", discard=["fax"], backwards={"fax": Value("none")})
NAMES = "abcd"


@pytest.fixture
def people(lab: Lab) -> Lab:
    """Two tables in use, of which one does not know the fax."""
    key = models.CharField(primary_key=True, max_length=9)
    lab.model("old.Person", {"code": key, "name": models.TextField(), "fax": models.TextField(default="")})
    lab.model("new.Person", {"code": key.clone(), "name": models.TextField()})
    lab.forward(MOVE)
    return lab


@pytest.fixture
def retired(people: Lab) -> Lab:
    retire(people)
    return people


def retire(lab: Lab) -> None:
    """The table of four people."""
    lab.sql("DELETE FROM old_person")
    for name in NAMES:
        lab.sql(f"INSERT INTO old_person VALUES ('{name}', '{name}', 'fax of {name}')")
    lab.retire(MOVE)


def faxes(lab: Lab) -> dict[str, str]:
    """By key, once the old table is used again."""
    lab.unretire(MOVE)
    assert lab.verify(MOVE).ok
    return dict(lab.sql("SELECT code, fax FROM old_person ORDER BY code"))


UNTOUCHED = {name: f"fax of {name}" for name in NAMES}
BOB_BECOMES_A = (
    "WITH gone AS (DELETE FROM {0} WHERE code = 'a' RETURNING code) "
    "UPDATE {0} AS bob SET code = gone.code FROM gone WHERE bob.code = 'b'"
)
BORN_AGAIN = "DELETE FROM {0} WHERE code = 'a'; INSERT INTO {0} (code, name) VALUES ('a', 'another')"
WRITES = {
    "nothing": ("SELECT 1", UNTOUCHED),
    "another value": ("UPDATE {0} SET name = 'x' WHERE code = 'a'", UNTOUCHED),
    "a death": ("DELETE FROM {0} WHERE code = 'a'", {"b": "fax of b", "c": "fax of c", "d": "fax of d"}),
    "born again": (BORN_AGAIN, UNTOUCHED | {"a": "none"}),
    "born twice": (f"{BORN_AGAIN}; {BORN_AGAIN}", UNTOUCHED | {"a": "none"}),
    "born": ("INSERT INTO {0} (code, name) VALUES ('e', 'e')", UNTOUCHED | {"e": "none"}),
    "born, and gone": (
        "INSERT INTO {0} (code, name) VALUES ('e', 'e'); DELETE FROM {0} WHERE code = 'e'",
        UNTOUCHED,
    ),
    "another key": (
        "UPDATE {0} SET code = 'e' WHERE code = 'a'",
        {"b": "fax of b", "c": "fax of c", "d": "fax of d", "e": "fax of a"},
    ),
    "another key and back": (
        "UPDATE {0} SET code = 'e' WHERE code = 'a'; UPDATE {0} SET code = 'a' WHERE code = 'e'",
        UNTOUCHED,
    ),
    "another key, and born under the first": (
        "UPDATE {0} SET code = 'e' WHERE code = 'a'; INSERT INTO {0} (code, name) VALUES ('a', 'another')",
        UNTOUCHED | {"a": "none", "e": "fax of a"},
    ),
    "another key, and gone": (
        "UPDATE {0} SET code = 'e' WHERE code = 'a'; DELETE FROM {0} WHERE code = 'e'",
        {"b": "fax of b", "c": "fax of c", "d": "fax of d"},
    ),
    "the key of one that dies with it": (BOB_BECOMES_A, {"a": "fax of b", "c": "fax of c", "d": "fax of d"}),
    "changed places": (
        "UPDATE {0} SET code = 'x' WHERE code = 'a'; UPDATE {0} SET code = 'a' WHERE code = 'b'; "
        "UPDATE {0} SET code = 'b' WHERE code = 'x'",
        UNTOUCHED | {"a": "fax of b", "b": "fax of a"},
    ),
    "all by one": (
        "UPDATE {0} SET code = chr(ascii(code) - 1)",
        {"`": "fax of a", "a": "fax of b", "b": "fax of c", "c": "fax of d"},
    ),
    "undone": ("BEGIN; DELETE FROM {0}; ROLLBACK", UNTOUCHED),
}


@pytest.mark.parametrize("table", ["old_person", "new_person"])
@pytest.mark.long
def test_values_belong_to_the_life_of_a_row(people: Lab, table: str) -> None:
    found = {}
    for kind, (write, _) in WRITES.items():
        retire(people)
        people.sql(write.format(table))
        found[kind] = faxes(people)
    assert found == {kind: expected for kind, (_, expected) in WRITES.items()}


def test_the_table_is_emptied_and_filled_again(retired: Lab) -> None:
    retired.sql("TRUNCATE new_person; INSERT INTO new_person VALUES ('a', 'another')")
    assert faxes(retired) == {"a": "none"}


def test_nothing_is_left_behind(lab: Lab, retired: Lab) -> None:
    """Of the triggers, their functions and the table of notes: undone, or dropped for good."""

    def left() -> list[str]:
        found = lab.sql(
            "SELECT tgname FROM pg_trigger WHERE tgname ~ '^rehome_(died|moved|emptied)' UNION ALL "
            "SELECT proname FROM pg_proc WHERE proname ~ '^rehome_(died|moved|emptied)' UNION ALL "
            "SELECT relname FROM pg_class WHERE relname ~ '^rehome_lives'"
        )
        return [name for (name,) in found]

    assert len(left()) == 9
    lab.unretire(MOVE)
    assert left() == []
    lab.retire(MOVE)
    runner.drop(MOVE, lab.apps, lab.connection)
    assert left() == []
    lab.sql("DELETE FROM new_person")


def test_a_missing_trigger_is_told_and_repaired(retired: Lab) -> None:
    retired.sql("DELETE FROM new_person WHERE code = 'a'")
    (name,) = retired.sql("SELECT tgname FROM pg_trigger WHERE tgname ~ '^rehome_died'")[0]
    retired.sql(f"DROP TRIGGER {name} ON new_person")
    plan = retired.plan(MOVE)
    record = Record.of(Ledger("default").current(plan))
    (defect,) = verify_views(plan, open_session(plan), record).view
    assert defect.startswith("A trigger of public.new_person is missing or disabled that follows its rows")

    retired.retire(MOVE)

    assert lives.find_defects(retired.plan(MOVE), record) == []
    retired.sql("INSERT INTO new_person VALUES ('a', 'another')")
    assert faxes(retired) == UNTOUCHED | {"a": "none"}


def test_missing_notes_are_told_and_made_again(retired: Lab) -> None:
    """Without them, every write fails that deletes a row or changes its key."""
    plan = retired.plan(MOVE)
    retired.sql(f"DROP TABLE {lives.place(plan.main).as_string()}")
    record = Record.of(Ledger("default").current(plan))
    (defect,) = verify_views(plan, open_session(plan), record).view
    assert "or the table of its notes is gone" in defect

    retired.retire(MOVE)

    assert lives.find_defects(retired.plan(MOVE), record) == []
    retired.sql("DELETE FROM new_person WHERE code = 'a'")
    retired.sql("INSERT INTO new_person VALUES ('a', 'another')")
    assert faxes(retired) == UNTOUCHED | {"a": "none"}


def test_where_the_target_knows_everything_nothing_is_noted(lab: Lab) -> None:
    lab.twins(lambda app: {"name": models.TextField()})
    lab.forward(move := Move("old.Thing", "new.Thing"))
    lab.retire(move)
    assert lab.sql("SELECT 1 FROM pg_class WHERE relname ~ '^rehome_lives'") == []
