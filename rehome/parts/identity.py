"""The model's name in django_content_type and auth_permission, and with it whatever points at those rows.

Forwards the content-type row of the source gets the target's label and the row of the target the source's.
Permissions, grants, admin log and every generic key point at the row, so all of them follow, in tables that
nobody listed, and old code finds a row with permissions of its own. Backwards the labels change places again.
"""

import dataclasses
from collections.abc import Iterable

from django.apps import apps

from rehome.parts import permissions
from rehome.parts.content_types import CONTENT_TYPES, PERMISSIONS, Label, Pointer, Registry, by_label, read_registry
from rehome.parts.triggers import standing
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL, Identifier, Literal, Statement, check_now, columns, name, of, same

ELSEWHERE = "rehome:elsewhere"
"""A model name that no app can have, for the moment in which two labels change places."""


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
    codenames = frozenset(permissions.codenames(session, registry, target))
    return Identity(registry, source, target, find(session, source), find(session, target), codenames)


def carry(identity: Identity | None) -> list[Statement]:
    """Forwards: the source's row takes the target's label. Nothing happens where the source has no row."""
    if identity is None or identity.source_id is None:
        return []
    registry, source, target = identity.registry, identity.source, identity.target
    old, new = by_label(source), by_label(target)
    return [
        *permissions.lock_grants(registry),
        *thaw(registry),
        insert_row(registry, source, target),
        *permissions.copy_permissions(registry, source, target),
        *permissions.copy_permissions(registry, target, source),
        *permissions.copy_grants(registry, target, source),
        *permissions.copy_grants(registry, source, target),
        *follow(registry.type_pointers, SQL("SELECT {}, {}").format(new, old)),
        *follow(registry.permission_pointers, permissions.paired(target, source)),
        *exchange(identity),
        *freeze(registry),
    ]


def revert(identity: Identity | None, record: Record) -> list[Statement]:
    """Backwards: the labels change places again, and what came to either row since is merged.

    A grant stands afterwards unless it was revoked on either side since the move; a copy that the move made
    is no new grant.
    """
    if identity is None or identity.target_id is None:
        return []
    registry, source, target = identity.registry, identity.source, identity.target
    if identity.source_id is None:
        return [rename(target, source), *permissions.rename_permissions(registry, by_label(source), target, source)]
    old, new = by_label(source), by_label(target)
    return [
        *permissions.lock_grants(registry),
        *thaw(registry),
        *permissions.copy_permissions(registry, source, target),
        *permissions.merge_grants(registry, source, target, record.grants_until),
        *follow(registry.type_pointers, SQL("SELECT {}, {}").format(old, new)),
        *follow(registry.permission_pointers, permissions.paired(source, target)),
        *exchange(identity),
        *permissions.drop_grants(registry, by_label(target)),
        *permissions.drop_permissions(registry, target, list(record.permissions_copied)),
        *(drop_row(registry, target) if record.content_type_created else []),
        *freeze(registry),
    ]


def to_keep(identity: Identity | None, session: Session) -> Record:
    """After `carry`, in its transaction: what `revert` and the verification need."""
    if identity is None or identity.source_id is None:
        return Record()
    named_before = dict(permissions.renamed_codenames(identity.source, identity.target))
    now = {named_before.get(code, code) for code in permissions.codenames(session, identity.registry, identity.source)}
    return Record(
        content_type=identity.source_id,
        content_type_created=identity.target_id is None,
        permissions=tuple(permissions.codenames(session, identity.registry, identity.target)),
        permissions_copied=tuple(sorted(now - identity.target_permissions)),
        grants_until={
            table.name: session.rows(SQL("SELECT coalesce(max(id), 0) FROM {}").format(name(table)))[0][0]
            for table in (grants.table for grants in identity.registry.grant_tables)
        },
    )


