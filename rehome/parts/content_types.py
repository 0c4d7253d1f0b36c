"""Where a database keeps the names of models: content types, permissions, grants, and whatever points at them."""

import dataclasses
from collections.abc import Collection, Iterable, Iterator

from django.apps import apps
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import ForeignKey

from rehome.parts.triggers import standing
from rehome.plan.ledger import Ledger
from rehome.plan.plan import Model, Plan
from rehome.postgres import asking, catalog, resolution, tables
from rehome.postgres.sql import EQUAL, SQL, Identifier, Literal, Statement, name
from rehome.postgres.tables import Constraint, Index, Table

CONTENT_TYPES = "django_content_type"
PERMISSIONS = "auth_permission"
NULLS = "NULLS NOT DISTINCT"


@dataclasses.dataclass(frozen=True)
class Label:
    app: str
    model: str
    verbose_name: str

    @classmethod
    def of(cls, model: Model) -> "Label":
        meta = model._meta
        return cls(meta.app_label, str(meta.model_name), str(meta.verbose_name_raw))

    @property
    def matches(self) -> Statement:
        return SQL("app_label {equal} {} AND model {equal} {}").format(
            Literal(self.app), Literal(self.model), equal=EQUAL
        )


@dataclasses.dataclass(frozen=True)
class Pointer:
    """A foreign key to a content type or to a permission, in a table of which nothing else is known."""

    table: Table
    column: str

    @property
    def rest(self) -> list[str]:
        """The other columns, but for a primary key that merely numbers the rows."""
        primary = next((c.columns for c in self.table.constraints if c.kind == "p"), ())
        number = primary if self.column not in primary else ()
        return [c.name for c in self.table.columns if c.name not in {self.column, *number} and not c.generated]

    @property
    def unique(self) -> list[tuple[str, ...]]:
        """Columns that must not be null in rows that differ in this column alone, for them to collide; of each set that
        is kept unique with it.
        """
        kept: list[Constraint | Index] = [c for c in self.table.constraints if c.kind in "pu"]
        kept += [index for index in self.table.indexes if index.unique]
        return [() if NULLS in one.definition else one.columns for one in kept if self.column in one.columns]

    @property
    def incoming(self) -> list[tables.ForeignKey]:
        """Foreign keys that point at the table's rows, its own among them."""
        own = [key for key in self.table.foreign_keys if key.referenced_oid == self.table.oid]
        return [*self.table.incoming, *own]

    @property
    def holder(self) -> str | None:
        """The other foreign key of a table that Django made for a many-to-many field to permissions; else None."""
        names = {column.name for column in self.table.columns}
        if len(names) != 3 or not {"id", self.column} <= names:
            return None
        (holder,) = names - {"id", self.column}
        once = any(set(c.columns) == {holder, self.column} for c in self.table.constraints if c.kind == "u")
        return holder if once and any(c.columns == (holder,) for c in self.table.foreign_keys) else None


@dataclasses.dataclass(frozen=True)
class GrantTable:
    """A table that grants permissions: an id, a permission and one holder, a group or a user."""

    table: Table
    permission: str
    holder: str
    names: frozenset[str]
    """Its own, and those of tables that a move has filled from it, or it from them: their rows have the same ids."""


@dataclasses.dataclass(frozen=True)
class Registry:
    content_types: Table
    permissions: Table | None
    grant_tables: tuple[GrantTable, ...]
    type_pointers: tuple[Pointer, ...]
    """Each foreign key to a content type, also without a constraint, but for the permissions'."""
    permission_pointers: tuple[Pointer, ...]
    """Each foreign key to a permission, also without a constraint, but for those of the grant tables."""
    frozen: tuple[Table, ...]
    """Those of all these that a move without a way back has made read-only."""

    @property
    def written(self) -> list[Table]:
        """Each table in which rows are inserted and deleted, and not only updated."""
        permissions = [self.permissions] if self.permissions else []
        return [self.content_types, *permissions, *(grants.table for grants in self.grant_tables)]

    def by_label(self, label: Label) -> Statement:
        return SQL("(SELECT id FROM {} WHERE {})").format(name(self.content_types), label.matches)


