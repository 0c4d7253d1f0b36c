"""The order of an import: read everything, then bring it in and compare it, in one transaction."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Sequence

from django.apps import apps as django_apps
from django.apps.registry import Apps
from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    InterfaceError,
    OperationalError,
    connections,
    router,
    transaction,
)
from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.errors import ImportFailed, Refused, one_line
from rehome.historical import get_model
from rehome.importing import merging, staging, statements
from rehome.importing.checking import check
from rehome.importing.declaration import Import
from rehome.importing.reading import Reader, open_reader
from rehome.importing.report import ImportReport
from rehome.importing.resolve import ImportPlan, make_plan
from rehome.progress import Progress
from rehome.session import Session
from rehome.verify import Comparison

STEPS = 3
"""Of each import."""


@dataclasses.dataclass(frozen=True)
class Options:
    delete: bool = False
    """Delete rows of the target that are gone at the source."""
    dry_run: bool = False
    """Do everything, and roll it back."""


def run(
    imports: Sequence[Import],
    options: Options,
    *,
    source: str | None = None,
    target: str = DEFAULT_DB_ALIAS,
    apps: Apps = django_apps,
) -> list[ImportReport]:
    """Run imports of one source in order: all of them in one transaction of the target, or nothing.

    The source is read in one snapshot and never written to. Raises RehomeError, and then nothing is committed.
    """
    alias = source or find_source(imports, apps)
    plans = [make_plan(declared, apps, alias, target, number) for number, declared in enumerate(imports)]
    check(plans)
    session = Session(connections[target], [plan.target.oid for plan in plans])
    progress = Progress(f"{', '.join(map(str, plans))}: from {alias!r} into {target!r}", STEPS * len(plans))
    session.waits = progress.waits
    with session.only_move(str(plans[0])), explained(plans[0].source), cleared(plans, session):
        reader = open_reader(plans[0].source)
        with reader.snapshot():
            read_all(plans, reader, session, progress)
        return session.retry_transaction(
            lambda: bring_in(plans, session, options, progress), isolation="REPEATABLE READ"
        )


def find_source(imports: Sequence[Import], apps: Apps) -> str:
    """The database that the project's routers read the sources from."""
    found = {router.db_for_read(get_model(apps, declared.source)) for declared in imports}
    if len(found) > 1:
        raise Refused(
            f"The sources are on several databases: {', '.join(sorted(found))}.", "Run their imports one after another."
        )
    return found.pop()


def read_all(plans: list[ImportPlan], reader: Reader, session: Session, progress: Progress) -> None:
    for plan in plans:
        with progress.step(f"read {plan.declared.source}"):
            staging.stage(plan, reader, session, progress.detail)


def bring_in(plans: list[ImportPlan], session: Session, options: Options, progress: Progress) -> list[ImportReport]:
    """In the transaction that is open, which sees one moment, but for its own writes."""
    reports = []
    for plan in plans:
        started = time.monotonic()
        with progress.step(f"merge into {plan.target}"):
            counts = merging.merge(plan, session, delete=options.delete)
        with progress.step("compare every row"):
            comparison = merging.compare(plan, session)
        refuse_differences(plan, comparison)
        reports.append(ImportReport(str(plan), counts, comparison, time.monotonic() - started))
    if options.dry_run:
        transaction.set_rollback(True, using=session.connection.alias)
    return reports


def refuse_differences(plan: ImportPlan, comparison: Comparison) -> None:
    if not comparison.equal:
        found = "; ".join(map(str, comparison.differences))
        raise ImportFailed(
            f"{plan}: {comparison.source_rows} rows were read and {comparison.target_rows} are there, or they differ: "
            f"{found or 'a key is there more than once'}. Nothing is committed; see that the key names one row."
        )


@contextlib.contextmanager
def cleared(plans: list[ImportPlan], session: Session) -> Iterator[None]:
    """What was read is dropped in the end, unless the connection, which it was part of, is gone already."""
    try:
        yield
    finally:
        if session.connection.is_usable() and not session.connection.in_atomic_block:
            session.execute_all(statements.drop(statements.read_name(plan)) for plan in plans)


@contextlib.contextmanager
def explained(source: BaseDatabaseWrapper) -> Iterator[None]:
    """Say what a server said, and what has become of the rows."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise ImportFailed(
            f"The connection to a database was lost or it gave up: {one_line(error)}. Nothing is committed; run the "
            "import again."
        ) from error
    except DatabaseError as error:
        raise ImportFailed(
            f"A database refused: {one_line(error)}. Nothing is committed; correct what it names, and run the import "
            "again."
        ) from error
