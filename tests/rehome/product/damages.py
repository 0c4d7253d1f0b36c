"""What may be wrong with a database, with the connection to it, or with the code: one entry each."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from django.db.migrations.loader import MigrationLoader
from django.test import override_settings

from rehome.models import Phase
from rehome.postgres.session import ONE_MOVE
from tests.farm.databases import WORKER
from tests.rehome.product import phases
from tests.rehome.product.phases import MOVE, NEVER
from tests.waiting import LIMIT_S

ROLE = f"test_product_{WORKER}"
Held = Callable[[], AbstractContextManager[Any]]


@dataclasses.dataclass(frozen=True)
class Damage:
    sql: str = ""
    """Run once, on the copy of the database, as its owner."""
    around: Held = contextlib.nullcontext
    """Holds while a command runs."""
    only: frozenset[str] = frozenset()
    """The phases in which there is something to damage; empty for all."""


def beside(statement: str) -> Held:
    """Another session, in whose open transaction the statement has run."""

    @contextlib.contextmanager
    def hold() -> Iterator[None]:
        with another() as other:
            other.autocommit = False
            other.execute(statement)
            yield

    return hold


@contextlib.contextmanager
def another() -> Iterator["psycopg.Connection[Any]"]:
    parameters = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    with contextlib.closing(
        psycopg.connect(**{n: parameters[n] for n in names if parameters.get(n)}, autocommit=True)
    ) as other:
        yield other


def cut(number: int) -> Held:
    """The server ends the session when it sends its statement of that number."""

    @contextlib.contextmanager
    def hold() -> Iterator[None]:
        sent = []

        def end(execute: Any, statement: str, params: Any, many: bool, context: Any) -> Any:
            sent.append(statement)
            if len(sent) == number:
                with another() as other:
                    other.execute(
                        "SELECT pg_terminate_backend(%s, %s)", [connection.connection.info.backend_pid, LIMIT_S * 1000]
                    )
            return execute(statement, params, many, context)

        with connection.execute_wrapper(end):
            yield

    return hold


@contextlib.contextmanager
def connected(**settings: Any) -> Iterator[None]:
    """The default connection is made with other settings."""
    before = dict(connection.settings_dict)
    connection.close()
    connection.settings_dict.update(settings)
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.clear()
        connection.settings_dict.update(before)


def as_role(*grants: str) -> Damage:
    """Connected as a role with these rights alone."""
    made = f"""
        DROP ROLE IF EXISTS "{ROLE}";
        CREATE ROLE "{ROLE}" LOGIN PASSWORD 'secret';
        {"".join(f'GRANT {grant} TO "{ROLE}";' for grant in grants)}
    """
    return Damage(made, lambda: connected(USER=ROLE, PASSWORD="secret"))


def patched(target: Any, name: str, value: Any) -> Held:
    @contextlib.contextmanager
    def hold() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(target, name, value)
            yield

    return hold


@contextlib.contextmanager
def without_migration() -> Iterator[None]:
    """As in a checkout from before the move, which others have run meanwhile."""
    whole = MigrationLoader.load_disk

    def load(self: MigrationLoader) -> None:
        whole(self)
        self.disk_migrations.pop(("shop", "0002_migrate_item_data"), None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MigrationLoader, "load_disk", load)
        yield


@contextlib.contextmanager
def in_transaction() -> Iterator[None]:
    with transaction.atomic():
        yield


SOURCE, TARGET = "warehouse_item", "shop_item"
STANDS = frozenset(set(phases.WAYS) - {NEVER})
VIEWS = frozenset({Phase.IN_PLACE, Phase.RETIRED})
TABLES = frozenset(set(phases.WAYS) - VIEWS)
"""Both names are tables."""
OLD_NAME = frozenset(set(phases.WAYS) - {Phase.ENDED})
"""The old name is a table or a view."""
OLD_TABLE = TABLES & OLD_NAME
"""The old name is a table."""
RETYPED = {"column of another type", "type dropped"}
"""PostgreSQL itself keeps from that a column which a view reads."""
OURS = """
DO $$ DECLARE r record; BEGIN
  FOR r IN {found} LOOP EXECUTE {statement}; END LOOP;
