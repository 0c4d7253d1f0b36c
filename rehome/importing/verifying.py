"""Reads the source of an import again, and compares it with the imported rows, row by row."""

import dataclasses
import time
from collections.abc import Callable, Iterable
from typing import Any

from django.apps import apps as django_apps
from django.apps.registry import Apps
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError, connections

from rehome.errors import RehomeError, one_line
from rehome.importing import merging, staging
from rehome.importing.checking import check
from rehome.importing.declaration import Import
from rehome.importing.ledger import ImportLedger
from rehome.importing.plan import ImportPlan, make_plan
from rehome.importing.sources.reading import open_reader
from rehome.models import ImportRun
from rehome.postgres.session import Session
from rehome.verify.comparison import Comparison

CURE = (
    "Run the import again, with --delete to delete rows that are gone at the source; it overwrites what was written "
    "here to imported columns."
)


@dataclasses.dataclass(frozen=True)
class Verification:
    name: str
    comparison: Comparison | None
    problem: str
    """Why nothing was compared; empty when it was."""
    seconds: float

    def __str__(self) -> str:
        return self.name

    @property
    def ok(self) -> bool:
        return self.comparison is not None and self.comparison.equal

    @property
    def explanation(self) -> str:
        """What failed, and the cure."""
        if self.comparison is None:
            return f"not checked. {self.problem}"
        return "\n".join(["", *(f"  {line}" for line in [*map(str, self.comparison.differences), CURE])])

    def as_json(self) -> dict[str, Any]:
        names = ("source_rows", "target_rows", "missing", "extra", "different")
        found = self.comparison
        return {
            "import": self.name,
            "ok": self.ok,
            **{name: getattr(found, name) if found else None for name in names},
            "seconds": round(self.seconds, 3) if found else None,
            "problem": self.problem,
            "differences": [dataclasses.asdict(one) for one in found.differences] if found else [],
        }


def find_runs(declared: Iterable[Import], alias: str) -> list[tuple[Import, ImportRun]]:
    """The imports that have run on a database, each with its last run."""
    ledger = ImportLedger(alias)
    runs = {run.name: run for run in ledger.runs} if ledger.exists() else {}
    return [(one, runs[str(one)]) for one in declared if str(one) in runs]


def verify(
    declared: Import,
    run: ImportRun,
    alias: str,
    *,
    limit: int = 10,
    apps: Apps = django_apps,
    report: Callable[[str], None] = lambda text: None,
) -> Verification:
    """Read the source of an import again, and compare it with the target's rows of it; both stay open for writes.

    It raises for no fault of either database, and writes nothing but the session's own tables.
    """
    started = time.monotonic()
    comparison, problem = None, ""
    try:
        if run.source not in connections:
            raise RehomeError(f"It was read from database {run.source!r}, which the settings no longer name.")
        plan = make_plan(declared, apps, run.source, alias)
        check([plan])
        comparison = compare(plan, limit, report)
    except RehomeError as error:
        problem = str(error)
    except (DatabaseError, InterfaceError, ImproperlyConfigured) as error:
        problem = f"A database can't be read: {one_line(error)}."
    return Verification(str(declared), comparison, problem, time.monotonic() - started)


def compare(plan: ImportPlan, limit: int, report: Callable[[str], None]) -> Comparison:
    session = Session(plan.connection, [plan.target.oid])
    reader = open_reader(plan.source)
    # For PostgreSQL, a temporary table is a write, though no other session sees it.
    writable = session.settings(default_transaction_read_only="off")
    with session.without_timeouts(), writable, staging.cleared([plan], session):
        with reader.snapshot():
            staging.stage(plan, reader, session, report)
        with session.transaction(isolation="REPEATABLE READ"):
            return merging.verify(plan, session, limit=limit)
