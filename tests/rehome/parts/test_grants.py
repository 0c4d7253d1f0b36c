"""Privileges of roles: what one may do with the source, one may do with the target, until the way back."""

import re
from collections.abc import Callable, Iterator

import psycopg
import pytest
from django.db import ProgrammingError, models, transaction
from django.db.models import Value
from django.db.models.functions import Concat, Left, Lower, Substr

from rehome import Move
from rehome.moves import resume
from rehome.plan.record import Record
from rehome.plan.roles import identified, renamed
from rehome.postgres.tables import Grant
from rehome.verify import comparison
from tests.rehome.support.clients import Client
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Gadget", fields={"title": "name"})
# As pg_dump sees them: no privileges are the owner's own.
ACL = """
SELECT relname,
       ARRAY(SELECT a::text FROM unnest(coalesce(relacl, acldefault(replace(relkind, 'S', 's')::"char", relowner))) a
              ORDER BY 1),
       ARRAY(SELECT format('%s %s', attname, attacl) FROM pg_attribute
              WHERE attrelid = c.oid AND cardinality(attacl) > 0 AND NOT attisdropped ORDER BY attname)
  FROM pg_class c WHERE relname ~ 'thing|gadget' AND relkind IN ('r', 'S') ORDER BY 1
"""


@pytest.fixture(params=["identity", "serial"])
def things(request: pytest.FixtureRequest, lab: Lab) -> Lab:
    lab.model("old.Thing", {"name": models.TextField(), "owners": models.ManyToManyField("auth.User")})
    lab.model("new.Gadget", {"title": models.TextField(), "owners": models.ManyToManyField("auth.User")})
    if request.param == "serial":
        lab.sql("ALTER TABLE old_thing ALTER id DROP IDENTITY; CREATE SEQUENCE old_thing_id_seq OWNED BY old_thing.id")
        lab.sql("ALTER TABLE old_thing ALTER id SET DEFAULT nextval('old_thing_id_seq')")
    lab.get("old.Thing").objects.create(name="lamp")
    return lab


@pytest.fixture
def roles(lab: Lab, make_role: Callable[[str], str]) -> Iterator[dict[str, str]]:
    """Roles without any right."""
    yield {name: make_role(name) for name in ("Clerk", "boss", "owner")}
    # What one of them has passed on would keep the other from being dropped.
    lab.sql("RESET ROLE")
    lab.clean()


def rights(lab: Lab, role: str, relation: str) -> set[str]:
    """What the role may do with a table or a sequence; in capitals what it may grant."""
    found = lab.sql(
        "SELECT privilege_type, is_grantable FROM pg_class, aclexplode(relacl) WHERE oid = %s::regclass "
        "AND grantee = CASE WHEN %s = 'public' THEN 0 ELSE (SELECT oid FROM pg_roles WHERE rolname = %s) END",
        [relation, role, role],
    )
    return {privilege if grantable else privilege.lower() for privilege, grantable in found}


def test_grants_are_carried_and_revoked_on_the_way_back(things: Lab, roles: dict[str, str]) -> None:
    clerk, boss = roles["Clerk"], roles["boss"]
    things.sql(f'GRANT SELECT, INSERT ON old_thing TO "{clerk}"')
    things.sql(f'GRANT SELECT, UPDATE ON old_thing TO "{boss}" WITH GRANT OPTION')
    things.sql(f'GRANT UPDATE (name), REFERENCES (id) ON old_thing TO "{clerk}"')
    things.sql("GRANT SELECT ON old_thing TO PUBLIC")
    things.sql(f'GRANT SELECT, INSERT ON old_thing_owners TO "{clerk}"')
    things.sql(f'GRANT USAGE ON SEQUENCE old_thing_id_seq TO "{clerk}"')
    things.sql(f'GRANT SELECT ON SEQUENCE old_thing_id_seq TO "{boss}" WITH GRANT OPTION')
    before = things.sql(ACL)
    for _ in range(2):
        things.forward(MOVE)
        assert rights(things, clerk, "new_gadget") == {"select", "insert"}
        assert rights(things, boss, "new_gadget") == {"SELECT", "UPDATE"}
        assert rights(things, "public", "new_gadget") == {"select"}
        assert rights(things, clerk, "new_gadget_owners") == {"select", "insert"}
        assert rights(things, clerk, "new_gadget_id_seq") == {"usage"}
        assert rights(things, boss, "new_gadget_id_seq") == {"SELECT"}
        columns = "SELECT has_column_privilege(%s, 'new_gadget', %s, %s)"
        assert things.sql(columns, [clerk, "title", "UPDATE"]) == [(True,)]
        assert things.sql(columns, [clerk, "id", "UPDATE"]) == [(False,)]
        assert things.sql(columns, [clerk, "id", "REFERENCES"]) == [(True,)]
        things.back(MOVE)
        assert things.sql(ACL) == before


