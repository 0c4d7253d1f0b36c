"""What a retired table's view may lose, how it is named, and that it comes back."""

from collections.abc import Callable

import pytest
from django.db import models
from django.db.models import Value
from django.db.models.functions import Concat, Left, Right

from rehome import Move
from rehome.parts import grants
from rehome.postgres import definitions, sql
from rehome.postgres.tables import Grant
from tests.rehome.moves.test_retire import verify_retired
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Thing", fields={"label": "name"})
DAMAGES = {
    "read otherwise": (
        "CREATE OR REPLACE VIEW old_thing WITH (security_invoker) AS "
        "SELECT id, label AS name, size FROM new_thing WHERE size > 0",
        "is not the view of public.new_thing that the move made",
    ),
    "a rule": ("CREATE RULE deaf AS ON DELETE TO old_thing DO INSTEAD NOTHING", "does not carry every write"),
    "a trigger": (
        "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER deaf INSTEAD OF INSERT ON old_thing FOR EACH ROW EXECUTE FUNCTION nothing()",
        "does not carry every write",
    ),
    "security_invoker": ("ALTER VIEW old_thing RESET (security_invoker)", "has lost security_invoker"),
    "a privilege": (
        "REVOKE INSERT ON old_thing FROM {clerk}",
        "lacks privileges that public.new_thing gives to {clerk}",
    ),
    "of passing it on": ("REVOKE GRANT OPTION FOR SELECT ON old_thing FROM {clerk}", "lacks privileges"),
    "a privilege on a column": ("REVOKE UPDATE (name) ON old_thing FROM {clerk}", "lacks privileges"),
}


@pytest.fixture
def clerk(lab: Lab, make_role: Callable[[str], str]) -> str:
    return make_role("clerk TO all")


@pytest.fixture
def retired(lab: Lab, clerk: str) -> Lab:
    for app, name in (("old", "name"), ("new", "label")):
        lab.model(f"{app}.Thing", {name: models.CharField(max_length=20), "size": models.IntegerField(default=1)})
    lab.get("old.Thing").objects.create(name="one")
    lab.sql(f"GRANT SELECT ON old_thing TO {quoted(clerk)} WITH GRANT OPTION")
    lab.sql(f"GRANT INSERT, UPDATE (name) ON old_thing TO {quoted(clerk)}")
    lab.forward(MOVE)
    lab.retire(MOVE)
    return lab


def quoted(role: str) -> str:
    return sql.Identifier(role).as_string()


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_old_code_would_miss_is_named_and_repaired(retired: Lab, clerk: str, damage: str) -> None:
    statement, said = DAMAGES[damage]
    assert verify_retired(retired, MOVE).ok
    retired.sql(statement.format(clerk=quoted(clerk)))

    (defect,) = verify_retired(retired, MOVE).view
    assert said.format(clerk=clerk) in defect

    retired.retire(MOVE)
    assert verify_retired(retired, MOVE).ok
    assert retired.get("old.Thing").objects.create(name="two").pk == 2
    for privilege in ("SELECT WITH GRANT OPTION", "INSERT"):
        assert retired.sql("SELECT has_table_privilege(%s, 'old_thing', %s)", [clerk, privilege]) == [(True,)]
    assert retired.sql("SELECT has_column_privilege(%s, 'old_thing', 'name', 'UPDATE')", [clerk]) == [(True,)]


@pytest.mark.parametrize("grantee", ["", "clerk", 'a "TO" b', 'a TO "public"'])
@pytest.mark.parametrize("column", ["", 'odd "x") ON TABLE'])
@pytest.mark.parametrize("grantable", [False, True])
def test_a_grant_that_an_older_version_kept_is_read_again(grantee: str, column: str, *, grantable: bool) -> None:
    given = Grant(grantee, "SELECT", grantable=grantable, column=column)
    text = grants.grant("TABLE", sql.Identifier("s", 't" TO "u'), given).as_string()
    assert definitions.read_grant(text) == given


def test_a_privilege_that_the_target_lost_too_is_not_missed(retired: Lab, clerk: str) -> None:
    retired.sql(f"REVOKE INSERT ON old_thing, new_thing FROM {quoted(clerk)}")
    retired.sql(f"REVOKE UPDATE (name) ON old_thing FROM {quoted(clerk)}")
    retired.sql(f"REVOKE UPDATE (label) ON new_thing FROM {quoted(clerk)}")
    assert verify_retired(retired, MOVE).ok


def test_a_role_that_was_dropped_is_no_problem(retired: Lab, clerk: str) -> None:
    retired.sql(f"DROP OWNED BY {quoted(clerk)}")
    retired.sql(f"ALTER ROLE {quoted(clerk)} RENAME TO gone_{clerk[-5:]}")
    try:
        retired.sql("DROP VIEW old_thing")
        retired.retire(MOVE)
        assert verify_retired(retired, MOVE).ok
    finally:
        retired.sql(f"ALTER ROLE gone_{clerk[-5:]} RENAME TO {quoted(clerk)}")


def test_a_view_with_rights_of_its_owner_keeps_them(lab: Lab, make_role: Callable[[str], str]) -> None:
    """Who may read single columns alone needs it. Of a column that the target does not have, the view itself tells what
    has been revoked, and the record what was lost with the view.
    """
    reader = make_role("reader")
    lab.model("old.Thing", {"first": models.CharField(max_length=1), "last": models.CharField(max_length=1)})
    lab.model("new.Thing", {"name": models.CharField(max_length=3)})
    move = Move(
        "old.Thing",
        "new.Thing",
        fields={"name": Concat("first", Value(" "), "last")},
        backwards={"first": Left("name", 1), "last": Right("name", 1)},
    )
    lab.sql(f'GRANT SELECT (first) ON old_thing TO "{reader}"')
    lab.forward(move)
    lab.retire(move)
    assert verify_retired(lab, move).ok
    for damage, said in (
        ("ALTER VIEW old_thing SET (security_invoker = true)", "has security_invoker"),
        ("DROP VIEW old_thing; CREATE VIEW old_thing AS SELECT * FROM kept", "is not the view"),
    ):
        lab.sql("CREATE OR REPLACE VIEW kept AS SELECT id, 'x' AS first, 'y' AS last FROM new_thing")
        lab.sql(damage)
        assert any(said in defect for defect in verify_retired(lab, move).view)
        lab.retire(move)
        assert verify_retired(lab, move).ok
        assert lab.sql("SELECT has_column_privilege(%s, 'old_thing', 'first', 'SELECT')", [reader]) == [(True,)]
    lab.sql(f'REVOKE SELECT (first) ON old_thing FROM "{reader}"')
    assert verify_retired(lab, move).ok
    lab.retire(move)
    assert lab.sql("SELECT has_column_privilege(%s, 'old_thing', 'first', 'SELECT')", [reader]) == [(False,)]