def is_intact(plan: Plan, session: Session, record: Record) -> bool:
    """Whether the target's label is still on the row that the move gave it, with the permissions it had,
    and the source's label has the same permissions for old code.
    """
    identity = read_identity(plan, session)
    if identity is None or record.content_type is None:
        return True
    if identity.target_id != record.content_type or identity.source_id is None:
        return False
    expected = set(record.permissions)
    renamed = dict(permissions.renamed_codenames(identity.target, identity.source))
    return expected <= set(permissions.codenames(session, identity.registry, identity.target)) and {
        renamed.get(code, code) for code in expected
    } <= set(permissions.codenames(session, identity.registry, identity.source))


def forget_cached() -> None:
    """This process may have the labels of before in Django's cache."""
    if apps.is_installed("django.contrib.contenttypes"):
        apps.get_model("contenttypes.ContentType").objects.clear_cache()


def find(session: Session, label: Label) -> int | None:
    """The id of the label's content type."""
    found = session.rows(SQL("SELECT id FROM {} WHERE {}").format(Identifier(CONTENT_TYPES), label.matches))
    return found[0][0] if found else None


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


def follow(pointers: Iterable[Pointer], pairs: Statement) -> list[Statement]:
    """Log entries, tags and other rows that point at the first of a pair point at the second from now on.

    Where that would make two rows collide that are the same but for their primary key, one is enough.
    """
    statements: list[Statement] = []
    for pointer in pointers:
        rest = (of(row, pointer.rest) for row in ("moving", "there"))
        parts = {
            "place": name(pointer.table),
            "column": Identifier(pointer.column),
            "pairs": pairs,
            "same": same(*rest),
        }
        if pointer.unique:
            statements.append(
                SQL(
                    "DELETE FROM {place} AS moving USING ({pairs}) AS pair (origin, destination), {place} AS there "
                    "WHERE moving.{column} = pair.origin AND there.{column} = pair.destination AND {same}"
                ).format(**parts)
            )
        statements.append(
            SQL(
                "UPDATE {place} AS moving SET {column} = pair.destination "
                "FROM ({pairs}) AS pair (origin, destination) WHERE moving.{column} = pair.origin"
            ).format(**parts)
        )
    return statements


def thaw(registry: Registry) -> list[Statement]:
    """A table that another move has frozen keeps its rows, whose names change like those of any other."""
    return switch_fences(registry, "DISABLE")


def freeze(registry: Registry) -> list[Statement]:
    """Checks that are left to the commit would forbid an ALTER TABLE, here and in what follows."""
    return [check_now(), *switch_fences(registry, "ENABLE")]


def switch_fences(registry: Registry, change: str) -> list[Statement]:
    return [
        SQL("ALTER TABLE {} {} TRIGGER {}").format(name(table), SQL(change), Identifier(fence))
        for table in registry.frozen
        for fence in standing("frozen", table)
    ]


def drop_row(registry: Registry, label: Label) -> list[Statement]:
    owned = [SQL("DELETE FROM {} WHERE content_type_id = {}").format(Identifier(PERMISSIONS), by_label(label))]
    row = SQL("DELETE FROM {} WHERE {}").format(Identifier(CONTENT_TYPES), label.matches)
    return [*(owned if registry.permissions else []), row]


def rename(origin: Label, destination: Label) -> Statement:
    return SQL("UPDATE {} SET app_label = {}, model = {} WHERE {}").format(
        Identifier(CONTENT_TYPES), Literal(destination.app), Literal(destination.model), origin.matches
    )


def exchange(identity: Identity) -> list[Statement]:
    """Both labels change places; each row's permissions are then named after its new label."""
    registry, source, target = identity.registry, identity.source, identity.target
    elsewhere = Label(target.app, ELSEWHERE, target.verbose_name)
    return [
        rename(target, elsewhere),
        rename(source, target),
        rename(elsewhere, source),
        *permissions.rename_permissions(registry, by_label(target), source, target),
        *permissions.rename_permissions(registry, by_label(source), target, source),
    ]
