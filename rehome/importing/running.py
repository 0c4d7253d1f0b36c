"""The order of an import: read everything, then bring it in and compare it, in one transaction."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

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

from rehome.errors import DoubtfulRows, ImportFailed, Refused, one_line
from rehome.importing import merging, staging, watermark
from rehome.importing.checking import check
from rehome.importing.declaration import Import
from rehome.importing.failures import explained, is_about_rows, is_lost
from rehome.importing.ledger import ImportLedger
from rehome.importing.plan import ImportPlan, find_model, make_plan
from rehome.importing.rejected import rejects, text_staging
from rehome.importing.rejected.rejects import Reject
from rehome.importing.rejected.skipping import SkippingMerge
from rehome.importing.report import ImportReport
from rehome.importing.sources.reader import Reader
from rehome.importing.sources.reading import open_reader, refuse_unreadable
from rehome.postgres import conf
from rehome.postgres.session import Session
from rehome.postgres.sql import set_local
from rehome.terminal import Progress
from rehome.verify.comparison import Comparison

Stage = Callable[[ImportPlan, Reader, Session, Callable[[str], None]], object]
STEPS = 3
"""Of each import."""


@dataclasses.dataclass(frozen=True)
class Options:
    delete: bool = False
    """Delete rows of the target that are gone at the source."""
    dry_run: bool = False
    """Do everything, and roll it back."""
    skip_bad: Path | None = None
    """Where to write the rows that can't go in, so that the others can; None lets none go in."""
    from_rejects: Path | None = None
    """Such a file of an earlier run: only its rows are read."""
    named: int | None = 20
    """How many reasons why rows can't go in are named by an error; None for all."""
    since_last: bool = False
    """Read what has changed since the last run, where there was one by the same declaration."""


def run(
    imports: Sequence[Import],
    options: Options,
    *,
    source: str | None = None,
    target: str = DEFAULT_DB_ALIAS,
    apps: Apps = django_apps,
    committing: Callable[[], object] = lambda: None,
) -> list[ImportReport]:
    """Run imports of one source in order: all of them in one transaction of the target, or nothing.

    The source is read in one snapshot and never written to. Rows are asked one by one what is wrong with them only
    where all together have failed, and then they are read again. `committing` is called when nothing is left to do but
    to commit. Raises RehomeError, and then nothing is committed.
    """
    alias = source or find_source(imports, apps)
    with explained(connections[target]):
        plans = [make_plan(declared, apps, alias, target, number) for number, declared in enumerate(imports)]
        check(plans)
        refuse_options(plans, options)
        ImportLedger(target).refuse_unwritable()
        if options.from_rejects:
            plans = rejects.restrict(plans, rejects.read_keys(options.from_rejects))
        session = Session(connections[target], [plan.target.oid for plan in plans])
        with session.only_move(str(imports[0])), staging.cleared(plans, session):
            if options.since_last:
                plans = [dataclasses.replace(plan, since=watermark.since(plan)) for plan in plans]
            return Run(plans, session, options, committing).run() if plans else []


