"""Runs are written here alone: the table of MoveRun is made with the first run and is gone with the last."""

import contextlib
import dataclasses
import functools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from django.apps import apps
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Max, Model, QuerySet
from django.utils import timezone

from rehome.errors import Refused
from rehome.models import ImportRun, MoveRun, Phase
from rehome.plan import edits, roles
from rehome.plan.phases import REPLACED, standing
from rehome.plan.plan import Plan
from rehome.plan.record import Counted, Record
from rehome.postgres import acl, catalog, resolution, rights, settings, sql
from rehome.postgres.sql import Identifier
from rehome.postgres.tables import ColumnIndex, ForeignKey

Run = TypeVar("Run", MoveRun, ImportRun)
Kept = TypeVar("Kept", bound="RunLedger[Any]")
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def at_home(method: Callable[Concatenate[Kept, Arguments], Result]) -> Callable[Concatenate[Kept, Arguments], Result]:
    """For a method whose statements Django writes: see `RunLedger.home`."""

    @functools.wraps(method)
    def run(self: Kept, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with self.home():
            return method(self, *args, **kwargs)

    return run


class RunLedger(Generic[Run]):
    """Runs of one database, in a table without migrations that the first one makes.

    Every method takes part in the transaction that is open.
    """

    model: type[Run]

    def __init__(self, alias: str) -> None:
        self.connection = connections[alias]
        self.found: int | None = None
        """The oid of the table that `home` has found, while it lasts."""

    @property
    def table(self) -> str:
        return self.model._meta.db_table

    @property
    def runs(self) -> QuerySet[Run]:
        return self.model._default_manager.using(self.connection.alias)

    @contextlib.contextmanager
    def home(self) -> Iterator[None]:
        """Run Django's statements on the table as rehome's own, in which a name without a schema means nothing."""
        if self.found is not None:  # Within another of its methods.
            yield
            return
        self.found = self.oid
        bare, place = re.escape(self.connection.ops.quote_name(self.table)), self.place()

        def qualified(execute: Any, statement: str, params: Any, many: bool, context: Any) -> Any:
            return execute(re.sub(rf"(?<!\.){bare}", lambda _: place, statement), params, many, context)

        try:
            with settings.guarded(self.connection), self.connection.execute_wrapper(qualified):
                yield
        finally:
            self.found = None

    def place(self) -> str:
        """Where the project's search path has the table, or would have it."""
        schema, name = resolution.current_schema(self.connection), self.table
        if (oid := self.oid) is not None:
            schema, name = resolution.place_of(self.connection, oid)
        return Identifier(*filter(None, [schema]), name).as_string()

    def exists(self) -> bool:
        return self.oid is not None

    @property
    def oid(self) -> int | None:
        """Raises Refused where somebody else has made what is there under the name: reading and writing it would run
        his code.
        """
        oid = self.found or resolution.find(self.connection, self.table)
        if oid is not None and oid != self.found:
            self.refuse_strange(oid)
        return oid

    def refuse_strange(self, oid: int) -> None:
        maker = rights.read_maker(self.connection, oid, ())
        if not maker.trusted:
            models: list[type[Model]] = [MigrationRecorder.Migration, *apps.get_models(include_auto_created=True)]
            known = [self.connection.ops.quote_name(model._meta.db_table) for model in models]
            maker = rights.read_maker(self.connection, oid, filter(None, resolution.find_all(self.connection, known)))
        if not (maker.is_table and maker.trusted):
            wrong = (
                f"belongs to {maker.owner!r}, who owns none of the project's tables"
                if maker.is_table
                else "is no table"
            )
            raise Refused(
                f"{maker.place} {wrong}: rehome has not made it, and keeps its records under that name.",
                "Find out who made it, and drop or rename it; where its rows are rehome's, give it to the owner of the "
                "project's tables.",
            )

    @at_home
    def last(self, /, **conditions: Any) -> Run | None:
        """The last run for which `conditions` hold; None where there never was one."""
        return self.runs.filter(**conditions).order_by("-pk").first() if self.exists() else None

    @at_home
    def refresh(self, run: Run) -> None:
        """After a transaction that failed: it has changed the object alone."""
        run.refresh_from_db(using=self.connection.alias)

    @at_home
    def all(self) -> list[Run]:
        return list(self.runs.order_by("pk")) if self.exists() else []

    @at_home
    def make_table(self) -> None:
        """Where it is not there yet, for its owner alone: whoever else shall read it is granted that on purpose."""
        if not self.exists():
            with self.connection.schema_editor(atomic=False) as editor:
                editor.create_model(self.model)
                editor.execute(acl.withdraw("TABLE", sql.Identifier(self.table)).as_string(), params=None)

    def is_writable(self) -> bool:
        """Whether this connection may record anything: no standby, no read-only role or setting."""
        oid = self.oid
        return oid is not None and rights.is_writable(self.connection, oid)

    @at_home
    def record_verification(self, run: Run, report: dict[str, Any]) -> None:
        run.verified_at = timezone.now()
        run.verification = report
        run.save(using=self.connection.alias, update_fields=["verified_at", "verification"])


class Ledger(RunLedger[MoveRun]):
    """Runs of moves."""

    model = MoveRun

    def latest(self, source_table: str, target_table: str) -> MoveRun | None:
        """The last run between two tables, whatever became of it."""
        return self.with_names(self.last(source_table=source_table, target_table=target_table))

    def latest_named(self, move: str) -> MoveRun | None:
        """The last run of a move whose tables can't be found any more."""
        return self.with_names(self.last(move__iexact=move))

    def with_names(self, run: MoveRun | None) -> MoveRun | None:
        """With the names that roles have by now in what it has kept. What can't be read is refused where it is read."""
        with contextlib.suppress(Refused):
            if run is not None and (record := Record.of(run)) != (today := roles.renamed(record, self.connection)):
                run.kept = today.as_json()
        return run

    def current(self, plan: Plan) -> MoveRun | None:
        return self.latest(str(plan.main.source), str(plan.main.target))

    def successor(self, table: str) -> MoveRun | None:
        """The run by which `table` has become a view of another."""
        return self.last(source_table=table, phase__in=REPLACED)

    def live_out_of(self, source_table: str, target_table: str) -> bool:
        """Whether the rows of one table are live in the other."""
        run = self.latest(source_table, target_table)
        return run is not None and standing(run).uses != "source"

    @at_home
    def standing_after(self, run: MoveRun) -> list[MoveRun]:
        """The later runs of other moves that hold their targets' rows by now."""
        last = {(one.source_table, one.target_table): one for one in self.runs.filter(pk__gt=run.pk).order_by("pk")}
        own = run.source_table, run.target_table
        return [one for pair, one in last.items() if pair != own and standing(one).uses != "source"]

    def related_names(self) -> Callable[[str], frozenset[str]]:
        """What returns, for the name of a table, its own and those of every table between which and it some move has
        taken rows, with their keys.
        """
        pairs = [set(pair) for run in self.all() for pair in Record.of(run).tables]

        def names_of(table: str) -> frozenset[str]:
            found = {table}
            while more := {name for pair in pairs if pair & found for name in pair} - found:
                found |= more
            return frozenset(found)

        return names_of

    @at_home
    def convert(self, run: MoveRun) -> None:
        """Keep as facts what an earlier version has kept as SQL. Raises Refused where that can't be read."""
        record = Record.of(run)
        facts = record.keeping(
            dropped_keys=tuple(map(self.place_key, record.dropped_keys)),
            dropped_indexes=tuple(map(self.place_index, record.dropped_indexes)),
        )
        converted = roles.identified(roles.renamed(facts, self.connection), self.connection).as_json()
        if converted != run.kept:
            run.kept = converted
            run.save(using=self.connection.alias, update_fields=["kept"])

    @at_home
    def convert_all(self) -> None:
        """The same of every run; those that can't be read are refused when they are needed."""
        for run in self.runs if self.is_writable() else ():
            with contextlib.suppress(Refused):
                self.convert(run)

    def place_key(self, key: ForeignKey) -> ForeignKey:
        """PostgreSQL left out the schema of a table on the search path."""
        table = None if key.end.schema else catalog.read_table(self.connection, key.referenced)
        end = dataclasses.replace(key.end, schema=table.schema, table=table.name) if table else key.end
        return dataclasses.replace(key, end=end)

    def place_index(self, index: ColumnIndex) -> ColumnIndex:
        """The same of operator classes and collations."""
        keys = tuple(
            dataclasses.replace(
                key,
                opclass=resolution.qualify(self.connection, "opclass", index.method, key.opclass),
                collation=resolution.qualify(self.connection, "collation", index.method, key.collation),
            )
            for key in index.keys
        )
        return dataclasses.replace(index, keys=keys)

    @at_home
    def begin(self, plan: Plan, record: Record) -> MoveRun:
        self.make_table()
        tables = tuple((pair.source.name, pair.target.name) for pair in plan.pairs)
        kept = record.keeping(tables=tables, declared=edits.describe(plan.move))
        return self.runs.create(
            pk=(self.runs.aggregate(last=Max("pk"))["last"] or 0) + 1,
            move=str(plan),
            source_table=str(plan.main.source),
            target_table=str(plan.main.target),
            phase=Phase.PREPARED,
            kept=roles.identified(kept, self.connection).as_json(),
        )

    @at_home
    def record_ended(self, move: str, source_table: str, target_table: str) -> None:
        """Of a move whose source this database never had."""
        self.make_table()
        self.runs.create(
            pk=(self.runs.aggregate(last=Max("pk"))["last"] or 0) + 1,
            move=move,
            source_table=source_table,
            target_table=target_table,
            phase=Phase.ENDED,
            rows=0,
        )

    @at_home
    def advance(self, run: MoveRun, phase: Phase, *, record: Record | None = None, rows: int | None = None) -> None:
        """Record the phase that `run` has reached, and with it what it keeps and the number of rows, where given."""
        assert phase == run.phase or phase in standing(run).follow, f"{run.phase} -> {phase}"  # noqa: S101
        run.phase = phase
        if record is not None:
            run.kept = roles.identified(record, self.connection).as_json()
        if rows is not None:
            run.rows = rows
        run.save(using=self.connection.alias)

    @at_home
    def record_count(self, run: MoveRun, counted: Counted) -> None:
        """Keep a count of writes, and leave alone what else is kept. A move at work on the run is not waited for."""
        self.merge(run, Record(looked=counted))

    @at_home
    def record_probe(self, run: MoveRun, counted: dict[str, int]) -> None:
        """Keep, in the same way, how many more of the writes through each source are a probe's."""
        before = Record.of(run).probed
        self.merge(run, Record(probed={source: before.get(source, 0) + more for source, more in counted.items()}))

    def merge(self, run: MoveRun, kept: Record) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(
                sql.merge_json(MoveRun._meta.db_table, "kept").as_string(), [json.dumps(kept.as_json()), run.pk]
            )

    @at_home
    def forget(self, run: MoveRun) -> None:
        """Drop the record of a run that left nothing behind, and with the last record the table."""
        self.runs.filter(pk=run.pk).delete()  # Not `run`, which has to be there for another try.
        table = catalog.read_table(self.connection, self.table)
        if not self.runs.exists() and table and table.owned:
            with self.connection.schema_editor(atomic=False) as editor:
                editor.delete_model(self.model)
