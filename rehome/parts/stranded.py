"""Rows that name the label which one side's code alone knows, while a move stands: the other side does not see them."""

from collections.abc import Iterator

from rehome.parts import permissions
from rehome.parts.content_types import Label, Registry
from rehome.parts.identity import Identity, read_identity
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.postgres import asking
from rehome.postgres.session import Session
from rehome.postgres.sql import EQUAL, SQL, Identifier, Statement, name, place
from rehome.postgres.tables import Table

Counts = dict[str, int | None]
"""Of rows, by table as SQL names it; None where this connection may not read them."""

READABLE = "SELECT has_table_privilege(%s::oid, 'SELECT')"


def count(plan: Plan, session: Session, record: Record) -> Counts:
    """How many rows point at the label that is not the leading one, or at a permission of it. Tables without such rows
    are left out; where the labels were never exchanged nor shared, all are.
    """
    identity = read_labels(plan, session, record)
    if identity is None:
        return {}
    found: Counts = {}
    for table, condition in conditions(identity.registry, label_of(identity, record)):
        query = SQL("SELECT count(*) FROM {} AS pointing WHERE {}").format(name(table), condition)
        if not asking.value(plan.connection, READABLE, [table.oid]):
            found[place(table)] = None
        elif rows := asking.value(plan.connection, query.as_string()):
            found[place(table)] = (found.get(place(table)) or 0) + rows
    return found


def told(plan: Plan, counts: Counts, record: Record) -> list[str]:
    """A sentence for each table."""
    source, target = plan.move.source, plan.move.target
    label, blind, cure = (target, "old", "retiremoves") if record.label_stays else (source, "new", "migrate")
    return [
        f"rows of {table} with the content type of {label} were not counted, for this role may not read them."
        if rows is None
        else f"{rows:,} {'row' if rows == 1 else 'rows'} of {table} with the content type of {label}, which {blind} "
        f"code does not look for; `{cure}` brings them over."
        for table, rows in counts.items()
    ]


def is_pending(plan: Plan, session: Session, record: Record) -> bool:
    """Whether `identity.settle` would change anything."""
    identity = read_known(plan, session, record)
    if identity is None or not identity.both or identity.is_lost(record):
        return identity is not None
    registry, source, target = identity.registry, identity.source, identity.target
    asked = [
        query
        for pair in ((source, target), (target, source))
        for query in permissions.differ(registry, *pair, record.grants_until)
    ]
    if not record.label_stays:
        asked += [
            SQL("SELECT FROM {} AS pointing WHERE {}").format(name(table), condition)
            for table, condition in conditions(registry, source)
        ]
    either = SQL(" OR ").join(SQL("EXISTS ({})").format(query) for query in asked)
    return bool(asked) and bool(asking.value(plan.connection, SQL("SELECT {}").format(either).as_string()))


def read_labels(plan: Plan, session: Session, record: Record) -> Identity | None:
    identity = read_known(plan, session, record)
    return identity if identity and identity.both else None


def read_known(plan: Plan, session: Session, record: Record) -> Identity | None:
    """The labels, where the move has left any and `identity.settle` can make them the same."""
    identity = read_identity(plan, session) if record.content_type is not None else None
    return identity if identity and identity.can_settle(record) else None


def label_of(identity: Identity, record: Record) -> Label:
    """The one that does not lead."""
    return identity.target if record.label_stays else identity.source


def conditions(registry: Registry, label: Label) -> Iterator[tuple[Table, Statement]]:
    """Each table with rows that may name the label, and which of its rows do."""
    row = registry.by_label(label)
    for pointer in registry.type_pointers:
        yield pointer.table, SQL("pointing.{} {} {}").format(Identifier(pointer.column), EQUAL, row)
    for pointer in registry.permission_pointers:
        of_label = permissions.ids(registry, row)
        yield pointer.table, SQL("pointing.{} {} ANY ({})").format(Identifier(pointer.column), EQUAL, of_label)
