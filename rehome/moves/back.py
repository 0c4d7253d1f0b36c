"""The way back of the moves that copy: the source has everything that was written since, the target is emptied."""

from collections.abc import Iterator

from rehome.errors import Refused
from rehome.models import Phase
from rehome.moves import steps
from rehome.moves.steps import Action, Do, Held, Now, Step, Whole
from rehome.moves.way import Way
from rehome.parts import foreign_keys, grants, identity, project_triggers, rows, sequences, sync
from rehome.plan.plan import Plan
from rehome.plan.resolve import renew
from rehome.postgres import asking, locks, sql
from rehome.postgres.session import Group
from rehome.preflight import checks, fates
from rehome.verify.comparison import Comparison, compare

NOTHING = "The move is live; nothing has been moved back."
"""Also where it had been retired when this began."""
SWITCHED = "sequences, triggers, permissions; empty the target"


class Back(Way):
    """The steps of one way back."""

    compared: Comparison | None = None
    """Both tables as they were found equal beside their writers; None where they were not."""

    def steps(self) -> Iterator[Step]:
        yield from self.go_back()
        yield from self.settle()

    def go(self) -> None:
        """In one transaction. After a crash behind the commit only the settling is left."""
        returned = self.begun is not None and self.run.phase == Phase.BACK
        self.show("moving back", steps=1 if returned else 3)
        if not returned:
            self.begun = checks.check_backward(self.plan, self.ledger)
            self.name(fates.Way.BACK)
            with steps.explained(self.plan, NOTHING):
                self.compare()
            self.take(self.go_back())
            identity.forget_cached()
        self.take(self.settle())

    def compare(self) -> None:
        """Beside the writers, for the triggers keep equal what was equal; where that can't be, see `corrected`."""
        self.stamps = sync.stamps(self.plan)
        if sync.state(self.plan) == "missing":
            return
        with self.progress.step("compare every row"), self.session.snapshot():
            found = compare(self.plan, self.session)
        if found.same_rows:
            self.compared = found
        else:
            self.progress.steps += 1

    def go_back(self) -> Iterator[Step]:
        if self.compared:
            yield Whole("Move back", SWITCHED, NOTHING, self.at_once)
        else:
            yield Held("Move back", "compare every row, with everybody waiting", NOTHING, self.corrected)

    def at_once(self) -> Iterator[Action]:
        """What was compared is what goes back: every write since has been carried."""
        yield from locks.lock(steps.tables_of(self.plan), "ACCESS EXCLUSIVE")
        plan = renew(self.plan)
        yield Do(lambda: self.refuse_changed_triggers(plan))
        yield Do(lambda: checks.check_emptied(plan))
        yield from self.revert(plan)

    def corrected(self) -> Iterator[Action]:
        """The slow way, for tables that differ or lack a trigger: readers and writers wait for the comparison."""
        plan = self.plan
        yield Group(tuple(locks.lock(steps.tables_of(plan), "ACCESS EXCLUSIVE")))
        yield Do(lambda: checks.check_emptied(plan))
        yield Do(lambda: self.compare_alone(plan))
        yield Now(SWITCHED)
        yield from self.revert(plan)

    def compare_alone(self, plan: Plan) -> None:
        self.compared = compare(plan, self.session)
        check_source_knows(plan, self.compared)

    def revert(self, plan: Plan) -> Iterator[Action]:
        """From here only the source lives; the target wins where a trigger had been missing."""
        names = identity.read_identity(plan, self.session)
        yield Group(tuple(foreign_keys.drop_incoming(plan)))
        yield Do(lambda: checks.check_unreferenced(plan))
        yield from sync.remove(plan)
        yield from project_triggers.put_away(plan)
        corrections = [statement for pair in plan.pairs for statement in rows.reconcile(pair)]
        yield Group(tuple(corrections), unless=self.are_same, note="only where the tables differ")
        # Deferred checks that the corrections queued would forbid the ALTER TABLEs that follow.
        yield sql.check_now()
        switched = [
            *sequences.revert(self.record, plan),
            *grants.revert(self.record, plan),
            # What the target has is the source's by now, and would forbid what is dropped with its names.
            *foreign_keys.empty_targets(plan),
            *project_triggers.revert(plan, self.record),
            *identity.revert(names, self.record),
            *sync.raise_fence(plan),
        ]
        yield Group(tuple(switched))
        yield Do(self.record_back)

    def are_same(self) -> bool:
        return self.compared is not None and self.compared.same_rows

    def record_back(self) -> None:
        self.advance(Phase.BACK, rows=self.compared.target_rows if self.compared else None)

    def settle(self) -> Iterator[Step]:
        settling = "The rows have been moved back; only the settling is left."
        says = "validate foreign keys that point here"
        yield Step("Settle", says, settling, lambda: foreign_keys.validate_incoming(self.plan))


def refuse_emptied_target(plan: Plan) -> None:
    """A table that was emptied behind the triggers looks like one of which new code has deleted every row."""
    source, target = plan.main.source, plan.main.target
    filled = [asking.query(plan.connection, sql.has_rows(table).as_string())[0][0] for table in (source, target)]
    touch = rows.touch(source, [plan.main.forward.key[0][0]])
    if filled == [True, False]:
        raise Refused(
            f"{target} is empty and {source} is not: moving back would delete every row.",
            f"If that is meant, delete the rows of {source} first. Otherwise run the migration forwards again, which "
            f"repairs the triggers, and copy the rows with {touch.as_string()}.",
        )


def check_source_knows(plan: Plan, comparison: Comparison) -> None:
    """The target wins only where its own trigger is missing, and the source's is not: then it alone has writes
    that were not carried. Rows that differ beside triggers that are all there tell of one that was missing.
    """
    if not (comparison.missing or comparison.extra or comparison.different):
        return
    refuse_emptied_target(plan)
    missing = {t.table.oid for t in sync.wanted(plan) if sync.state_of(t) == "missing"}
    if missing and missing <= {pair.target.oid for pair in plan.pairs}:
        return
    raise Refused(
        f"{comparison.missing + comparison.extra + comparison.different} rows of {plan} differ, because the trigger "
        f"that carried writes from {plan.main.source} is or was missing, so either side may be the newer one.",
        f"Run `manage.py verifymoves {plan.move.target}`, make the rows equal, and try again.",
    )
