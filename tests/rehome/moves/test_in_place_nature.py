"""What belongs to a table stays with it in place: nothing is carried, because nothing is left behind."""

from collections.abc import Callable

import pytest
from django.db import IntegrityError, models, transaction

from rehome import Move
from tests.database import dump
from tests.rehome.moves.test_in_place import RECORD, drop_traces
from tests.rehome.parts.test_renaming import make_serial
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Thing", in_place=True)
BY_COPYING = Move("old.Thing", "new.Thing")


@pytest.fixture
def things(lab: Lab) -> Lab:
    lab.twins(lambda app: {"name": models.CharField(max_length=20), "size": models.IntegerField(default=0)})
    lab.sql("INSERT INTO old_thing (name, size) SELECT 'thing ' || n, n FROM generate_series(1, 20) n")
    return lab


def notes(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.strip() for line in capsys.readouterr().err.splitlines() if "Note: " in line]


# Each with a question to the new table, and its answer.
BELONGINGS = {
    "trigger": (
        "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.size := 99; RETURN new; END $$;"
        "CREATE TRIGGER loud BEFORE INSERT ON old_thing FOR EACH ROW EXECUTE FUNCTION shout()",
        "INSERT INTO new_thing (name, size) VALUES ('a', 1) RETURNING size",
        [(99,)],
    ),
    "rule": (
        "CREATE RULE keep AS ON DELETE TO old_thing WHERE old.id = 1 DO INSTEAD NOTHING",
        "DELETE FROM new_thing WHERE id < 3 RETURNING id",
        None,
    ),
    "statistics": (
        "CREATE STATISTICS of_both ON name, size FROM old_thing; ALTER TABLE old_thing ALTER size SET STATISTICS 7",
        "SELECT stxname, attstattarget FROM pg_statistic_ext, pg_attribute WHERE stxrelid = 'new_thing'::regclass "
        "AND attrelid = stxrelid AND attname = 'size'",
        [("of_both", 7)],
    ),
    "gathered statistics": (
        "ANALYZE old_thing",
        "SELECT count(*) FROM pg_stats WHERE tablename = 'new_thing'",
        [(3,)],
    ),
    "policy": (
        "ALTER TABLE old_thing ENABLE ROW LEVEL SECURITY; CREATE POLICY small ON old_thing USING (size < 3)",
        "SELECT relrowsecurity, polname FROM pg_class c JOIN pg_policy ON polrelid = c.oid WHERE relname = 'new_thing'",
        [(True, "small")],
    ),
    "storage": (
        "ALTER TABLE old_thing SET (fillfactor = 70), REPLICA IDENTITY FULL, CLUSTER ON old_thing_pkey",
        "SELECT reloptions, relreplident FROM pg_class WHERE relname = 'new_thing'",
        [(["fillfactor=70"], "f")],
    ),
    "comments": (
        "COMMENT ON CONSTRAINT old_thing_pkey ON old_thing IS 'the key'; COMMENT ON INDEX old_thing_pkey IS 'its tree'",
        "SELECT obj_description(oid, 'pg_constraint'), obj_description(conindid, 'pg_class') FROM pg_constraint "
        "WHERE conname = 'new_thing_pkey'",
        [("the key", "its tree")],
    ),
    "view": (
        "CREATE VIEW bright AS SELECT name FROM old_thing WHERE size = 7",
        "UPDATE bright SET name = 'seven' RETURNING name",
        [("seven",)],
    ),
    "index of its own": (
        "CREATE INDEX own ON old_thing (size DESC); ALTER TABLE old_thing ADD CONSTRAINT own_check CHECK (size < 1000)",
        "SELECT indexdef, conname FROM pg_indexes, pg_constraint WHERE indexname = 'own' AND conrelid = "
        "'new_thing'::regclass AND contype = 'c'",
        [("CREATE INDEX own ON public.new_thing USING btree (size DESC)", "own_check")],
    ),
}


