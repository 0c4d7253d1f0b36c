"""SQL of permissions and grants: what may be done with one model's name, may be done with another's."""

from rehome.parts.content_types import PERMISSIONS, GrantTable, Label, Registry
from rehome.postgres import asking
from rehome.postgres.session import Session
from rehome.postgres.sql import EQUAL, SQL, Firing, Identifier, Literal, Statement, lock, name
from rehome.postgres.tables import Table

DEFAULT_ACTIONS = ("add", "change", "delete", "view")


def lock_grants(registry: Registry) -> list[Statement]:
    """Grants of this moment are either seen by the copy or are made after it."""
    tables = [registry.content_types, *(grants.table for grants in registry.grant_tables)]
    return [lock([table], "SHARE ROW EXCLUSIVE") for table in tables]


def renamed_codenames(origin: Label, destination: Label) -> list[tuple[str, str]]:
    """Django's own permissions are named after the model; others keep their codename."""
    return [(f"{action}_{origin.model}", f"{action}_{destination.model}") for action in DEFAULT_ACTIONS]


def replaced(column: Statement, texts: list[tuple[str, str]]) -> Statement:
    """SQL of `column` with the second of a pair of texts for the first."""
    when = SQL("WHEN {} {} {} THEN {}")
    cases = [when.format(column, EQUAL, Literal(before), Literal(after)) for before, after in texts]
    return SQL("CASE {} ELSE {} END").format(SQL(" ").join(cases), column)


def codename_as(column: Statement, origin: Label, destination: Label) -> Statement:
    """SQL of a codename of `origin` as it reads for `destination`."""
    same = origin.model == destination.model
    return column if same else replaced(column, renamed_codenames(origin, destination))


def name_as(column: Statement, origin: Label, destination: Label) -> Statement:
    here, there = origin.verbose_name, destination.verbose_name
    return replaced(column, [(f"Can {action} {here}", f"Can {action} {there}") for action in DEFAULT_ACTIONS])


def codenames(session: Session, registry: Registry, label: Label) -> list[str]:
    if registry.permissions is None:
        return []
    query = SQL("SELECT codename FROM {} WHERE content_type_id = {} ORDER BY codename")
    found = query.format(name(registry.permissions), registry.by_label(label))
    return asking.column(session.connection, found.as_string())


def copy_permissions(registry: Registry, origin: Label, destination: Label) -> list[Statement]:
    """Permissions of `origin` that `destination` lacks."""
    if registry.permissions is None:
        return []
    query = SQL(
        "INSERT INTO {table} (name, content_type_id, codename) SELECT {name}, {destination}, {codename} "
        "FROM {table} o WHERE o.content_type_id {equal} {origin} ORDER BY o.id "
        "ON CONFLICT (content_type_id, codename) DO NOTHING"
    )
    named_so = name_as(SQL("o.name"), origin, destination)
    return [Firing(query.format(name=named_so, **named(registry, origin, destination)))]


def rename_permissions(
    registry: Registry, content_type: Statement, origin: Label, destination: Label
) -> list[Statement]:
    """Permissions under `content_type` that are named after `origin` get the names of `destination`."""
    same = (origin.model, origin.verbose_name) == (destination.model, destination.verbose_name)
    if registry.permissions is None or same:
        return []
    renamed = SQL("UPDATE {} SET codename = {}, name = {} WHERE content_type_id {} {}").format(
        name(registry.permissions),
        codename_as(SQL("codename"), origin, destination),
        name_as(SQL("name"), origin, destination),
        EQUAL,
        content_type,
    )
    return [Firing(renamed)]


def drop_permissions(registry: Registry, label: Label, names: list[str]) -> list[Statement]:
    if registry.permissions is None or not names:
        return []
    named_so = SQL("codename {} ANY ({}::pg_catalog.text[])").format(EQUAL, Literal(names))
    return [delete(registry, registry.permissions, label, named_so)]


def drop_all(registry: Registry, label: Label) -> list[Statement]:
    return [delete(registry, registry.permissions, label, SQL("true"))] if registry.permissions else []


def delete(registry: Registry, table: Table, label: Label, condition: Statement) -> Statement:
    query = SQL("DELETE FROM {} WHERE content_type_id {} {} AND {}")
    return Firing(query.format(name(table), EQUAL, registry.by_label(label), condition))


def paired(registry: Registry, origin: Label, destination: Label) -> Statement:
    """Ids of each permission of `origin` and of the same one of `destination`."""
    return SQL(
        "SELECT o.id, d.id FROM {table} o JOIN {table} d ON d.codename {equal} {codename} "
        "WHERE o.content_type_id {equal} {origin} AND d.content_type_id {equal} {destination}"
    ).format(**named(registry, origin, destination))


def named(registry: Registry, origin: Label, destination: Label) -> dict[str, Statement]:
    """The parts of a query that reads permissions `o` of `origin`."""
    assert registry.permissions is not None  # noqa: S101  Without it there is nothing that points at it.
    return {
        "table": name(registry.permissions),
        "codename": codename_as(SQL("o.codename"), origin, destination),
        "origin": registry.by_label(origin),
        "destination": registry.by_label(destination),
        "equal": EQUAL,
    }


