"""What a move refuses because of the tables as they are: drift, kinds, triggers, rules and rights."""

from collections.abc import Callable

import pytest
from django.db import ProgrammingError, models
from django.db.backends.base.base import BaseDatabaseWrapper
from pytest_django import Settings

from rehome import Move
from rehome.errors import LockNotObtained
from rehome.postgres.session import ONE_MOVE
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Thing")
Refusal = Callable[..., str]
Another = Callable[[str], BaseDatabaseWrapper]
BOTH = pytest.mark.parametrize("app", ["old", "new"])


@pytest.fixture
def things(lab: Lab) -> Lab:
    lab.twins(
        lambda app: {
            "name": models.CharField(max_length=20),
            "owner": models.ForeignKey("auth.User", models.CASCADE, null=True),
        }
    )
    lab.get("old.Thing").objects.create(name="lamp")
    return lab


# ----- tables that differ from their migrations


@BOTH
@pytest.mark.parametrize(
    ("change", "expected", "cure"),
    [
        (
            "DROP COLUMN name",
            "public.{app}_thing has no column 'name', which {app}.Thing.name names.",
            "add the column, or correct the migrations",
        ),
        (
            "ADD COLUMN note text",
            "public.{app}_thing has a column 'note' that {app}.Thing does not know.",
            "Add the field to the model by a migration, or drop the column.",
        ),
        (
            "ALTER COLUMN name TYPE varchar(10)",
            "public.{app}_thing.name is character varying(10), but {app}.Thing.name says character varying(20).",
            "with AlterField or ALTER TABLE",
        ),
        (
            "ALTER COLUMN name TYPE short_text",
            "public.{app}_thing.name is short_text, but {app}.Thing.name says character varying(20).",
            "with AlterField or ALTER TABLE",
        ),
        (
            "ALTER COLUMN name DROP NOT NULL",
            "public.{app}_thing.name may be null, but {app}.Thing.name says null=False.",
            "with AlterField or ALTER TABLE",
        ),
        (
            "ALTER COLUMN owner_id SET NOT NULL",
            "public.{app}_thing.owner_id must not be null, but {app}.Thing.owner says null=True.",
            "with AlterField or ALTER TABLE",
        ),
        (
            "DROP CONSTRAINT {app}_thing_pkey",
            "public.{app}_thing has no primary key over id, though {app}.Thing says so.",
            "ALTER TABLE public.{app}_thing ADD PRIMARY KEY (id)",
        ),
        (
            "DROP CONSTRAINT {app}_thing_pkey, ADD PRIMARY KEY (id) DEFERRABLE",
            "The primary key of public.{app}_thing is deferrable: ON CONFLICT cannot use it.",
            "ADD PRIMARY KEY (id)",
        ),
        (
            "RENAME TO {app}_thing_2019",
            "{app}.Thing has no table '{app}_thing' in database 'default'.",
            "Run the migration that creates it first, with `manage.py migrate {app} NAME --database default`.",
        ),
    ],
)
def test_schema_drift(things: Lab, refused: Refusal, app: str, change: str, expected: str, cure: str) -> None:
    things.sql("UPDATE old_thing SET owner_id = NULL")
    things.sql("CREATE DOMAIN short_text AS varchar(20)")
    if "SET NOT NULL" in change:
        things.sql("DELETE FROM old_thing")
    things.sql(f"ALTER TABLE {app}_thing {change.format(app=app)}")
    message = refused(MOVE)
    assert message.startswith(expected.format(app=app))
    assert cure.format(app=app) in message


# ----- what is no ordinary table


@BOTH
@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        ("VIEW {0} AS SELECT * FROM {0}_aside", "is a view. rehome moves ordinary tables only."),
        ("MATERIALIZED VIEW {0} AS SELECT * FROM {0}_aside", "is a materialized view."),
        ("FOREIGN TABLE {0} (id bigint, name text, owner_id int) SERVER far", "is a foreign table."),
        ("TABLE {0} (LIKE {0}_aside) PARTITION BY HASH (id)", "is a partitioned table."),
        ("TABLE {0} PARTITION OF {0}_whole DEFAULT", "is a partition. Detach it"),
        ("TABLE {0} () INHERITS ({0}_aside)", "is part of an inheritance tree. Detach it"),
        ("TABLE {0} (LIKE {0}_aside); CREATE TABLE {0}_child () INHERITS ({0})", "is part of an inheritance tree."),
        ("TEMPORARY TABLE {0} (LIKE {0}_aside INCLUDING ALL)", "is a temporary table"),
    ],
)
def test_no_ordinary_table(things: Lab, refused: Refusal, app: str, definition: str, expected: str) -> None:
    table = f"{app}_thing"
    things.sql("CREATE FOREIGN DATA WRAPPER somewhere; CREATE SERVER far FOREIGN DATA WRAPPER somewhere")
    things.sql(f"CREATE TABLE {table}_whole (LIKE {table}) PARTITION BY LIST (name)")
    things.sql(f"ALTER TABLE {table} RENAME TO {table}_aside")
    things.sql(f"CREATE {definition.format(table)}")
    message = refused(MOVE)
    schema = things.sql("SELECT relnamespace::regnamespace FROM pg_class WHERE oid = %s::regclass", [table])[0][0]
    assert message.startswith(f"{schema}.{table} {expected}")


