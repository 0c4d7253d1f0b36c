"""Facts about a table that no model can say and that its users will meet, in sentences."""

from collections.abc import Iterator

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.postgres import asking, ties
from rehome.postgres.sql import readable
from rehome.postgres.tables import Table
from rehome.postgres.ties import Kind

BELONGINGS = {Kind.POLICY: "policy", Kind.STATISTICS: "statistics", Kind.PUBLICATION: "place in publication"}
USERS = {Kind.VIEW, Kind.FUNCTION, Kind.FOREIGN_POLICY, Kind.ROW_TYPE, Kind.UNKNOWN}

# The server's own triggers enforce foreign keys.
DISABLED = "SELECT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = %s AND tgisinternal AND tgenabled NOT IN ('O', 'A'))"

SEQUENCES = """
SELECT format('%%I.%%I', n.nspname, c.relname)
  FROM pg_attrdef a
  JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = a.oid AND d.refclassid = 'pg_class'::regclass
  JOIN pg_class c ON c.oid = d.refobjid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE a.adrelid = %s AND CASE WHEN c.relkind = 'S' THEN NOT has_sequence_privilege(c.oid, 'USAGE') END
"""

LACKING = """
SELECT privilege FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) WITH ORDINALITY AS p(privilege, number)
 WHERE NOT has_table_privilege(%s, privilege) ORDER BY number
"""


def find_in_database(connection: BaseDatabaseWrapper) -> Iterator[str]:
    if (encoding := asking.value(connection, "SHOW server_encoding")) != "UTF8":
        yield f"Its encoding is {encoding}: a text with other characters is refused."


def find(table: Table, place: str, connection: BaseDatabaseWrapper) -> Iterator[str]:
    for trigger in (trigger for trigger in table.triggers if not trigger.is_ours):
        state = "runs" if trigger.enabled else "is there, disabled:"
        yield f"Trigger {trigger.name} {state} {trigger.function_schema}.{trigger.function}()."
    if table.kind == "r" and table.rules:
        yield f"Rules rewrite its statements: {', '.join(table.rules)}."
    if table.row_security:
        yield "Row-level security may hide rows from Django and refuse its writes."
    if table.persistence == "u":
        yield "It is unlogged: after a crash of the server it is empty."
    if table.inherits:
        yield "It has partitions or child tables, or is one itself."
    if asking.value(connection, DISABLED, [table.oid]):
        yield f"Triggers of its foreign keys are disabled; ALTER TABLE {place} ENABLE TRIGGER ALL."
    tied = ties.read([table], connection)[table.oid]
    for tie in tied:
        if tie.kind in BELONGINGS:
            name = f"{BELONGINGS[tie.kind]} {readable(tie.name)}"
            yield f"It has {name}, which no migration made, and which can make a migration fail."
    for tie in tied:
        if tie.kind in USERS:
            yield f"No migration can change the type of a column that is used by {tie.name}."
    yield from find_lacking_rights(table, place, connection)


def find_lacking_rights(table: Table, place: str, connection: BaseDatabaseWrapper) -> Iterator[str]:
    role = asking.value(connection, "SELECT current_user")
    if rights := ", ".join(asking.column(connection, LACKING, [table.oid])):
        yield f"The role {role!r} lacks {rights}; GRANT {rights} ON {place} TO {readable(role)}."
    for sequence in asking.column(connection, SEQUENCES, [table.oid]):
        yield f"The role {role!r} lacks USAGE; GRANT USAGE ON SEQUENCE {sequence} TO {readable(role)}."
    if not table.owned:
        yield f"It belongs to {table.owner!r}: migrations of role {role!r} can't alter it."
