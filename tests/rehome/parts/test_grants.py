"""Privileges of roles: what one may do with the source, one may do with the target, until the way back."""

from collections.abc import Callable

import pytest
from django.db import ProgrammingError, models, transaction

from rehome import Move
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
def roles(make_role: Callable[[str], str]) -> dict[str, str]:
    """Roles without any right."""
    return {name: make_role(name) for name in ("Clerk", "boss", "owner")}


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


def test_a_role_with_rights_on_the_old_table_alone_still_writes_to_it(things: Lab, roles: dict[str, str]) -> None:
    clerk = roles["Clerk"]
    things.sql(f'GRANT SELECT, INSERT, UPDATE, DELETE ON old_thing TO "{clerk}"')
    things.sql(f'GRANT USAGE ON SEQUENCE old_thing_id_seq TO "{clerk}"')
    things.forward(MOVE)
    things.sql(f'REVOKE ALL ON new_gadget FROM "{clerk}"')
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
