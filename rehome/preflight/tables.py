"""Refusals that the definitions of the two tables alone decide."""

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome import catalog, sql, sync
from rehome.catalog import Column, Table
from rehome.errors import Refused
from rehome.historical import concrete_fields
from rehome.plan import Field, Model, Plan, TablePair
from rehome.sql import readable

# A value of the first type fits the second without a look at the rows; texts are measured.
WIDER = {
    ("smallint", "integer"), ("smallint", "bigint"), ("integer", "bigint"),
    ("character varying", "text"), ("text", "character varying"), ("character varying", "character varying"),
    ("citext", "text"), ("text", "citext"), ("character varying", "citext"), ("citext", "character varying"),
}  # fmt: skip


def place(table: Table) -> str:
    return readable(table.schema, table.name)


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
    if table.persistence == "t":
        raise Refused(f"{table} is a temporary table of this session.", f"Drop it: DROP TABLE {place(table)}.")
    if table.partition or table.inherits:
        raise Refused(
            f"{table} is {'a partition' if table.partition else 'part of an inheritance tree'}.",
            "Detach it with ALTER TABLE ... DETACH PARTITION or NO INHERIT first.",
        )


def refuse_unlogged_target(pair: TablePair) -> None:
    if pair.target.persistence == "u" and pair.source.persistence != "u":
        raise Refused(
            f"{pair.target} is unlogged, and a crash of the server would empty it.",
            f"Run ALTER TABLE {place(pair.target)} SET LOGGED first.",
        )


def refuse_row_security(table: Table) -> None:
    if table.row_security:
        raise Refused(
            f"{table} has row-level security, which can hide rows from the move without an error.",
            f"Run ALTER TABLE {place(table)} DISABLE ROW LEVEL SECURITY for the time of the move.",
        )


def refuse_rules(table: Table) -> None:
    if table.rules:
        raise Refused(
            f"{table} has the rule {table.rules[0]!r}, which can redirect writes.",
            f"Run DROP RULE {readable(table.rules[0])} ON {place(table)} first.",
        )


def refuse_user_triggers(table: Table) -> None:
    if triggers := sync.of_user(table):
        raise Refused(
            f"{table} has the trigger {triggers[0]!r}, which would not come along or would fire twice for one write.",
            "Drop it before the move, and create it on the table where you want it afterwards: "
            f"DROP TRIGGER {readable(triggers[0])} ON {place(table)}.",
        )


def refuse_unfit_key(model: Model, table: Table) -> None:
    """The sync finds each row by its key, with ON CONFLICT, which no deferrable constraint can serve."""
    key = [str(field.column) for field in model._meta.pk_fields]
    names = ", ".join(readable(column) for column in key)
    found = [c for c in table.constraints if c.kind == "p"]
    if not found or set(found[0].columns) != set(key):
        raise Refused(
            f"{table} has no primary key over {names}, though {model._meta.label} says so.",
            f"Run ALTER TABLE {place(table)} ADD PRIMARY KEY ({names}) first.",
        )
    if found[0].deferrable:
        name = readable(found[0].name)
        raise Refused(
            f"The primary key of {table} is deferrable, and no row can be found by it while it may be double.",
            f"Run ALTER TABLE {place(table)} DROP CONSTRAINT {name}, ADD PRIMARY KEY ({names}) first.",
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
        if expected != column.type and not is_unmanaged_key(model, field, column):
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


def is_unmanaged_key(model: Model, field: Field, column: Column) -> bool:
    """Whether it is the key of a many-to-many table: Django leaves it as it was when DEFAULT_AUTO_FIELD changes."""
    return bool(model._meta.auto_created) and field.primary_key and column.base_type in {"integer", "bigint"}


def refuse_dropped_keys(pair: TablePair) -> None:
    for key in pair.dropped:
        raise Refused(
            f"{pair.target}.{key.name} has no foreign key, though {pair.target_model._meta.label} has one there.",
            f"Run {sql.add_constraint(pair.target, key).as_string()} first.",
        )


def refuse_misfits(pair: TablePair) -> None:
    for source, target in pair.plain_columns:
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
