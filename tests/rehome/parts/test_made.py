"""Who may do what with everything that rehome makes, in each phase, whatever default privileges say."""

import contextlib
from collections.abc import Callable, Iterator

import pytest
from django.db import models
from django.db.models import Value
from django.db.models.functions import Concat, Left, Lower

from rehome import Move
from rehome.models import Phase
from rehome.plan.ledger import Ledger
from tests.rehome.moves.test_retire import verify_retired
from tests.rehome.support import stopping
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

# Everything of rehome's, and the view and the sequence under names of the project's, with whoever may do something.
RIGHTS = """
WITH held (kind, name, owner, acl) AS (
  SELECT 'function', p.proname::text, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner)) FROM pg_proc p
   UNION ALL
  SELECT CASE c.relkind WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view' ELSE 'table' END, c.relname, c.relowner, c.relacl
    FROM pg_class c WHERE c.relkind IN ('r', 'v', 'S')
   UNION ALL
  SELECT 'column', format('%s.%s', c.relname, a.attname), c.relowner, a.attacl
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE NOT a.attisdropped
)
SELECT kind, regexp_replace(name, '_[0-9a-f]{12}', ''), coalesce(r.rolname, 'PUBLIC'), g.privilege_type
  FROM held, aclexplode(held.acl) g LEFT JOIN pg_roles r ON r.oid = g.grantee
 WHERE (name LIKE 'rehome%' OR name IN ('old_thing', 'new_thing_id_seq')) AND g.grantee <> held.owner
"""
ACL = """
SELECT relname, ARRAY(SELECT a::text FROM unnest(coalesce(relacl, acldefault(replace(relkind, 'S', 's')::"char",
         relowner))) a ORDER BY 1) FROM pg_class
"""
EVERYTHING = [f"{kind} TO {who}" for kind in ("TABLES", "SEQUENCES", "FUNCTIONS") for who in ("PUBLIC", '"{other}"')]
VALUES = {("rehome_value", "PUBLIC", "EXECUTE")}
"""They read nothing, as their caller."""
WRITES = ["SELECT", "INSERT", "UPDATE", "DELETE"]
PLAIN = Move("old.Thing", "new.Thing")
COMPUTED = Move(
    "old.Thing",
    "new.Thing",
    fields={"title": Concat("name", Value("!"))},
    backwards={"name": Left("title", 3)},
)


def held(lab: Lab, kind: str, name: str = "%") -> set[tuple[str, str, str]]:
    """(name, role, privilege) of whoever is not the owner; a hash in a name is left out."""
    return {row[1:] for row in lab.sql(RIGHTS) if row[0] == kind and (name in {"%", row[1]})}


@pytest.fixture
def clerk(make_role: Callable[[str], str]) -> str:
    return make_role("clerk")


@pytest.fixture
def other(make_role: Callable[[str], str]) -> str:
    """Whom default privileges give everything, and who has no right to the old table nor to the new one."""
    return make_role("other")


def make_things(lab: Lab, clerk: str, other: str, field: str = "name") -> None:
    lab.model("old.Thing", {"name": models.CharField(max_length=9), "size": models.IntegerField(default=1)})
    lab.model("new.Thing", {field: models.CharField(max_length=9), "size": models.IntegerField(default=1)})
    lab.sql("INSERT INTO old_thing (name, size) VALUES ('one', 1), ('two', 2)")
    lab.sql(f'GRANT {", ".join(WRITES)} ON old_thing TO "{clerk}"')
    lab.sql("DROP TABLE IF EXISTS rehome_moverun")


@contextlib.contextmanager
def everything_given(lab: Lab, other: str) -> Iterator[None]:
    """Whatever the migrating role creates in here is everybody's, by default privileges."""
    for given in EVERYTHING:
        lab.sql(f"ALTER DEFAULT PRIVILEGES GRANT ALL ON {given.format(other=other)}")
    try:
        yield
    finally:
        for given in EVERYTHING:
            lab.sql(f"ALTER DEFAULT PRIVILEGES REVOKE ALL ON {given.format(other=other).replace(' TO ', ' FROM ')}")
        lab.sql("ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC")


@pytest.fixture
def open_handed(lab: Lab, clerk: str, other: str) -> Iterator[Lab]:
    make_things(lab, clerk, other)
    with everything_given(lab, other):
        yield lab


def phase(lab: Lab) -> str:
    (run,) = Ledger("default").runs
    return run.phase


def check_own(lab: Lab, clerk: str, *, counting: bool) -> None:
    """What holds in each phase: of what is rehome's own nobody may do anything, but count his writes."""
    assert held(lab, "function") == set()
    assert held(lab, "table") - {("old_thing", clerk, right) for right in WRITES} == set()
    assert held(lab, "sequence", "rehome_writes") == ({("rehome_writes", clerk, "USAGE")} if counting else set())
    assert held(lab, "column") == set()


def test_nothing_that_a_move_makes_is_anybody_elses(open_handed: Lab, clerk: str) -> None:
    lab = open_handed
    on_view = {("old_thing", clerk, right) for right in WRITES}
    on_sequence = {("new_thing_id_seq", clerk, "USAGE")}

    lab.forward(PLAIN)
    assert phase(lab) == Phase.LIVE
    check_own(lab, clerk, counting=True)
    assert held(lab, "sequence", "new_thing_id_seq") == on_sequence

    lab.retire(PLAIN)
    assert phase(lab) == Phase.RETIRED
    check_own(lab, clerk, counting=False)
    assert held(lab, "view") == on_view
    assert held(lab, "sequence", "new_thing_id_seq") == on_sequence
    assert verify_retired(lab, PLAIN).ok

    lab.unretire(PLAIN)
    assert phase(lab) == Phase.LIVE
    check_own(lab, clerk, counting=True)
    assert held(lab, "table", "old_thing") == on_view
    assert lab.verify(PLAIN).ok

    lab.back(PLAIN)
    check_own(lab, clerk, counting=False)
    assert held(lab, "table", "old_thing") == on_view
    assert held(lab, "sequence", "new_thing_id_seq") == set()


