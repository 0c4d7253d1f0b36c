"""In place: the table takes its empty twin's names, and a view takes its own; no row is read or written."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from rehome import (
    anatomy,
    catalog,
    copying,
    counterparts,
    grants,
    identity,
    notices,
    preflight,
    renaming,
    sql,
    steps,
    sync,
    transactional,
    views,
)
from rehome.anatomy import Anatomy
from rehome.catalog import Grant, Table
from rehome.counterparts import Counterparts
from rehome.errors import MoveFailed
from rehome.ledger import Ledger
from rehome.models import MoveRun, Phase
from rehome.plan import Plan, TablePair
from rehome.preflight import in_place
from rehome.progress import Progress
from rehome.renaming import Renaming
from rehome.resolve import renew
from rehome.session import Session, Statement
from rehome.sql import SQL, Identifier
from rehome.steps import Step

KEPT = "in_place"
"""The key under which a run keeps what the way back needs."""


# ----- forward


def forward(plan: Plan, ledger: Ledger, run: MoveRun | None) -> None:
    """Rename the table and put a view in its place; where that is done, validate what is left."""
    if run and run.phase == Phase.PREPARED:
        transactional.undo_preparation(run, ledger, steps.open_session(plan))
        plan = renew(plan)
    noticed: list[str] = []
    if run is None or not stands(plan, run):
        found = check(plan, ledger)
        noticed = [
            note
            for pair, parts in zip(plan.pairs, found, strict=True)
            for note in notices.find_in_place(pair, parts, plan)
        ]
        progress = Progress(f"{plan}: moving in place, database {plan.connection.alias!r}", steps=2)
        with steps.explained(plan, "Nothing has been moved."), progress.step("rename the table and all that it has"):
            run = take_place(plan, ledger)
    else:
        progress = Progress(f"{plan}: settling, database {plan.connection.alias!r}", steps=1)
    with (
        steps.explained(plan, "The move is complete; only the settling is left."),
        progress.step("validate foreign keys"),
    ):
        settle(plan, run)
    for note in noticed:
        progress.note(note)


def stands(plan: Plan, run: MoveRun) -> bool:
    """Whether the old name is still a view; tables that were made anew since the run are a move of their own."""
    return run.phase == Phase.IN_PLACE and plan.main.source.kind == "v"


def check(plan: Plan, ledger: Ledger) -> list[Counterparts]:
    """Refuse what can't be done before anything is written; return what will be."""
    in_place.check_pairs(plan)
    in_place.check_rights(plan)
    found = find(plan)
    in_place.check_parts(plan, found)
    preflight.refuse_unmoved_references(plan, ledger)
    preflight.check_target_empty(plan)
    return found


def find(plan: Plan) -> list[Counterparts]:
    targets = {pair.source.oid: (str(pair.target), counterparts.find_columns(pair)) for pair in plan.pairs}
    targets |= {pair.target.oid: (str(pair.target), {}) for pair in plan.pairs}
    return [
        counterparts.find(
            pair,
            anatomy.read_anatomy(pair.source, plan.connection),
            anatomy.read_anatomy(pair.target, plan.connection),
            targets,
        )
        for pair in plan.pairs
    ]


def take_place(plan: Plan, ledger: Ledger) -> MoveRun:
    """One transaction; while a lock is not granted it holds none, and looks at both tables anew."""
    session = steps.open_session(plan)

    def attempt() -> MoveRun:
        return take_place_in_transaction(renew(plan), session, ledger)

    with session.transaction():
        run = session.attempt(attempt)
    identity.forget_cached()
    return run


def take_place_in_transaction(plan: Plan, session: Session, ledger: Ledger) -> MoveRun:
    found = find(plan)
    twins = [anatomy.read_anatomy(pair.target, plan.connection) for pair in plan.pairs]
    for statement in enter(plan):
        session.execute(statement)
    preflight.check_target_empty(plan)
    names = identity.read_identity(plan, session)
    for statement in switch(plan, found, names):
        session.execute(statement)
    for pair, twin in zip(plan.pairs, twins, strict=True):
        refuse_differences(pair, twin, plan)
    run = ledger.begin(plan, {KEPT: to_keep(plan, found), **identity.to_keep(names, session)})
    ledger.advance(run, Phase.IN_PLACE)
    return run


def enter(plan: Plan) -> list[Statement]:
    return [sql.lock([table for pair in plan.pairs for table in (pair.source, pair.target)], "ACCESS EXCLUSIVE")]


def switch(plan: Plan, found: list[Counterparts], names: identity.Identity | None) -> list[Statement]:
    """From here the table has its twin's name. Foreign keys are last: their lock reaches other tables."""
    twins = SQL(", ").join(sql.name(pair.target) for pair in plan.pairs)
    return [
        *copying.let_go(plan),
        *(
            statement
            for pair in plan.pairs
            if is_fenced(pair.target)
            for statement in sync.fence_of_target(pair).drop()
        ),
        SQL("DROP TABLE {}").format(twins),
        *(statement for parts in found for statement in renaming.rename(parts.renaming)),
        *(
            grants.grant("TABLE", sql.name(pair.target), privilege)
            for pair, parts in zip(plan.pairs, found, strict=True)
            for privilege in added_grants(pair, parts)
        ),
        *(statement for pair in plan.pairs for statement in views.create(as_view(pair), plan.search_path)),
        *identity.carry(names),
        *(statement for parts in found for statement in renaming.add_foreign_keys(parts.renaming)),
        *(sql.add_incoming(key) for key in copying.other_incoming(plan)),
    ]


