"""A laboratory for moves: models described as in migrations, their tables, and moves between them."""

from collections.abc import Callable
from typing import Any

from django.db import connections, models
from django.db.migrations import CreateModel
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState, StateApps

from rehome import Move
from rehome.models import MoveRun, Phase
from rehome.moves import runner
from rehome.moves.steps import open_session
from rehome.plan.ledger import Ledger
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.plan.resolve import make_plan
from rehome.verify import report
from rehome.verify.report import Report, verify

OBJECTS = """
WITH own AS (SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)')
SELECT CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE'
         WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, format('%I.%I', nspname, relname)
  FROM pg_class JOIN own ON own.oid = relnamespace WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
 UNION ALL SELECT 'ROUTINE', p.oid::regprocedure::text FROM pg_proc p JOIN own ON own.oid = pronamespace
     WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
 UNION ALL SELECT 'DOMAIN', format('%I.%I', nspname, typname)
      FROM pg_type JOIN own ON own.oid = typnamespace WHERE typtype = 'd'
 UNION ALL SELECT 'TYPE', format('%I.%I', nspname, typname)
      FROM pg_type JOIN own ON own.oid = typnamespace LEFT JOIN pg_class c ON c.oid = typrelid
     WHERE typtype IN ('e', 'r') OR typtype = 'c' AND relkind = 'c'
 UNION ALL SELECT 'COLLATION', format('%I.%I', nspname, collname)
      FROM pg_collation JOIN own ON own.oid = collnamespace
 UNION ALL SELECT 'SCHEMA', quote_ident(nspname) FROM own
 UNION ALL SELECT 'EXTENSION', quote_ident(extname) FROM pg_extension
 UNION ALL SELECT 'PUBLICATION', quote_ident(pubname) FROM pg_publication
 UNION ALL SELECT 'FOREIGN DATA WRAPPER', quote_ident(fdwname) FROM pg_foreign_data_wrapper
"""


class Lab:
    """Makes tables in one database, as migrations would, and drops them in the end."""

    def __init__(self, alias: str = "default") -> None:
        self.alias = alias
        self.state = ProjectState(real_apps={"auth", "contenttypes"})
        self.before = self.find_objects()
        self.runs = {run.pk: run for run in self.find_runs()}

    @property
    def connection(self) -> Any:
        return connections[self.alias]

    @property
    def apps(self) -> StateApps:
        return self.state.apps

    def apply(self, app_label: str, operation: Operation) -> None:
        """One operation of a migration, on the state and on the database."""
        before = self.state.clone()
        operation.state_forwards(app_label, self.state)
        with self.connection.schema_editor(atomic=True) as editor:
            operation.database_forwards(app_label, editor, before, self.state)

    def apply_state_only(self, app_label: str, operation: Operation) -> None:
        """The database is left behind."""
        self.state = self.state.clone()
        operation.state_forwards(app_label, self.state)

    def model(self, label: str, fields: dict[str, models.Field], **options: Any) -> type[models.Model]:
        """Create `app.Model` with its table. Without a primary key among the fields, it gets a BigAutoField `id`."""
        app_label, name = label.split(".")
        named = list(fields.items())
        if not any(getattr(field, "primary_key", False) for field in fields.values()):
            named.insert(0, ("id", models.BigAutoField(primary_key=True)))
        self.apply(app_label, CreateModel(name, named, options=options))
        return self.apps.get_model(label)

    def twins(
        self, fields: Callable[[str], dict[str, models.Field]], name: str = "Thing", **options: Any
    ) -> tuple[type[models.Model], type[models.Model]]:
        """`old.Thing` and `new.Thing`; `fields` is called with the app label, once for each."""
        for app_label in ("old", "new"):
            self.model(f"{app_label}.{name}", fields(app_label), **options)
        return self.get(f"old.{name}"), self.get(f"new.{name}")

    def get(self, label: str) -> type[models.Model]:
        """The model in the newest state. Fetch it again after `apply` or `model`: states are immutable."""
        return self.apps.get_model(label)

    def forward(self, move: Move) -> None:
        with self.connection.schema_editor(atomic=False) as editor:
            move.forwards(self.apps, editor)

    def back(self, move: Move) -> None:
        with self.connection.schema_editor(atomic=False) as editor:
            move.backwards(self.apps, editor)

    def cancel(self, move: Move) -> None:
        """What `migrate` to the previous migration does with an interrupted move."""
        assert runner.cancel(move, self.apps, self.connection)

    def plan(self, move: Move) -> Plan:
        return make_plan(move, self.apps, self.connection)

    def verify(self, move: Move, *, limit: int = 10) -> Report:
        plan = self.plan(move)
        run = Ledger(self.alias).current(plan)
        ways = {Phase.IN_PLACE: report.verify_in_place, Phase.RETIRED: report.verify_views}
        way = {str(phase): one for phase, one in ways.items()}.get(run.phase, verify) if run else verify
        return way(plan, open_session(plan), Record.of(run) if run else Record(), limit=limit)

    def sql(self, statement: str, params: Any = None) -> list[tuple[Any, ...]]:
        """Run anything; the rows, where there are any."""
        with self.connection.cursor() as cursor:
            cursor.execute(statement, params)
            return cursor.fetchall() if cursor.description else []

    def retire(self, move: Move) -> None:
        runner.retire(move, self.apps, self.connection)

    def unretire(self, move: Move) -> None:
        runner.unretire(move, self.apps, self.connection)

    def clean(self) -> None:
        """Drop whatever came into being since this lab was opened, forget its moves, and record again those that were
        there, where a test has dropped the record.
        """
        # Tables come before the sequences that their columns own.
        for kind, name in sorted(self.find_objects() - self.before, reverse=True):
            self.sql(f"DROP {kind} IF EXISTS {name} CASCADE")
        found = {run.pk: run for run in self.find_runs()}
        known = {pk for pk, run in self.runs.items() if pk in found and found[pk].move == run.move}
        for pk in found.keys() - known:
            found[pk].delete(using=self.alias)
        for pk in self.runs.keys() - known:
            Ledger(self.alias).make_table()
            self.runs[pk].save(using=self.alias, force_insert=True)

    def find_runs(self) -> list[MoveRun]:
        """Of moves on this database, of which there are none elsewhere than on PostgreSQL."""
        ledger = Ledger(self.alias)
        return list(ledger.runs.order_by("pk")) if self.connection.vendor == "postgresql" and ledger.exists() else []

    def find_objects(self) -> set[tuple[str, str]]:
        return set(self.sql(OBJECTS)) - {("TABLE", "public.rehome_moverun")}