def test_nor_is_anything_of_a_move_that_computes(lab: Lab, clerk: str, other: str) -> None:
    """Its values are functions, its view has a trigger, and a role without rights on one table makes it a definer's."""
    make_things(lab, clerk, other, field="title")
    with everything_given(lab, other):
        lab.forward(COMPUTED)
        assert held(lab, "function") == VALUES
        lab.sql(f'REVOKE ALL ON new_thing FROM "{clerk}"')
        lab.forward(COMPUTED)
        assert held(lab, "function") == VALUES
        assert held(lab, "sequence", "rehome_writes") == set()
        assert lab.verify(COMPUTED).ok
        lab.sql(f'GRANT {", ".join(WRITES)} ON new_thing TO "{clerk}"')
        lab.forward(COMPUTED)
        lab.retire(COMPUTED)
        assert held(lab, "function") == VALUES
        assert held(lab, "view") == {("old_thing", clerk, right) for right in WRITES}
        assert verify_retired(lab, COMPUTED).ok


def test_a_member_of_the_roles_for_all_data_writes_through_either_name(
    lab: Lab, clerk: str, other: str, make_role: Callable[[str], str]
) -> None:
    """It has no grant that could tell of it."""
    make_things(lab, clerk, other, field="title")
    role = make_role("steward")
    lab.sql(f'GRANT pg_read_all_data, pg_write_all_data TO "{role}"')
    lab.forward(COMPUTED)
    lab.sql(f'SET ROLE "{role}"')
    lab.sql(
        "INSERT INTO old_thing (name, size) VALUES ('six', 6); UPDATE new_thing SET title = 'ten!' WHERE title = 'two!'"
    )
    lab.sql("DELETE FROM new_thing WHERE title = 'one!'; INSERT INTO new_thing (title, size) VALUES ('new!', 7)")
    lab.sql("RESET ROLE")
    assert lab.verify(COMPUTED).ok
    assert sorted(lab.sql("SELECT name FROM old_thing")) == [("new",), ("six",), ("ten",)]
    lab.retire(COMPUTED)
    lab.sql(f"""SET ROLE "{role}"; UPDATE old_thing SET name = 'old' WHERE name = 'new'; RESET ROLE""")
    assert lab.sql("SELECT title FROM new_thing WHERE title = 'old!'") == [("old!",)]


def test_nor_are_the_notes_about_rows_that_were_set_aside(lab: Lab, clerk: str, other: str) -> None:
    """Nor may anybody pass on what default privileges would have let him pass on."""
    lab.model("old.Thing", {"name": models.TextField(), "note": models.TextField(null=True)})
    lab.model("new.Thing", {"name": models.TextField()})
    lab.sql(f"GRANT {', '.join(WRITES)} ON old_thing TO {clerk}; INSERT INTO old_thing (name) VALUES ('one')")
    move = Move("old.Thing", "new.Thing", backwards={"note": Value("none")}, discard=["note"])
    option = f'ON TABLES TO "{other}" WITH GRANT OPTION'
    with everything_given(lab, other):
        lab.sql(f"ALTER DEFAULT PRIVILEGES GRANT ALL {option}")
        lab.forward(move)
        lab.retire(move)
        assert lab.sql("SELECT count(*) FROM pg_class WHERE relname ~ '^rehome_lives_[0-9a-f]+$'") == [(1,)]
        check_own(lab, clerk, counting=False)
        lab.unretire(move)
        check_own(lab, clerk, counting=True)


def test_nor_of_a_move_in_place_and_of_its_way_back(lab: Lab, clerk: str, other: str) -> None:
    make_things(lab, clerk, other)
    rights = {("old_thing", clerk, right) for right in WRITES}
    before = lab.sql(f"{ACL} WHERE relname ~ '^(old|new)_thing' AND relkind IN ('r', 'S') ORDER BY 1")
    move = Move("old.Thing", "new.Thing", in_place=True)
    with everything_given(lab, other):
        lab.forward(move)
        assert held(lab, "view") == rights
        assert lab.sql(f"{ACL} WHERE relname = 'new_thing'")[0][1] == dict(before)["old_thing"]
        assert lab.verify(move).ok
        lab.back(move)
        assert lab.sql(f"{ACL} WHERE relname ~ '^(old|new)_thing' AND relkind IN ('r', 'S') ORDER BY 1") == before


@pytest.mark.parametrize("point", ["before the third batch", "before the foreign keys"])
def test_nor_of_a_move_online_that_was_interrupted(things: Lab, clerk: str, other: str, point: str) -> None:
    things.sql(f'GRANT INSERT, SELECT ON old_thing TO "{clerk}"; DROP TABLE IF EXISTS rehome_moverun')
    with everything_given(things, other):
        stopping.stop_at(things, point)
        assert held(things, "function") == set()
        assert {grantee for _, grantee, _ in held(things, "sequence", "rehome_writes")} <= {clerk}
        assert held(things, "table", "rehome_moverun") == set()
        things.cancel(stopping.MOVE)


def test_nor_of_a_move_without_a_way_back(lab: Lab, clerk: str, other: str) -> None:
    make_things(lab, clerk, other)
    with everything_given(lab, other):
        lab.forward(Move("old.Thing", "new.Thing", fields={"name": Lower("name")}, irreversible=True))
        assert held(lab, "function") == set()