def is_fenced(table: Table) -> bool:
    """An earlier way back, of a move by copying, leaves a fence behind."""
    return len(table.triggers) > len(sync.of_user(table))


def as_view(pair: TablePair) -> TablePair:
    """A key that a sequence numbers needs no default in the view: the table's own holds."""
    columns = tuple(
        dataclasses.replace(column, default=None, identity="") if column.name in pair.source.sequences else column
        for column in pair.source.columns
    )
    backward = tuple(
        dataclasses.replace(a, column=next(c for c in columns if c.name == a.column.name))
        for a in pair.backward.assignments
    )
    return dataclasses.replace(
        pair,
        source=dataclasses.replace(pair.source, columns=columns),
        backward=dataclasses.replace(pair.backward, assignments=backward),
    )


def added_grants(pair: TablePair, found: Counterparts) -> list[Grant]:
    """What roles may do with the twin and not with the source."""
    columns = found.renaming.columns
    own = [dataclasses.replace(g, column=columns.get(g.column, g.column)) for g in pair.source.grants]
    return [privilege for privilege in pair.target.grants if privilege not in own]


def refuse_differences(pair: TablePair, twin: Anatomy, plan: Plan) -> None:
    """PostgreSQL has the last word on whether the table now is what the twin was, in every name."""
    now = catalog.read_table(plan.connection, sql.name(pair.target).as_string())
    assert now is not None  # noqa: S101  It has just been renamed.
    missing = anatomy.describe(twin) - anatomy.describe(anatomy.read_anatomy(now, plan.connection))
    if missing:
        raise MoveFailed(
            f"{plan}: with its new names {pair.source} is not what {pair.target} was: it lacks "
            f"{'; '.join(' '.join(map(str, part)) for part in sorted(missing, key=str))}. Everything is undone; "
            "bring both tables together with ALTER TABLE, or leave in_place=True out."
        )


def to_keep(plan: Plan, found: list[Counterparts]) -> dict[str, Any]:
    """What the way back and the settling need, as JSON."""
    moved = [(parts.renaming.schema, *parts.renaming.table, parts.renaming.foreign_keys) for parts in found]
    twins_keys = copying.other_incoming(plan)
    return {
        "pairs": [
            {
                "renaming": renaming.as_json(parts.renaming),
                "added_grants": [dataclasses.asdict(g) for g in added_grants(pair, parts)],
                "grants": [dataclasses.asdict(g) for g in pair.source.grants],
                "twin_grants": [dataclasses.asdict(g) for g in pair.target.grants],
            }
            for pair, parts in zip(plan.pairs, found, strict=True)
        ],
        "stay": [(key.schema, key.table, key.name) for pair in plan.pairs for key in pair.source.incoming],
        "validate": [
            *((schema, table, after.name) for schema, _, table, keys in moved for _, after in keys),
            *((key.schema, key.table, key.name) for key in twins_keys),
        ],
        "validate_back": [
            *((schema, table, before.name) for schema, table, _, keys in moved for before, _ in keys),
            *((key.schema, key.table, key.name) for key in twins_keys),
        ],
    }


def settle(plan: Plan, run: MoveRun, which: str = "validate") -> None:
    """Validate the foreign keys that were added; a failure leaves a move that is complete."""
    session = steps.open_session(plan)
    for statement in validations(plan, run.kept, which):
        session.run(statement)


def validations(plan: Plan, kept: Mapping[str, Any], which: str) -> list[Statement]:
    return [
        sql.validate(schema, table, name)
        for schema, table, name in kept[KEPT][which]
        if is_unvalidated(plan, Identifier(schema, table), name)
    ]


def is_unvalidated(plan: Plan, place: Statement, name: str) -> bool:
    table = catalog.read_table(plan.connection, place.as_string())
    return table is not None and any(c.name == name and not c.validated for c in table.constraints)


# ----- backward


def backward(plan: Plan, ledger: Ledger, run: MoveRun) -> None:
    """Drop the view, give the table its own names, and make the empty twin again: at once, at any size."""
    session = steps.open_session(plan)
    returned = run.phase == Phase.BACK
    progress = Progress(f"{plan}: moving back in place, database {plan.connection.alias!r}", steps=2 - returned)
    if not returned:
        in_place.check_back(plan, stay(run.kept))
        with (
            steps.explained(plan, "Nothing has been moved back."),
            progress.step("give the table its own names"),
            session.transaction(),
        ):
            session.attempt(lambda: give_place_back(renew(plan), session, ledger, run))
        identity.forget_cached()
    with (
        steps.explained(plan, "The table has its own names; only the settling is left."),
        progress.step("validate foreign keys"),
    ):
        settle(plan, run, "validate_back")