def test_a_target_that_a_crash_would_empty(things: Lab, refused: Refusal) -> None:
    things.sql("ALTER TABLE new_thing SET UNLOGGED")
    message = refused(MOVE)
    assert message.startswith("public.new_thing is unlogged, and a crash of the server would empty it.")
    assert message.endswith("Run ALTER TABLE public.new_thing SET LOGGED first.")


# ----- what acts on rows unseen


@BOTH
def test_trigger_of_a_statement(things: Lab, refused: Refusal, app: str) -> None:
    things.sql("CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'")
    things.sql(f'CREATE TRIGGER "Stamp it" BEFORE UPDATE ON {app}_thing EXECUTE FUNCTION stamp()')
    message = refused(MOVE)
    assert message.startswith(f"The trigger 'Stamp it' of public.{app}_thing fires once for a statement, and writes")
    assert message.endswith(f'or run DROP TRIGGER "Stamp it" ON public.{app}_thing first.')


@BOTH
def test_trigger_that_refers_to_another_table(things: Lab, refused: Refusal, app: str) -> None:
    things.sql("CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'")
    other = {"old": "new", "new": "old"}[app]
    things.sql(
        f"CREATE CONSTRAINT TRIGGER pair AFTER UPDATE ON {app}_thing FROM {other}_thing "
        "FOR EACH ROW EXECUTE FUNCTION stamp()"
    )
    message = refused(MOVE)
    assert message.startswith(f"The trigger 'pair' of public.{app}_thing is a constraint between two tables, and may")
    assert f"Run DROP TRIGGER pair ON public.{app}_thing first" in message


@BOTH
def test_rule(things: Lab, refused: Refusal, app: str) -> None:
    things.sql(f"CREATE RULE keep AS ON DELETE TO {app}_thing DO INSTEAD NOTHING")
    message = refused(MOVE)
    assert message.startswith(f"public.{app}_thing has the rule 'keep', which can redirect writes.")
    assert message.endswith(f"Run DROP RULE keep ON public.{app}_thing first.")


@BOTH
def test_row_level_security(things: Lab, refused: Refusal, app: str) -> None:
    things.sql(f"ALTER TABLE {app}_thing ENABLE ROW LEVEL SECURITY")
    message = refused(MOVE)
    assert message.startswith(f"public.{app}_thing has row-level security, which can hide rows from the move")
    assert f"Run ALTER TABLE public.{app}_thing DISABLE ROW LEVEL SECURITY" in message


# ----- rights


@pytest.fixture
def role(things: Lab, make_role: Callable[[str], str]) -> str:
    """A role that may do just what a move needs, and as which the lab's connection runs."""
    name = make_role("mover")
    things.sql(f'GRANT CREATE, USAGE ON SCHEMA public TO "{name}"')
    things.sql(f'ALTER TABLE old_thing OWNER TO "{name}"; ALTER TABLE new_thing OWNER TO "{name}"')
    things.sql(f'GRANT SELECT, REFERENCES ON auth_user TO "{name}"')
    names = "django_content_type, auth_permission, auth_group_permissions, auth_user_user_permissions"
    things.sql(f'GRANT SELECT, INSERT, UPDATE, DELETE ON rehome_moverun, {names} TO "{name}"')
    things.sql(f'GRANT SELECT, UPDATE ON django_admin_log TO "{name}"')
    things.sql(f'SET ROLE "{name}"')
    return name


def test_an_ordinary_role_is_enough(things: Lab, role: str) -> None:
    things.sql("RESET ROLE; INSERT INTO django_content_type (app_label, model) VALUES ('old', 'thing')")
    things.sql(f"SET ROLE {role}")
    things.forward(MOVE)
    assert things.verify(MOVE).ok
    things.back(MOVE)


