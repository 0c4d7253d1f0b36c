"""Resolves an Import against two models and the target's table into an ImportPlan, without a write."""

import dataclasses
import datetime
import hashlib
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from django.apps.registry import Apps
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Q, Value
from django.db.models.expressions import Combinable
from django.utils import timezone

from rehome.errors import Refused, visible
from rehome.importing.declaration import Given, Import, Lookup
from rehome.plan import fields
from rehome.plan.historical import column_of, concrete_fields, get_column, get_model, get_table, refuse_unknown
from rehome.plan.plan import Assignment, Field, Flow, Model, TablePair
from rehome.postgres.tables import Column, Table

UNBOUNDED = {"character varying", "numeric"}
"""Types that take any value without their modifiers, so that what is too long can be named instead of refused."""
WIDER = {"date": "timestamp without time zone", "money": "numeric"}
"""Types that drop in silence what the other one keeps, so that it can be named; and of which each country writes values
in its own way.
"""
MADE_BY_SQL = {uuid.uuid4: "gen_random_uuid()", timezone.now: "now()", datetime.date.today: "current_date"}
"""Python's defaults that PostgreSQL can make for each row as well."""
EXACT = {
    "smallint", "integer", "bigint", "boolean", "uuid", "date", "timestamp with time zone",
    "timestamp without time zone", "time without time zone", "bytea", "oid",
}  # fmt: skip
TEXTS = {"text", "character varying"}
UNKNOWN = (
    "is no model of an installed app.",
    "Write it as 'app_label.ModelName', and see that INSTALLED_APPS has the app.",
)
KNOWN = "The names it may be"
LONGEST_NAME = 63

Key = Mapping[str, str | None]
"""What a row has for the fields of its import's key, as the source writes it."""


def describe_key(key: Key) -> str:
    return ", ".join(f"{name}={visible(str(value))}" for name, value in key.items())


@dataclasses.dataclass(frozen=True)
class Taken:
    """A column of the target that comes from the source, and the column in which the source's value arrives."""

    field: Field
    column: Column
    given: Given
    lookup: Lookup | None
    arrives_as: str
    """The type of the column in which it arrives."""

    @property
    def arrives_in(self) -> str:
        return named(self.column.name, "as read") if self.lookup else self.column.name

    @property
    def expression(self) -> Combinable:
        if isinstance(self.given, str):
            return F(self.given)
        if isinstance(self.given, Value) and getattr(self.given, "_output_field_or_none", None) is None:
            # Nothing about None, a list or a dict says what its type is.
            return Value(self.given.value, output_field=self.field)
        return self.given

    @property
    def constant(self) -> bool:
        return isinstance(self.given, Value)


def named(column: str, suffix: str) -> str:
    """A name beside that of a column; PostgreSQL would cut a longer one, and take two for the same."""
    name = f"{column} {suffix}"
    if len(name.encode()) <= LONGEST_NAME:
        return name
    return f"{hashlib.sha256(column.encode()).hexdigest()[:20]} {suffix}"


@dataclasses.dataclass(frozen=True)
class ImportPlan:
    declared: Import
    apps: Apps
    """Where the declaration's labels are models."""
    number: int
    """Of this import among those of one run, for the names of its temporary tables."""
    source: BaseDatabaseWrapper
    connection: BaseDatabaseWrapper
    """The target's."""
    source_model: Model
    target_model: Model
    target: Table
    taken: tuple[Taken, ...]
    filled: tuple[Assignment, ...]
    """Columns of new rows that nothing of the source gives."""
    key: tuple[str, ...]
    """Columns of the target that find a row again."""
    later: frozenset[int] = frozenset()
    """The targets of the imports that follow in the same run."""
    only: tuple[Key, ...] | None = None
    """By field of the target, the keys of the only rows to read; None for all."""
    since: Q | None = None
    """Which rows have to be read again; None for all."""

    @property
    def partial(self) -> bool:
        """Whether a row of the target that was not read may be at the source, or have another origin."""
        return self.only is not None or self.since is not None or self.declared.shared

    def __str__(self) -> str:
        return str(self.declared)

    @property
    def lookups(self) -> list[Taken]:
        return [taken for taken in self.taken if taken.lookup]

    @property
    def own_lookups(self) -> list[Taken]:
        """Those among the rows of the target itself, which may come with this very import."""
        return [t for t in self.lookups if t.lookup and is_among(t.lookup, self.target_model)]

    @property
    def constants(self) -> list[Taken]:
        """Parts of the key by which rows of several imports are kept apart."""
        return [taken for taken in self.taken if taken.constant and taken.column.name in self.key]

    def flow(self, origin: Table) -> Flow:
        """From a table that has a column for each of the target's that is taken."""
        taken = [fields.take(taken.column, origin.column(taken.column.name)) for taken in self.taken]
        assignments = fields.in_table_order([*taken, *self.filled], self.target)
        return Flow(origin, self.target, tuple((column, column) for column in self.key), assignments)

    def pair(self, origin: Table, destination: Table) -> TablePair:
        """The two as the comparison takes them."""
        flow = dataclasses.replace(self.flow(origin), destination=destination)
        back = Flow(destination, origin, tuple((t, s) for s, t in flow.key), ())
        return TablePair(origin, destination, self.source_model, self.target_model, flow, back, lost=(), dropped=())


