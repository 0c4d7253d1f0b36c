"""The only writer of ImportRun."""

import dataclasses

from django.utils import timezone

from rehome.errors import Refused
from rehome.importing import fingerprint
from rehome.importing.merging import Counts
from rehome.importing.plan import ImportPlan
from rehome.models import ImportRun
from rehome.plan.ledger import RunLedger, at_home
from rehome.postgres import asking, resolution


class ImportLedger(RunLedger[ImportRun]):
    """The last run of each import into one database."""

    model = ImportRun

    def refuse_unwritable(self) -> None:
        """Asked before rows are read, and not at the end of a long run."""
        question = """
            SELECT coalesce(bool_and(has_table_privilege(%s::oid, privilege)), has_schema_privilege(%s, 'CREATE'))
              FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) AS privilege
        """
        if not asking.value(self.connection, question, [self.oid, resolution.current_schema(self.connection)]):
            raise Refused(
                f"This role may not {'write to' if self.exists() else 'create'} {self.table}, which records imports.",
                f"Run the first import as the tables' owner, and GRANT SELECT, INSERT, UPDATE ON {self.table} to "
                "others.",
            )

    @at_home
    def record(self, plan: ImportPlan, counts: Counts, watermark: str | None) -> None:
        """Replace the record of the last run; the next one begins at the watermark."""
        self.make_table()
        values = {
            "source": plan.source.alias,
            "declaration": fingerprint.take(plan),
            "ran_at": timezone.now(),
            "counts": dataclasses.asdict(counts),
            "watermark": watermark,
            "verified_at": None,
            "verification": None,
        }
        self.runs.update_or_create(name=str(plan), defaults=values)
