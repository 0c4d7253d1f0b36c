"""The model's name in django_content_type and auth_permission, and with it whatever points at those rows.

Forwards the content-type row of the source gets the target's label and the row of the target the source's.
Permissions, grants, admin log and every generic key point at the row, so all of them follow, in tables that
nobody listed, and old code finds a row with permissions of its own. Backwards the labels change places again.
"""

import dataclasses
from collections.abc import Iterable

from django.apps import apps

from rehome.parts import permissions
from rehome.parts.content_types import PERMISSIONS, Label, Pointer, Registry, has_labels, read_registry
from rehome.parts.triggers import standing
from rehome.plan.ledger import Ledger
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.postgres import asking
from rehome.postgres.session import Session
from rehome.postgres.sql import (
    EQUAL,
    SQL,
    Firing,
    Identifier,
    Literal,
    Statement,
    check_now,
    columns,
    leads_to,
    name,
    of,
    present,
    same,
)
from rehome.postgres.tables import Table

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
    newest: int
    """The largest id of a permission."""
    rows: frozenset[int]
    """The ids of the content types among which the one is that the move has left: a later move may have led it on."""

    @property
    def both(self) -> bool:
        """Whether there is a row for either label."""
        return self.source_id is not None and self.target_id is not None

    def can_settle(self, record: Record) -> bool:
        """Whether what the move has left can be made the same under both labels: the other one may have been removed,
        as by `remove_stale_contenttypes`, or both, as by `flush`, after which the leading one was made anew.
        """
        anew = self.is_lost(record) and self.leading(record) is not None
        return self.both or anew or record.content_type in {self.source_id, self.target_id} - {None}

    def leading(self, record: Record) -> int | None:
        return self.source_id if record.label_stays else self.target_id

    def is_lost(self, record: Record) -> bool:
        """Whether the row that the move has left is gone, and with it all that pointed at it and every grant. Its id
        may be another's by now.
        """
        return record.content_type is not None and record.content_type not in self.rows

    def until(self, record: Record) -> dict[str, int]:
        """The largest ids of the record, of which those of earlier versions have none of a permission. Once its row is
        lost, ids may begin anew.
        """
        return {} if self.is_lost(record) else {PERMISSIONS: self.newest, **record.grants_until}

    def row(self, label: Label) -> Statement:
        return self.registry.by_label(label)


def read_identity(plan: Plan, session: Session) -> Identity | None:
    registry = read_registry(plan)
    if registry is None:
        return None
    source, target = Label.of(plan.source_model), Label.of(plan.target_model)
    codenames = frozenset(permissions.codenames(session, registry, target))
    source_id, target_id = find(session, registry, source), find(session, registry, target)
    newest = largest_id(registry.permissions, session) if registry.permissions else 0
    further = [find(session, registry, label) for label in led_on(plan, target)]
    known = frozenset(filter(None, (source_id, target_id, *further)))
    return Identity(registry, source, target, source_id, target_id, codenames, newest, known)


def led_on(plan: Plan, label: Label) -> list[Label]:
    """The labels to which moves have led this one, on this database."""
    moves = [run.move.lower().partition(" -> ") for run in Ledger(plan.connection.alias).all()]
    found = [f"{label.app}.{label.model}"]
    for place in found:
        found += [target for source, _, target in moves if source == place and target not in found]
    keys = (place.partition(".") for place in found[1:])
    return [Label(app, model, verbose_name=model) for app, _, model in keys]


def read_known(plan: Plan, session: Session) -> Identity | None:
    """The same; None also where neither model has a label yet, so that nothing is carried."""
    return read_identity(plan, session) if has_labels(plan) else None


