"""How a column of a live table differs from its field."""

from collections.abc import Callable, Iterator

from rehome.checkschema import making, suggestions
from rehome.checkschema.pair import Pair
from rehome.checkschema.report import Difference
from rehome.checkschema.shape import NUMBERED, Column

# What is said of a column, in the order in which the remedies can be run.
RESPECTS: dict[str, Callable[[Column], str | None]] = {
    "generated": lambda column: column.generated or None,
    "default": lambda column: column.default,
    "type": lambda column: column.type,
    "collation": lambda column: column.collation or None,
    "null": lambda column: "NULL" if column.nullable else "NOT NULL",
    "sequence": lambda column: column.numbered or None,
    "comment": lambda column: column.comment or None,
}
WIDTHS = {"integer", "bigint", "int"}
UNIQUE = ("primary key", "unique", "unique index")
OF_VIEWS = ("type",)
"""A view has nothing else."""


def find_differences(pair: Pair) -> Iterator[Difference]:
    for expected in pair.expected.columns:
        found = pair.found.column(expected.name)
        if found is None:
            yield missing(pair, expected)
        else:
            yield from compare(pair, expected, found)
    if pair.found.kind == "table":
        yield from (unknown(pair, found) for found in pair.found.columns if not pair.expected.column(found.name))


def compare(pair: Pair, expected: Column, found: Column) -> Iterator[Difference]:
    field = pair.field(found.name)
    for kind in RESPECTS if pair.found.kind == "table" else OF_VIEWS:
        says, has = RESPECTS[kind](expected), RESPECTS[kind](found)
        if kind == "type" and is_key_of_many_to_many(pair, expected, found):
            continue
        if says != has and not is_told_otherwise(kind, expected, found):
            respect = "length" if kind == "type" and bare(says) == bare(has) else kind
            change = f"{field.name}: {suggestions.change(kind, found, field)}"
            sql = remedy(pair, kind, expected, found)
            yield pair.difference(f'column "{found.name}"', respect, says, has, sql, change)


def is_key_of_many_to_many(pair: Pair, *columns: Column) -> bool:
    """Whether it is the key that Django gives to a table of its own: an integer before Django 3.2, or as
    DEFAULT_AUTO_FIELD says now. No row is found by it.
    """
    implicit = bool(pair.twin.model._meta.auto_created) and pair.field(columns[0].name).primary_key
    return implicit and all(bare(column.type) in WIDTHS for column in columns)


def is_told_otherwise(kind: str, expected: Column, found: Column) -> bool:
    """Whether another difference of the same column implies this one."""
    if kind == "collation":
        return not (expected.collation and found.collation)
    if kind == "default":
        return bool(expected.numbered or found.numbered or expected.generated or found.generated)
    return kind == "null" and bool(expected.generated) != bool(found.generated)


def remedy(pair: Pair, kind: str, expected: Column, found: Column) -> tuple[str, ...]:
    if kind == "sequence" and expected.numbered == NUMBERED and found.cure:
        # Whatever numbers it follows the column to another type.
        cure = tuple(one for one in found.cure if expected.type == found.type or " MAXVALUE " not in one)
        if cure:
            return cure
        kind = "type"
    return pair.server.remedies.alter_column(kind, pair.server.known.staying[pair.found.place], expected, found)


def bare(type_name: str | None) -> str:
    """Without lengths, precisions and scales."""
    return (type_name or "").partition("(")[0]


def missing(pair: Pair, expected: Column) -> Difference:
    field = pair.field(expected.name)
    sql: tuple[str, ...] = ()
    if pair.found.kind == "table":
        sql = making.collect(pair.server.connection, lambda editor: editor.add_field(pair.twin.model, field))
    present = (column.name for column in pair.found.columns)
    change = suggestions.other_name(expected.name, present, field.name, "db_column") or f"without {field.name}"
    if field.primary_key and field.auto_created:
        fields = {each.column: each.name for each in pair.twin.model._meta.local_concrete_fields}
        keys = (part.columns for part in pair.found.parts if part.kind in UNIQUE and part.columns)
        uniques = (tuple(fields.get(column, column) for column in columns) for columns in keys)
        change = suggestions.primary_key(uniques)
    return pair.difference(f'column "{expected.name}"', "missing", describe(expected), None, sql, change)


def unknown(pair: Pair, found: Column) -> Difference:
    """It does harm when an insert has no value for it, or when a migration adds a column of its name."""
    sql = pair.server.remedies.let_insert(pair.found, found) if found.demanding else ()
    refusing = f"{describe(found)}, without which no row can be inserted"
    has = refusing if found.demanding else describe(found)
    return pair.difference(f'column "{found.name}"', "unknown", None, has, sql, f"add {suggestions.field(found)}")


def describe(column: Column) -> str:
    generated = f"GENERATED ALWAYS AS {column.generated}" if column.generated else ""
    default = "" if column.default is None else f"DEFAULT {column.default}"
    return " ".join(filter(None, [column.type, generated, "" if column.nullable else "NOT NULL", default]))