END $$
"""
TRIGGERS = "SELECT tgname, tgrelid::regclass t FROM pg_trigger WHERE tgname ^@ 'rehome'"
FUNCTIONS = "SELECT oid::regprocedure f FROM pg_proc WHERE proname ^@ 'rehome'"
ASIDE = "SELECT oid::regclass t FROM pg_class WHERE relname ^@ 'rehome_aside' AND relkind = 'r'"

DAMAGES: dict[str, Damage] = {
    "none": Damage(),
    # ----- tables and what they have
    **{
        f"{what}: {table}": Damage(
            statement.format(t=table), only=OLD_TABLE if table == SOURCE else TABLES if what in RETYPED else frozenset()
        )
        for table in (SOURCE, TARGET)
        for what, statement in {
            "table dropped": (
                "DO $$ BEGIN DROP TABLE {t} CASCADE; "
                "EXCEPTION WHEN wrong_object_type THEN DROP VIEW {t} CASCADE; END $$"
            ),
            "table renamed": "ALTER TABLE {t} RENAME TO elsewhere",
            "table in another schema": "CREATE SCHEMA apart; ALTER TABLE {t} SET SCHEMA apart",
            "table replaced by a view": ("ALTER TABLE {t} RENAME TO kept; CREATE VIEW {t} AS SELECT * FROM kept"),
            "table replaced by a materialized view": (
                "ALTER TABLE {t} RENAME TO kept; CREATE MATERIALIZED VIEW {t} AS SELECT * FROM kept"
            ),
            "table replaced by a sequence": "ALTER TABLE {t} RENAME TO kept; CREATE SEQUENCE {t}",
            "column dropped": "ALTER TABLE {t} DROP COLUMN note CASCADE",
            "column renamed": "ALTER TABLE {t} RENAME COLUMN note TO remark",
            "key column dropped": "ALTER TABLE {t} DROP COLUMN id CASCADE",
            "column that no model knows": "ALTER TABLE {t} ADD COLUMN unknown text",
            "column that no model knows, with values": "ALTER TABLE {t} ADD COLUMN unknown text DEFAULT 'x'",
            "column of another type": "ALTER TABLE {t} ALTER COLUMN note TYPE jsonb USING to_jsonb(note)",
            "key dropped": "ALTER TABLE {t} DROP CONSTRAINT {t}_pkey CASCADE",
            "type dropped": (
                "CREATE DOMAIN short AS text; ALTER TABLE {t} ALTER COLUMN note TYPE short; DROP DOMAIN short CASCADE"
            ),
            "policy": "ALTER TABLE {t} ENABLE ROW LEVEL SECURITY; ALTER TABLE {t} FORCE ROW LEVEL SECURITY",
            "rule": "CREATE RULE noticed AS ON INSERT TO {t} DO ALSO NOTIFY noticed",
            "view on it": "CREATE VIEW seen AS SELECT * FROM {t}",
            "trigger of somebody": (
                "CREATE FUNCTION somebodys() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RETURN new; END $f$; "
                "CREATE TRIGGER somebodys BEFORE UPDATE ON {t} FOR EACH ROW EXECUTE FUNCTION somebodys()"
            ),
            "child table": "CREATE TABLE child () INHERITS ({t})",
            "another owner": "ALTER TABLE {t} OWNER TO pg_monitor",
        }.items()
    },
    "sequence dropped": Damage(
        OURS.format(
            found="SELECT oid::regclass s FROM pg_class WHERE relkind = 'S' AND relname ~ 'item'",
            statement="format('DROP SEQUENCE IF EXISTS %s CASCADE', r.s)",
        )
    ),
    "schema dropped": Damage("DROP SCHEMA public CASCADE"),
    "schema dropped and made again": Damage("DROP SCHEMA public CASCADE; CREATE SCHEMA public"),
    "users dropped": Damage("DROP TABLE auth_user CASCADE"),
    # ----- what rehome has made
    "triggers dropped": Damage(
        OURS.format(found=TRIGGERS, statement="format('DROP TRIGGER %I ON %s', r.tgname, r.t)"), only=STANDS
    ),
    "triggers disabled": Damage(
        OURS.format(found=TRIGGERS, statement="format('ALTER TABLE %s DISABLE TRIGGER %I', r.t, r.tgname)"), only=STANDS
    ),
    "functions dropped": Damage(
        OURS.format(found=FUNCTIONS, statement="format('DROP FUNCTION %s CASCADE', r.f)"), only=STANDS
    ),
    "view dropped": Damage("DROP VIEW warehouse_item", only=VIEWS),
    "view replaced by a table": Damage(
        "DROP VIEW warehouse_item; CREATE TABLE warehouse_item AS SELECT * FROM shop_item", only=VIEWS
    ),
    "set-aside table dropped": Damage(
        OURS.format(found=ASIDE, statement="format('DROP TABLE %s CASCADE', r.t)"), only=frozenset({Phase.RETIRED})
    ),
    # ----- the ledger
    **{
        f"ledger {what}": Damage(statement, only=STANDS)
        for what, statement in {
            "dropped": "DROP TABLE rehome_moverun",
            "emptied": "DELETE FROM rehome_moverun",
            "replaced by a view": (
                "ALTER TABLE rehome_moverun RENAME TO kept; CREATE VIEW rehome_moverun AS SELECT * FROM kept"
            ),
            "with a list": "UPDATE rehome_moverun SET kept = '[1, 2]'",
            "with a text": """UPDATE rehome_moverun SET kept = '"text"'""",
            "with null": "UPDATE rehome_moverun SET kept = 'null'",
            "with nothing kept": "UPDATE rehome_moverun SET kept = '{}'",
            "with values of other kinds": """
                UPDATE rehome_moverun SET kept = (SELECT jsonb_object_agg(key, 7) FROM jsonb_each(kept))
            """,
            "of a newer version": """UPDATE rehome_moverun SET kept = kept || '{"later": [{"x": null}]}'""",
            "with an unknown phase": "UPDATE rehome_moverun SET phase = 'elsewhere'",
            "with no phase": "UPDATE rehome_moverun SET phase = ''",
            "without a column": "ALTER TABLE rehome_moverun DROP COLUMN kept",
            "with a column more": "ALTER TABLE rehome_moverun ADD COLUMN later text",
            "with a verification of another kind": "UPDATE rehome_moverun SET verification = '[]', verified_at = now()",
            "of another table": "UPDATE rehome_moverun SET source_table = 'public.other'",
        }.items()
    },
    # ----- Django's own tables
    "content types dropped": Damage("DROP TABLE django_content_type CASCADE"),
    "content types emptied": Damage("TRUNCATE django_content_type CASCADE"),
    "permissions dropped": Damage("DROP TABLE auth_permission CASCADE"),
    "migrations dropped": Damage("DROP TABLE django_migrations"),
    "migrations emptied": Damage("DELETE FROM django_migrations"),
    "migrations of an unknown app": Damage(
        "INSERT INTO django_migrations (app, name, applied) VALUES ('x', '0001', now())"
    ),
    "migrations out of order": Damage("DELETE FROM django_migrations WHERE (app, name) = ('shop', '0001_initial')"),
    # ----- rows
    "row changed behind the triggers": Damage(
        "ALTER TABLE shop_item DISABLE TRIGGER USER; UPDATE shop_item SET name = 'x' WHERE id = 2; "
        "ALTER TABLE shop_item ENABLE TRIGGER USER",
        only=TABLES,
    ),
    "row made behind the triggers": Damage(
        "ALTER TABLE shop_item DISABLE TRIGGER USER; INSERT INTO shop_item (id, name, code) VALUES (9, 'x', 9); "
        "SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE shop_item ENABLE TRIGGER USER",
        only=TABLES,
    ),
    "target emptied behind the triggers": Damage(
        "ALTER TABLE shop_item DISABLE TRIGGER USER; ALTER TABLE shop_item_watchers DISABLE TRIGGER USER; "
        "DELETE FROM shop_item_watchers; DELETE FROM shop_item; SET CONSTRAINTS ALL IMMEDIATE; "
        "ALTER TABLE shop_item_watchers ENABLE TRIGGER USER; "
        "ALTER TABLE shop_item ENABLE TRIGGER USER",
        only=TABLES,
    ),
    "orphan": Damage("ALTER TABLE auth_user DISABLE TRIGGER ALL; DELETE FROM auth_user WHERE id = 1"),
    # ----- rights
    "role without rights": as_role(),
    "role that may use the schema": as_role("USAGE ON SCHEMA public"),
    "role that may read": as_role("USAGE ON SCHEMA public", "SELECT ON ALL TABLES IN SCHEMA public"),
    "role that may write": as_role(
        "ALL ON SCHEMA public", "ALL ON ALL TABLES IN SCHEMA public", "ALL ON ALL SEQUENCES IN SCHEMA public"
    ),
    # ----- the connection and the server
    "another engine": Damage(around=lambda: connected(ENGINE="django.db.backends.sqlite3")),
    "no server": Damage(around=lambda: connected(HOST="/nowhere")),
    "no database": Damage(around=lambda: connected(NAME="test_no_such_database")),
    "wrong password": Damage(around=lambda: connected(USER="nobody", PASSWORD="wrong")),
    "read-only": Damage(around=lambda: connected(OPTIONS={"options": "-c default_transaction_read_only=on"})),
    "statement timeout": Damage(around=lambda: connected(OPTIONS={"options": "-c statement_timeout=2ms"})),
    "no search path": Damage(around=lambda: connected(OPTIONS={"options": "-c search_path="})),
    "inside a transaction": Damage(around=in_transaction),
    **{f"connection cut at statement {n}": Damage(around=cut(n)) for n in (1, 4, 20, 60, 120)},
    "another move at work": Damage(around=beside(f"SELECT pg_advisory_lock({ONE_MOVE})")),
    "lock held on the source": Damage(around=beside(f"LOCK TABLE {SOURCE} IN ACCESS EXCLUSIVE MODE"), only=OLD_NAME),
    "lock held on the target": Damage(around=beside(f"LOCK TABLE {TARGET} IN ACCESS EXCLUSIVE MODE")),
    "lock held on a row": Damage(around=beside(f"SELECT FROM {TARGET} FOR UPDATE")),
    "lock held on the ledger": Damage(around=beside("LOCK TABLE rehome_moverun IN ACCESS EXCLUSIVE MODE"), only=STANDS),
    # ----- the code
    "source gone from the code": Damage(around=patched(MOVE, "source", "warehouse.Ghost")),
    "target gone from the code": Damage(around=patched(MOVE, "target", "shop.Ghost")),
    "label without a dot": Damage(around=patched(MOVE, "target", "ghost")),
    "unknown field": Damage(around=patched(MOVE, "fields", {"ghost": "name"})),
    "unknown field to discard": Damage(around=patched(MOVE, "discard", frozenset({"ghost"}))),
    "source's app gone": Damage(around=lambda: override_settings(INSTALLED_APPS=[*phases.APPS, phases.OWN[1]])),
    "both apps gone": Damage(around=lambda: override_settings(INSTALLED_APPS=phases.APPS)),
    "rehome gone": Damage(
        around=lambda: override_settings(INSTALLED_APPS=[a for a in phases.APPS if a != "rehome"] + phases.OWN)
    ),
    "migration of the move gone": Damage(around=without_migration),
}
