"""The order of an import: read everything, then merge and compare it in one transaction."""

import contextlib
import dataclasses
import functools
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from django.apps import apps as django_apps
from django.apps.registry import Apps
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connections, router, transaction

from rehome.errors import DoubtfulRows, ImportFailed, Refused, one_line
from rehome.importing import merging, staging, tables, watermark
from rehome.importing.checking import check
from rehome.importing.declaration import Import
from rehome.importing.failures import explained, is_about_rows, is_lost
from rehome.importing.ledger import ImportLedger
from rehome.importing.merging import ImportReport
from rehome.importing.plan import ImportPlan, find_model, make_plan
from rehome.importing.rejected import file, rejects, text_staging
from rehome.importing.rejected.skipping import SkippingMerge
from rehome.importing.sources import names
from rehome.importing.sources.patience import patient
from rehome.importing.sources.reader import Reader
from rehome.importing.sources.reading import open_reader, refuse_unreadable
from rehome.postgres import conf
from rehome.postgres.session import Session
from rehome.postgres.sql import Statement, lock, set_local
from rehome.terminal import Progress
from rehome.verify.comparison import Comparison

Stage = Callable[[ImportPlan, Reader, Session, Callable[[str], None]], object]
BringIn = Callable[[Progress], list[ImportReport]]
Merge = Callable[[ImportPlan], merging.Counts]
STEPS_OF_EACH = 3