def read_registry(plan: Plan) -> Registry | None:
    """None where the database has no content types."""
    targets = {pair.target.oid for pair in plan.pairs if pair.source.kind == "r"}
    return read_registry_of(plan.connection, targets, plan.apps.get_models(include_auto_created=True))


def read_registry_of(
    connection: BaseDatabaseWrapper, targets: Collection[int] = (), models: Iterable[Model] = ()
) -> Registry | None:
    """With no row of the tables `targets`, to which triggers carry what is written to their sources; `models` are those
    at hand beside the project's own.
    """
    content_types, permissions = catalog.read_tables(connection, [CONTENT_TYPES, PERMISSIONS])
    if content_types is None:
        return None
    known = list(models)
    unchecked = find_fields(known, "contenttypes.contenttype")
    of_types = [
        pointer
        for pointer in find_pointers(connection, content_types, targets, unchecked)
        if permissions is None or pointer.table.oid != permissions.oid
    ]
    unchecked = find_fields(known, "auth.permission")
    of_permissions = find_pointers(connection, permissions, targets, unchecked) if permissions else []
    related = Ledger(connection.alias).related_names()
    return Registry(
        content_types=content_types,
        permissions=permissions,
        grant_tables=tuple(
            GrantTable(p.table, p.column, p.holder, related(p.table.name)) for p in of_permissions if p.holder
        ),
        type_pointers=tuple(of_types),
        permission_pointers=tuple(p for p in of_permissions if not p.holder),
        frozen=tuple(
            {p.table.oid: p.table for p in (*of_types, *of_permissions) if standing("frozen", p.table)}.values()
        ),
    )


def has_labels(plan: Plan) -> bool:
    """Whether this database knows either model by its label. A new one does not, until its last migration has run."""
    content_types = catalog.read_table(plan.connection, CONTENT_TYPES)
    if content_types is None:
        return False
    labels = [Label.of(model).matches for model in (plan.source_model, plan.target_model)]
    query = SQL("SELECT EXISTS (SELECT FROM {} WHERE {} OR {})").format(name(content_types), *labels)
    return bool(asking.value(plan.connection, query.as_string()))


def find_pointers(
    connection: BaseDatabaseWrapper, named: Table, targets: Collection[int], fields: Iterable[tuple[str, str]]
) -> list[Pointer]:
    """Each foreign key to `named`, and each of `fields`, whose table has rows to correct.

    A table behind a fence has none: it is empty, or triggers carry to it what is written to its source. So is the
    target of this move while the source is a table. Where both tables of another move live, the target is first: the
    triggers have corrected its source by then, where writes are counted as those of old code.
    """
    keys = [(Identifier(key.schema, key.table).as_string(), *key.columns) for key in named.incoming]
    asked = [*keys, *fields]
    found = {
        (table.oid, *columns): Pointer(table, *columns)
        for (_, *columns), table in zip(
            asked, catalog.read_tables(connection, [place for place, *_ in asked]), strict=True
        )
        if table and table.kind in {"r", "p"} and table.oid not in targets and not standing("fence", table)
        if all(map(table.has_column, columns))
    }
    return sorted(found.values(), key=lambda pointer: bool(standing("forward", pointer.table)))


def find_fields(models: Iterable[Model], label: str) -> Iterator[tuple[str, str]]:
    """(table, column) of each foreign key without a constraint to the model of this name: no catalog knows of it."""
    for model in (*models, *apps.get_models(include_auto_created=True)):
        for field in model._meta.local_concrete_fields:
            related = field.related_model
            unchecked = isinstance(field, ForeignKey) and not getattr(field, "db_constraint", True)
            if unchecked and isinstance(related, type) and related._meta.label_lower == label:
                yield Identifier(model._meta.db_table).as_string(), str(field.column)


NEIGHBOURS = """
WITH RECURSIVE near(oid) AS (
  SELECT %s::oid
   UNION SELECT c.conrelid FROM pg_constraint c JOIN near ON c.confrelid = near.oid
)
SELECT oid::bigint FROM near WHERE oid IS NOT NULL
"""


def table_oids(plan: Plan) -> set[int]:
    """Every table whose rows this module may lock: content types and whatever hangs on them."""
    return set(asking.column(plan.connection, NEIGHBOURS, [resolution.find(plan.connection, CONTENT_TYPES)]))