def test_grants_that_the_target_had_before_stay(things: Lab, roles: dict[str, str]) -> None:
    clerk, boss = roles["Clerk"], roles["boss"]
    for table in ("old_thing", "new_gadget"):
        things.sql(f'GRANT SELECT ON {table} TO "{clerk}"')
    things.sql(
        f'GRANT SELECT ON old_thing TO "{boss}" WITH GRANT OPTION; GRANT SELECT, DELETE ON new_gadget TO "{boss}"'
    )
    things.sql(f'GRANT UPDATE (title) ON new_gadget TO "{clerk}"; GRANT UPDATE ON old_thing TO "{clerk}"')
    things.sql(f'GRANT USAGE ON SEQUENCE new_gadget_id_seq TO "{clerk}"')
    before = things.sql(ACL)
    things.forward(MOVE)
    assert rights(things, clerk, "new_gadget") == {"select", "update"}
    assert rights(things, boss, "new_gadget") == {"SELECT", "delete"}
    assert rights(things, clerk, "new_gadget_id_seq") == {"usage"}
    things.back(MOVE)
    assert things.sql(ACL) == before


def test_a_grant_that_was_passed_on_ends_with_the_move(things: Lab, roles: dict[str, str]) -> None:
    clerk, boss = roles["Clerk"], roles["boss"]
    things.sql(f'GRANT SELECT ON old_thing TO "{boss}" WITH GRANT OPTION')
    before = things.sql(ACL)
    things.forward(MOVE)
    things.sql(f'SET ROLE "{boss}"')
    things.sql(f'GRANT SELECT ON new_gadget TO "{clerk}"')
    things.sql("RESET ROLE")
    things.back(MOVE)
    assert things.sql(ACL) == before


@pytest.mark.parametrize("given", ["INSERT (name)", "UPDATE (name), SELECT", "DELETE, SELECT (id)"])
@pytest.mark.parametrize("kind", ["plain", "computed"])
def test_what_everybody_may_do_with_some_columns_lasts_each_way(
    lab: Lab, open_client: Callable[..., Client], make_role: Callable[[str], str], given: str, kind: str
) -> None:
    """A role that is made later has these rights too, and never more."""
    lab.model("old.Thing", {"name": models.TextField()})
    lab.model("new.Thing", {"title": models.TextField()})
    value = {"plain": "name", "computed": Lower("name")}[kind]
    move = Move("old.Thing", "new.Thing", fields={"title": value}, backwards={"name": "title"})
    lab.sql(f"INSERT INTO old_thing (name) VALUES ('lamp'); GRANT {given} ON old_thing TO PUBLIC")
    before = lab.sql(ACL)
    way, done = [lab.forward, lab.retire, lab.unretire], []
    may: dict[str, bool] = {}
    for step in [None, *way]:
        if step:
            step(move)
        client = open_client(role=make_role(f"anybody_{len(done)}"))
        tried = {statement: is_allowed(client, statement) for statement in WRITES}
        may = may or tried
        assert tried == may, (step, done)
        done.append(step)
    lab.back(move)
    assert lab.sql(ACL) == before


WRITES = (
    "INSERT INTO old_thing (name) VALUES ('chair')",
    "UPDATE old_thing SET name = 'table'",
    "DELETE FROM old_thing",
    "SELECT id FROM old_thing",
    "SELECT name FROM old_thing",
)


