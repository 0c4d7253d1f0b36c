"""The project's own triggers: each write is recorded once, through whichever table, at every moment of a move."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import models
from django.db.models import Value
from django.db.models.functions import Upper

from rehome import Move
from rehome.plan.ledger import Ledger
from rehome.plan.record import Record
from rehome.verify.problems import find_problems
from tests.rehome.support.lab import Lab

MOVE = Move("old.Person", "new.Person")
FIELDS = {"name": models.CharField(max_length=40), "phone": models.CharField(max_length=40, default="")}
WAYS = pytest.mark.parametrize("online", [False, True], ids=["at once", "online"])


@pytest.fixture
def people(lab: Lab) -> Lab:
    """Two tables with one row, and a table that a trigger writes to what was written."""
    for app in ("old", "new"):
        lab.model(f"{app}.Person", dict(FIELDS))
    lab.sql("INSERT INTO old_person (name, phone) VALUES ('Ada', '1')")
    lab.sql("CREATE TABLE audit (number serial, trigger text, op text, name text)")
    lab.sql(
        "CREATE FUNCTION record() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "INSERT INTO audit (trigger, op, name) VALUES (TG_NAME, TG_OP, coalesce(new.name, old.name)); "
        "RETURN coalesce(new, old); END $$"
    )
    return lab


def create(lab: Lab, name: str, rest: str, table: str = "old_person") -> None:
    when, _, each = rest.partition(" FOR ")
    lab.sql(f"CREATE TRIGGER {name} {when} ON {table} FOR {each} EXECUTE FUNCTION record()")


def recorded(lab: Lab) -> list[tuple[str, ...]]:
    """What was recorded since the last call."""
    return [tuple(row) for row in lab.sql("DELETE FROM audit RETURNING trigger, op, name")]


def states(lab: Lab) -> dict[tuple[str, str], str]:
    """By table and trigger."""
    found = lab.sql(
        "SELECT c.relname, t.tgname, t.tgenabled::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
        "WHERE NOT tgisinternal AND tgname !~ '^rehome_' AND c.relname ~ 'person|aside'"
    )
    return {(table if not table.startswith("rehome_") else "aside", name): state for table, name, state in found}


def write(lab: Lab, table: str) -> list[tuple[str, ...]]:
    """One write of each kind, each a statement of its own; what was recorded of them."""
    recorded(lab)
    lab.sql(f"INSERT INTO {table} (name, phone) VALUES ('Bob', '2')")
    lab.sql(f"UPDATE {table} SET name = 'Bea' WHERE name = 'Bob'")
    lab.sql(f"DELETE FROM {table} WHERE name = 'Bea'")
    return recorded(lab)


def once(trigger: str) -> list[tuple[str, ...]]:
    return [(trigger, "INSERT", "Bob"), (trigger, "UPDATE", "Bea"), (trigger, "DELETE", "Bea")]


ROW = "INSERT OR UPDATE OR DELETE FOR EACH ROW"


@WAYS
@pytest.mark.parametrize("when", ["AFTER", "BEFORE"])
def test_each_write_is_recorded_once_at_every_moment(people: Lab, when: str, *, online: bool) -> None:
    move = Move("old.Person", "new.Person", online=online)
    create(people, "note", f"{when} {ROW}")

    people.forward(move)
    assert recorded(people) == []
    assert states(people) == {("old_person", "note"): "O", ("new_person", "note"): "D"}
    assert write(people, "old_person") == write(people, "new_person") == once("note")
    assert people.verify(move).ok

    people.retire(move)
    assert recorded(people) == []
    assert states(people) == {("aside", "note"): "D", ("new_person", "note"): "O"}
    assert write(people, "old_person") == write(people, "new_person") == once("note")
    people.sql("UPDATE new_person SET name = 'Eve'")
    assert recorded(people) == [("note", "UPDATE", "Eve")]

    people.unretire(move)
    assert recorded(people) == []
    assert states(people) == {("old_person", "note"): "O", ("new_person", "note"): "D"}
    assert write(people, "old_person") == write(people, "new_person") == once("note")

    people.back(move)
    assert recorded(people) == []
    assert states(people) == {("old_person", "note"): "O"}
    assert write(people, "old_person") == once("note")


def test_it_is_recorded_whose_key_another_row_takes(people: Lab) -> None:
    """As on one table: one is deleted, and the other changes its key."""
    create(people, "note", f"AFTER {ROW}")
    create(people, "first", f"BEFORE {ROW}")
    people.forward(MOVE)
    for table in ("old_person", "new_person"):
        people.sql("DELETE FROM old_person; INSERT INTO old_person VALUES (1, 'Ada', ''), (2, 'Bob', '')")
        recorded(people)
        people.sql(
            f"WITH gone AS (DELETE FROM {table} WHERE id = 1 RETURNING 1) "
            f"UPDATE {table} SET id = 1 WHERE id = 2 AND (SELECT count(*) FROM gone) = 1"
        )
        expected = [
            (trigger, *what) for trigger in ("first", "note") for what in (("DELETE", "Ada"), ("UPDATE", "Bob"))
        ]
        assert sorted(recorded(people)) == expected


def test_a_name_that_begins_like_those_of_rehome_is_the_projects(people: Lab) -> None:
    create(people, "rehome_audit", f"AFTER {ROW}")
    people.forward(MOVE)
    assert people.sql("SELECT tgenabled::text FROM pg_trigger WHERE tgname = 'rehome_audit' ORDER BY 1") == [
        ("D",),
        ("O",),
    ]
    people.retire(MOVE)
    assert write(people, "old_person") == write(people, "new_person") == once("rehome_audit")


# ----- of any kind, in any state


@WAYS
def test_kinds_and_states_are_kept(people: Lab, *, online: bool) -> None:
    """Whatever can be created on the target fires there as it did, and again on the source after the undo."""
    move = Move("old.Person", "new.Person", online=online)
    create(people, "always", f"AFTER {ROW}")
    create(people, '"Of A ""Column"', "AFTER UPDATE OF name, phone FOR EACH ROW WHEN (old.name <> new.name)")
    create(people, "truncated", "AFTER TRUNCATE FOR EACH STATEMENT")
    create(people, "off", f"AFTER {ROW}")
    create(people, "replica", f"BEFORE {ROW}")
    people.sql(
        "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON old_person DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION record()"
    )
    people.sql(
        "CREATE FUNCTION each() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit (trigger, op, name) "
        "SELECT TG_NAME, TG_OP, name FROM born; RETURN NULL; END $$"
    )
    people.sql(
        "CREATE TRIGGER seen AFTER INSERT ON old_person REFERENCING NEW TABLE AS born "
        "FOR EACH STATEMENT EXECUTE FUNCTION each()"
    )
    people.sql("ALTER TABLE old_person ENABLE ALWAYS TRIGGER always")
    people.sql("ALTER TABLE old_person DISABLE TRIGGER off")
    people.sql("ALTER TABLE old_person ENABLE REPLICA TRIGGER replica")
    kept = {name: state for (_, name), state in states(people).items()}
    assert kept == {
        "always": "A", 'Of A "Column': "O", "truncated": "O", "off": "D", "replica": "R", "late": "O", "seen": "O"
    }  # fmt: skip

    def on(table: str, enabled: dict[str, str]) -> dict[tuple[str, str], str]:
        return {(table, name): state for name, state in enabled.items()}

    disabled = dict.fromkeys(kept, "D")
    people.forward(move)
    assert states(people) == on("old_person", kept) | on("new_person", disabled)
    before = write_many(people, "old_person")
    assert sorted(write_many(people, "new_person")) == sorted(before)
    people.retire(move)
    assert states(people) == on("aside", disabled) | on("new_person", kept)
    assert write_many(people, "new_person") == write_many(people, "old_person") == before
    people.sql("ALTER TABLE new_person ENABLE TRIGGER off")
    people.unretire(move)
    assert states(people) == on("old_person", kept | {"off": "O"}) | on("new_person", disabled)
    people.back(move)
    assert states(people) == on("old_person", kept | {"off": "O"})


def write_many(lab: Lab, table: str) -> list[tuple[str, ...]]:
    recorded(lab)
    lab.sql(f"INSERT INTO {table} (name, phone) VALUES ('Bob', '2'), ('Cleo', '3')")
    lab.sql(f"UPDATE {table} SET phone = '4' WHERE name = 'Bob'")
    lab.sql(f"UPDATE {table} SET name = 'Bea' WHERE name = 'Bob'")
    lab.sql(f"DELETE FROM {table} WHERE name IN ('Bea', 'Cleo')")
    return recorded(lab)


def test_columns_have_the_names_that_the_target_has(lab: Lab) -> None:
    """In `UPDATE OF` and in the condition, whatever the names are, and in nothing that merely looks like them."""
    lab.model("old.Person", {"name": models.TextField(), "or": models.TextField(default="")})
    lab.model("new.Person", {"title": models.TextField(), "and": models.TextField(default="", db_column="a .b")})
    lab.sql("CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'")
    lab.sql(
        'CREATE TRIGGER t AFTER UPDATE OF name, "or" ON old_person FOR EACH ROW '
        "WHEN (old.name || 'old.name' <> new.\"or\" AND old.* IS DISTINCT FROM new.*) EXECUTE FUNCTION tell('new.name')"
    )
    lab.forward(Move("old.Person", "new.Person", fields={"title": "name", "and": "or"}))
    (definition,) = lab.sql("SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = 't' AND tgenabled = 'D'")[0]
    assert definition == (
        'CREATE TRIGGER t AFTER UPDATE OF title, "a .b" ON public.new_person FOR EACH ROW '
        "WHEN ((((old.title || 'old.name'::text) <> new.\"a .b\") AND (old.* IS DISTINCT FROM new.*))) "
        "EXECUTE FUNCTION tell('new.name')"
    )


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        ("UPDATE OF fax ON old_person FOR EACH ROW EXECUTE FUNCTION tell()", "it asks for the column 'fax'"),
        (
            "UPDATE ON old_person FOR EACH ROW WHEN (new.fax = '') EXECUTE FUNCTION tell()",
            "it asks for the column 'fax'",
        ),
        ("UPDATE ON old_person FOR EACH ROW EXECUTE FUNCTION tell('name')", "its arguments name the column 'name'"),
        ("UPDATE ON old_person FOR EACH ROW EXECUTE FUNCTION named()", "its function names the column 'name'"),
    ],
)
def test_a_counterpart_that_cannot_be_made(lab: Lab, refused: Callable[..., str], rest: str, reason: str) -> None:
    lab.model("old.Person", {"name": models.TextField(), "fax": models.TextField(default="")})
    lab.model("new.Person", {"title": models.TextField()})
    lab.sql("CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'")
    lab.sql("CREATE FUNCTION named() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN new.name := 1; RETURN new; END'")
    lab.sql(f"CREATE TRIGGER t BEFORE {rest}")
    said: dict[str, Any] = {"fields": {"title": "name"}, "discard": ["fax"], "backwards": {"fax": Value("")}}

    message = refused(Move("old.Person", "new.Person", **said))

    assert message.startswith(f"The trigger 't' of public.old_person can't be created on public.new_person: {reason}")
    assert "list it in discard_triggers=['t'] to lose it then." in message
    lab.forward(move := Move("old.Person", "new.Person", **said, discard_triggers=["t"]))
    assert states(lab) == {("old_person", "t"): "O"}
    lab.retire(move)
    assert states(lab) == {("aside", "t"): "D"}
    lab.unretire(move)
    assert states(lab) == {("old_person", "t"): "O"}
    lab.back(move)
    lab.sql("CREATE TRIGGER t BEFORE UPDATE ON new_person FOR EACH ROW EXECUTE FUNCTION tell()")
    lab.forward(move := Move("old.Person", "new.Person", **said))
    assert states(lab) == {("old_person", "t"): "O", ("new_person", "t"): "D"}
    lab.back(move)
    assert states(lab) == {("old_person", "t"): "O", ("new_person", "t"): "O"}


@WAYS
def test_the_targets_own_triggers_fire_for_no_copied_row(people: Lab, *, online: bool) -> None:
    """But for each write from then on; those that the source has too, once it is retired."""
    move = Move("old.Person", "new.Person", online=online)
    create(people, "shared", f"AFTER {ROW}")
    create(people, "shared", f"AFTER {ROW}", "new_person")
    create(people, "pgtrigger_x_12345", f"AFTER {ROW}")
    create(people, "pgtrigger_x_67890", f"AFTER {ROW}", "new_person")
    create(people, "own", f"AFTER {ROW}", "new_person")
    create(people, "replica", f"AFTER {ROW}", "new_person")
    people.sql("ALTER TABLE new_person ENABLE REPLICA TRIGGER replica")
    own = {("new_person", "own"): "O", ("new_person", "replica"): "R"}
    source = {("old_person", "shared"): "O", ("old_person", "pgtrigger_x_12345"): "O"}
    target = {("new_person", "shared"): "O", ("new_person", "pgtrigger_x_67890"): "O"}
    off = dict.fromkeys(target, "D")

    people.forward(move)

    assert recorded(people) == []
    assert states(people) == own | source | off
    expected = sorted([*once("shared"), *once("pgtrigger_x_12345"), *once("own")])
    assert sorted(write(people, "old_person")) == sorted(write(people, "new_person")) == expected
    people.retire(move)
    assert {key: state for key, state in states(people).items() if key[0] == "new_person"} == own | target
    people.back(move)
    assert recorded(people) == []
    assert states(people) == own | source | target


def test_a_move_that_is_cancelled_or_fails_leaves_them_as_they_were(people: Lab) -> None:
    create(people, "own", f"AFTER {ROW}", "new_person")
    create(people, "note", f"AFTER {ROW}")
    people.sql("ALTER TABLE new_person ENABLE ALWAYS TRIGGER own")
    before = states(people)
    for online in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Ledger, "advance", lambda *args, **kept: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                people.forward(Move("old.Person", "new.Person", online=online))
        assert states(people) == before


def test_a_frozen_source_hands_them_over_at_once(people: Lab) -> None:
    create(people, "note", f"AFTER {ROW}")
    people.forward(Move("old.Person", "new.Person", fields={"name": Upper("name")}, irreversible=True))
    assert states(people) == {("old_person", "note"): "O", ("new_person", "note"): "O"}
    assert recorded(people) == []
    assert write(people, "new_person") == once("note")


def test_what_is_different_for_a_carried_write_is_told(people: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    create(people, "shallow", "AFTER UPDATE FOR EACH ROW WHEN (pg_trigger_depth() = 0)")
    create(people, "phones", "AFTER UPDATE OF phone FOR EACH ROW")
    people.forward(MOVE)
    told = " ".join(capsys.readouterr().err.split())
    assert "trigger shallow of public.old_person asks pg_trigger_depth(), which is one more for what is" in told
    assert "trigger phones of public.old_person is one of UPDATE OF, and fires for every update of" in told
    people.sql("UPDATE new_person SET name = 'Eve'")
    assert recorded(people) == [("phones", "UPDATE", "Eve")]
    people.sql("UPDATE old_person SET name = 'Ada'")
    assert recorded(people) == [("shallow", "UPDATE", "Ada")]
    people.sql("UPDATE new_person SET name = name")
    assert recorded(people) == []


# ----- created or dropped meanwhile


def test_what_changes_while_both_live_is_told_and_repaired(people: Lab) -> None:
    create(people, "pgtrigger_note_11111", f"AFTER {ROW}")
    people.forward(MOVE)

    create(people, "later", f"AFTER {ROW}")
    assert defects(people) == ["The trigger 'later' of public.old_person has no counterpart on public.new_person."]
    people.forward(MOVE)
    assert defects(people) == []
    assert states(people)["new_person", "later"] == "D"

    people.sql("DROP TRIGGER later ON old_person")
    assert defects(people) == [
        "The trigger 'later' of public.new_person is the counterpart of none that public.old_person has."
    ]
    create(people, "pgtrigger_note_22222", f"AFTER {ROW}", "new_person")
    assert "both fire for one write" in " ".join(defects(people))
    people.forward(MOVE)
    assert defects(people) == []
    assert states(people) == {("old_person", "pgtrigger_note_11111"): "O", ("new_person", "pgtrigger_note_22222"): "D"}

    create(people, "last", f"AFTER {ROW}")
    people.retire(MOVE)
    assert states(people)["new_person", "last"] == "O"
    assert sorted(write(people, "old_person")) == sorted([*once("pgtrigger_note_22222"), *once("last")])


def test_the_targets_trigger_takes_over_from_one_that_is_dropped(people: Lab) -> None:
    for table in ("old_person", "new_person"):
        create(people, "note", f"AFTER {ROW}", table)
    people.forward(MOVE)
    people.sql("DROP TRIGGER note ON old_person")
    assert defects(people) == [
        "The trigger 'note' of public.new_person is disabled, and public.old_person has none that fires instead."
    ]
    people.forward(MOVE)
    assert defects(people) == []
    assert write(people, "old_person") == write(people, "new_person") == once("note")


def defects(lab: Lab) -> list[str]:
    report = lab.verify(MOVE)
    assert report.ok == (not report.triggers)
    told = find_problems(report, lab.plan(MOVE), ("new", "0002"), Record.of(Ledger("default").current(lab.plan(MOVE))))
    assert [problem.text for problem in told] == list(report.triggers)
    return list(report.triggers)


# ----- a trigger that changes the row, or keeps it from being written


BODIES = {
    "value": "new.name := upper(new.name); RETURN new",
    "another column": "new.phone := length(new.name); RETURN new",
    "nothing inserted": "IF TG_OP = 'INSERT' THEN RETURN NULL; END IF; RETURN coalesce(new, old)",
    "nothing updated": "IF TG_OP = 'UPDATE' THEN RETURN NULL; END IF; RETURN coalesce(new, old)",
    "nothing deleted": "IF TG_OP = 'DELETE' THEN RETURN NULL; END IF; RETURN coalesce(new, old)",
    "marked as deleted": (
        "IF TG_OP = 'DELETE' THEN UPDATE {table} SET phone = 'gone' WHERE id = old.id; RETURN NULL; END IF; "
        "RETURN coalesce(new, old)"
    ),
}
STATEMENTS = (
    "INSERT INTO {table} (name, phone) VALUES ('bob', '')",
    "INSERT INTO {table} (name, phone) VALUES ('cleo', ''), ('dan', '')",
    "UPDATE {table} SET name = 'bea' WHERE lower(name) = 'bob'",
    "UPDATE {table} SET name = name || 'x', phone = '7'",
    "UPDATE {table} SET id = id + 100 WHERE lower(name) LIKE 'cleo%%'",
    "DELETE FROM {table} WHERE lower(name) LIKE 'b%%'",
    "WITH gone AS (DELETE FROM {table} WHERE name ILIKE 'dan%%') INSERT INTO {table} VALUES (204, 'eve', '')",
)


@pytest.mark.long
@pytest.mark.parametrize("has", ["old_person", "new_person"])
def test_what_a_trigger_makes_of_a_row_both_tables_have(people: Lab, has: str) -> None:
    """Whichever table has the trigger, and whichever was written to; and as without a move at all."""
    people.forward(MOVE)
    people.sql("CREATE TABLE alone (LIKE old_person INCLUDING ALL)")
    for kind, body in BODIES.items():
        found = {}
        for table in ("alone", "old_person", "new_person"):
            people.sql("DELETE FROM old_person; DELETE FROM alone; ALTER SEQUENCE new_person_id_seq RESTART")
            people.sql("ALTER TABLE alone ALTER id SET DEFAULT nextval('new_person_id_seq')")
            owner = "alone" if table == "alone" else has
            made = f"BEGIN {body.format(table=owner)}; END"
            people.sql(f"CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $$ {made} $$")
            people.sql(
                f"CREATE TRIGGER change BEFORE INSERT OR UPDATE OR DELETE ON {owner} FOR EACH ROW "
                "EXECUTE FUNCTION change()"
            )
            people.sql(f"INSERT INTO {table} (name, phone) VALUES ('ada', '')")
            repair(people)
            for statement in STATEMENTS:
                people.sql(statement.format(table=table), [])
                assert people.verify(MOVE).comparison.equal, (kind, table, statement)
            found[table] = people.sql(f"SELECT id, name, phone FROM {table} ORDER BY id")
            people.sql("DROP FUNCTION change CASCADE")
            repair(people)
        assert found["old_person"] == found["new_person"] == found["alone"], kind


@pytest.mark.parametrize(("has", "written"), [("old_person", "new_person"), ("new_person", "old_person")])
def test_a_key_that_a_trigger_changes_is_an_error(lab: Lab, has: str, written: str) -> None:
    """The table that was written to has the row under another key; no row is lost, and none is overwritten."""
    for app in ("old", "new"):
        lab.model(
            f"{app}.Person", {"code": models.CharField(primary_key=True, max_length=9), "name": models.TextField()}
        )
    lab.sql("INSERT INTO old_person VALUES ('a', 'Ada'), ('b', 'Bob')")
    lab.forward(MOVE)
    lab.sql(
        "CREATE FUNCTION low() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN new.code := lower(new.code); RETURN new; END $$"
    )
    lab.sql(f"CREATE TRIGGER low BEFORE INSERT OR UPDATE ON {has} FOR EACH ROW EXECUTE FUNCTION low()")
    for repaired in (False, True):
        if repaired:
            repair(lab)
        for statement in (
            "INSERT INTO {} VALUES ('E', 'Eve')",
            "INSERT INTO {} VALUES ('B', 'Bad')",
            "INSERT INTO {} VALUES ('B', 'Bad') ON CONFLICT (code) DO UPDATE SET name = 'Bad'",
            "UPDATE {} SET code = 'X' WHERE code = 'a'",
            "UPDATE {} SET code = 'B' WHERE code = 'a'",
            "WITH gone AS (DELETE FROM {} WHERE code = 'b' RETURNING 1) "
            "UPDATE {} SET code = 'B' FROM gone WHERE code = 'a'",
        ):
            with pytest.raises(Exception, match=f"trigger of public.{has} has changed the key of .*: low|duplicate"):
                lab.sql(statement.replace("{}", written))
        lab.sql(f"UPDATE {written} SET code = 'c' WHERE code = 'b'; INSERT INTO {written} VALUES ('b', 'Bob')")
        lab.sql(f"DELETE FROM {has} WHERE code = 'c'; UPDATE {has} SET code = 'A' WHERE code = 'a'")
        for table in (has, written):
            assert lab.sql(f"SELECT * FROM {table} ORDER BY 1") == [("a", "Ada"), ("b", "Bob")]


def repair(lab: Lab) -> None:
    lab.forward(MOVE)
