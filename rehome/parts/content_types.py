"""Where a database keeps the names of models: content types, permissions, grants, and whatever points at them."""

import dataclasses

from rehome.parts.triggers import standing
from rehome.plan.ledger import Ledger
from rehome.plan.plan import Model, Plan
from rehome.postgres import catalog
from rehome.postgres.sql import SQL, Identifier, Literal, Statement
from rehome.postgres.tables import Table

CONTENT_TYPES = "django_content_type"
PERMISSIONS = "auth_permission"


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
        return SQL("app_label = {} AND model = {}").format(Literal(self.app), Literal(self.model))


def by_label(label: Label) -> Statement:
    return SQL("(SELECT id FROM {} WHERE {})").format(Identifier(CONTENT_TYPES), label.matches)


@dataclasses.dataclass(frozen=True)
class Pointer:
    """A foreign key to a content type or to a permission, in a table of which nothing else is known."""

    table: Table
    column: str

    @property
    def rest(self) -> list[str]:
        """The other columns but for the primary key."""
        primary = next((c.columns for c in self.table.constraints if c.kind == "p"), ())
        return [c.name for c in self.table.columns if c.name not in {self.column, *primary} and not c.generated]

    @property
    def unique(self) -> bool:
        """Whether rows that differ in this column alone may come to collide."""
        unique = [c.columns for c in self.table.constraints if c.kind in "pu"]
        return any(self.column in columns for columns in unique + [i.columns for i in self.table.indexes if i.unique])

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
    """Each foreign key to a content type, but for the permissions'."""
    permission_pointers: tuple[Pointer, ...]
    """Each foreign key to a permission, but for those of the grant tables."""
    frozen: tuple[Table, ...]
    """Those of all these that a move without a way back has made read-only."""

    @property
    def written(self) -> list[Table]:
        """Each table in which rows are inserted and deleted, and not only updated."""
        permissions = [self.permissions] if self.permissions else []
        return [self.content_types, *permissions, *(grants.table for grants in self.grant_tables)]


def read_registry(plan: Plan) -> Registry | None:
    """None where the database has no content types."""
    content_types = catalog.read_table(plan.connection, CONTENT_TYPES)
    if content_types is None:
        return None
    permissions = catalog.read_table(plan.connection, PERMISSIONS)
    of_types = [p for p in find_pointers(plan, content_types) if permissions is None or p.table.oid != permissions.oid]
    of_permissions = find_pointers(plan, permissions) if permissions else []
    ledger = Ledger(plan.connection.alias)
    return Registry(
        content_types=content_types,
        permissions=permissions,
        grant_tables=tuple(
            GrantTable(p.table, p.column, p.holder, ledger.names_of(p.table.name)) for p in of_permissions if p.holder
        ),
        type_pointers=tuple(of_types),
        permission_pointers=tuple(p for p in of_permissions if not p.holder),
        frozen=tuple(
            {p.table.oid: p.table for p in (*of_types, *of_permissions) if standing("frozen", p.table)}.values()
        ),
    )


def find_pointers(plan: Plan, named: Table) -> list[Pointer]:
    """Each foreign key to `named` whose table has rows to correct.

    A table behind a fence has none: it is empty, or triggers carry to it what is written to its source. So is the
    target of this move while the source is a table. Where both tables of another move live, the target is first: the
    triggers have corrected its source by then, where writes are counted as those of old code.
    """
    targets = {pair.target.oid for pair in plan.pairs if pair.source.kind == "r"}
    found = [
        Pointer(table, *key.columns)
        for key in named.incoming
        if (table := catalog.read_table(plan.connection, Identifier(key.schema, key.table).as_string()))
        if table.oid not in targets and not standing("fence", table)
    ]
    return sorted(found, key=lambda pointer: bool(standing("forward", pointer.table)))


NEIGHBOURS = """
WITH RECURSIVE near(oid) AS (
  SELECT to_regclass(%s)::oid
   UNION SELECT c.conrelid FROM pg_constraint c JOIN near ON c.confrelid = near.oid
)
SELECT oid::bigint FROM near WHERE oid IS NOT NULL
"""


def table_oids(plan: Plan) -> set[int]:
    """Every table whose rows this module may lock: content types and whatever hangs on them."""
    return set(catalog.column(plan.connection, NEIGHBOURS, [CONTENT_TYPES]))
