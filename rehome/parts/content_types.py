"""Where a database keeps the names of models: content types, permissions, grants, and whatever points at them."""

import dataclasses

from rehome.parts.triggers import standing
from rehome.plan.ledger import Ledger
from rehome.plan.plan import Model, Plan
from rehome.postgres import catalog
from rehome.postgres.sql import SQL, Identifier, Literal, Statement
from rehome.postgres.tables import ForeignKey, Table

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
class GrantTable:
    """A table that gives permissions: an id, a permission and one holder, a group or a user."""

    schema: str
    name: str
    permission: str
    holder: str
    names: frozenset[str]
    """Its own, and those of tables that a move has filled from it, or it from them: their rows have the same ids."""

    @property
    def place(self) -> Statement:
        return Identifier(self.schema, self.name)


@dataclasses.dataclass(frozen=True)
class Pointer:
    """A column that points at a content type or at a permission, in a table of which nothing else is known."""

    schema: str
    name: str
    column: str
    rest: tuple[str, ...]
    """The other columns but for the primary key."""
    unique: bool
    """Whether rows that differ in this column alone may come to collide."""

    @property
    def place(self) -> Statement:
        return Identifier(self.schema, self.name)


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
    def written(self) -> list[tuple[str, str]]:
        """(schema, table) of each table whose rows come and go, and not only change."""
        tables = [self.content_types, *([self.permissions] if self.permissions else [])]
        return [(t.schema, t.name) for t in tables] + [(g.schema, g.name) for g in self.grant_tables]


@dataclasses.dataclass(frozen=True)
class Referrer:
    """A table with one of its foreign keys."""

    table: Table
    columns: tuple[str, ...]


def read_registry(plan: Plan) -> Registry | None:
    """None where the database has no content types."""
    content_types = catalog.read_table(plan.connection, CONTENT_TYPES)
    if content_types is None:
        return None
    permissions = catalog.read_table(plan.connection, PERMISSIONS)
    of_types = [
        referrer
        for referrer in find_referrers(plan, content_types)
        if permissions is None or referrer.table.oid != permissions.oid
    ]
    of_permissions = find_referrers(plan, permissions) if permissions else []
    holders = [(referrer, find_holder(referrer)) for referrer in of_permissions]
    ledger = Ledger(plan.connection.alias)
    return Registry(
        content_types=content_types,
        permissions=permissions,
        grant_tables=tuple(make_grant_table(r, holder, ledger) for r, holder in holders if holder),
        type_pointers=tuple(make_pointer(referrer) for referrer in of_types),
        permission_pointers=tuple(make_pointer(referrer) for referrer, holder in holders if not holder),
        frozen=tuple(
            {r.table.oid: r.table for r in (*of_types, *of_permissions) if standing("frozen", r.table)}.values()
        ),
    )


def find_referrers(plan: Plan, named: Table) -> list[Referrer]:
    """Each foreign key to `named` whose table has rows to correct.

    A table behind a fence has none: it is empty, or triggers carry to it what is written to its source. So is the
    target of this move while the source is a table. Where both tables of another move live, the target is first: the
    triggers have corrected its source by then, where writes are counted as those of old code.
    """
    targets = {pair.target.oid for pair in plan.pairs if pair.source.kind == "r"}
    found = [
        Referrer(table, key.columns)
        for key in named.incoming
        if (table := read_referrer(plan, key)).oid not in targets and not standing("fence", table)
    ]
    return sorted(found, key=lambda referrer: bool(standing("forward", referrer.table)))


def read_referrer(plan: Plan, key: ForeignKey) -> Table:
    table = catalog.read_table(plan.connection, Identifier(key.schema, key.table).as_string())
    assert table is not None  # noqa: S101  The catalog has just named it.
    return table


def find_holder(referrer: Referrer) -> str | None:
    """The one other foreign key of a table that Django made for a many-to-many field to permissions."""
    table, columns = referrer.table, referrer.columns
    names = {column.name for column in table.columns}
    holders = names - {"id", *columns}
    if len(names) != 3 or "id" not in names or len(holders) != 1:
        return None
    (holder,) = holders
    once = any(set(c.columns) == {holder, *columns} for c in table.constraints if c.kind == "u")
    return holder if once and any(c.columns == (holder,) for c in table.foreign_keys) else None


def make_grant_table(referrer: Referrer, holder: str, ledger: Ledger) -> GrantTable:
    table, (permission,) = referrer.table, referrer.columns
    return GrantTable(table.schema, table.name, permission, holder, ledger.names_of(table.name))


def make_pointer(referrer: Referrer) -> Pointer:
    table, (column,) = referrer.table, referrer.columns
    primary = next((c.columns for c in table.constraints if c.kind == "p"), ())
    return Pointer(
        schema=table.schema,
        name=table.name,
        column=column,
        rest=tuple(c.name for c in table.columns if c.name not in {column, *primary} and not c.generated),
        unique=any(column in c.columns for c in table.constraints if c.kind in "pu")
        or any(column in index.columns for index in table.indexes if index.unique),
    )


NEIGHBOURS = """
WITH RECURSIVE near(oid) AS (
  SELECT to_regclass(%s)::oid
   UNION SELECT c.conrelid FROM pg_constraint c JOIN near ON c.confrelid = near.oid
)
SELECT oid::bigint FROM near WHERE oid IS NOT NULL
"""


def table_oids(plan: Plan) -> set[int]:
    """Every table whose rows this module may lock: content types and whatever hangs on them."""
    return {oid for (oid,) in catalog.query(plan.connection, NEIGHBOURS, [CONTENT_TYPES])}
