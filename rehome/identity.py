"""The model's name in django_content_type and auth_permission, and with it whatever points at those rows.

Forwards the content-type row of the source gets the target's label and the row of the target the source's.
Permissions, grants, admin log and every generic key point at the row, so all of them follow, in tables that
nobody listed, and old code finds a row with permissions of its own. Backwards the labels change places again.
"""

import dataclasses
from typing import Any

from django.apps import apps

from rehome import catalog
from rehome.catalog import Table
from rehome.plan import Model, Plan
from rehome.session import Session, Statement
from rehome.sql import SQL, Identifier, Literal, columns, lock

CONTENT_TYPES = "django_content_type"
PERMISSIONS = "auth_permission"
DEFAULT_ACTIONS = ("add", "change", "delete", "view")
ELSEWHERE = "rehome:elsewhere"
"""A model name that no app can have, for the moment in which two labels change places."""


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


@dataclasses.dataclass(frozen=True)
class GrantTable:
    """A table that gives permissions: an id, a permission and one holder, a group or a user."""

    schema: str
    name: str
    permission: str
    holder: str

    @property
    def place(self) -> Statement:
        return Identifier(self.schema, self.name)


@dataclasses.dataclass(frozen=True)
class Registry:
    """The tables of this database that hold content types, permissions and what points at them."""

    content_types: Table
    permissions: Table | None
    grant_tables: tuple[GrantTable, ...]
    pointers: tuple[tuple[str, str, str], ...]
    """(schema, table, column) of each foreign key to a content type, but for the permissions'."""

    @property
    def written(self) -> list[tuple[str, str]]:
        """(schema, table) of each table whose rows come and go, and not only change."""
        tables = [self.content_types, *([self.permissions] if self.permissions else []), *self.grant_tables]
        return [(table.schema, table.name) for table in tables]


