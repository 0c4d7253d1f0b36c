"""The only writer of MoveRun; the table is made with the first run and is gone with the last."""

import json
from typing import Any

from django.db import connections
from django.db.models import Max, QuerySet
from django.utils import timezone

from rehome.models import MoveRun, Phase
from rehome.plan.plan import Plan
from rehome.plan.record import Counted, Record
from rehome.postgres import catalog

LIVE = {Phase.MOVED, Phase.LIVE}
"""Both tables are in use."""
THERE = LIVE | {Phase.IN_PLACE, Phase.RETIRED}
"""The target has the rows."""


class Ledger:
    """Runs of one database; every method takes part in the transaction that is open."""

    def __init__(self, alias: str) -> None:
        self.connection = connections[alias]

    @property
    def runs(self) -> QuerySet[MoveRun]:
        return MoveRun.objects.using(self.connection.alias)

    def exists(self) -> bool:
        ((found,),) = catalog.query(self.connection, "SELECT to_regclass(%s) IS NOT NULL", [MoveRun._meta.db_table])
        return bool(found)

    def latest(self, source_table: str, target_table: str) -> MoveRun | None:
        """The last run between two tables, whatever became of it."""
        if not self.exists():
            return None
        return self.runs.filter(source_table=source_table, target_table=target_table).order_by("-pk").first()

    def latest_named(self, move: str) -> MoveRun | None:
        """The last run of a move whose tables can't be found any more."""
        if not self.exists():
            return None
        return self.runs.filter(move=move).order_by("-pk").first()

    def current(self, plan: Plan) -> MoveRun | None:
        return self.latest(str(plan.main.source), str(plan.main.target))

    def successor(self, table: str) -> MoveRun | None:
        """The run by which `table` has become a view of another."""
        if not self.exists():
            return None
        found = self.runs.filter(source_table=table, phase__in=[Phase.IN_PLACE, Phase.RETIRED])
        return found.order_by("-pk").first()

    def live_out_of(self, source_table: str, target_table: str) -> bool:
        """Whether the rows of one table are live in the other."""
        run = self.latest(source_table, target_table)
        return run is not None and run.phase in THERE

    def names_of(self, table: str) -> frozenset[str]:
        """Those of the table, and of every table between which and it some move has taken rows, with their keys."""
        pairs = [set(pair) for run in self.runs for pair in Record.of(run).tables] if self.exists() else []
        found = {table}
        while more := {name for pair in pairs if pair & found for name in pair} - found:
            found |= more
        return frozenset(found)

    def begin(self, plan: Plan, record: Record) -> MoveRun:
        if not self.exists():
            with self.connection.schema_editor(atomic=False) as editor:
                editor.create_model(MoveRun)
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
        run.phase = phase
        if record is not None:
            run.kept = record.as_json()
        if rows is not None:
            run.rows = rows
        run.save(using=self.connection.alias)

    def is_writable(self) -> bool:
        """Whether this connection may record anything: no standby, no read-only role or setting."""
        if not self.exists():
            return False
        question = "SELECT NOT current_setting('transaction_read_only')::boolean AND has_table_privilege(%s, 'UPDATE')"
        ((writable,),) = catalog.query(self.connection, question, [MoveRun._meta.db_table])
        return bool(writable)

    def record_verification(self, run: MoveRun, report: dict[str, Any]) -> None:
        run.verified_at = timezone.now()
        run.verification = report
        run.save(using=self.connection.alias, update_fields=["verified_at", "verification"])

    def record_count(self, run: MoveRun, counted: Counted) -> None:
        """Keep a count of writes, and leave alone what else is kept. A move at work on the run is not waited for."""
        statement = """
            UPDATE rehome_moverun SET kept = kept || %s::jsonb
             WHERE id = (SELECT id FROM rehome_moverun WHERE id = %s FOR UPDATE SKIP LOCKED)
        """
        with self.connection.cursor() as cursor:
            cursor.execute(statement, [json.dumps(Record(looked=counted).as_json()), run.pk])

    def forget(self, run: MoveRun) -> None:
        """Drop the record of a run that left nothing behind, and with the last record the table."""
        self.runs.filter(pk=run.pk).delete()  # Not `run`, which has to be there for another try.
        table = catalog.read_table(self.connection, MoveRun._meta.db_table)
        if not self.runs.exists() and table and table.owned:
            with self.connection.schema_editor(atomic=False) as editor:
                editor.delete_model(MoveRun)