def give_place_back(plan: Plan, session: Session, ledger: Ledger, run: MoveRun) -> None:
    session.execute(enter_back(plan))
    in_place.check_unreferenced(plan, stay(run.kept))
    names = identity.read_identity(plan, session)
    for statement in switch_back(plan, names, run.kept):
        session.execute(statement)
    ledger.advance(run, Phase.BACK)


def stay(kept: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Foreign keys that pointed at the table before the move: they are the source model's, and stay with it."""
    return [(schema, table, name) for schema, table, name in kept[KEPT]["stay"]]


def enter_back(plan: Plan) -> Statement:
    """The view before the table, as whoever reads the view has them."""
    return sql.lock([table for pair in plan.pairs for table in (pair.source, pair.target)], "ACCESS EXCLUSIVE")


def switch_back(plan: Plan, names: identity.Identity | None, kept: Mapping[str, Any]) -> list[Statement]:
    records = kept[KEPT]["pairs"]
    back = [own_names(plan, pair, record) for pair, record in zip(plan.pairs, records, strict=True)]
    keys = [key for pair in plan.pairs for key in in_place.foreign(pair, plan, stay(kept))]
    return [
        *(statement for pair in plan.pairs for statement in views.drop(pair)),
        *(sql.drop_incoming(key) for key in keys),
        *(
            statement
            for pair, record in zip(plan.pairs, records, strict=True)
            for statement in take_grants_away(pair, record)
        ),
        *(statement for one in back for statement in renaming.rename(one)),
        *make_twins(plan),
        *(
            grants.grant("TABLE", sql.name(pair.target), Grant(**privilege))
            for pair, record in zip(plan.pairs, records, strict=True)
            for privilege in record["twin_grants"]
        ),
        *identity.give_back(names, dict(kept)),
        *sync.raise_fence(plan),
        *(statement for one in back for statement in renaming.add_foreign_keys(one)),
        *(sql.add_incoming(key) for key in keys),
    ]


def own_names(plan: Plan, pair: TablePair, record: Mapping[str, Any]) -> Renaming:
    not_nulls = anatomy.read_anatomy(pair.target, plan.connection).not_nulls
    return renaming.read(record["renaming"]).reversed().of_what_is_there(pair.target, not_nulls.values())


def take_grants_away(pair: TablePair, record: Mapping[str, Any]) -> list[Statement]:
    """What came with the twin; that also takes a weaker grant of the source's own, which is given again."""
    columns = record["renaming"]["columns"]
    added = [Grant(**privilege) for privilege in record["added_grants"]]
    own = [Grant(**g | {"column": columns.get(g["column"], g["column"])}) for g in record["grants"]]
    taken = {(g.grantee, g.privilege, g.column) for g in added}
    standing = {(g.grantee, g.privilege, g.column) for g in pair.target.grants}
    place = sql.name(pair.target)
    return [
        *(grants.revoke(place, privilege) for privilege in added),
        *(
            grants.grant("TABLE", place, privilege)
            for privilege in own
            if (privilege.grantee, privilege.privilege, privilege.column) in taken & standing
        ),
    ]


def make_twins(plan: Plan) -> list[Statement]:
    """The statements with which Django makes the target's tables, as its migrations would."""
    with plan.connection.schema_editor(collect_sql=True, atomic=False) as editor:
        editor.create_model(plan.target_model)
    owners = [
        SQL("ALTER TABLE {} OWNER TO {}").format(sql.name(pair.target), Identifier(pair.target.owner))
        for pair in plan.pairs
    ]
    return [*(SQL(text.rstrip("; ")) for text in editor.collected_sql), *owners]


# ----- what it would run on this database now, for `sqlmove`


def forward_steps(plan: Plan, run: MoveRun | None) -> Iterator[Step]:
    """The statements of `forward`; where the move stands, those that settle it."""
    if run is not None and stands(plan, run):
        kept: Mapping[str, Any] = run.kept
    else:
        found = find(plan)
        in_place.check_parts(plan, found)
        names = identity.read_identity(plan, steps.open_session(plan))
        yield Step("Move in place: all or nothing.", [*enter(plan), *switch(plan, found, names)])
        kept = {KEPT: to_keep(plan, found)}
        for schema, table, name in kept[KEPT]["validate"]:
            yield Step("Settle: each statement in a transaction of its own.", [sql.validate(schema, table, name)])
        return
    for statement in validations(plan, kept, "validate"):
        yield Step("Settle: each statement in a transaction of its own.", [statement])


def backward_steps(plan: Plan, run: MoveRun) -> Iterator[Step]:
    names = identity.read_identity(plan, steps.open_session(plan))
    yield Step("Move back: all or nothing.", [enter_back(plan), *switch_back(plan, names, run.kept)])
    for schema, table, name in run.kept[KEPT]["validate_back"]:
        yield Step("Settle: each statement in a transaction of its own.", [sql.validate(schema, table, name)])
