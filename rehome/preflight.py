"""Refuses, with a hint, before anything is written: one refusal a function, cheapest first."""

from collections.abc import Iterable, Iterator

from django.db import DataError
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql as pg

from rehome import catalog, identity, sql, sync
from rehome.catalog import Column, Constraint, Table
from rehome.errors import Irreversible, Refused
from rehome.ledger import LIVE, Ledger
from rehome.models import MoveRun
from rehome.plan import Assignment, Model, Plan, TablePair, concrete_fields
from rehome.verify import Comparison

OLDEST_SERVER = 15
# A value of the first type fits the second without a look at the rows; texts are measured.
WIDER = {
    ("smallint", "integer"), ("smallint", "bigint"), ("integer", "bigint"), ("real", "double precision"),
    ("character varying", "text"), ("text", "character varying"), ("character varying", "character varying"),
    ("citext", "text"), ("text", "citext"), ("character varying", "citext"), ("citext", "character varying"),
}  # fmt: skip


def check_connection(connection: BaseDatabaseWrapper) -> None:
    """Refuse a connection on which no move can be made: an unfit server, an open transaction."""
    check_server(connection)
    if connection.in_atomic_block:
        raise Refused("This migration runs in a transaction of its own.", "Set atomic = False on the Migration class.")


def check_server(connection: BaseDatabaseWrapper) -> None:
    """Refuse what no plan can be made for: another engine, an old server."""
    if connection.vendor != "postgresql":
        raise Refused(
            f"Database {connection.alias!r} is {connection.vendor}; rehome moves models on PostgreSQL.",
            "Leave this migration out of that database with a router's allow_migrate.",
        )
    connection.ensure_connection()
    version = connection.connection.info.server_version
    if version < OLDEST_SERVER * 10000:
        raise Refused(
            f"Database {connection.alias!r} runs PostgreSQL {version // 10000}; rehome needs {OLDEST_SERVER}.",
            f"Upgrade the server to PostgreSQL {OLDEST_SERVER} or newer first.",
        )


def check_forward(plan: Plan, ledger: Ledger) -> None:
    """Everything that must hold before the first write of a move."""
    for pair in plan.pairs:
        refuse_same_table(pair, plan)
        for table in (pair.source, pair.target):
            refuse_kind(table)
            refuse_row_security(table)
            refuse_rules(table)
            refuse_user_triggers(table)
            refuse_missing_rights(table, plan)
        refuse_drift(pair.source_model, pair.source, plan.connection)
        refuse_drift(pair.target_model, pair.target, plan.connection)
        refuse_misfits(pair)
    refuse_open_schemas(plan)
    refuse_closed_tables(plan)
    refuse_unmoved_references(plan, ledger)
    check_target_empty(plan)
    for pair in plan.pairs:
        refuse_uncomputable(pair, plan)
        refuse_nulls(pair, plan)
        refuse_long_values(pair, plan)
        refuse_violations(pair, plan)
        refuse_duplicates(pair, plan)
        refuse_orphans(pair, plan)
        refuse_false_inverses(pair, plan)


def check_target_empty(plan: Plan) -> None:
    for pair in plan.pairs:
        ((filled,),) = catalog.query(plan.connection, sql.has_rows(pair.target).as_string())
        if filled:
            raise Refused(
                f"{pair.target} is not empty.",
                f"Move or delete its rows first: after the move its rows are those of {pair.source}.",
            )


def check_backward(plan: Plan, ledger: Ledger) -> MoveRun:
    """Everything that must hold before the first write of the way back; returns the run to undo."""
    run = check_live(plan, ledger)
    for pair in plan.pairs:
        refuse_references_to_target(pair, plan)
    check_nothing_lost(plan)
    return run


def check_live(plan: Plan, ledger: Ledger) -> MoveRun:
    """There is something to undo, and a way to undo it; returns the run."""
    if not plan.reversible:
        raise Irreversible(
            f"{plan} can't go back: {'; '.join(plan.irreversible)}.",
            "Give Move(...) a backwards={...} expression for it.",
        )
    run = ledger.current(plan)
    if run is None or run.phase not in LIVE:
        raise Refused(
            f"{plan} is not live on database {plan.connection.alias!r}: "
            f"{f'its phase is {run.phase!r}' if run else 'it never ran here'}.",
            "Use `migrate --fake` if only Django's record is wrong.",
        )
    return run


def check_nothing_lost(plan: Plan) -> None:
    """Values of columns that only the target has would be gone with its rows."""
    for pair in plan.pairs:
        key = [there for _, there in pair.forward.key]
        for lost in pair.lost:
            refuse_rows(
                plan,
                sql.written_values(pair.target, key, lost),
                f"{pair.target}.{lost.name} has values that {pair.source} can't hold, in rows {{rows}}.",
                f"Give a backwards={{...}} expression that reads {lost.name!r}, or list it in discard to lose them.",
            )


