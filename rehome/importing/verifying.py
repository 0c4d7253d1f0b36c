"""Proves an import: its source is read again, by a way that shares nothing with the import's."""

import contextlib
import dataclasses
import functools
import time
from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import apps as django_apps
from django.apps.registry import Apps
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError, connections

from rehome.errors import RehomeError, one_line
from rehome.importing.checking import check
from rehome.importing.declaration import Import
from rehome.importing.failures import explained
from rehome.importing.ledger import ImportLedger
from rehome.importing.plan import ImportPlan, make_plan
from rehome.importing.proof.proving import Proof, prove
from rehome.importing.sources import names
from rehome.importing.sources.patience import patient
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
    proof: Proof | None
    problem: str
    """Why nothing was compared; empty when it was."""
    seconds: float

    def __str__(self) -> str:
        return self.name

    @property
    def comparison(self) -> Comparison | None:
        return self.proof.comparison if self.proof else None

    @property
    def ok(self) -> bool:
        return self.comparison is not None and self.comparison.equal

    @property
    def explanation(self) -> str:
        """What failed, and the cure."""
        if self.proof is None:
            return f"not checked. {self.problem}"
        found = [*self.proof.figures, *map(str, self.proof.comparison.differences)]
        return "\n".join(["", *(f"  {line}" for line in [*found, CURE])])

    @property
    def ways(self) -> str:
        """How each column was compared, those in one way together."""
        together: dict[str, list[str]] = {}
        for column, way in (self.proof.ways if self.proof else {}).items():
            together.setdefault(way, []).append(column)
        return "\n".join(f"  {', '.join(columns)}: {way}" for way, columns in together.items())

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
            "compared": dict(self.proof.ways) if self.proof else {},
            "figures": list(self.proof.figures) if self.proof else [],
        }


def find_runs(declared: Iterable[Import], alias: str) -> list[tuple[Import, ImportRun]]:
    """The imports that have run on a database, each with its last run."""
    ledger = ImportLedger(alias)
    runs = {run.name: run for run in ledger.all()}
    return [(one, runs[str(one)]) for one in declared if str(one) in runs]


def verify(
    declared: Import,
    run: ImportRun,
    alias: str,
    *,
    limit: int = 10,
    apps: Apps = django_apps,
) -> Verification:
    """Compare the source of an import with the target's rows of it; both stay open for writes.

    It raises for no fault of either database, and writes nothing but the session's own tables.
    """
    started = time.monotonic()
    proof, problem = None, ""
    try:
        if run.source not in connections:
            raise RehomeError(f"It was read from database {run.source!r}, which the settings no longer name.")
        with patient(run.source), explained(connections[alias]):
            plan = make_plan(declared, apps, run.source, alias)
            check([plan])
            proof = compare(plan, limit)
    except RehomeError as error:
        problem = str(error)
    except (DatabaseError, InterfaceError, ImproperlyConfigured) as error:
        problem = f"A database can't be read: {one_line(error)}."
    return Verification(str(declared), proof, problem, time.monotonic() - started)


def compare(plan: ImportPlan, limit: int) -> Proof:
    """The plan is asked for its source and target alone; the proof reads the declaration by itself."""
    session = Session(plan.connection, [plan.target.oid])
    # For PostgreSQL, a temporary table is a write, though no other session sees it.
    writable = session.settings(default_transaction_read_only="off")
    at_source = functools.partial(explained, plan.source)
    with session.without_timeouts(), writable, open_source(plan), session.transaction(isolation="REPEATABLE READ"):
        return prove(plan.declared, plan.apps, plan.source.alias, session, limit=limit, explained=at_source)


@contextlib.contextmanager
def open_source(plan: ImportPlan) -> Iterator[None]:
    """The read-only session of the source, the only thing that an import and its proof have in common."""
    with contextlib.ExitStack() as opened:
        with explained(plan.source):
            opened.enter_context(open_reader(plan.source).snapshot([plan]))
            opened.enter_context(names.escaped(plan.source.alias))
        yield