def read_registry(plan: Plan) -> Registry | None:
    """None where the database has no content types."""
    connection = plan.connection
    content_types = catalog.read_table(connection, CONTENT_TYPES)
    if content_types is None:
        return None
    permissions = catalog.read_table(connection, PERMISSIONS)
    grant_tables = []
    for key in permissions.incoming if permissions else ():
        table = catalog.read_table(connection, Identifier(key.schema, key.table).as_string())
        names = [column.name for column in table.columns] if table else []
        holders = set(names) - {"id", *key.columns}
        if len(names) == 3 and "id" in names and len(holders) == 1:
            grant_tables.append(GrantTable(key.schema, key.table, key.columns[0], holders.pop()))
    return Registry(
        content_types=content_types,
        permissions=permissions,
        grant_tables=tuple(grant_tables),
        pointers=tuple(
            (key.schema, key.table, key.columns[0])
            for key in content_types.incoming
            if permissions is None or (key.schema, key.table) != (permissions.schema, permissions.name)
        ),
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


def find(session: Session, label: Label) -> int | None:
    """The id of the label's content type."""
    found = session.rows(SQL("SELECT id FROM {} WHERE {}").format(Identifier(CONTENT_TYPES), label.matches))
    return found[0][0] if found else None


@dataclasses.dataclass(frozen=True)
class Identity:
    """Both labels as they stand in one database."""

    registry: Registry
    source: Label
    target: Label
    source_id: int | None
    target_id: int | None
    target_permissions: frozenset[str]
    """Codenames that the target's row has."""


def read_identity(plan: Plan, session: Session) -> Identity | None:
    registry = read_registry(plan)
    if registry is None:
        return None
    source, target = Label.of(plan.source_model), Label.of(plan.target_model)
    return Identity(
        registry,
        source,
        target,
        find(session, source),
        find(session, target),
        frozenset(codenames(session, registry, target)),
    )


def carry(identity: Identity | None) -> list[Statement]:
    """Forwards: the source's row takes the target's label. Nothing happens where the source has no row."""
    if identity is None or identity.source_id is None:
        return []
    registry, source, target = identity.registry, identity.source, identity.target
    old, new = by_label(source), by_label(target)
    return [
        *lock_grants(registry),
        insert_row(registry, source, target),
        *copy_permissions(registry, source, target),
        *copy_permissions(registry, target, source),
        *copy_grants(registry, target, source),
        *copy_grants(registry, source, target),
        *repoint(registry, new, old),
        *exchange(identity),
    ]


def insert_row(registry: Registry, origin: Label, destination: Label) -> Statement:
    """A row for `destination`, if there is none; the column `name` of old databases is taken from `origin`."""
    others = [c.name for c in registry.content_types.columns if c.name not in {"id", "app_label", "model"}]
    return SQL("INSERT INTO {} ({}) SELECT {} FROM {} WHERE {} ON CONFLICT (app_label, model) DO NOTHING").format(
        Identifier(CONTENT_TYPES),
        columns(["app_label", "model", *others]),
        SQL(", ").join([Literal(destination.app), Literal(destination.model), *map(Identifier, others)]),
        Identifier(CONTENT_TYPES),
        origin.matches,
    )


def give_back(identity: Identity | None, kept: dict[str, Any]) -> list[Statement]:
    """Backwards: the labels change places again, and what came to either row since is merged.

    A grant stands afterwards unless it was revoked on either side since the move; a copy that the move made
    is no new grant.
    """
    if identity is None or identity.target_id is None:
        return []
    registry, source, target = identity.registry, identity.source, identity.target
    if identity.source_id is None:
        return [rename(target, source), *rename_permissions(registry, by_label(source), target, source)]
    old, new = by_label(source), by_label(target)
    return [
        *lock_grants(registry),
        *copy_permissions(registry, source, target),
        *merge_grants(registry, source, target, kept.get("grants_until", {})),
        *repoint(registry, old, new),
        *exchange(identity),
        *drop_grants(registry, by_label(target)),
        *drop_permissions(registry, target, kept.get("permissions_copied", [])),
        *(drop_row(registry, target) if kept.get("content_type_created") else []),
    ]


def to_keep(identity: Identity | None, session: Session) -> dict[str, Any]:
    """After `carry`, in its transaction: what `give_back` and the verification need, as JSON."""
    if identity is None or identity.source_id is None:
        return {}
    named_before = dict(renamed_codenames(identity.source, identity.target))
    now = {named_before.get(name, name) for name in codenames(session, identity.registry, identity.source)}
    return {
        "content_type": identity.source_id,
        "content_type_created": identity.target_id is None,
        "permissions": codenames(session, identity.registry, identity.target),
        "permissions_copied": sorted(now - identity.target_permissions),
        "grants_until": {
            table.name: session.rows(SQL("SELECT coalesce(max(id), 0) FROM {}").format(table.place))[0][0]
            for table in identity.registry.grant_tables
        },
    }


def is_intact(plan: Plan, session: Session, kept: dict[str, Any]) -> bool:
    """Whether the target's label is still on the row that the move gave it, with the permissions it had,
    and the source's label has the same permissions for old code.
    """
    identity = read_identity(plan, session)
    if identity is None or "content_type" not in kept:
        return True
    if identity.target_id != kept["content_type"] or identity.source_id is None:
        return False
    expected = set(kept["permissions"])
    renamed = dict(renamed_codenames(identity.target, identity.source))
    return expected <= set(codenames(session, identity.registry, identity.target)) and {
        renamed.get(name, name) for name in expected
    } <= set(codenames(session, identity.registry, identity.source))


def forget_cached() -> None:
    """This process may have the labels of before in Django's cache."""
    if apps.is_installed("django.contrib.contenttypes"):
        apps.get_model("contenttypes.ContentType").objects.clear_cache()


def codenames(session: Session, registry: Registry, label: Label) -> list[str]:
    if registry.permissions is None:
        return []
    found = session.rows(
        SQL("SELECT codename FROM {} WHERE content_type_id = {} ORDER BY codename").format(
            Identifier(PERMISSIONS), by_label(label)
        )
    )
    return [name for (name,) in found]


def by_label(label: Label) -> Statement:
    return SQL("(SELECT id FROM {} WHERE {})").format(Identifier(CONTENT_TYPES), label.matches)


def lock_grants(registry: Registry) -> list[Statement]:
    """Grants of this moment are either seen by the copy or are made after it."""
    tables = [SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(table.place) for table in registry.grant_tables]
    return [lock([registry.content_types], "SHARE ROW EXCLUSIVE"), *tables]


def renamed_codenames(origin: Label, destination: Label) -> list[tuple[str, str]]:
    """Django's own permissions are named after the model; others keep their codename."""
    return [(f"{action}_{origin.model}", f"{action}_{destination.model}") for action in DEFAULT_ACTIONS]


def codename_as(column: Statement, origin: Label, destination: Label) -> Statement:
    """SQL of a codename of `origin` as it reads for `destination`."""
    if origin.model == destination.model:
        return column
    cases = [
        SQL("WHEN {} THEN {}").format(Literal(before), Literal(after))
        for before, after in renamed_codenames(origin, destination)
    ]
    return SQL("CASE {} {} ELSE {} END").format(column, SQL(" ").join(cases), column)


def name_as(column: Statement, origin: Label, destination: Label) -> Statement:
    cases = [
        SQL("WHEN {} THEN {}").format(
            Literal(f"Can {action} {origin.verbose_name}"),
            Literal(f"Can {action} {destination.verbose_name}"),
        )
        for action in DEFAULT_ACTIONS
    ]
    return SQL("CASE {} {} ELSE {} END").format(column, SQL(" ").join(cases), column)


def copy_permissions(registry: Registry, origin: Label, destination: Label) -> list[Statement]:
    """Permissions of `origin` that `destination` lacks."""
    if registry.permissions is None:
        return []
    return [
        SQL(
            "INSERT INTO {table} (name, content_type_id, codename) SELECT {name}, {destination}, {codename} "
            "FROM {table} p WHERE p.content_type_id = {origin} ORDER BY p.id "
            "ON CONFLICT (content_type_id, codename) DO NOTHING"
        ).format(
            table=Identifier(PERMISSIONS),
            name=name_as(SQL("p.name"), origin, destination),
            codename=codename_as(SQL("p.codename"), origin, destination),
            origin=by_label(origin),
            destination=by_label(destination),
        )
    ]


def granted(table: GrantTable, origin: Label, destination: Label) -> Statement:
    """FROM and WHERE that pair each grant `g` of `origin` with the same permission `d` of `destination`."""
    return SQL(
        "FROM {} g JOIN {} o ON o.id = g.{} JOIN {} d ON d.codename = {} AND d.content_type_id = {} "
        "WHERE o.content_type_id = {}"
    ).format(
        table.place,
        Identifier(PERMISSIONS),
        Identifier(table.permission),
        Identifier(PERMISSIONS),
        codename_as(SQL("o.codename"), origin, destination),
        by_label(destination),
        by_label(origin),
    )


def copy_grants(
    registry: Registry, origin: Label, destination: Label, since: dict[str, int] | None = None
) -> list[Statement]:
    """What holders may do with `origin`, they may do with `destination`; with `since`, only newer grants."""
    return [
        SQL(
            "INSERT INTO {table} ({holder}, {permission}) SELECT g.{holder}, d.id {granted} AND g.id > {since} "
            "AND NOT EXISTS (SELECT FROM {table} h WHERE h.{holder} = g.{holder} AND h.{permission} = d.id) "
            "ORDER BY g.id"
        ).format(
            table=table.place,
            holder=Identifier(table.holder),
            permission=Identifier(table.permission),
            granted=granted(table, origin, destination),
            since=Literal((since or {}).get(table.name, 0)),
        )
        for table in registry.grant_tables
    ]


def merge_grants(registry: Registry, source: Label, target: Label, until: dict[str, int]) -> list[Statement]:
    """Take from the target's row what old code revoked since, and add what old code granted since."""
    revoked = [
        SQL(
            "DELETE FROM {table} WHERE id IN (SELECT g.id {granted} AND g.id <= {until} AND NOT EXISTS "
            "(SELECT FROM {table} h WHERE h.{holder} = g.{holder} AND h.{permission} = d.id))"
        ).format(
            table=table.place,
            holder=Identifier(table.holder),
            permission=Identifier(table.permission),
            granted=granted(table, target, source),
            until=Literal(until[table.name]),
        )
        for table in registry.grant_tables
        if table.name in until
    ]
    return [*revoked, *copy_grants(registry, source, target, until)]


def drop_grants(registry: Registry, content_type: Statement) -> list[Statement]:
    return [
        SQL("DELETE FROM {} WHERE {} IN (SELECT id FROM {} WHERE content_type_id = {})").format(
            table.place, Identifier(table.permission), Identifier(PERMISSIONS), content_type
        )
        for table in registry.grant_tables
    ]


def drop_permissions(registry: Registry, label: Label, names: list[str]) -> list[Statement]:
    if registry.permissions is None or not names:
        return []
    return [
        SQL("DELETE FROM {} WHERE content_type_id = {} AND codename = ANY({}::text[])").format(
            Identifier(PERMISSIONS), by_label(label), Literal(names)
        )
    ]


def drop_row(registry: Registry, label: Label) -> list[Statement]:
    permissions = [SQL("DELETE FROM {} WHERE content_type_id = {}").format(Identifier(PERMISSIONS), by_label(label))]
    row = SQL("DELETE FROM {} WHERE {}").format(Identifier(CONTENT_TYPES), label.matches)
    return [*(permissions if registry.permissions else []), row]


def repoint(registry: Registry, origin: Statement, destination: Statement) -> list[Statement]:
    """Log entries, tags and other generic rows that already name the other content type come along."""
    return [
        SQL("UPDATE {} SET {} = {} WHERE {} = {}").format(
            Identifier(schema, table), Identifier(column), destination, Identifier(column), origin
        )
        for schema, table, column in registry.pointers
    ]


def rename(origin: Label, destination: Label) -> Statement:
    return SQL("UPDATE {} SET app_label = {}, model = {} WHERE {}").format(
        Identifier(CONTENT_TYPES), Literal(destination.app), Literal(destination.model), origin.matches
    )


def rename_permissions(
    registry: Registry, content_type: Statement, origin: Label, destination: Label
) -> list[Statement]:
    """Permissions under `content_type` that are named after `origin` get the names of `destination`."""
    if registry.permissions is None or (origin.model, origin.verbose_name) == (
        destination.model,
        destination.verbose_name,
    ):
        return []
    return [
        SQL("UPDATE {} SET codename = {}, name = {} WHERE content_type_id = {}").format(
            Identifier(PERMISSIONS),
            codename_as(SQL("codename"), origin, destination),
            name_as(SQL("name"), origin, destination),
            content_type,
        )
    ]


def exchange(identity: Identity) -> list[Statement]:
    """Both labels change places; each row's permissions are then named after its new label."""
    registry, source, target = identity.registry, identity.source, identity.target
    elsewhere = Label(target.app, ELSEWHERE, target.verbose_name)
    return [
        rename(target, elsewhere),
        rename(source, target),
        rename(elsewhere, source),
        *rename_permissions(registry, by_label(target), source, target),
        *rename_permissions(registry, by_label(source), target, source),
    ]