def check_source_knows(plan: Plan, comparison: Comparison) -> None:
    """The target wins only where its own trigger is missing, and the source's is not: then it alone has writes
    that were not carried. Rows that differ beside triggers that are all there tell of one that was missing.
    """
    if not (comparison.missing or comparison.extra or comparison.different):
        return
    missing = {t.table.oid for t in sync.wanted(plan) if sync.state_of(t, t.table) == "missing"}
    if missing and missing <= {pair.target.oid for pair in plan.pairs}:
        return
    raise Refused(
        f"{comparison.missing + comparison.extra + comparison.different} rows of {plan} differ, because the trigger "
        f"that carried writes from {plan.main.source} is or was missing, so either side may be the newer one.",
        f"Run `manage.py verifymoves {plan.move.target}`, make the rows equal, and try again.",
    )


# ----- tables


def refuse_same_table(pair: TablePair, plan: Plan) -> None:
    if pair.source.oid == pair.target.oid:
        raise Refused(
            f"{plan} would move {pair.source} into itself.",
            "Name two models with tables of their own; another name for the same table needs no move.",
        )


def refuse_kind(table: Table) -> None:
    kinds = {"p": "a partitioned table", "v": "a view", "m": "a materialized view", "f": "a foreign table"}
    if table.kind != "r":
        raise Refused(f"{table} is {kinds.get(table.kind, 'no table')}.", "rehome moves ordinary tables only.")
    if table.partition or table.inherits:
        raise Refused(
            f"{table} is {'a partition' if table.partition else 'part of an inheritance tree'}.",
            "Detach it with ALTER TABLE ... DETACH PARTITION or NO INHERIT first.",
        )


def refuse_row_security(table: Table) -> None:
    if table.row_security:
        raise Refused(
            f"{table} has row-level security, which can hide rows from the move without an error.",
            f"Run ALTER TABLE {table} DISABLE ROW LEVEL SECURITY for the time of the move.",
        )


def refuse_rules(table: Table) -> None:
    if table.rules:
        raise Refused(
            f"{table} has the rule {table.rules[0]!r}, which can redirect writes.",
            f"Run DROP RULE {table.rules[0]} ON {table} first.",
        )


def refuse_user_triggers(table: Table) -> None:
    if triggers := sync.of_user(table):
        raise Refused(
            f"{table} has the trigger {triggers[0]!r}, which would not come along or would fire twice for one write.",
            f"Drop it before the move, and create it on the table where you want it afterwards: "
            f"DROP TRIGGER {triggers[0]} ON {table}.",
        )


def refuse_missing_rights(table: Table, plan: Plan) -> None:
    if not table.owned:
        raise Refused(
            f"{table} belongs to {table.owner!r}, and this connection's role is not it.",
            f"Run the migration as {table.owner!r}, or grant that role to this one.",
        )
    ((allowed,),) = catalog.query(plan.connection, "SELECT has_schema_privilege(%s, 'CREATE')", [table.schema])
    if not allowed:
        raise Refused(
            f"This connection's role may not create functions in schema {table.schema!r}.",
            f"Run GRANT CREATE ON SCHEMA {table.schema} to it.",
        )


def refuse_open_schemas(plan: Plan) -> None:
    """The triggers run with the owner's rights, so nobody else may put operators where they look for them."""
    for schema in plan.search_path:
        ((public,),) = catalog.query(plan.connection, "SELECT has_schema_privilege('public', %s, 'CREATE')", [schema])
        if public:
            raise Refused(
                f"Everybody may create objects in schema {schema!r}, where types of {plan.main.source} come from, "
                "and could so run code with the rights of its owner.",
                f"Run REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC, as PostgreSQL 15 has it from the start.",
            )


def refuse_closed_tables(plan: Plan) -> None:
    """Tables that belong to others but are written or pointed at: REFERENCES, and content types and grants."""
    needed = [(key.referenced, "REFERENCES") for pair in plan.pairs for key in pair.target.foreign_keys]
    if registry := identity.read_registry(plan):
        tables = [registry.content_types, *([registry.permissions] if registry.permissions else [])]
        names = [str(sql.name(table).as_string()) for table in tables]
        names += [table.place.as_string() for table in registry.grant_tables]
        needed += [(name, right) for name in names for right in ("INSERT", "UPDATE", "DELETE")]
    for name, right in needed:
        ((allowed,),) = catalog.query(plan.connection, "SELECT has_table_privilege(%s::regclass, %s)", [name, right])
        if not allowed:
            raise Refused(
                f"This connection's role lacks the privilege {right} on {name}.",
                f"Run GRANT {right} ON {name} to it.",
            )