def is_allowed(client: Client, statement: str) -> bool:
    try:
        client.run(f"BEGIN; {statement}")
    except psycopg.errors.InsufficientPrivilege:
        return False
    finally:
        client.run("ROLLBACK")
    return True


def test_a_right_to_a_column_that_becomes_two_is_one_to_both(lab: Lab, roles: dict[str, str]) -> None:
    clerk, boss = roles["Clerk"], roles["boss"]
    lab.model("old.Thing", {"name": models.TextField()})
    lab.model("new.Thing", {"first": models.TextField(), "last": models.TextField()})
    lab.sql("INSERT INTO old_thing (name) VALUES ('ada lovelace')")
    lab.sql(
        f'GRANT SELECT (name), UPDATE (name) ON old_thing TO "{clerk}"; GRANT SELECT (name) ON old_thing TO "{boss}"'
    )
    before = lab.sql(ACL)
    name = {"first": Left("name", 3), "last": Substr("name", 5)}
    joined = Concat("first", Value(" ", output_field=models.TextField()), "last", output_field=models.TextField())
    move = Move("old.Thing", "new.Thing", fields=name, backwards={"name": joined})
    lab.forward(move)
    assert columns_of(lab, clerk, "new_thing", "SELECT") == columns_of(lab, clerk, "new_thing", "UPDATE")
    assert columns_of(lab, clerk, "new_thing", "SELECT") == ["first", "last"]
    lab.retire(move)
    assert columns_of(lab, clerk, "old_thing", "SELECT") == ["name"]
    # The view shows both: whoever may not read one of them any more may not read it either.
    lab.sql(f'REVOKE SELECT (first) ON new_thing FROM "{boss}"')
    lab.retire(move)
    assert columns_of(lab, boss, "old_thing", "SELECT") == []
    lab.sql(f'GRANT SELECT (first) ON new_thing TO "{boss}"')
    lab.retire(move)
    assert columns_of(lab, boss, "old_thing", "SELECT") == ["name"]
    lab.unretire(move)
    lab.back(move)
    assert lab.sql(ACL) == before


def columns_of(lab: Lab, role: str, table: str, privilege: str) -> list[str]:
    held = "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
    found = lab.sql(f"{held} AND has_column_privilege(%s, attrelid, attnum, %s) ORDER BY 1", [table, role, privilege])
    return [column for (column,) in found]


def test_a_role_with_rights_on_the_old_table_alone_still_writes_to_it(things: Lab, roles: dict[str, str]) -> None:
    clerk = roles["Clerk"]
    things.sql(f'GRANT SELECT, INSERT, UPDATE, DELETE ON old_thing TO "{clerk}"')
    things.sql(f'GRANT USAGE ON SEQUENCE old_thing_id_seq TO "{clerk}"')
    things.forward(MOVE)
    things.sql(f'REVOKE ALL ON new_gadget FROM "{clerk}"')
    things.forward(MOVE)  # The triggers have the owner's rights from now on, where they had the writer's.
    things.sql(f'SET ROLE "{clerk}"')
    things.sql("INSERT INTO old_thing (name) VALUES ('desk'), ('chair')")
    things.sql("UPDATE old_thing SET name = 'stool' WHERE name = 'chair'")
    things.sql("DELETE FROM old_thing WHERE name = 'lamp'")
    with pytest.raises(ProgrammingError, match="permission denied for table new_gadget"), transaction.atomic():
        things.sql("SELECT FROM new_gadget")
    things.sql("RESET ROLE")
    assert things.sql("SELECT id, title FROM new_gadget ORDER BY id") == [(2, "desk"), (3, "stool")]
    assert things.verify(MOVE).ok


def test_a_role_may_not_call_the_functions_of_the_sync(things: Lab, roles: dict[str, str]) -> None:
    things.forward(MOVE)
    found = things.sql(
        "SELECT proname, has_function_privilege(%s, oid, 'EXECUTE') FROM pg_proc WHERE proname LIKE 'rehome%%'",
        [roles["Clerk"]],
    )
    assert found
    assert not any(allowed for _, allowed in found)