class Run:
    """One run of imports between two databases."""

    def __init__(
        self, plans: list[ImportPlan], session: Session, options: Options, committing: Callable[[], object]
    ) -> None:
        self.plans = plans
        self.session = session
        self.options = options
        self.committing = committing
        self.source = plans[0].source
        self.reader = open_reader(self.source)

    def run(self) -> list[ImportReport]:
        with rejects.published(self.options.skip_bad):
            try:
                return self.stage_and_bring_in(staging.stage, self.bring_in)
            except (DatabaseError, DoubtfulRows) as error:
                if not is_about_rows(error):
                    raise
            return self.stage_and_bring_in(text_staging.stage, self.bring_in_the_good)

    def stage_and_bring_in(
        self, stage: Stage, bring_in: Callable[[Progress], list[ImportReport]]
    ) -> list[ImportReport]:
        title = f"{', '.join(map(str, self.plans))}: from {self.source.alias!r} into {self.session.connection.alias!r}"
        skipping = stage is text_staging.stage
        asked = ", looking for rows that can't go in" if skipping else ""
        progress = Progress(f"{title}{asked}", STEPS * len(self.plans))
        self.session.waits = progress.waits
        with explained(self.source, of_rows=skipping):
            for plan in self.plans:
                refuse_unreadable(plan)
            # Before the snapshot, so that what is committed in between is read again by the next run.
            self.marks = {plan.number: watermark.read(plan) for plan in self.plans}
        with explained(self.source, of_rows=skipping), self.reader.snapshot():
            for plan in self.plans:
                step = progress.step(f"read {plan.declared.source}")
                with step, explained(self.session.connection, of_rows=skipping):
                    stage(plan, self.reader, self.session, progress.detail)

        def once() -> list[ImportReport]:
            # Whoever waits for a row that is locked keeps others waiting for those that it has locked itself.
            self.session.execute(set_local("lock_timeout", conf.lock_timeout_ms()))
            progress.done = len(self.plans)
            return bring_in(progress)

        with self.committed():
            return self.session.retry_transaction(once, isolation="REPEATABLE READ")

    @contextlib.contextmanager
    def committed(self) -> Iterator[None]:
        """Nobody knows what has become of a commit that has brought no answer."""
        self.finished = False
        try:
            yield
        except (OperationalError, InterfaceError) as error:
            if self.finished and is_lost(error):
                raise ImportFailed(
                    f"The connection to database {self.session.connection.alias!r} was lost in its commit: "
                    f"{one_line(error)}. Run the import again, which tells what is there."
                ) from error
            raise

    def bring_in(self, progress: Progress) -> list[ImportReport]:
        """In the transaction that is open, which sees one moment, but for its own writes."""
        reports = [
            self.report(plan, progress, lambda plan: merging.merge(plan, self.session, delete=self.options.delete))
            for plan in self.plans
        ]
        self.finish([])
        return reports

    def bring_in_the_good(self, progress: Progress) -> list[ImportReport]:
        skipping = SkippingMerge(self.session, delete=self.options.delete)
        reports = [self.report(plan, progress, skipping.merge) for plan in self.plans]
        rows = sum(report.counts.rejected for report in reports)
        found = rejects.find(self.plans, self.session)
        if rows and not self.options.skip_bad:
            raise rejects.refuse(rows, found, self.options.named)
        self.finish(found)
        return reports

    def report(
        self, plan: ImportPlan, progress: Progress, merge: Callable[[ImportPlan], merging.Counts]
    ) -> ImportReport:
        started = time.monotonic()
        with progress.step(f"merge into {plan.target}"):
            counts = merge(plan)
        with progress.step("compare every row"):
            comparison = merging.compare(plan, self.session, read=counts.read)
        refuse_differences(plan, comparison)
        if plan.only is None:
            ImportLedger(plan.connection.alias).record(plan, counts, self.marks[plan.number])
        return ImportReport(str(plan), counts, comparison, time.monotonic() - started, whole=plan.since is None)

    def finish(self, found: Iterable[Reject]) -> None:
        if self.options.skip_bad:
            rejects.write(self.options.skip_bad, found)
        if self.options.dry_run:
            transaction.set_rollback(True, using=self.session.connection.alias)
        else:
            self.committing()
            self.finished = True


def refuse_options(plans: list[ImportPlan], options: Options) -> None:
    if options.since_last and (options.delete or options.from_rejects):
        raise Refused(
            "What has changed since the last run neither tells what is gone at the source nor what was rejected.",
            "Use --since-last without --delete and --from-rejects.",
        )
    for plan in plans:
        if options.since_last:
            watermark.changed_name(plan)
        if options.delete and plan.declared.shared:
            raise Refused(
                f"{plan} shares its keys with other rows of {plan.target}, so nothing tells which are gone.",
                "Run without --delete, or let another field be the key, which only this import fills.",
            )


def find_source(imports: Sequence[Import], apps: Apps = django_apps) -> str:
    """The database that the project's routers read the sources from."""
    if not imports:
        raise Refused("There is nothing to import.", "List the imports in `imports` of the command.")
    found = {router.db_for_read(find_model(apps, declared.source)) for declared in imports}
    if len(found) > 1:
        raise Refused(
            f"The sources are on several databases: {', '.join(sorted(found))}.", "Run their imports one after another."
        )
    return found.pop()


def refuse_differences(plan: ImportPlan, comparison: Comparison) -> None:
    if not comparison.equal:
        found = "; ".join(map(str, comparison.differences))
        raise DoubtfulRows(
            f"{plan}: {comparison.source_rows} rows were read and {comparison.target_rows} are there, or they differ: "
            f"{found or 'a key is there more than once'}. Nothing is committed; see that the key names one row."
        )