@pytest.mark.parametrize("name", BELONGINGS)
def test_it_stays_and_comes_back(things: Lab, name: str) -> None:
    make, question, answer = BELONGINGS[name]
    things.sql(make)
    before = dump(without_data=RECORD)
    for _ in range(2):
        things.forward(MOVE)
        with transaction.atomic():
            found = things.sql(question) if answer is not None else None
            assert found == answer
            transaction.set_rollback(True)
        things.back(MOVE)
    drop_traces(things)
    without_positions = [line for line in dump(without_data=RECORD).splitlines() if "setval" not in line]
    assert without_positions == [line for line in before.splitlines() if "setval" not in line]


def test_a_publication_continues_and_its_subscribers_are_mentioned(
    things: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    things.sql("CREATE PUBLICATION replica FOR TABLE old_thing")
    things.forward(MOVE)
    assert things.sql("SELECT tablename FROM pg_publication_tables WHERE pubname = 'replica'") == [("new_thing",)]
    assert notes(capsys) == [
        "Note: publication replica sends what is written to public.old_thing under the name public.new_thing by now; "
        "rename the table of each subscriber too."
    ]
    things.back(MOVE)
    assert things.sql("SELECT tablename FROM pg_publication_tables WHERE pubname = 'replica'") == [("old_thing",)]


def test_what_keeps_an_old_name_is_said(things: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    things.sql(BELONGINGS["index of its own"][0])
    things.sql("CREATE FUNCTION count_old() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM old_thing'")
    things.forward(MOVE)
    assert notes(capsys) == [
        "Note: constraint own_check of public.old_thing stays under its name, for public.new_thing had no such "
        "definition.",
        "Note: index own of public.old_thing stays under its name, for public.new_thing had no such definition.",
        "Note: function public.count_old() names public.old_thing, a view by now; let it name public.new_thing before "
        "the view goes.",
    ]
    assert things.sql("SELECT count_old()") == [(20,)]


def test_foreign_keys_of_others_stay_and_those_of_the_twin_follow(things: Lab) -> None:
    for label, to in (("shop.Order", "old.Thing"), ("shop.Bill", "new.Thing")):
        things.model(label, {"thing": models.ForeignKey(to, models.CASCADE, null=True)})
    things.sql("INSERT INTO shop_order (thing_id) VALUES (3)")
    before = dump(without_data=RECORD)
    keys = "SELECT conrelid::regclass::text, confrelid::regclass::text, convalidated FROM pg_constraint WHERE conrelid "
    keys += "IN ('shop_order'::regclass, 'shop_bill'::regclass) AND contype = 'f' ORDER BY 1"
    for _ in range(2):
        things.forward(MOVE)
        assert things.sql(keys) == [("shop_bill", "new_thing", True), ("shop_order", "new_thing", True)]
        for table in ("shop_order", "shop_bill"):
            with transaction.atomic():
                things.sql(f"INSERT INTO {table} (thing_id) VALUES (4)")
                things.sql("SET CONSTRAINTS ALL IMMEDIATE")
                with pytest.raises(IntegrityError, match="foreign key"), transaction.atomic():
                    things.sql(f"INSERT INTO {table} (thing_id) VALUES (404)")
                transaction.set_rollback(True)
        things.back(MOVE)
        assert things.sql(keys) == [("shop_bill", "new_thing", True), ("shop_order", "old_thing", True)]
    drop_traces(things)
    without_positions = [line for line in dump(without_data=RECORD).splitlines() if "setval" not in line]
    assert without_positions == [line for line in before.splitlines() if "setval" not in line]


def test_a_key_that_came_to_point_at_the_new_model_goes_to_its_empty_table(things: Lab) -> None:
    things.forward(MOVE)
    things.model("shop.Bill", {"thing": models.ForeignKey("new.Thing", models.CASCADE, null=True)})
    things.sql("INSERT INTO shop_bill (thing_id) VALUES (NULL)")
    things.back(MOVE)
    key = "SELECT confrelid::regclass::text, convalidated FROM pg_constraint WHERE conrelid = 'shop_bill'::regclass "
    assert things.sql(f"{key} AND contype = 'f'") == [("new_thing", True)]


def test_privileges_of_the_twin_are_the_tables_and_go_away_again(things: Lab, make_role: Callable[[str], str]) -> None:
    clerk, boss = make_role("clerk"), make_role("boss")
    things.sql(f'GRANT SELECT ON old_thing TO "{boss}"; GRANT SELECT, UPDATE (size) ON new_thing TO "{clerk}"')
    things.sql(f'GRANT SELECT ON new_thing TO "{boss}" WITH GRANT OPTION; GRANT SELECT ON old_thing TO PUBLIC')
    before = dump(without_data=RECORD)
    for _ in range(2):
        things.forward(MOVE)
        found = things.sql("SELECT grantee, privilege_type, is_grantable FROM information_schema.table_privileges "
                           "WHERE table_name = 'new_thing' AND grantee <> current_user ORDER BY 1")  # fmt: skip
        assert sorted(found) == sorted([("PUBLIC", "SELECT", "NO"), (clerk, "SELECT", "NO"), (boss, "SELECT", "YES")])
        things.sql(f'SET ROLE "{clerk}"')
        things.sql("UPDATE new_thing SET size = 0 WHERE id = 1")
        things.sql("UPDATE new_thing SET size = 1 WHERE id = 1")
        things.sql("RESET ROLE")
        things.back(MOVE)
    drop_traces(things)
    assert sorted(dump(without_data=RECORD).splitlines()) == sorted(before.splitlines())


@pytest.mark.parametrize("kind", ["identity", "serial"])
def test_a_role_that_is_gone_by_then_keeps_nothing_from_going_back(things: Lab, kind: str) -> None:
    if kind == "serial":
        make_serial(things, "old_thing")
        things.sql("SELECT setval('old_thing_id_seq', 20)")
    things.sql("CREATE ROLE gone")
    for place in ("old_thing, new_thing", "SEQUENCE old_thing_id_seq, new_thing_id_seq"):
        things.sql(f"GRANT ALL ON {place} TO gone WITH GRANT OPTION")
    things.sql("GRANT SELECT (name) ON new_thing TO gone")
    things.forward(MOVE)
    things.sql("DROP OWNED BY gone; DROP ROLE gone")
    assert things.verify(MOVE).ok
    things.forward(MOVE)
    things.back(MOVE)
    assert things.sql("SELECT count(*) FROM old_thing") == [(20,)]


def test_it_goes_in_place_after_it_came_back_from_a_copy(things: Lab) -> None:
    things.forward(BY_COPYING)
    things.back(BY_COPYING)
    fence = "SELECT count(*) FROM pg_proc WHERE proname LIKE 'rehome_fence%'"
    before = dump(without_data=RECORD)
    assert things.sql(fence) == [(1,)]
    things.forward(MOVE)
    assert things.sql(fence) == [(0,)]
    things.back(MOVE)
    assert dump(without_data=RECORD) == before
    things.forward(BY_COPYING)
    assert things.verify(BY_COPYING).ok
    things.back(BY_COPYING)


def test_a_straggler_of_new_code_gets_an_error_after_the_way_back(things: Lab) -> None:
    things.forward(MOVE)
    things.back(MOVE)
    with pytest.raises(Exception, match="public.new_thing is not in use: its rows were moved back to public.old_thing"):
        things.get("new.Thing").objects.create(name="late")


def test_a_move_that_is_live_by_copying_stays_so(things: Lab) -> None:
    things.forward(BY_COPYING)
    things.forward(MOVE)
    assert things.verify(MOVE).sync == "installed"
    things.back(MOVE)
    assert things.sql("SELECT count(*) FROM new_thing") == [(0,)]
