"""Runs are written here alone: the table of MoveRun is made with the first run and is gone with the last."""

import json
from typing import Any, Generic, TypeVar

from django.db import connections
from django.db.models import Max, QuerySet
from django.utils import timezone

from rehome.models import ImportRun, MoveRun, Phase
from rehome.plan.phases import REPLACED, standing
from rehome.plan.plan import Plan
from rehome.plan.record import Counted, Record
from rehome.postgres import catalog, sql

Run = TypeVar("Run", MoveRun, ImportRun)


class RunLedger(Generic[Run]):
    """Runs of one database, in a table without migrations that the first one makes.

    Every method takes part in the transaction that is open.
    """

    model: type[Run]

    def __init__(self, alias: str) -> None:
        self.connection = connections[alias]

    @property
    def table(self) -> str:
        return self.model._meta.db_table

    @property
    def runs(self) -> QuerySet[Run]:
        return self.model._default_manager.using(self.connection.alias)

    def exists(self) -> bool:
        return catalog.exists(self.connection, self.table)

    def last(self, **conditions: Any) -> Run | None:
        """The last run for which `conditions` hold; None where there never was one."""
        return self.runs.filter(**conditions).order_by("-pk").first() if self.exists() else None

    def make_table(self) -> None:
        """Where it is not there yet."""
        if not self.exists():
            with self.connection.schema_editor(atomic=False) as editor:
                editor.create_model(self.model)

    def is_writable(self) -> bool:
        """Whether this connection may record anything: no standby, no read-only role or setting."""
        return self.exists() and catalog.is_writable(self.connection, self.table)

    def record_verification(self, run: Run, report: dict[str, Any]) -> None:
        run.verified_at = timezone.now()
        run.verification = report
        run.save(using=self.connection.alias, update_fields=["verified_at", "verification"])


class Ledger(RunLedger[MoveRun]):
    """Runs of moves."""

    model = MoveRun

    def latest(self, source_table: str, target_table: str) -> MoveRun | None:
        """The last run between two tables, whatever became of it."""
        return self.last(source_table=source_table, target_table=target_table)

    def latest_named(self, move: str) -> MoveRun | None:
        """The last run of a move whose tables can't be found any more."""
        return self.last(move=move)

    def current(self, plan: Plan) -> MoveRun | None:
        return self.latest(str(plan.main.source), str(plan.main.target))

    def successor(self, table: str) -> MoveRun | None:
        """The run by which `table` has become a view of another."""
        return self.last(source_table=table, phase__in=REPLACED)

    def live_out_of(self, source_table: str, target_table: str) -> bool:
        """Whether the rows of one table are live in the other."""
        run = self.latest(source_table, target_table)
        return run is not None and standing(run).uses != "source"

    def names_of(self, table: str) -> frozenset[str]:
        """Those of the table, and of every table between which and it some move has taken rows, with their keys."""
        pairs = [set(pair) for run in self.runs for pair in Record.of(run).tables] if self.exists() else []
        found = {table}
        while more := {name for pair in pairs if pair & found for name in pair} - found:
            found |= more
        return frozenset(found)

    def begin(self, plan: Plan, record: Record) -> MoveRun:
        self.make_table()
        return self.runs.create(
            pk=(self.runs.aggregate(last=Max("pk"))["last"] or 0) + 1,
            move=str(plan),
            source_table=str(plan.main.source),
            target_table=str(plan.main.target),
            phase=Phase.PREPARED,
            kept=record.keeping(tables=tuple((pair.source.name, pair.target.name) for pair in plan.pairs)).as_json(),
        )

    def advance(self, run: MoveRun, phase: Phase, *, record: Record | None = None, rows: int | None = None) -> None:
        """Record the phase that `run` has reached, and with it what it keeps and the number of rows, where given."""
        assert phase == run.phase or phase in standing(run).follow, f"{run.phase} -> {phase}"  # noqa: S101
        run.phase = phase
        if record is not None:
            run.kept = record.as_json()
        if rows is not None:
            run.rows = rows
        run.save(using=self.connection.alias)

    def record_count(self, run: MoveRun, counted: Counted) -> None:
        """Keep a count of writes, and leave alone what else is kept. A move at work on the run is not waited for."""
        count = json.dumps(Record(looked=counted).as_json())
        with self.connection.cursor() as cursor:
            cursor.execute(sql.merge_json(MoveRun._meta.db_table, "kept").as_string(), [count, run.pk])

    def forget(self, run: MoveRun) -> None:
        """Drop the record of a run that left nothing behind, and with the last record the table."""
        self.runs.filter(pk=run.pk).delete()  # Not `run`, which has to be there for another try.
        table = catalog.read_table(self.connection, self.table)
        if not self.runs.exists() and table and table.owned:
            with self.connection.schema_editor(atomic=False) as editor:
                editor.delete_model(self.model)
