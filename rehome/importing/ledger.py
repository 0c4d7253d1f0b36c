"""The only writer of ImportRun; the table is made by the first run, as that of MoveRun is."""

import dataclasses
from typing import Any

from django.db import connections
from django.db.models import QuerySet
from django.utils import timezone

from rehome.errors import Refused
from rehome.importing.merging import Counts
from rehome.importing.plan import ImportPlan
from rehome.models import ImportRun
from rehome.postgres import catalog


class ImportLedger:
    """Runs of imports into one database; every method takes part in the transaction that is open."""

    def __init__(self, alias: str) -> None:
        self.connection = connections[alias]

    @property
    def runs(self) -> QuerySet[ImportRun]:
        return ImportRun.objects.using(self.connection.alias)

    def exists(self) -> bool:
        ((found,),) = catalog.query(self.connection, "SELECT to_regclass(%s) IS NOT NULL", [ImportRun._meta.db_table])
        return bool(found)

    def latest(self, name: str) -> ImportRun | None:
        """The last run of an import; None where it never ran here."""
        return self.runs.filter(name=name).first() if self.exists() else None

    def refuse_unwritable(self) -> None:
        """Before rows are read, and not when everything else is done."""
        question = """
            SELECT coalesce(bool_and(has_table_privilege(to_regclass(%s), privilege)),
                            has_schema_privilege(current_schema(), 'CREATE'))
              FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) AS privilege
        """
        table = ImportRun._meta.db_table
        ((writable,),) = catalog.query(self.connection, question, [table])
        if not writable:
            raise Refused(
                f"Runs of imports are recorded in {table}, which this role may not "
                f"{'write to' if self.exists() else 'create'}.",
                f"Let the tables' owner run the first import, and GRANT SELECT, INSERT, UPDATE ON {table} to others.",
            )

    def record(self, plan: ImportPlan, counts: Counts, watermark: str | None) -> None:
        """Put a run in the place of the one before it.

        What was rejected is read again by the next run: then the watermark stays where it was.
        """
        if not self.exists():
            with self.connection.schema_editor(atomic=False) as editor:
                editor.create_model(ImportRun)
        before = self.latest(str(plan)) if counts.rejected and plan.since else None
        values = {
            "source": plan.source.alias,
            "declaration": plan.declared.digest(),
            "ran_at": timezone.now(),
            "counts": dataclasses.asdict(counts),
            "watermark": before and before.watermark if counts.rejected else watermark,
            "verified_at": None,
            "verification": None,
        }
        self.runs.update_or_create(name=str(plan), defaults=values)

    def is_writable(self) -> bool:
        """Whether this connection may record anything: no standby, no read-only role or setting."""
        question = "SELECT NOT current_setting('transaction_read_only')::boolean AND has_table_privilege(%s, 'UPDATE')"
        ((writable,),) = catalog.query(self.connection, question, [ImportRun._meta.db_table])
        return bool(writable)

    def record_verification(self, run: ImportRun, report: dict[str, Any]) -> None:
        run.verified_at = timezone.now()
        run.verification = report
        run.save(using=self.connection.alias, update_fields=["verified_at", "verification"])
