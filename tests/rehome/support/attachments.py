"""One of each kind of thing that the catalog can tie to a table: how it is made, unmade, and named."""

import contextlib
import dataclasses
from collections.abc import Iterator

from rehome.postgres.ties import Kind
from rehome.preflight.fates import Part
from tests.rehome.support.lab import Lab

ALLOW = "SET allow_system_table_mods = on;"
DISALLOW = "; RESET allow_system_table_mods"


def is_view(lab: Lab, table: str) -> bool:
    return lab.sql("SELECT relkind = 'v' FROM pg_class WHERE oid = to_regclass(%s)", [table]) == [(True,)]


@dataclasses.dataclass(frozen=True)
class Attachment:
    """`{t}` in the statements stands for the table, `{kind}` for TABLE or VIEW."""

    make: str
    unmake: str
    named: str
    """What a sentence about it says; | stands between two ways of saying it."""
    in_view: str = ""
    """How it is made on a view, where that differs."""

    @contextlib.contextmanager
    def on(self, lab: Lab, table: str) -> Iterator[None]:
        self.attach(lab, table)
        try:
            yield
        finally:
            self.detach(lab, table)

    def attach(self, lab: Lab, table: str) -> None:
        self.run(lab, (is_view(lab, table) and self.in_view) or self.make, table)

    def detach(self, lab: Lab, table: str) -> None:
        self.run(lab, self.unmake, table)

    def is_named(self, said: str) -> bool:
        return any(words in said for words in self.named.split("|"))

    def run(self, lab: Lab, script: str, table: str) -> None:
        statements = [script] if "BEGIN ATOMIC" in script else script.split(";")
        for statement in statements:
            lab.sql(statement.replace("{t}", table).replace("{kind}", "VIEW" if is_view(lab, table) else "TABLE"))