def refuse_drift(model: Model, table: Table, connection: BaseDatabaseWrapper) -> None:
    """The table is what the migrations say: every column, its type and whether it may be null."""
    fields = {field.column: field for field in concrete_fields(model).values()}
    for column in table.columns:
        field = fields.pop(column.name, None)
        if field is None:
            raise Refused(
                f"{table} has a column {column.name!r} that {model._meta.label} does not know.",
                "Add the field to the model by a migration, or drop the column.",
            )
        declared = field.db_parameters(connection)["type"]
        expected = catalog.canonical_type(connection, declared) if declared else column.type
        if expected != column.type:
            raise Refused(
                f"{table}.{column.name} is {column.type}, but {model._meta.label}.{field.name} says {expected}.",
                "Bring table and migrations together first, with AlterField or ALTER TABLE.",
            )
        if not column.generated and bool(field.null) != column.nullable:
            raise Refused(
                f"{table}.{column.name} {'may' if column.nullable else 'must not'} be null, but "
                f"{model._meta.label}.{field.name} says null={field.null}.",
                "Bring table and migrations together first, with AlterField or ALTER TABLE.",
            )
    for name, field in fields.items():
        raise Refused(
            f"{table} has no column {name!r}, which {model._meta.label}.{field.name} names.",
            "The table differs from its migrations: add the column, or correct the migrations, first.",
        )


# ----- columns


def plain_pairs(pair: TablePair) -> Iterator[tuple[Column, Column]]:
    for assignment in pair.forward.carried:
        if assignment.plain:
            yield pair.source.column(*assignment.reads), assignment.column


def refuse_misfits(pair: TablePair) -> None:
    for source, target in plain_pairs(pair):
        if not fits(source, target):
            raise Refused(
                f"{pair.source}.{source.name} is {source.type} and does not fit "
                f"{pair.target}.{target.name}, which is {target.type}.",
                f"Give an expression, such as fields={{{target.name!r}: Cast({source.name!r}, ...)}}, "
                "and its counterpart in backwards={...}.",
            )


def fits(source: Column, target: Column) -> bool:
    if source.type == target.type:
        return True
    if (source.base_type, target.base_type) in WIDER:
        return True
    if source.base_type == target.base_type == "numeric" and source.modifiers and target.modifiers:
        return source.modifiers[0] <= target.modifiers[0] and source.modifiers[1:] == target.modifiers[1:]
    return False


def refuse_unmoved_references(plan: Plan, ledger: Ledger) -> None:
    for reference in plan.references:
        if not ledger.live_out_of(reference.source_table, reference.target_table):
            raise Refused(
                f"{reference.field} points at {reference.target}, but the rows of {reference.source} "
                f"have not been moved there.",
                f"Move {reference.source} to {reference.target} first, and add that migration to the dependencies.",
            )


# ----- rows, looked at only where the definitions alone don't answer


def refuse_rows(plan: Plan, query: pg.Composable, problem: str, hint: str) -> None:
    found = [str(row) for (row,) in catalog.query(plan.connection, query.as_string())]
    if found:
        # No str.format: definitions that are quoted in the problem have braces of their own.
        raise Refused(problem.replace("{rows}", ", ".join(found)), hint)


def origin_of(assignment: Assignment, pair: TablePair) -> Column | None:
    """The source column that is taken as it is; None for a computed value."""
    return pair.source.column(*assignment.reads) if assignment.plain else None


def refuse_uncomputable(pair: TablePair, plan: Plan) -> None:
    for assignment in pair.forward.carried:
        if assignment.plain:
            continue
        try:
            catalog.query(plan.connection, sql.evaluated(pair.forward, assignment).as_string())
        except DataError as error:
            raise Refused(
                f"{pair.target}.{assignment.column.name} can't be computed for every row of {pair.source}: "
                f"{str(error).strip()}.",
                "Correct those rows, or give another expression in fields={...}.",
            ) from error


def refuse_nulls(pair: TablePair, plan: Plan) -> None:
    for assignment in pair.forward.assignments:
        origin = origin_of(assignment, pair)
        if assignment.column.nullable or (origin and not origin.nullable):
            continue
        refuse_rows(
            plan,
            sql.rows_with_null(pair.forward, assignment.column.name),
            f"{pair.target}.{assignment.column.name} is NOT NULL, but its value is null in rows {{rows}} "
            f"of {pair.source}.",
            f"Fill them, or give an expression: fields={{{assignment.column.name!r}: Coalesce(...)}}.",
        )