@dataclasses.dataclass(frozen=True)
class Options:
    delete: bool = False
    """Delete rows of the target that are gone at the source."""
    delete_all: bool = False
    """The same where that is more than half of them, or rows of other tables go along."""
    dry_run: bool = False
    """Do everything, and roll it back."""
    skip_bad: Path | None = None
    """Where to write the rows that cannot be imported; None refuses the whole import for one such row."""
    from_rejects: Path | None = None
    """Such a file of an earlier run: only its rows are read."""
    named: int | None = 20
    """How many rows that cannot be imported an error names; None for all."""
    since_last: bool = False
    """Read what has changed since the last run, where there was one by the same declaration."""

    @property
    def deletes(self) -> bool:
        return self.delete or self.delete_all


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

    The source is read in one snapshot and never written to. Only after a failure are the rows read again and checked
    one by one. `committing` is called immediately before the commit. Raises RehomeError; then nothing is committed.
    """
    alias = source or find_source(imports, apps)
    with patient(alias), explained(connections[target]):
        plans = in_one_run(make_plan(declared, apps, alias, target, n) for n, declared in enumerate(imports))
        check(plans)
        refuse_options(plans, options)
        ImportLedger(target).refuse_unwritable()
        if options.from_rejects:
            plans = file.restrict(plans, file.read_keys(options.from_rejects))
        session = Session(connections[target], [plan.target.oid for plan in plans])
        with session.only_move(str(imports[0])), staging.cleared(plans, session):
            return Run(plans, session, options, committing).run() if plans else []


def in_one_run(plans: Iterable[ImportPlan]) -> list[ImportPlan]:
    """Each knows the targets of those that follow."""
    found = list(plans)
    targets = [plan.target.oid for plan in found]
    return [dataclasses.replace(plan, later=frozenset(targets[n:])) for n, plan in enumerate(found, 1)]


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
        with file.published(self.options.skip_bad) as self.draft:
            # Rows that could not be imported are looked at one by one from the start.
            if self.options.from_rejects is None:
                try:
                    return self.stage_and_bring_in(staging.stage, self.bring_in)
                except (DatabaseError, DoubtfulRows) as error:
                    if not is_about_rows(error):
                        raise
            return self.stage_and_bring_in(text_staging.stage, self.bring_in_the_good)

    def stage_and_bring_in(self, stage: Stage, bring_in: BringIn) -> list[ImportReport]:
        title = f"{', '.join(map(str, self.plans))}: from {self.source.alias!r} into {self.session.connection.alias!r}"
        skipping = stage is text_staging.stage
        asked = ", looking for rows that cannot be imported" if skipping else ""
        progress = Progress(f"{title}{asked}", STEPS_OF_EACH * len(self.plans))
        self.session.waits = progress.waits
        # Nothing is asked of the source but in this: a view or an expression may call a function that writes.
        asking = explained(self.source, of_rows=skipping)
        with asking, self.reader.snapshot(self.plans), names.escaped(self.source.alias):
            for plan in self.plans:
                refuse_unreadable(plan)
            self.marks = {plan.number: watermark.read(plan) for plan in self.plans}
            with explained(self.session.connection):
                self.look_back()
            for plan in self.plans:
                step = progress.step(f"read {plan.declared.source}")
                with step, explained(self.session.connection, of_rows=skipping):
                    stage(plan, self.reader, self.session, progress.detail)

        def once() -> list[ImportReport]:
            # While this transaction waits for a locked row, others wait for the rows that it has locked.
            self.session.execute(set_local("lock_timeout", conf.lock_timeout_ms()))
            progress.done = len(self.plans)
            return bring_in(progress)

        with self.committed():
            return self.session.retry_transaction(once, isolation="REPEATABLE READ", first=self.take_tables)

    def look_back(self) -> None:
        """What the last run recorded: where this one begins, and whether the source has gone back since."""
        before = {plan.number: watermark.recorded(plan) for plan in self.plans if plan.declared.changed}
        self.fallen = {
            plan.number: before[plan.number]
            for plan in self.plans
            if plan.number in before and watermark.went_back(plan, before[plan.number], self.marks[plan.number])
        }
        self.began = {n: self.marks[n] if n in self.fallen else mark for n, mark in before.items()}
        if self.options.since_last:
            self.plans = [
                dataclasses.replace(plan, since=watermark.since(plan, self.began[plan.number])) for plan in self.plans
            ]

    def take_tables(self) -> Iterator[Statement]:
        """Once another session's write has undone a try, nobody writes to the targets during the next: with many rows
        to change beside many writers, no try would ever end. The snapshot comes after the lock, so nothing can undo it.
        """
        if self.session.retries.keys() & {"serialization failure", "deadlock"}:
            yield set_local("lock_timeout", conf.lock_timeout_ms())
            targets = {plan.target.oid: plan.target for plan in self.plans}
            yield lock(list(targets.values()), "SHARE ROW EXCLUSIVE")

    @contextlib.contextmanager
    def committed(self) -> Iterator[None]:
        """A connection that is lost in the commit leaves open whether it is done."""
        self.finished = False
        try:
            yield
        except (DatabaseError, InterfaceError) as error:
            if self.finished and is_lost(error):
                raise ImportFailed(
                    f"The connection to database {self.session.connection.alias!r} was lost in its commit: "
                    f"{one_line(error)}. Run the import again: it writes only what is missing."
                ) from error
            raise

    def bring_in(self, progress: Progress) -> list[ImportReport]:
        merge = functools.partial(
            merging.merge, session=self.session, delete=self.options.deletes, delete_all=self.options.delete_all
        )
        reports = [self.report(plan, progress, merge) for plan in self.plans]
        self.finish([])
        return reports

    def bring_in_the_good(self, progress: Progress) -> list[ImportReport]:
        skipping = SkippingMerge(self.session, delete=self.options.deletes, delete_all=self.options.delete_all)
        reports = [self.report(plan, progress, skipping.merge) for plan in self.plans]
        rows = sum(report.counts.rejected for report in reports)
        found = rejects.find(self.plans, self.session)
        if rows and not self.options.skip_bad:
            raise rejects.refuse(rows, found, self.options.named)
        lines: Iterable[file.Line] = (reject.as_json() for reject in found)
        if again := self.options.from_rejects:
            read = file.find(self.plans, self.session)
            reports = [
                dataclasses.replace(report, missing=file.missing(plan, read))
                for report, plan in zip(reports, self.plans, strict=True)
            ]
            kept = file.kept(again, self.plans, read, into=self.options.skip_bad)
            lines = itertools.chain(lines, kept)
        self.finish(lines)
        return reports

    def report(self, plan: ImportPlan, progress: Progress, merge: Merge) -> ImportReport:
        started = time.monotonic()
        self.session.execute(tables.plan_joins(plan))
        with progress.step(f"merge into {plan.target}"):
            counts = merge(plan)
        with progress.step("compare every row"):
            comparison = merging.compare(plan, self.session, read=counts.read)
        refuse_differences(plan, comparison)
        if plan.only is None:
            ImportLedger(plan.connection.alias).record(plan, counts, self.next_begin(plan, counts))
        whole, fallen = plan.since is None, self.fallen.get(plan.number)
        told = watermark.describe_fall(plan, fallen, self.marks[plan.number]) if fallen else ""
        return ImportReport(str(plan), counts, comparison, time.monotonic() - started, whole=whole, told=told)

    def next_begin(self, plan: ImportPlan, counts: merging.Counts) -> str | None:
        """After rejects where this run began, so that the next one reads them again."""
        if counts.rejected:
            return self.began[plan.number] if plan.since else None
        return self.marks[plan.number]

    def finish(self, lines: Iterable[file.Line]) -> None:
        if self.draft:
            self.draft.write(lines)
        if self.options.dry_run:
            transaction.set_rollback(True, using=self.session.connection.alias)
        else:
            self.committing()
            self.finished = True


def refuse_options(plans: list[ImportPlan], options: Options) -> None:
    if options.since_last and (options.deletes or options.from_rejects):
        raise Refused(
            "--since-last reads changed rows only, so --delete and --from-rejects can't work with it.",
            "Use --since-last without --delete and --from-rejects.",
        )
    if options.dry_run and (again := options.from_rejects) and options.skip_bad and file.same(again, options.skip_bad):
        raise Refused(
            f"A dry run commits nothing, so {again} has to keep its rows.",
            "Name another file with --skip-bad, or run without --dry-run.",
        )
    if (again := options.from_rejects) and (into := options.skip_bad) and file.same(again, file.draft(into)):
        raise Refused(
            f"{again} is what this run would write before it replaces {into}.",
            f"Run with --from-rejects {into}, which reads both.",
        )
    if options.skip_bad:
        file.refuse_lost(options.skip_bad, options.from_rejects, plans, dry_run=options.dry_run)
    for plan in plans:
        if options.since_last:
            watermark.changed_name(plan)
        if options.deletes and plan.declared.shared:
            raise Refused(
                f"{plan} shares its keys with other rows of {plan.target}, so it can't know which rows are gone.",
                "Run without --delete, or use another field as the key, which only this import fills.",
            )


def find_source(imports: Sequence[Import], apps: Apps = django_apps) -> str:
    """The database that the project's routers read the sources from."""
    if not imports:
        raise Refused("This command has no imports.", "List them in its attribute `imports`.")
    found = {router.db_for_read(find_model(apps, declared.source)) for declared in imports}
    if len(found) > 1:
        raise Refused(
            f"The sources are on several databases: {', '.join(sorted(found))}.", "Run their imports one after another."
        )
    return found.pop()


def refuse_differences(plan: ImportPlan, comparison: Comparison) -> None:
    if not comparison.equal:
        found = "; ".join(map(str, comparison.differences))
        cure = f"see that no trigger or rule of {plan.target} changes or drops what is written to it"
        if not found:
            found, cure = "several rows have one key", "make sure that the key names one row"
        raise DoubtfulRows(
            f"{plan}: Verification failed: {comparison.source_rows} rows read, {comparison.target_rows} found: "
            f"{found}. Nothing is committed; {cure}."
        )
