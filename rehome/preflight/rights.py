"""What the connected role must be allowed; each refusal names the right and how it is given."""

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder

from rehome.errors import Refused
from rehome.models import ImportRun, MoveRun
from rehome.parts import strangers
from rehome.parts.content_types import read_registry
from rehome.plan.plan import Plan
from rehome.postgres import asking, catalog, resolution, rights
from rehome.postgres.sql import Identifier, place, readable
from rehome.postgres.tables import ForeignKey, Table

# What is gone is told by whoever needs it.
LACKING = """
SELECT place, privilege FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS needed(place, privilege, number)
 WHERE CASE WHEN to_regclass(place) IS NULL THEN false
            WHEN privilege = 'USAGE' THEN NOT has_sequence_privilege(place, privilege)
            ELSE NOT has_table_privilege(place, privilege) END
 ORDER BY number LIMIT 1
"""
WRITING = ("SELECT", "INSERT", "UPDATE", "DELETE")


def current_role(connection: BaseDatabaseWrapper) -> str:
    return str(asking.value(connection, "SELECT current_user"))


def refuse_closed_ledger(connection: BaseDatabaseWrapper) -> None:
    """The record of moves is read before anything else, and made where there is none yet."""
    if ledger := catalog.read_table(connection, MoveRun._meta.db_table):
        refuse_lacking(connection, [(place(ledger), right) for right in WRITING])
    else:
        refuse_closed_schema(connection, resolution.current_schema(connection), "tables")


def refuse_unreadable_records(connection: BaseDatabaseWrapper) -> None:
    """What says which moves and imports stand, where it is there."""
    models = (MigrationRecorder.Migration, MoveRun, ImportRun)
    tables = [catalog.read_table(connection, connection.ops.quote_name(model._meta.db_table)) for model in models]
    refuse_lacking(connection, [(place(table), "SELECT") for table in tables if table])


def refuse_unreadable(plan: Plan) -> None:
    """What a verification reads: both sides, the sequences, what foreign keys lead to, content types, permissions."""
    needed = []
    for pair in plan.pairs:
        needed += [place(table) for table in (pair.source, pair.target)]
        needed += [place(sequence) for sequence in pair.target.sequences.values()]
        needed += [readable(key.end.schema, key.end.table) for key in (*pair.target.foreign_keys, *pair.dropped)]
    if registry := read_registry(plan):
        needed += [place(table) for table in (registry.content_types, registry.permissions) if table]
    refuse_lacking(plan.connection, [(name, "SELECT") for name in dict.fromkeys(needed)])


def refuse_strangers_table(table: Table, connection: BaseDatabaseWrapper) -> None:
    if not table.owned:
        role, owner = current_role(connection), table.owner
        raise Refused(
            f"{table} belongs to {owner!r}, and this connection's role {role!r} is not a member of the owner.",
            f"Run the migration as {owner!r}, or run GRANT {readable(owner)} TO {readable(role)}.",
        )


def refuse_read_only(table: Table, connection: BaseDatabaseWrapper) -> None:
    if not rights.is_writable(connection, table.oid):
        raise Refused(
            f"This connection may not write to {table}, so no write can be tried.",
            "Run the command without --probe, or on the primary server without default_transaction_read_only.",
        )


def refuse_closed_schema(connection: BaseDatabaseWrapper, schema: str | None, what: str) -> None:
    if schema is None:
        raise Refused(
            f"The search_path of role {current_role(connection)!r} names no schema, so nothing can be created.",
            "Set it with ALTER ROLE ... SET search_path = public.",
        )
    if not asking.value(connection, "SELECT has_schema_privilege(%s, 'CREATE')", [schema]):
        role = current_role(connection)
        raise Refused(
            f"The role {role!r} may not create {what} in schema {schema}.",
            f"Run GRANT CREATE ON SCHEMA {readable(schema)} TO {readable(role)}.",
        )


def refuse_strangers_code(plan: Plan) -> None:
    for found in strangers.find(plan):
        raise Refused(found.problem, found.hint)


def refuse_closed_tables(plan: Plan) -> None:
    """Tables that may belong to others: those that a foreign key points at, content types, permissions, grants."""
    keys = [key for pair in plan.pairs for key in pair.target.foreign_keys]
    needed = [(readable(key.end.schema, key.end.table), right) for key in keys for right in ("SELECT", "REFERENCES")]
    if registry := read_registry(plan):
        needed += [(place(table), right) for table in registry.written for right in WRITING]
        # Of columns that are no identity: an insert needs a right on the sequence as well.
        needed += [
            (place(sequence), "USAGE")
            for table in registry.written
            for column, sequence in table.sequences.items()
            if not table.column(column).identity
        ]
        for pointer in (*registry.type_pointers, *registry.permission_pointers):
            rights = ("SELECT", "UPDATE", "DELETE") if pointer.unique else ("SELECT", "UPDATE")
            needed += [(place(pointer.table), right) for right in rights]
            pointing = pointer.incoming if pointer.unique else ()
            needed += [(readable(key.schema, key.table), right) for key in pointing for right in ("SELECT", "UPDATE")]
        for table in registry.frozen:
            refuse_strangers_table(table, plan.connection)
    refuse_lacking(plan.connection, needed)


def refuse_closed_referrers(plan: Plan) -> None:
    """Foreign keys of other tables are dropped while the target is emptied, which their owner alone can do."""
    for pair in plan.pairs:
        for key in pair.target.incoming:
            refuse_strangers_key(key, plan)


def refuse_strangers_key(key: ForeignKey, plan: Plan) -> None:
    if table := catalog.read_table(plan.connection, Identifier(key.schema, key.table).as_string()):
        refuse_strangers_table(table, plan.connection)


def refuse_lacking(connection: BaseDatabaseWrapper, needed: list[tuple[str, str]]) -> None:
    """The first (table or sequence, privilege) that the role lacks."""
    found = asking.query(connection, LACKING, [[name for name, _ in needed], [right for _, right in needed]])
    for name, right in found:
        role = current_role(connection)
        kind = "SEQUENCE " if right == "USAGE" else ""
        raise Refused(
            f"The role {role!r} lacks the privilege {right} on {name}.",
            f"Run GRANT {right} ON {kind}{name} TO {readable(role)}.",
        )
