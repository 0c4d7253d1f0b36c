"""System checks: what the migrations say of the moves among them, read from the graph alone."""

import contextlib
from collections.abc import Collection, Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Warning  # noqa: A004
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import exceptions
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from rehome.graph import breaking, signals
from rehome.graph.discovery import Key
from rehome.graph.rules import Finding

UNREADABLE = (
    exceptions.BadMigrationError,
    exceptions.CircularDependencyError,
    exceptions.NodeNotFoundError,
    # Operations on models and fields that no migration before them makes.
    exceptions.InvalidBasesError,
    FieldDoesNotExist,
    KeyError,
)


def check_moves(databases: Sequence[str] | None = None, **given: Any) -> list[CheckMessage]:
    """Migrations that would break a move, or need one that they do not depend on.

    Which phase a move has, only a database knows: an error is what breaks it in each, a warning what does so while both
    tables are live. A command that is about to migrate `databases` is not kept from unapplying what is applied there.
    """
    connection = find_connection()
    if connection is None or "check" in signals.SILENT.get():
        return []
    try:
        loader = MigrationLoader(None, ignore_no_migrations=True)
        found = breaking.in_graph(loader, connection)
        done = find_applied(databases) if databases and found else set()
        return [as_message(finding) for finding in found if finding.key not in done]
    except UNREADABLE:
        return []  # Django says so itself, at the next command that needs them.


def find_applied(aliases: Sequence[str]) -> set[Key]:
    """The migrations that all of these databases have."""
    applied: list[set[Key]] = []
    for alias in aliases:
        with contextlib.suppress(DatabaseError):  # The command says so itself.
            applied.append(set(MigrationRecorder(connections[alias]).applied_migrations()))
    return set.intersection(*applied) if len(applied) == len(aliases) else set()


def find_of(keys: Collection[Key]) -> list[Finding]:
    """The same of the moves in these migrations."""
    connection = find_connection()
    found = breaking.in_graph(MigrationLoader(None, ignore_no_migrations=True), connection) if connection else []
    return [finding for finding in found if finding.declared.key in keys]


def as_message(finding: Finding) -> CheckMessage:
    kind = Warning if breaking.is_warning(finding) else Error
    return kind(finding.problem, hint=finding.cure, obj=".".join(finding.key), id=finding.id)


def find_connection() -> BaseDatabaseWrapper | None:
    """Whose types columns have; nothing is asked of it."""
    for alias in connections:
        with contextlib.suppress(ImproperlyConfigured):  # Another database's driver may be missing here.
            if connections[alias].vendor == "postgresql":
                return connections[alias]
    return None