def granted(
    registry: Registry, grants: GrantTable, origin: Label, destination: Label, until: dict[str, int]
) -> dict[str, Statement]:
    """The parts of a query; `granted` is the FROM and WHERE that pair each grant `g` of `origin` with the same
    permission `d` of `destination`.
    """
    permission = Identifier(grants.permission)
    paired = SQL(
        "FROM {grants} g JOIN {table} o ON o.id {equal} g.{permission} "
        "JOIN {table} d ON d.codename {equal} {codename} AND d.content_type_id {equal} {destination} "
        "WHERE o.content_type_id {equal} {origin}"
    ).format(grants=name(grants.table), permission=permission, **named(registry, origin, destination))
    return {
        "table": name(grants.table),
        "holder": Identifier(grants.holder),
        "permission": permission,
        "granted": paired,
        "until": Literal(last_id(grants, until)),
        "known": Literal(until.get(PERMISSIONS, 0)),
        "equal": EQUAL,
    }


def copy_grants(
    registry: Registry, origin: Label, destination: Label, until: dict[str, int] | None = None
) -> list[Statement]:
    """What holders may do with `origin`, they may do with `destination`; with `until`, only newer grants,
    and all of a permission that `destination` has had only since.
    """
    query = SQL(
        "INSERT INTO {table} ({holder}, {permission}) SELECT g.{holder}, d.id {granted} "
        "AND (g.id OPERATOR(pg_catalog.>) {until} OR d.id OPERATOR(pg_catalog.>) {known}) AND NOT EXISTS "
        "(SELECT FROM {table} h WHERE h.{holder} {equal} g.{holder} AND h.{permission} {equal} d.id) ORDER BY g.id"
    )
    return [
        Firing(query.format(**granted(registry, grants, origin, destination, until or {})))
        for grants in registry.grant_tables
    ]


def merge_grants(registry: Registry, source: Label, target: Label, until: dict[str, int]) -> list[Statement]:
    """Take from the target's row what old code revoked since, and add what old code granted since.

    Of a permission that is newer itself, as after `remove_stale_contenttypes`, nobody has revoked anything.
    """
    query = SQL(
        "DELETE FROM {table} WHERE id {equal} ANY (SELECT g.id {granted} "
        "AND g.id OPERATOR(pg_catalog.<=) {until} AND d.id OPERATOR(pg_catalog.<=) {known} AND NOT EXISTS "
        "(SELECT FROM {table} h WHERE h.{holder} {equal} g.{holder} AND h.{permission} {equal} d.id))"
    )
    revoked = [
        Firing(query.format(**granted(registry, grants, target, source, until))) for grants in registry.grant_tables
    ]
    return [*revoked, *copy_grants(registry, source, target, until)]


def differ(registry: Registry, origin: Label, destination: Label, until: dict[str, int]) -> list[Statement]:
    """Queries that find a row where `merge_grants` or `copy_permissions` would change something."""
    if registry.permissions is None:
        return []
    lacking = SQL(
        "SELECT FROM {table} o WHERE o.content_type_id {equal} {origin} AND NOT EXISTS (SELECT FROM {table} d "
        "WHERE d.content_type_id {equal} {destination} AND d.codename {equal} {codename})"
    ).format(**named(registry, origin, destination))
    # Of either age: a newer one is copied, and the older of one that is gone on the other side is deleted.
    granted_once = SQL(
        "SELECT {granted} AND NOT EXISTS "
        "(SELECT FROM {table} h WHERE h.{holder} {equal} g.{holder} AND h.{permission} {equal} d.id)"
    )
    return [
        lacking,
        *(
            granted_once.format(**granted(registry, grants, origin, destination, until))
            for grants in registry.grant_tables
        ),
    ]


def ids(registry: Registry, content_type: Statement) -> Statement:
    """A query for those of the permissions under `content_type`."""
    assert registry.permissions is not None  # noqa: S101  Without it there is nothing that points at it.
    return SQL("SELECT id FROM {} WHERE content_type_id {} {}").format(name(registry.permissions), EQUAL, content_type)


def last_id(grants: GrantTable, until: dict[str, int]) -> int:
    """By `until`, which has the largest id of each table at one moment; 0 of one that did not exist then.

    A move may have filled the table since then, or emptied it: then that moment's is the other table's.
    """
    return max((until[table] for table in grants.names if table in until), default=0)


def drop_grants(registry: Registry, content_type: Statement) -> list[Statement]:
    if registry.permissions is None:
        return []
    owned = ids(registry, content_type)
    query = SQL("DELETE FROM {} WHERE {} {} ANY ({})")
    return [
        Firing(query.format(name(grants.table), Identifier(grants.permission), EQUAL, owned))
        for grants in registry.grant_tables
    ]