def test_the_owner_of_the_old_table_keeps_its_rights_where_the_new_one_belongs_to_another(
    things: Lab, roles: dict[str, str]
) -> None:
    """The table that the migration made belongs to whoever ran it; the application may be another role."""
    owner = roles["owner"]
    for table in ("old_thing", "old_thing_owners"):
        things.sql(f'ALTER TABLE {table} OWNER TO "{owner}"')
    before = things.sql(ACL)
    things.forward(MOVE)
    things.sql(f'SET ROLE "{owner}"')
    things.sql("INSERT INTO new_gadget (title) VALUES ('desk')")
    things.sql("INSERT INTO old_thing (name) VALUES ('chair')")
    things.sql("UPDATE new_gadget SET title = 'stool' WHERE title = 'chair'")
    things.sql("DELETE FROM new_gadget WHERE title = 'lamp'")
    things.sql("RESET ROLE")
    assert things.sql("SELECT id, name FROM old_thing ORDER BY id") == [(2, "desk"), (3, "stool")]
    assert things.verify(MOVE).ok
    things.back(MOVE)
    assert things.sql(ACL) == before


# ----- passed on under a grant option


def passed_on(lab: Lab, roles: dict[str, str], table: str) -> None:
    """The boss has a grant option, and the clerk what the boss has passed on."""
    boss, clerk = roles["boss"], roles["Clerk"]
    lab.sql(f'GRANT SELECT, INSERT ON {table} TO "{boss}" WITH GRANT OPTION')
    lab.sql(f'SET ROLE "{boss}"; GRANT SELECT, INSERT ON {table} TO "{clerk}"; RESET ROLE')


@pytest.mark.parametrize("way", ["copied", "retired", "in place"])
def test_what_was_passed_on_is_passed_on_by_the_same_role_there_and_back(
    lab: Lab, roles: dict[str, str], way: str
) -> None:
    boss, clerk = roles["boss"], roles["Clerk"]
    lab.twins(lambda app: {"name": models.TextField()})
    lab.sql(f'GRANT USAGE ON SCHEMA public TO "{boss}", "{clerk}"')
    passed_on(lab, roles, "old_thing")
    lab.sql(f'GRANT SELECT ON new_thing TO "{boss}"; GRANT UPDATE ON new_thing TO "{boss}" WITH GRANT OPTION')
    lab.sql(f'SET ROLE "{boss}"; GRANT UPDATE ON new_thing TO "{clerk}"; RESET ROLE')
    before = lab.sql(ACL)
    move = Move("old.Thing", "new.Thing", in_place=way == "in place")
    for _ in range(2):
        lab.forward(move)
        assert lab.verify(move).ok
        if way == "retired":
            lab.retire(move)
        for table in ("old_thing", "new_thing"):
            ((granted,),) = lab.sql("SELECT relacl::text FROM pg_class WHERE oid = %s::regclass", [table])
            assert re.search(rf'{clerk}"?=arw?/{boss}', granted), table
        if way == "retired":
            lab.unretire(move)
        lab.back(move)
        assert lab.sql(ACL) == before


def test_columns_that_were_passed_on_under_a_right_to_the_whole_table(lab: Lab, roles: dict[str, str]) -> None:
    """PostgreSQL keeps them when that right is revoked, and the next who grants it would find them again."""
    boss, clerk, owner = roles["boss"], roles["Clerk"], roles["owner"]
    lab.twins(lambda app: {"name": models.TextField()})
    lab.sql(f'GRANT USAGE ON SCHEMA public TO "{boss}"')
    lab.sql(
        f'GRANT SELECT, UPDATE ON old_thing TO "{boss}" WITH GRANT OPTION; GRANT SELECT (name) ON new_thing TO "{boss}"'
    )
    lab.sql(f'ALTER TABLE old_thing OWNER TO "{owner}"; ALTER TABLE new_thing OWNER TO "{owner}"')
    before = lab.sql(ACL)
    lab.forward(Move("old.Thing", "new.Thing"))
    lab.sql(f'SET ROLE "{boss}"; GRANT SELECT (name), UPDATE (name) ON new_thing TO "{clerk}"; RESET ROLE')
    lab.sql(f'GRANT UPDATE (id) ON new_thing TO "{clerk}"')
    lab.back(Move("old.Thing", "new.Thing"))
    lab.sql(f'REVOKE UPDATE (id) ON new_thing FROM "{clerk}"')
    assert lab.sql(ACL) == before