@pytest.mark.parametrize(
    ("change", "expected", "cure"),
    [
        (
            "ALTER TABLE old_thing OWNER TO CURRENT_USER",
            "public.old_thing belongs to {me!r}, and this connection's role {role!r} is not a member of the owner.",
            "Run the migration as {me!r}, or run GRANT {me} TO {role}.",
        ),
        (
            "ALTER TABLE new_thing OWNER TO CURRENT_USER",
            "public.new_thing belongs to {me!r}, and this connection's role {role!r} is not a member of the owner.",
            "Run the migration as {me!r}, or run GRANT {me} TO {role}.",
        ),
        (
            "REVOKE CREATE ON SCHEMA public FROM {role}",
            "The role {role!r} may not create functions in schema public.",
            "Run GRANT CREATE ON SCHEMA public TO {role}.",
        ),
        (
            "REVOKE REFERENCES ON auth_user FROM {role}",
            "The role {role!r} lacks the privilege REFERENCES on public.auth_user.",
            "Run GRANT REFERENCES ON public.auth_user TO {role}.",
        ),
        (
            "REVOKE UPDATE ON django_content_type FROM {role}",
            "The role {role!r} lacks the privilege UPDATE on public.django_content_type.",
            "Run GRANT UPDATE ON public.django_content_type TO {role}.",
        ),
        (
            "REVOKE INSERT ON auth_group_permissions FROM {role}",
            "The role {role!r} lacks the privilege INSERT on public.auth_group_permissions.",
            "Run GRANT INSERT ON public.auth_group_permissions TO {role}.",
        ),
        (
            "REVOKE SELECT ON auth_permission FROM {role}",
            "The role {role!r} lacks the privilege SELECT on public.auth_permission.",
            "Run GRANT SELECT ON public.auth_permission TO {role}.",
        ),
        (
            "REVOKE UPDATE ON django_admin_log FROM {role}",
            "The role {role!r} lacks the privilege UPDATE on public.django_admin_log.",
            "Run GRANT UPDATE ON public.django_admin_log TO {role}.",
        ),
        (
            "REVOKE INSERT ON rehome_moverun FROM {role}",
            "The role {role!r} lacks the privilege INSERT on public.rehome_moverun.",
            "Run GRANT INSERT ON public.rehome_moverun TO {role}.",
        ),
    ],
)
def test_missing_privilege(things: Lab, role: str, refused: Refusal, change: str, expected: str, cure: str) -> None:
    ((me,),) = things.sql("SELECT session_user")
    things.sql("RESET ROLE")
    things.sql(change.format(role=role))
    things.sql(f"SET ROLE {role}")
    message = refused(MOVE)
    assert message == f"{expected} {cure}".format(me=me, role=role)


def test_missing_privilege_on_the_way_back(things: Lab, role: str, refused: Refusal) -> None:
    things.forward(MOVE)
    things.sql("RESET ROLE; ALTER TABLE old_thing OWNER TO CURRENT_USER")
    things.sql(f"SET ROLE {role}")
    assert refused(MOVE, back=True).startswith("public.old_thing belongs to ")


def test_a_table_of_somebody_else_that_points_at_the_target(things: Lab, role: str, refused: Refusal) -> None:
    """Its foreign key steps aside while the target is emptied, which its owner alone can do."""
    things.forward(MOVE)
    things.sql("RESET ROLE")
    things.model("other.Part", {"thing": models.ForeignKey("new.Thing", models.CASCADE, null=True)})
    things.sql(f"SET ROLE {role}")
    assert refused(MOVE, back=True).startswith("public.other_part belongs to ")
    things.sql("RESET ROLE")
    things.sql(f"ALTER TABLE other_part OWNER TO {role}")
    things.sql(f"SET ROLE {role}")
    things.back(MOVE)


def test_a_policy_that_would_swallow_a_carried_write_fails_it(things: Lab, role: str) -> None:
    things.forward(MOVE)
    things.sql("ALTER TABLE new_thing ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    with pytest.raises(ProgrammingError, match="Row-level security of .* hides rows from this role"):
        things.sql("UPDATE old_thing SET name = 'desk'")
    assert things.sql("SELECT name FROM old_thing") == [("lamp",)]
    things.sql("ALTER TABLE new_thing DISABLE ROW LEVEL SECURITY")
    things.sql("UPDATE old_thing SET name = 'desk'")
    assert things.verify(MOVE).ok


def test_an_ordinary_role_is_told_who_holds_a_lock(
    things: Lab, role: str, refused: Refusal, settings: Settings, another: Another
) -> None:
    """Of the sessions of other roles it sees neither the state nor the time."""
    settings.REHOME_LOCK_TRIES, settings.REHOME_LOCK_TIMEOUT_MS = 2, 50
    other = another("LOCK TABLE old_thing IN ROW EXCLUSIVE MODE")
    pid, user = other.connection.info.backend_pid, other.connection.info.user
    message = refused(MOVE, error=LockNotObtained)
    assert f"of 50 ms: pid {pid} (nightly report, user {user}) uses public.old_thing. End that transaction" in message
    other.rollback()
    other = another(f"SELECT pg_advisory_xact_lock({ONE_MOVE})")
    pid = other.connection.info.backend_pid
    message = refused(MOVE)
    assert f"Another move is running in this database: pid {pid} (nightly report, user {user})." in message
    assert f"SELECT pg_terminate_backend({pid}) as that role" in message
