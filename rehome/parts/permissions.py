"""SQL of permissions and grants: what may be done with one model's name, may be done with another's."""

from rehome.parts.content_types import PERMISSIONS, GrantTable, Label, Registry, by_label
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL, Identifier, Literal, Statement, lock, name

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
    cases = [SQL("WHEN {} THEN {}").format(Literal(before), Literal(after)) for before, after in texts]
    return SQL("CASE {} {} ELSE {} END").format(column, SQL(" ").join(cases), column)


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
    return [codename for (codename,) in session.rows(query.format(Identifier(PERMISSIONS), by_label(label)))]


def copy_permissions(registry: Registry, origin: Label, destination: Label) -> list[Statement]:
    """Permissions of `origin` that `destination` lacks."""
    if registry.permissions is None:
        return []
    return [
        SQL(
            "INSERT INTO {table} (name, content_type_id, codename) SELECT {name}, {destination}, {codename} "
            "FROM {table} o WHERE o.content_type_id = {origin} ORDER BY o.id "
            "ON CONFLICT (content_type_id, codename) DO NOTHING"
        ).format(name=name_as(SQL("o.name"), origin, destination), **named(origin, destination))
    ]


def rename_permissions(
    registry: Registry, content_type: Statement, origin: Label, destination: Label
) -> list[Statement]:
    """Permissions under `content_type` that are named after `origin` get the names of `destination`."""
    same = (origin.model, origin.verbose_name) == (destination.model, destination.verbose_name)
    if registry.permissions is None or same:
        return []
    return [
        SQL("UPDATE {} SET codename = {}, name = {} WHERE content_type_id = {}").format(
            Identifier(PERMISSIONS),
            codename_as(SQL("codename"), origin, destination),
            name_as(SQL("name"), origin, destination),
            content_type,
        )
    ]


def drop_permissions(registry: Registry, label: Label, names: list[str]) -> list[Statement]:
    if registry.permissions is None or not names:
        return []
    return [
        SQL("DELETE FROM {} WHERE content_type_id = {} AND codename = ANY({}::text[])").format(
            Identifier(PERMISSIONS), by_label(label), Literal(names)
        )
    ]


def paired(origin: Label, destination: Label) -> Statement:
    """Ids of each permission of `origin` and of the same one of `destination`."""
    return SQL(
        "SELECT o.id, d.id FROM {table} o JOIN {table} d ON d.codename = {codename} "
        "WHERE o.content_type_id = {origin} AND d.content_type_id = {destination}"
    ).format(**named(origin, destination))


def named(origin: Label, destination: Label) -> dict[str, Statement]:
    """The parts of a query that reads permissions `o` of `origin`."""
    return {
        "table": Identifier(PERMISSIONS),
        "codename": codename_as(SQL("o.codename"), origin, destination),
        "origin": by_label(origin),
        "destination": by_label(destination),
    }


def granted(grants: GrantTable, origin: Label, destination: Label, until: dict[str, int]) -> dict[str, Statement]:
    """The parts of a query; `granted` is the FROM and WHERE that pair each grant `g` of `origin` with the same
    permission `d` of `destination`.
    """
    permission = Identifier(grants.permission)
    paired = SQL(
        "FROM {grants} g JOIN {table} o ON o.id = g.{permission} "
        "JOIN {table} d ON d.codename = {codename} AND d.content_type_id = {destination} "
        "WHERE o.content_type_id = {origin}"
    ).format(grants=name(grants.table), permission=permission, **named(origin, destination))
    return {
        "table": name(grants.table),
        "holder": Identifier(grants.holder),
        "permission": permission,
        "granted": paired,
        "until": Literal(last_id(grants, until)),
    }


def copy_grants(
    registry: Registry, origin: Label, destination: Label, until: dict[str, int] | None = None
) -> list[Statement]:
    """What holders may do with `origin`, they may do with `destination`; with `until`, only newer grants."""
    return [
        SQL(
            "INSERT INTO {table} ({holder}, {permission}) SELECT g.{holder}, d.id {granted} AND g.id > {until} "
            "AND NOT EXISTS (SELECT FROM {table} h WHERE h.{holder} = g.{holder} AND h.{permission} = d.id) "
            "ORDER BY g.id"
        ).format(**granted(grants, origin, destination, until or {}))
        for grants in registry.grant_tables
    ]


def merge_grants(registry: Registry, source: Label, target: Label, until: dict[str, int]) -> list[Statement]:
    """Take from the target's row what old code revoked since, and add what old code granted since."""
    revoked = [
        SQL(
            "DELETE FROM {table} WHERE id IN (SELECT g.id {granted} AND g.id <= {until} AND NOT EXISTS "
            "(SELECT FROM {table} h WHERE h.{holder} = g.{holder} AND h.{permission} = d.id))"
        ).format(**granted(grants, target, source, until))
        for grants in registry.grant_tables
    ]
    return [*revoked, *copy_grants(registry, source, target, until)]


def last_id(grants: GrantTable, until: dict[str, int]) -> int:
    """By `until`, which has the largest id of each table at one moment; 0 of one that did not exist then.

    A move may have filled the table since then, or emptied it: then that moment's is the other table's.
    """
    return max((until[table] for table in grants.names if table in until), default=0)


def drop_grants(registry: Registry, content_type: Statement) -> list[Statement]:
    return [
        SQL("DELETE FROM {} WHERE {} IN (SELECT id FROM {} WHERE content_type_id = {})").format(
            name(grants.table), Identifier(grants.permission), Identifier(PERMISSIONS), content_type
        )
        for grants in registry.grant_tables
    ]