def make_plan(declared: Import, apps: Apps, source: str, target: str, number: int = 0) -> ImportPlan:
    """Resolve `declared` between two database aliases. Raises Refused for what the declaration gets wrong."""
    if source == target:
        raise Refused(
            f"Database {source!r} is both the source and the target of {declared}.",
            "Use a Move to move rows within a database, or name another database with --source or --database.",
        )
    connection = connections[target]
    source_model, target_model = (find_model(apps, label) for label in (declared.source, declared.target))
    table = get_table(connection, target_model)
    given = match_fields(declared, source_model, target_model)
    taken = tuple(make_taken(declared, target_model, table, name, value) for name, value in given.items())
    return ImportPlan(
        declared=declared,
        apps=apps,
        number=number,
        source=connections[source],
        connection=connection,
        source_model=source_model,
        target_model=target_model,
        target=table,
        taken=taken,
        filled=tuple(find_filled(declared, target_model, table, connection, {t.column.name for t in taken})),
        key=tuple(column_of(concrete_fields(target_model)[name]) for name in declared.key),
    )


def find_model(apps: Apps, label: str) -> Model:
    return get_model(apps, label, UNKNOWN)


def match_fields(declared: Import, source: Model, target: Model) -> dict[str, Given]:
    """By field of the target, where its value comes from; those of the key first."""
    targets, sources = concrete_fields(target), concrete_fields(source)
    own = {field.name for field in target._meta.pk_fields}
    named = {**declared.key, **declared.fields}
    left = {*own, *named, *(name for name, field in targets.items() if field.generated)}
    same = {name: name for name in targets if name in sources and name not in left}
    refuse_unknown(named, targets, target, "key and fields of the import name", KNOWN)
    refuse_unknown(declared.lookups, {**named, **same}, target, "lookups of the import name", KNOWN)
    refuse_unknown(declared.discard, sources, source, "discard of the import name", KNOWN)
    refuse_same_reference(same, declared, target)
    return {**named, **same}


def refuse_same_reference(same: Mapping[str, str], declared: Import, target: Model) -> None:
    """Two fields of one name may hold different keys: 7 in both databases need not be the same row."""
    for name in same.keys() - declared.lookups.keys():
        field: Any = concrete_fields(target)[name]
        if field.remote_field:
            other = field.remote_field.model._meta.label
            raise Refused(
                f"{target._meta.label}.{name} leads to {other}, and {declared} does not say how its rows are found.",
                f"Look them up with lookups={{{name!r}: Lookup({other!r}, by=...)}}, or say with "
                f"fields={{{name!r}: {name!r}}} that they have the same keys in both databases.",
            )


def make_taken(declared: Import, model: Model, table: Table, name: str, given: Given) -> Taken:
    field = concrete_fields(model)[name]
    column = get_column(table, model, field)
    if field.generated:
        raise Refused(
            f"{model._meta.label}.{name} is generated: nothing can be written to it.",
            "Leave it out of key and fields; the database computes it.",
        )
    lookup = declared.lookups.get(name)
    own = lookup is not None and is_among(lookup, model)
    if own and name in declared.key:
        raise Refused(
            f"{model._meta.label}.{name} is a part of the key of {declared}, and is looked up in rows of "
            f"{model._meta.label} itself, which only the key finds.",
            "Use another field as the key, such as one that only this import fills: key={'legacy_id': 'id'}.",
        )
    if own and not column.nullable:
        raise Refused(
            f"{model._meta.label}.{name} is NOT NULL, but the import looks it up in its own rows, and can fill it only "
            "after it has inserted them.",
            "Set null=True on it for the time of the import.",
        )
    # A value to look up arrives as text, whatever its type was.
    return Taken(field, column, given, lookup, "text" if lookup else arriving_type(column))


def is_among(lookup: Lookup, model: Model) -> bool:
    """Whether the values are looked up in the rows of `model`."""
    return isinstance(lookup.among, str) and lookup.among.lower() == model._meta.label_lower


def has_spellings(column: Column) -> bool:
    """Whether different values may be equal to the column, as 1.0 and 1.00 or, to collations that are none of
    PostgreSQL's own, Ada and ada.
    """
    plain = column.base_type in TEXTS and column.collation.startswith("pg_catalog.")
    return column.base_type not in EXACT and not plain


def arriving_type(column: Column) -> str:
    unbounded = column.base_type.removesuffix("[]") in UNBOUNDED
    return WIDER.get(column.type) or (column.base_type if unbounded else column.type)


def find_filled(
    declared: Import, model: Model, table: Table, connection: BaseDatabaseWrapper, taken: set[str]
) -> Iterator[Assignment]:
    for field in concrete_fields(model).values():
        column = get_column(table, model, field)
        known = column.name in taken or field.generated or column.default is not None or column.identity
        if not known and (value := fill(declared, model, field, column, connection)) is not None:
            yield Assignment(column, value, frozenset(), fields.limit(column))


def fill(declared: Import, model: Model, field: Any, column: Column, connection: BaseDatabaseWrapper) -> str | None:
    """SQL of a value for a column that the source does not give; None leaves it null."""
    if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False):
        return "now()"
    if field.has_default():
        if field.default in MADE_BY_SQL:
            return MADE_BY_SQL[field.default]
        hint = f"Give a value with fields={{{field.name!r}: ...}}, or use db_default."
        return fields.compile_default(field, model, connection, hint)
    if not column.nullable:
        raise Refused(
            f"{declared} gives no value for {model._meta.label}.{field.name}, which is NOT NULL and has no default.",
            f"Map it with fields={{{field.name!r}: ...}}, or give it a default or null=True.",
        )
    return None