def refuse_long_values(pair: TablePair, plan: Plan) -> None:
    for assignment in pair.forward.assignments:
        column, origin = assignment.column, origin_of(assignment, pair)
        if column.base_type != "character varying" or not column.modifiers:
            continue
        length = column.modifiers[0]
        if origin and origin.base_type == column.base_type and origin.modifiers and origin.modifiers[0] <= length:
            continue
        refuse_rows(
            plan,
            sql.rows_longer_than(pair.forward, column.name, length),
            f"{pair.target}.{column.name} holds {length} characters, but rows {{rows}} of {pair.source} have more.",
            "Widen the field, shorten the values, or give an expression in fields={...}.",
        )


def refuse_violations(pair: TablePair, plan: Plan) -> None:
    known = {c.expression for c in pair.source.constraints if c.kind == "c" and c.validated}
    unchanged = {target.name for source, target in plain_pairs(pair) if source.name == target.name}
    for check in pair.target.constraints:
        if check.kind != "c" or check.expression is None:
            continue
        if check.expression in known and set(check.columns) <= unchanged:
            continue
        if not set(check.columns) <= {a.column.name for a in pair.forward.assignments}:
            continue  # It looks at a column that the table fills by itself.
        refuse_rows(
            plan,
            sql.rows_violating(pair.forward, check.expression),
            f"Rows {{rows}} of {pair.source} violate {check.name!r} of {pair.target}: {check.definition}.",
            "Correct those rows, or give an expression in fields={...}.",
        )


def refuse_duplicates(pair: TablePair, plan: Plan) -> None:
    written = {a.column.name for a in pair.forward.assignments}
    origins = {target.name: source.name for source, target in plain_pairs(pair)}
    known = set(unique_columns(pair.source))
    for unique in unique_columns(pair.target):
        if frozenset(origins.get(name, "") for name in unique) in known or not unique <= written:
            continue
        names = sorted(unique)
        refuse_rows(
            plan,
            sql.duplicates(pair.forward, names),
            f"{pair.target} is unique over {', '.join(names)}, but rows of {pair.source} share the values {{rows}}.",
            "Make them different, or give an expression in fields={...}.",
        )


def unique_columns(table: Table) -> Iterable[frozenset[str]]:
    yield from (frozenset(c.columns) for c in table.constraints if c.kind in "pu")
    yield from (frozenset(index.columns) for index in table.indexes if index.unique and index.columns)


def refuse_orphans(pair: TablePair, plan: Plan) -> None:
    written = {a.column.name for a in pair.forward.assignments}
    origins = {target.name: source.name for source, target in plain_pairs(pair)}
    proved = {c.columns for c in pair.source.foreign_keys if c.validated}
    for key in pair.target.foreign_keys:
        if tuple(origins.get(name, "") for name in key.columns) in proved or not set(key.columns) <= written:
            continue
        refuse_rows(
            plan,
            sql.orphans_to_be(pair.forward, key, as_of_now(key, plan)),
            f"{pair.target}.{', '.join(key.columns)} points at rows of {key.referenced} that do not exist, "
            f"in rows {{rows}} of {pair.source}.",
            "Create the missing rows, or set the column to null, first.",
        )


def refuse_false_inverses(pair: TablePair, plan: Plan) -> None:
    computed = [assignment.column.name for assignment in pair.forward.carried if not assignment.plain]
    if not plan.reversible or not computed:
        return
    hint = "Correct backwards={...}, so that it undoes fields={...}."
    try:
        refuse_rows(
            plan,
            sql.changed_by_return(pair),
            f"What backwards={{...}} gives back is not what fields={{...}} came from: {', '.join(computed)} of "
            f"{pair.target} would change on a second way there, in rows {{rows}} of {pair.source}.",
            hint,
        )
    except DataError as error:
        raise Refused(
            f"backwards={{...}} can't be computed for every row that would be in {pair.target}: {str(error).strip()}.",
            hint,
        ) from error


def as_of_now(key: Constraint, plan: Plan) -> pg.Composable:
    """What a foreign key points at; a target of this same move is still empty, so its source answers."""
    for pair in plan.pairs:
        if key.referenced_oid == pair.target.oid:
            return pg.SQL("({})").format(sql.projection(pair.forward, typed_as_target=True))
    return pg.SQL(str(key.referenced))


def refuse_references_to_target(pair: TablePair, plan: Plan) -> None:
    """Rows of other tables that point at the target would be left without it."""
    own = {(other.target.schema, other.target.name) for other in plan.pairs}
    for incoming in pair.target.incoming:
        if (incoming.schema, incoming.table) in own:
            continue
        refuse_rows(
            plan,
            pg.SQL("SELECT {} FROM {} WHERE {} IS NOT NULL LIMIT 3").format(
                pg.Identifier(incoming.columns[0]),
                pg.Identifier(incoming.schema, incoming.table),
                pg.Identifier(incoming.columns[0]),
            ),
            f"{incoming.schema}.{incoming.table}.{incoming.columns[0]} still points at rows {{rows}} of {pair.target}.",
            "Roll back the migrations that made it point there first.",
        )