def carry(identity: Identity | None, *, stays: bool = False) -> list[Statement]:
    """Forwards: the source's row takes the target's label, unless it `stays`: then the target's gets what permissions
    and grants it lacks, and nothing else. Nothing happens where the source has no row.
    """
    if identity is None or identity.source_id is None:
        return []
    registry, source, target = identity.registry, identity.source, identity.target
    return [
        *permissions.lock_grants(registry),
        *thaw(registry),
        insert_row(registry, source, target),
        *permissions.copy_permissions(registry, source, target),
        *permissions.copy_permissions(registry, target, source),
        *permissions.copy_grants(registry, target, source),
        *permissions.copy_grants(registry, source, target),
        *([] if stays else [*lead(identity, target, source), *exchange(identity)]),
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
        return [
            rename(registry, target, source),
            *permissions.rename_permissions(registry, registry.by_label(source), target, source),
        ]
    other, kept = (target, source) if record.label_stays else (source, target)
    return [
        *permissions.lock_grants(registry),
        *thaw(registry),
        *permissions.copy_permissions(registry, other, kept),
        *permissions.merge_grants(registry, other, kept, identity.until(record)),
        *lead(identity, other, kept),
        *([] if record.label_stays else exchange(identity)),
        *permissions.drop_grants(registry, registry.by_label(target)),
        *permissions.drop_permissions(registry, target, list(record.permissions_copied)),
        *(drop_row(registry, target) if record.content_type_created else []),
        *freeze(registry),
    ]


def settle(identity: Identity | None, record: Record, *, stays: bool | None = None) -> list[Statement]:
    """While the move stands: what has come to the row that old code writes to, or new code where the source's label
    `stays`, is brought over, and permissions and grants become the same on both. The labels change places where
    `stays` says otherwise than the record: at the retirement of a move whose label stays until then, and at its undo.
    """
    if identity is None or not identity.can_settle(record):
        return []
    registry, source, target = identity.registry, identity.source, identity.target
    stays = record.label_stays if stays is None else stays
    other, kept = (target, source) if record.label_stays else (source, target)
    exchanged = stays is not record.label_stays
    return [
        *permissions.lock_grants(registry),
        *thaw(registry),
        insert_row(registry, kept, other),
        *(s for pair in ((source, target), (target, source)) for s in permissions.copy_permissions(registry, *pair)),
        *(
            statement
            for pair in ((source, target), (target, source))
            for statement in permissions.merge_grants(registry, *pair, identity.until(record))
        ),
        # What new code writes under its own label is its own as long as the source's stays.
        *(lead(identity, other, kept) if exchanged or not stays else []),
        *(exchange(identity) if exchanged else []),
        *freeze(registry),
    ]


def lead(identity: Identity, origin: Label, destination: Label) -> list[Statement]:
    """Whatever points at the one label, or at a permission of it, points at the other's from now on."""
    registry = identity.registry
    return [
        *follow(registry.type_pointers, SQL("SELECT {}, {}").format(identity.row(origin), identity.row(destination))),
        *follow_permissions(registry, origin, destination),
    ]


def to_keep(identity: Identity | None, session: Session, *, stays: bool = False) -> Record:
    """After `carry`, in its transaction: what `revert` and the verification need."""
    if identity is None or identity.source_id is None:
        return Record()
    other, kept = (identity.target, identity.source) if stays else (identity.source, identity.target)
    named_before = dict(permissions.renamed_codenames(other, identity.target))
    now = {named_before.get(code, code) for code in permissions.codenames(session, identity.registry, other)}
    return Record(
        content_type=identity.source_id,
        content_type_created=identity.target_id is None,
        label_stays=stays,
        permissions=tuple(permissions.codenames(session, identity.registry, kept)),
        permissions_copied=tuple(sorted(now - identity.target_permissions)),
        grants_until=last_grants(identity, session),
    )


def to_keep_settled(
    identity: Identity | None, session: Session, record: Record, *, stays: bool | None = None
) -> Record:
    """The same after `settle`."""
    if identity is None or not identity.can_settle(record):
        return record
    stays = record.label_stays if stays is None else stays
    kept = identity.source if stays else identity.target
    return record.keeping(
        content_type=identity.leading(record) if identity.is_lost(record) else record.content_type,
        label_stays=stays,
        permissions=tuple(permissions.codenames(session, identity.registry, kept)),
        grants_until=last_grants(identity, session),
    )


def last_grants(identity: Identity, session: Session) -> dict[str, int]:
    registry = identity.registry
    tables = [*([registry.permissions] if registry.permissions else []), *(g.table for g in registry.grant_tables)]
    return {table.name: largest_id(table, session) for table in tables}


def largest_id(table: Table, session: Session) -> int:
    query = SQL("SELECT coalesce(max(id), 0) FROM {}").format(name(table))
    return int(asking.value(session.connection, query.as_string()))


def is_intact(plan: Plan, session: Session, record: Record) -> bool:
    """Whether the label is still on the row on which the move has left it, with the permissions it had, and the other
    label has the same permissions for the other side's code.
    """
    identity = read_identity(plan, session)
    if identity is None or record.content_type is None:
        return True
    stays = record.label_stays
    kept, other = (identity.source, identity.target) if stays else (identity.target, identity.source)
    kept_id, other_id = (identity.source_id, identity.target_id)[:: 1 if stays else -1]
    if kept_id != record.content_type or other_id is None:
        return False
    expected = set(record.permissions)
    renamed = dict(permissions.renamed_codenames(kept, other))
    return expected <= set(permissions.codenames(session, identity.registry, kept)) and {
        renamed.get(code, code) for code in expected
    } <= set(permissions.codenames(session, identity.registry, other))


def forget_cached() -> None:
    """This process may have the labels of before in Django's cache."""
    if apps.is_installed("django.contrib.contenttypes"):
        apps.get_model("contenttypes.ContentType").objects.clear_cache()


def find(session: Session, registry: Registry, label: Label) -> int | None:
    """The id of the label's content type."""
    query = SQL("SELECT id FROM {} WHERE {}").format(name(registry.content_types), label.matches)
    return next(iter(asking.column(session.connection, query.as_string())), None)


def insert_row(registry: Registry, origin: Label, destination: Label) -> Statement:
    """A row for `destination`, if there is none; the column `name` of old databases is taken from `origin`."""
    others = [c.name for c in registry.content_types.columns if c.name not in {"id", "app_label", "model"}]
    query = SQL("INSERT INTO {table} ({}) SELECT {} FROM {table} WHERE {} ON CONFLICT (app_label, model) DO NOTHING")
    return Firing(
        query.format(
            columns(["app_label", "model", *others]),
            SQL(", ").join([Literal(destination.app), Literal(destination.model), *map(Identifier, others)]),
            origin.matches,
            table=name(registry.content_types),
        )
    )


def follow_permissions(registry: Registry, origin: Label, destination: Label) -> list[Statement]:
    """Where the database has permissions at all."""
    pointers = registry.permission_pointers
    return follow(pointers, permissions.paired(registry, origin, destination)) if pointers else []


def follow(pointers: Iterable[Pointer], pairs: Statement) -> list[Statement]:
    """Log entries, tags and other rows that point at the first of a pair point at the second from now on.

    Where that would make two rows collide that are the same but for their primary key, one is enough: what points at
    the other one points at it.
    """
    statements: list[Statement] = []
    for pointer in pointers:
        rest = (of(row, pointer.rest) for row in ("moving", "there"))
        parts = {
            "place": name(pointer.table),
            "column": Identifier(pointer.column),
            "pairs": pairs,
            "equal": EQUAL,
        }
        if pointer.unique:
            both = SQL(
                "({pairs}) AS pair (origin, destination), {place} AS there "
                "WHERE moving.{column} {equal} pair.origin AND there.{column} {equal} pair.destination "
                "AND {same} AND ({collide})"
            ).format(same=same(*rest), collide=SQL(" OR ").join(map(has_values, pointer.unique)), **parts)
            statements += [
                SQL("UPDATE {} AS pointing SET {} FROM {} AS moving, {} AND {}").format(
                    Identifier(key.schema, key.table),
                    SQL(", ").join(
                        SQL("{} = {}").format(Identifier(here), Identifier("there", end))
                        for here, end in zip(key.columns, key.end.columns, strict=True)
                    ),
                    name(pointer.table),
                    both,
                    leads_to(key, "pointing", "moving"),
                )
                for key in pointer.incoming
            ]
            statements.append(SQL("DELETE FROM {} AS moving USING {}").format(name(pointer.table), both))
        statements.append(
            SQL(
                "UPDATE {place} AS moving SET {column} = pair.destination "
                "FROM ({pairs}) AS pair (origin, destination) WHERE moving.{column} {equal} pair.origin"
            ).format(**parts)
        )
    return list(map(Firing, statements))


def has_values(unique: Iterable[str]) -> Statement:
    """Whether row `moving` has a value in each of these columns."""
    names = list(unique)
    return present(names, "moving") if names else SQL("true")


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
    row = SQL("DELETE FROM {} WHERE {}").format(name(registry.content_types), label.matches)
    return [*permissions.drop_all(registry, label), Firing(row)]


def rename(registry: Registry, origin: Label, destination: Label) -> Statement:
    query = SQL("UPDATE {} SET app_label = {}, model = {} WHERE {}")
    labels = Literal(destination.app), Literal(destination.model)
    return Firing(query.format(name(registry.content_types), *labels, origin.matches))


def exchange(identity: Identity) -> list[Statement]:
    """Both labels change places; each row's permissions are then named after its new label."""
    registry, source, target = identity.registry, identity.source, identity.target
    elsewhere = Label(target.app, ELSEWHERE, target.verbose_name)
    return [
        rename(registry, target, elsewhere),
        rename(registry, source, target),
        rename(registry, elsewhere, source),
        *permissions.rename_permissions(registry, registry.by_label(target), source, target),
        *permissions.rename_permissions(registry, registry.by_label(source), target, source),
    ]