def test_a_grant_on_the_new_table_is_not_weakened_by_a_weaker_one(lab: Lab, roles: dict[str, str]) -> None:
    """What the boss has passed on since stays when the move is taken back."""
    boss, clerk = roles["boss"], roles["Clerk"]
    lab.twins(lambda app: {"name": models.TextField()})
    lab.sql(f'GRANT USAGE ON SCHEMA public TO "{boss}"')
    lab.sql(f'GRANT SELECT ON old_thing TO "{boss}"; GRANT SELECT ON new_thing TO "{boss}" WITH GRANT OPTION')
    lab.forward(Move("old.Thing", "new.Thing"))
    lab.sql(f'SET ROLE "{boss}"; GRANT SELECT ON new_thing TO "{clerk}"; RESET ROLE')
    lab.back(Move("old.Thing", "new.Thing"))
    assert rights(lab, clerk, "new_thing") == {"select"}
    assert rights(lab, boss, "new_thing") == {"SELECT"}


# ----- revoked, or granted, under one name alone


def test_what_was_revoked_on_the_old_table_alone_is_named(
    lab: Lab, roles: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    clerk, boss = roles["Clerk"], roles["boss"]
    lab.model("old.Thing", {"name": models.TextField()})
    lab.model("new.Gadget", {"title": models.TextField()})
    lab.sql(f'GRANT SELECT, INSERT, UPDATE (name) ON old_thing TO "{clerk}"; GRANT SELECT ON old_thing TO PUBLIC')
    lab.sql(f'GRANT DELETE ON old_thing, new_gadget TO "{boss}"')
    lab.forward(MOVE)
    assert lab.verify(MOVE).ok
    lab.sql(f'REVOKE INSERT, UPDATE (name) ON old_thing FROM "{clerk}"; REVOKE SELECT ON old_thing FROM PUBLIC')
    lab.sql(f'REVOKE DELETE ON old_thing FROM "{boss}"')  # On the new table it is not the move's.
    lab.forward(MOVE)
    found = lab.verify(MOVE)
    assert not found.ok
    told = capsys.readouterr().err
    for defect, listed, role in zip(
        sorted(found.defects, key=str), ['INSERT, UPDATE ("title")', "SELECT"], [f'"{clerk}"', "PUBLIC"], strict=True
    ):
        assert f"{role} has {listed} on public.new_gadget because of the move" in defect.text
        assert defect.text in told
        statement, _, _ = defect.cure.removeprefix("Run ").partition(";")
        lab.sql(statement)
    assert lab.verify(MOVE).ok
    before = lab.sql("SELECT relacl FROM pg_class WHERE relname = 'old_thing'")
    lab.back(MOVE)
    assert lab.sql("SELECT relacl FROM pg_class WHERE relname = 'old_thing'") == before
    assert rights(lab, boss, "new_gadget") == {"delete"}


def test_columns_that_a_right_to_the_whole_table_reaches_by_the_move(
    lab: Lab, roles: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    clerk = roles["Clerk"]
    lab.model("old.Thing", {"name": models.TextField()})
    lab.model("new.Thing", {"name": models.TextField(), "salary": models.IntegerField(null=True)})
    lab.sql(f'GRANT SELECT, DELETE ON old_thing TO "{clerk}"; GRANT SELECT (name) ON old_thing TO "{roles["boss"]}"')
    lab.sql("INSERT INTO old_thing (name) VALUES ('lamp')")
    lab.forward(Move("old.Thing", "new.Thing"))
    (told,) = [line for line in capsys.readouterr().err.splitlines() if "Note:" in line]
    assert f'"{clerk}" may use all of public.new_thing as all of public.old_thing, and so salary' in told
    assert "REVOKE ... ON public.new_thing" in told


# ----- a role that is gone


@pytest.mark.parametrize("way", ["live", "cancelled", "retired", "in place"])
def test_every_way_goes_on_without_a_role_that_is_gone(
    lab: Lab,
    way: str,
    make_role: Callable[[str], str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lab.twins(lambda app: {"name": models.TextField()})
    ghost = f"ghost_{lab.connection.settings_dict['NAME']}"
    lab.sql(f'DROP ROLE IF EXISTS "{ghost}"; CREATE ROLE "{ghost}"')
    for side in ("old", "new"):
        lab.sql(f'GRANT SELECT, INSERT ON {side}_thing TO "{ghost}"')
        lab.sql(f'GRANT USAGE ON SEQUENCE {side}_thing_id_seq TO "{ghost}"')
    lab.sql("INSERT INTO old_thing (name) VALUES ('one')")
    move = Move("old.Thing", "new.Thing", in_place=way == "in place")
    if way == "cancelled":
        with monkeypatch.context() as patch:
            patch.setattr(comparison, "compare", stop)
            patch.setattr(resume, "cancel", stop)
            with pytest.raises(KeyboardInterrupt):
                lab.forward(move)
    else:
        lab.forward(move)
    if way == "retired":
        lab.retire(move)
    lab.sql(f'DROP OWNED BY "{ghost}"; DROP ROLE "{ghost}"')
    capsys.readouterr()

    told = f"Note: The role '{ghost}' had rights when this move ran and is not on this server: its rights are left out."
    if way == "cancelled":
        lab.cancel(move)
    else:
        if way == "retired":
            lab.sql("DROP VIEW old_thing")
            lab.retire(move)
            lab.unretire(move)
        lab.back(move)
    assert told in capsys.readouterr().err
    assert lab.sql("SELECT name FROM old_thing") == [("one",)]
    assert lab.sql("INSERT INTO old_thing (name) VALUES ('two') RETURNING id") == [(2,)]
    lab.forward(Move("old.Thing", "new.Thing"))


# ----- a role that has another name by now


@pytest.mark.parametrize("way", ["live", "retired", "in place"])
def test_a_role_that_is_renamed_meanwhile_has_its_rights_and_no_more(
    lab: Lab, roles: dict[str, str], way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two that exchange their names are told apart as well."""
    clerk, boss = roles["Clerk"], roles["boss"]
    lab.twins(lambda app: {"name": models.TextField()})
    lab.sql("ALTER TABLE old_thing ALTER id DROP IDENTITY; CREATE SEQUENCE old_thing_id_seq OWNED BY old_thing.id")
    lab.sql("ALTER TABLE old_thing ALTER id SET DEFAULT nextval('old_thing_id_seq')")
    lab.sql(f'ALTER TABLE old_thing OWNER TO "{roles["owner"]}"; ALTER TABLE new_thing OWNER TO "{roles["owner"]}"')
    lab.sql(f'GRANT SELECT, INSERT ON old_thing TO "{clerk}"; GRANT USAGE ON SEQUENCE old_thing_id_seq TO "{clerk}"')
    lab.sql(f'GRANT SELECT ON old_thing TO "{boss}"; GRANT CREATE ON SCHEMA public TO "{roles["owner"]}"')
    before = lab.sql(ACL)
    move = Move("old.Thing", "new.Thing", in_place=way == "in place")
    lab.forward(move)
    if way == "retired":
        lab.retire(move)
    exchange = f'ALTER ROLE "{clerk}" RENAME TO "{clerk}_too"; ALTER ROLE "{boss}" RENAME TO "{clerk}"; '
    lab.sql(f'{exchange}ALTER ROLE "{clerk}_too" RENAME TO "{boss}"')
    owner = roles["owner"]
    lab.sql(f'ALTER ROLE "{owner}" RENAME TO "{owner}_too"')
    try:
        if way == "retired":
            lab.retire(move)
            lab.unretire(move)
        lab.forward(move)
        assert lab.verify(move).ok
        lab.back(move)
    finally:
        lab.sql(f'{exchange}ALTER ROLE "{clerk}_too" RENAME TO "{boss}"; ALTER ROLE "{owner}_too" RENAME TO "{owner}"')
    assert lab.sql(ACL) == before
    assert "not on this server" not in capsys.readouterr().err


@pytest.mark.parametrize("way", ["live", "retired", "repaired", "in place"])
def test_a_role_of_the_name_of_one_that_is_gone_gets_none_of_its_rights(
    lab: Lab, make_role: Callable[[str], str], way: str
) -> None:
    """Nothing but the view tells who may read a column that the new table does not have."""
    lab.model("old.Thing", {"name": models.TextField(), **({} if way == "in place" else {"fax": models.TextField()})})
    lab.model("new.Thing", {"name": models.TextField()})
    ghost, boss = make_role("ghost"), make_role("boss")
    columns = "name" if way == "in place" else "name, fax"
    lab.sql(f'GRANT SELECT ({columns}), INSERT ({columns}) ON old_thing TO "{ghost}", "{boss}"')
    lab.sql(f'GRANT SELECT ON new_thing TO "{ghost}"; GRANT ALL ON SEQUENCE old_thing_id_seq TO "{ghost}"')
    lossy = {"discard": ["fax"], "backwards": {"fax": Value("")}}
    move = (
        Move("old.Thing", "new.Thing", in_place=True) if way == "in place" else Move("old.Thing", "new.Thing", **lossy)
    )
    lab.forward(move)
    if way in {"retired", "repaired"}:
        lab.retire(move)
    lab.sql(f'DROP OWNED BY "{ghost}"; DROP ROLE "{ghost}"; CREATE ROLE "{ghost}"')
    held = "SELECT relname FROM pg_class WHERE relname ~ '_thing' AND relkind IN ('r', 'v') AND "
    held += "(has_any_column_privilege(%s, oid, 'SELECT') OR has_any_column_privilege(%s, oid, 'INSERT')) ORDER BY 1"
    if way in {"retired", "repaired"}:
        if way == "repaired":
            lab.sql("DROP VIEW old_thing")
        lab.retire(move)
        assert lab.sql(held, [ghost, ghost]) == []
        assert columns_of(lab, boss, "old_thing", "SELECT") == ["fax", "name"]
        lab.unretire(move)
    lab.forward(move)
    assert lab.sql(held, [ghost, ghost]) == []
    lab.back(move)
    assert lab.sql(held, [ghost, ghost]) == []
    assert lab.sql(held, [boss, boss]) == [("old_thing",)]
    assert not lab.sql("SELECT has_sequence_privilege(%s, 'old_thing_id_seq', 'USAGE, SELECT, UPDATE')", [ghost])[0][0]


def test_what_is_revoked_on_a_view_stays_revoked(lab: Lab, roles: dict[str, str]) -> None:
    """Of a column that the view alone has, even where nobody else has a right to it."""
    clerk = roles["Clerk"]
    lab.model("old.Thing", {"name": models.TextField(), "fax": models.TextField()})
    lab.model("new.Thing", {"name": models.TextField()})
    lab.sql(f'GRANT SELECT (fax) ON old_thing TO "{clerk}"')
    move = Move("old.Thing", "new.Thing", discard=["fax"], backwards={"fax": Value("")})
    lab.forward(move)
    lab.retire(move)
    lab.sql(f'REVOKE SELECT (fax) ON old_thing FROM "{clerk}"')
    lab.retire(move)
    assert columns_of(lab, clerk, "old_thing", "SELECT") == []
    lab.unretire(move)
    assert columns_of(lab, clerk, "old_thing", "SELECT") == []


def test_an_oid_of_another_server_is_nobodys(lab: Lab, roles: dict[str, str]) -> None:
    """A dump that is restored elsewhere has the same record, and other roles under these oids."""
    clerk = roles["Clerk"]
    kept = Record(grants={"public.new_thing": (Grant(clerk, "SELECT", False, ""),)})
    here = identified(kept, lab.connection)
    elsewhere = here.keeping(server="1")
    lab.sql(f'ALTER ROLE "{clerk}" RENAME TO "{clerk}_too"')
    try:
        assert renamed(elsewhere, lab.connection) == elsewhere
        assert renamed(here, lab.connection).grants["public.new_thing"][0].grantee == f"{clerk}_too"
    finally:
        lab.sql(f'ALTER ROLE "{clerk}_too" RENAME TO "{clerk}"')


def stop(*args: object) -> None:
    raise KeyboardInterrupt


# ----- default privileges


@pytest.mark.parametrize("way", ["copied", "retired", "in place"])
def test_a_role_that_was_kept_from_both_tables_reads_neither_whatever_default_privileges_say(
    lab: Lab, roles: dict[str, str], way: str
) -> None:
    """A grant on columns makes the view read with the rights of its owner."""
    clerk, boss = roles["Clerk"], roles["boss"]
    lab.sql(f'ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO "{boss}"')
    try:
        lab.twins(lambda app: {"name": models.TextField(), "salary": models.IntegerField()})
        lab.sql("INSERT INTO old_thing (name, salary) VALUES ('ada', 100)")
        lab.sql(f'REVOKE ALL ON old_thing, new_thing FROM "{boss}"; GRANT SELECT (id, name) ON old_thing TO "{clerk}"')
        move = Move("old.Thing", "new.Thing", in_place=way == "in place")
        lab.forward(move)
        check_kept_out(lab, boss)
        if way == "retired":
            lab.retire(move)
            check_kept_out(lab, boss)
            lab.unretire(move)
            check_kept_out(lab, boss)
        lab.back(move)
        check_kept_out(lab, boss)
    finally:
        lab.sql(f'ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM "{boss}"')


def check_kept_out(lab: Lab, role: str) -> None:
    held = "SELECT relname FROM pg_class WHERE relname ~ '_thing$|^rehome' AND has_any_column_privilege(%s, oid, %s)"
    for privilege in ("SELECT", "INSERT", "UPDATE"):
        assert lab.sql(f"{held} AND relkind IN ('r', 'v')", [role, privilege]) == []


def test_a_role_that_may_draw_the_keys_of_the_new_table_alone_is_told(
    lab: Lab, roles: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The sequence that was nobody's numbers the rows of the old table as well."""
    lab.twins(lambda app: {"name": models.TextField()})
    lab.sql("INSERT INTO old_thing (name) VALUES ('lamp')")
    lab.sql(f'GRANT USAGE, UPDATE ON SEQUENCE new_thing_id_seq TO "{roles["boss"]}"')
    lab.sql(f'GRANT USAGE ON SEQUENCE old_thing_id_seq, new_thing_id_seq TO "{roles["Clerk"]}"')
    lab.forward(Move("old.Thing", "new.Thing"))
    assert (
        f'Note: "{roles["boss"]}" has UPDATE, USAGE on the sequence public.new_thing_id_seq, which numbers the rows of '
        "public.old_thing too from now on; unless that is meant, run REVOKE UPDATE, USAGE ON SEQUENCE "
        f'public.new_thing_id_seq FROM "{roles["boss"]}".'
    ).replace('"', "") in (told := capsys.readouterr().err.replace('"', ""))
    assert roles["Clerk"] not in told


def test_a_role_that_may_more_with_the_new_table_than_with_the_old_one_is_told(
    lab: Lab, roles: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    lab.twins(lambda app: {"name": models.TextField()})
    lab.sql(f'GRANT SELECT, UPDATE (name) ON new_thing TO "{roles["boss"]}"')
    lab.sql(f'GRANT SELECT ON old_thing, new_thing TO "{roles["Clerk"]}"')
    lab.sql("INSERT INTO old_thing (name) VALUES ('lamp')")
    lab.forward(Move("old.Thing", "new.Thing"))
    (told,) = [line for line in capsys.readouterr().err.splitlines() if "Note:" in line]
    assert f"{roles['boss']} has SELECT, UPDATE (name) on public.new_thing, and not on public.old_thing" in told
    assert f"run REVOKE SELECT, UPDATE (name) ON public.new_thing FROM {roles['boss']}." in told
