"""A model's label becomes another's where no row moves: its content type keeps its id, and whatever points at it.

As with a move, the old label gets a content type of its own with the same permissions, for old code. Backwards that one
goes again. From then on what was granted or revoked under the new label decides: nothing tells a grant that old code
made since from one that was revoked under the new label, and none of these comes back.
"""

from collections.abc import Callable

from rehome.errors import MoveFailed
from rehome.parts import identity, permissions, stranded
from rehome.parts.content_types import Label, Registry, read_registry_of
from rehome.postgres import asking
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL, Statement, name

Statements = Callable[[Registry, Label, Label, bool], list[Statement]]


def forward(source: Label, target: Label, session: Session) -> None:
    """In one transaction; what already has the label `target` is merged. Nothing where `source` has no content type.

    Raises MoveFailed, with nothing changed, where the content type is not the same afterwards.
    """
    change(source, target, session, forward_statements)


def backward(source: Label, target: Label, session: Session) -> None:
    """Undo `forward`, in the same manner."""
    change(target, source, session, backward_statements)


def settle(source: Label, target: Label, session: Session) -> bool:
    """After `forward`, in one transaction: what names the label `source`, as old code has written it since, is led to
    `target`, but for grants. Returns whether there was any.
    """
    registry = read_registry_of(session.connection)
    if registry is None or not is_pending(registry, source, target, session):
        return False
    old, new = registry.by_label(source), registry.by_label(target)
    with session.atomic():
        session.run(
            *permissions.lock_grants(registry),
            *identity.thaw(registry),
            *permissions.copy_permissions(registry, source, target),
            *identity.follow(registry.type_pointers, SQL("SELECT {}, {}").format(old, new)),
            *identity.follow_permissions(registry, source, target),
            *identity.freeze(registry),
        )
    return True


def is_pending(registry: Registry, source: Label, target: Label, session: Session) -> bool:
    if None in (identity.find(session, registry, source), identity.find(session, registry, target)):
        return False
    asked = [
        SQL("EXISTS (SELECT FROM {} AS pointing WHERE {})").format(name(table), condition)
        for table, condition in stranded.conditions(registry, source)
    ]
    query = SQL("SELECT {}").format(SQL(" OR ").join(asked))
    return bool(asked) and bool(asking.value(session.connection, query.as_string()))


def change(before: Label, after: Label, session: Session, statements: Statements) -> None:
    """The content type of `before` becomes that of `after`."""
    registry = read_registry_of(session.connection)
    known = identity.find(session, registry, before) if registry else None
    if registry is None or known is None:
        return
    with session.atomic():
        renamed = dict(permissions.renamed_codenames(before, after))
        wanted = {renamed.get(codename, codename) for codename in permissions.codenames(session, registry, before)}
        there = identity.find(session, registry, after) is not None
        session.run(*statements(registry, before, after, there))
        found = set(permissions.codenames(session, registry, after))
        if identity.find(session, registry, after) != known or not wanted <= found:
            raise MoveFailed(
                f"The content type of {before.app}.{before.model} did not become that of {after.app}.{after.model}; "
                "this migration is undone. Look for triggers of django_content_type and auth_permission."
            )
    identity.forget_cached()


def forward_statements(registry: Registry, source: Label, target: Label, there: bool) -> list[Statement]:
    return [
        *permissions.lock_grants(registry),
        *identity.thaw(registry),
        *(merge(registry, target, source, granted=True) if there else []),
        *rename(registry, source, target),
        identity.insert_row(registry, target, source),
        *permissions.copy_permissions(registry, target, source),
        *permissions.copy_grants(registry, target, source),
        *identity.freeze(registry),
    ]


def backward_statements(registry: Registry, target: Label, source: Label, there: bool) -> list[Statement]:
    return [
        *permissions.lock_grants(registry),
        *identity.thaw(registry),
        *(merge(registry, source, target, granted=False) if there else []),
        *rename(registry, target, source),
        *identity.freeze(registry),
    ]


def rename(registry: Registry, before: Label, after: Label) -> list[Statement]:
    return [
        identity.rename(registry, before, after),
        *permissions.rename_permissions(registry, registry.by_label(after), before, after),
    ]


def merge(registry: Registry, origin: Label, destination: Label, *, granted: bool) -> list[Statement]:
    """What `origin` has comes to `destination`, with the grants where these count, and its content type goes."""
    old, new = registry.by_label(origin), registry.by_label(destination)
    return [
        *permissions.copy_permissions(registry, origin, destination),
        *(permissions.copy_grants(registry, origin, destination) if granted else []),
        *identity.follow(registry.type_pointers, SQL("SELECT {}, {}").format(old, new)),
        *identity.follow_permissions(registry, origin, destination),
        *permissions.drop_grants(registry, old),
        *identity.drop_row(registry, origin),
    ]