MADE: dict[Kind | Part, Attachment] = {
    Part.COLUMN: Attachment(
        "ALTER TABLE {t} ADD COLUMN extra text DEFAULT 'mine'; ALTER TABLE {t} ALTER extra DROP DEFAULT",
        "ALTER TABLE {t} DROP COLUMN extra",
        "extra",
    ),
    Part.CONSTRAINT: Attachment(
        "ALTER TABLE {t} ADD CONSTRAINT positive CHECK (id > 0)",
        "ALTER TABLE {t} DROP CONSTRAINT positive",
        'positive|"id" > 0',
    ),
    Kind.VIEW: Attachment("CREATE VIEW bright AS SELECT id FROM {t}", "DROP VIEW bright", "view public.bright"),
    Kind.FUNCTION: Attachment(
        "CREATE FUNCTION counted() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM {t}; END",
        "DROP FUNCTION counted()",
        "function public.counted()",
    ),
    Kind.FOREIGN_POLICY: Attachment(
        "CREATE TABLE looked (id int); CREATE POLICY seen ON looked USING (id IN (SELECT id FROM {t}))",
        "DROP TABLE looked",
        "policy seen on table public.looked",
    ),
    Kind.FOREIGN_TRIGGER: Attachment(
        "CREATE TABLE watched (id int); CREATE CONSTRAINT TRIGGER watch AFTER INSERT ON watched FROM {t} "
        "FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "DROP TABLE watched",
        "trigger watch on table public.watched",
    ),
    Kind.FOREIGN_KEY: Attachment(
        "CREATE TABLE pointing (id bigint CONSTRAINT pointer REFERENCES {t})", "DROP TABLE pointing", "pointer"
    ),
    Kind.ROW_TYPE: Attachment(
        "CREATE TABLE typed (thing {t}[])", "DROP TABLE typed", "column thing of table public.typed"
    ),
    Kind.HEIR: Attachment(
        "CREATE TABLE heir () INHERITS ({t}); ALTER TABLE heir REPLICA IDENTITY FULL", "DROP TABLE heir", "inherit"
    ),
    Kind.SEQUENCE: Attachment("CREATE SEQUENCE extra OWNED BY {t}.name", "DROP SEQUENCE extra", "extra"),
    Kind.SEQUENCE_USER: Attachment(
        "CREATE SEQUENCE numbers OWNED BY {t}.id; CREATE TABLE numbered (id bigint DEFAULT nextval('numbers'))",
        "DROP TABLE numbered; DROP SEQUENCE numbers",
        "default value for column id of table public.numbered",
    ),
    Kind.TRIGGER: Attachment(
        "CREATE TRIGGER mine BEFORE UPDATE ON {t} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "DROP TRIGGER mine ON {t}",
        "mine",
        "CREATE TRIGGER mine INSTEAD OF UPDATE ON {t} "
        "FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    ),
    Kind.RULE: Attachment(
        "CREATE RULE ruled AS ON DELETE TO {t} DO ALSO NOTIFY gone", "DROP RULE ruled ON {t}", "ruled"
    ),
    Kind.POLICY: Attachment("CREATE POLICY secret ON {t} USING (true)", "DROP POLICY secret ON {t}", "policy secret"),
    Kind.ROW_SECURITY: Attachment(
        "ALTER TABLE {t} ENABLE ROW LEVEL SECURITY", "ALTER TABLE {t} DISABLE ROW LEVEL SECURITY", "row-level security"
    ),
    Kind.PUBLICATION: Attachment(
        "CREATE PUBLICATION cdc FOR TABLE {t}", "DROP PUBLICATION cdc", "publication cdc sends"
    ),
    Kind.WIDE_PUBLICATION: Attachment(
        "CREATE PUBLICATION wide FOR TABLES IN SCHEMA {t}", "DROP PUBLICATION wide", "publication wide sends"
    ),
    Kind.SUBSCRIPTION: Attachment(
        "CREATE SUBSCRIPTION fed CONNECTION 'dbname=nowhere' PUBLICATION p "
        "WITH (connect = false, slot_name = NONE, enabled = false);"
        f"{ALLOW} INSERT INTO pg_subscription_rel SELECT oid, '{{t}}'::regclass, 'r' FROM pg_subscription "
        f"WHERE subname = 'fed'{DISALLOW}",
        "DROP SUBSCRIPTION fed",
        "subscription fed writes",
    ),
    Kind.STATISTICS: Attachment(
        "CREATE STATISTICS counts ON id, name FROM {t}", "DROP STATISTICS counts", "statistics counts"
    ),
    Kind.COMMENT: Attachment(
        "COMMENT ON COLUMN {t}.name IS 'said'", "COMMENT ON COLUMN {t}.name IS NULL", "comment 'said' of column name"
    ),
    Kind.LABEL: Attachment(
        f"{ALLOW} INSERT INTO pg_seclabel SELECT '{{t}}'::regclass, 'pg_class'::regclass, attnum, 'masks', 'hidden' "
        f"FROM pg_attribute WHERE attrelid = '{{t}}'::regclass AND attname = 'name'{DISALLOW}",
        f"{ALLOW} DELETE FROM pg_seclabel WHERE provider = 'masks'{DISALLOW}",
        "security label FOR masks IS 'hidden'",
    ),
    Kind.REPLICA_IDENTITY: Attachment(
        "ALTER TABLE {t} REPLICA IDENTITY FULL", "ALTER TABLE {t} REPLICA IDENTITY DEFAULT", "REPLICA IDENTITY FULL"
    ),
    Kind.STORAGE: Attachment(
        "ALTER TABLE {t} SET (fillfactor = 70)", "ALTER TABLE {t} RESET (fillfactor)", "fillfactor=70"
    ),
    Kind.TABLESPACE: Attachment(
        "SET allow_in_place_tablespaces = on; CREATE TABLESPACE elsewhere LOCATION '';"
        "ALTER TABLE {t} SET TABLESPACE elsewhere",
        "ALTER TABLE {t} SET TABLESPACE pg_default; DROP TABLESPACE elsewhere",
        "tablespace elsewhere",
    ),
    Kind.COLUMN_OPTION: Attachment(
        "ALTER TABLE {t} ALTER name SET (n_distinct = 5)",
        "ALTER TABLE {t} ALTER name RESET (n_distinct)",
        "n_distinct=5",
    ),
    Kind.EXTENSION: Attachment(
        "ALTER EXTENSION plpgsql ADD {kind} {t}",
        "ALTER EXTENSION plpgsql DROP {kind} {t}",
        "the extension plpgsql",
    ),
    Kind.UNKNOWN: Attachment(
        "CREATE TABLE odd (place regclass DEFAULT '{t}'::regclass)",
        "DROP TABLE odd",
        "default value for column place of table public.odd",
    ),
}
"""In an order in which all of them can be made on one table."""

ELSEWHERE = {
    Part.OWN_KEY: "moves/test_retire.py",
    Part.DEFAULT: "parts/test_views.py",
    Part.GRANT: "parts/test_grants.py",
}
"""What is made and looked at by tests of their own."""

NEVER = "nothing of it can depend on a table"
CATALOGS = {
    "pg_am": NEVER,
    "pg_amop": Kind.ROW_TYPE,
    "pg_amproc": Kind.ROW_TYPE,
    "pg_attrdef": Kind.SEQUENCE_USER,
    "pg_auth_members": NEVER,
    "pg_authid": NEVER,
    "pg_cast": Kind.ROW_TYPE,
    "pg_class": Kind.HEIR,
    "pg_collation": NEVER,
    "pg_constraint": Kind.FOREIGN_KEY,
    "pg_conversion": NEVER,
    "pg_database": NEVER,
    "pg_default_acl": NEVER,
    "pg_enum": NEVER,
    "pg_event_trigger": NEVER,
    "pg_extension": Kind.EXTENSION,
    "pg_foreign_data_wrapper": NEVER,
    "pg_foreign_server": NEVER,
    "pg_language": NEVER,
    "pg_largeobject_metadata": NEVER,
    "pg_namespace": NEVER,
    "pg_opclass": Kind.ROW_TYPE,
    "pg_operator": Kind.ROW_TYPE,
    "pg_opfamily": Kind.ROW_TYPE,
    "pg_parameter_acl": NEVER,
    "pg_policy": Kind.FOREIGN_POLICY,
    "pg_proc": Kind.FUNCTION,
    "pg_publication": NEVER,
    "pg_publication_namespace": Kind.WIDE_PUBLICATION,
    "pg_publication_rel": Kind.PUBLICATION,
    "pg_rewrite": Kind.VIEW,
    "pg_statistic_ext": Kind.STATISTICS,
    "pg_subscription": Kind.SUBSCRIPTION,
    "pg_tablespace": Kind.TABLESPACE,
    "pg_transform": Kind.ROW_TYPE,
    "pg_trigger": Kind.TRIGGER,
    "pg_ts_config": NEVER,
    "pg_ts_dict": NEVER,
    "pg_ts_parser": NEVER,
    "pg_ts_template": NEVER,
    "pg_type": Kind.ROW_TYPE,
    "pg_user_mapping": NEVER,
}
"""Every catalog whose rows pg_depend can name, and the kind by which its objects are found that are tied to a table."""
