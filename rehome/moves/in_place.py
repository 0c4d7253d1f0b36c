"""In place: the table takes its empty twin's names, and a view takes its own; no row is read or written."""

import functools
from collections.abc import Iterator

from rehome.errors import MoveFailed
from rehome.models import MoveRun, Phase
from rehome.moves import exchange, exchange_back, resume, state, steps
from rehome.moves.steps import Action, Do, Step, Whole
from rehome.parts import foreign_keys, identity, sequences, standing_views
from rehome.parts.matching import Counterparts
from rehome.plan.ledger import Ledger
from rehome.plan.plan import Plan, TablePair
from rehome.plan.record import InPlace, Record
from rehome.plan.resolve import renew
from rehome.postgres import anatomy, catalog, sql, tables
from rehome.postgres.session import Group
from rehome.postgres.tables import Anatomy
from rehome.preflight import checks, in_place, notices
from rehome.terminal import Progress


def forward(plan: Plan, ledger: Ledger, run: MoveRun | None) -> None:
    """Rename the table and put a view in its place; where that is done, validate what is left."""
    if run and run.phase == Phase.PREPARED:
        resume.give_up(plan, ledger, run)
        plan, run = renew(plan), None
    noticed: list[str] = []
    way = Forward(plan, ledger, run)
    database = f"database {plan.connection.alias!r}"
    if way.fresh:
        pairs = zip(plan.pairs, check(plan, ledger), strict=True)
        noticed = [note for pair, parts in pairs for note in notices.find_in_place(pair, parts, plan)]
        progress = Progress(f"{plan}: moving in place, {database}", steps=2)
    else:
        progress = Progress(f"{plan}: settling, {database}", steps=1)
    steps.run(way.steps(), plan, way.session, progress)
    for note in noticed:
        progress.note(note)


def check(plan: Plan, ledger: Ledger) -> list[Counterparts]:
    """Refuse what can't be done before anything is written; return what will be."""
    in_place.check_rights(plan)
    found = check_parts(plan)
    checks.refuse_unmoved_references(plan, ledger)
    checks.check_target_empty(plan)
    return found


def check_parts(plan: Plan) -> list[Counterparts]:
    """What the definitions alone decide."""
    in_place.check_pairs(plan)
    found = exchange.find(plan)
    in_place.check_parts(plan, found)
    return found


class Forward:
    """The steps of one move in place, or those that repair and settle one that stands."""

    def __init__(self, plan: Plan, ledger: Ledger, run: MoveRun | None) -> None:
        self.plan = plan
        self.ledger = ledger
        self.fresh = run is None or not state.is_in_place(plan, run)
        self.record = Record() if run is None else Record.of(run)
        self.session = steps.open_session(plan)

    def steps(self) -> Iterator[Step]:
        if self.fresh:
            nothing = "Nothing has been moved."
            yield Whole("Move in place", "rename the table and all that it has", nothing, self.take_place)
        else:
            failed = "The move stands, and what it lacks is not mended."
            repaired = [*standing_views.repair(self.plan, self.record), *sequences.repair(self.plan, self.session)]
            mended = Group(tuple(repaired))
            yield Step("Mend", "", failed, lambda: [mended] if mended.statements else [])
        settling = "The move is complete; only the settling is left."
        yield Step("Settle", "validate foreign keys", settling, lambda: validations(self.plan, self.record))

    def take_place(self) -> Iterator[Action]:
        """Everything that can be looked up is known before the first lock is asked for."""
        plan = renew(self.plan)
        found = exchange.find(plan)
        twins = [anatomy.read_anatomy(pair.target, plan.connection) for pair in plan.pairs]
        self.record = Record(in_place=exchange.to_keep(plan, found), ends=foreign_keys.new_ends(plan))
        names = identity.read_identity(plan, self.session)
        yield from exchange.enter(plan)
        yield Do(lambda: checks.check_target_empty(plan))
        yield from exchange.switch(plan, found, names)
        for pair, twin in zip(plan.pairs, twins, strict=True):
            yield Do(functools.partial(refuse_differences, pair, twin, plan))
        yield Do(lambda: self.record_in_place(plan, names))

    def record_in_place(self, plan: Plan, names: identity.Identity | None) -> None:
        run = self.ledger.begin(plan, self.record | identity.to_keep(names, self.session))
        self.ledger.advance(run, Phase.IN_PLACE)
        identity.forget_cached()


def refuse_differences(pair: TablePair, twin: Anatomy, plan: Plan) -> None:
    """PostgreSQL has the last word on whether the table now is what the twin was, in every name."""
    now = catalog.read_table(plan.connection, sql.name(pair.target).as_string())
    assert now is not None  # noqa: S101  It has just been renamed.
    missing = tables.describe(twin) - tables.describe(anatomy.read_anatomy(now, plan.connection))
    if missing:
        raise MoveFailed(
            f"{plan}: with its new names {pair.source} is not what {pair.target} was: it lacks "
            f"{'; '.join(' '.join(map(str, part)) for part in sorted(missing, key=str))}. Everything is undone; "
            "bring both tables together with ALTER TABLE, or leave in_place=True out."
        )


def validations(plan: Plan, record: Record) -> Iterator[Group]:
    """Of the foreign keys that were added, as far as they are there; a failure leaves a move that is complete."""
    for schema, table, name in record.in_place.validate if record.in_place else ():
        settled = functools.partial(is_settled, plan, schema, table, name)
        yield Group((sql.validate(schema, table, name),), patient=True, unless=settled)


def is_settled(plan: Plan, schema: str, table: str, name: str) -> bool:
    return catalog.is_validated(plan.connection, schema, table, name) is not False


# ----- and back


def backward(plan: Plan, ledger: Ledger, run: MoveRun) -> None:
    """Drop the view, give the table its own names, and make the empty twin again: at once, at any size."""
    returned = run.phase == Phase.BACK
    progress = Progress(f"{plan}: moving back in place, database {plan.connection.alias!r}", steps=2 - returned)
    way = Back(plan, ledger, run)
    if not returned:
        in_place.check_back(plan, way.kept.stay)
        steps.run(way.go_back(), plan, way.session, progress)
    steps.run(way.settle(), plan, way.session, progress)


class Back:
    """The steps of the way back of a move in place."""

    def __init__(self, plan: Plan, ledger: Ledger, run: MoveRun) -> None:
        self.plan = plan
        self.ledger = ledger
        self.run = run
        self.record = Record.of(run)
        self.session = steps.open_session(plan)

    @property
    def kept(self) -> InPlace:
        return exchange_back.in_place_of(self.record)

    def steps(self) -> Iterator[Step]:
        yield from self.go_back()
        yield from self.settle()

    def go_back(self) -> Iterator[Step]:
        yield Whole("Move back", "give the table its own names", "Nothing has been moved back.", self.give_place_back)

    def give_place_back(self) -> Iterator[Action]:
        plan, before = renew(self.plan), Record.of(self.run)
        names = identity.read_identity(plan, self.session)
        switched = exchange_back.switch(plan, names, before)
        self.record = exchange_back.to_keep(plan, before)
        yield from exchange_back.enter(plan)
        yield Do(lambda: checks.check_unreferenced(plan, self.kept.stay))
        yield from switched
        yield Do(self.record_back)

    def record_back(self) -> None:
        self.ledger.advance(self.run, Phase.BACK, record=self.record)
        identity.forget_cached()

    def settle(self) -> Iterator[Step]:
        settling = "The table has its own names; only the settling is left."
        yield Step("Settle", "validate foreign keys", settling, lambda: validations(self.plan, self.record))
