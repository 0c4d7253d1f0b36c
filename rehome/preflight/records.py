"""Refuses what the record of a run says, and neither today's catalog nor the move's models confirm.

Whoever may write to the ledger's table could otherwise have the owner of the tables do what he may not do himself.
"""

from collections.abc import Iterable, Iterator

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.errors import Refused
from rehome.models import MoveRun, Phase
from rehome.parts.triggers import trigger_name
from rehome.plan.historical import concrete_fields
from rehome.plan.ledger import Ledger
from rehome.plan.phases import INTERRUPTED
from rehome.plan.plan import Model, Plan, TablePair
from rehome.plan.record import Numbered, Record, SetAside
from rehome.postgres import catalog
from rehome.postgres.sql import Identifier, place, readable
from rehome.postgres.tables import ForeignKey, Table


def read_run(plan: Plan, ledger: Ledger) -> MoveRun | None:
    """The last run of the move, whose record is the move's. One that an earlier version left live without a way back
    is frozen.
    """
    run = ledger.current(plan)
    if run:
        if run.phase == Phase.LIVE and not plan.reversible:
            run.phase = Phase.FROZEN
        check_record(plan, run)
    return run


def check_record(plan: Plan, run: MoveRun) -> None:
    """Everything that the record says is of this move's tables, as far as the phase makes use of it."""
    record = Record.of(run)
    refuse_other_columns(plan, record, run)
    if run.phase in {*INTERRUPTED, Phase.MOVED}:
        for schema, table, name in record.unreadable:
            refuse_unreadable(find_pair(plan, schema, table, run, "target").target, name)
        for index in record.dropped_indexes:
            find_pair(plan, index.schema, index.table, run, "target")
        refuse_unknown_keys(record.dropped_keys, "target", plan, run)
    if run.phase in {Phase.RETIRED, Phase.LIVE, Phase.FROZEN}:
        refuse_unknown_keys(record.foreign_keys or (), "source", plan, run)
    if run.phase == Phase.RETIRED:
        for pair in plan.pairs:
            refuse_other_aside(pair, record, run)
    if run.phase == Phase.IN_PLACE:
        refuse_other_names(plan, record, run)
        made = record.in_place.pairs if record.in_place else ()
        replaced = [before for pair in made for before, _ in pair.renaming.foreign_keys]
        refuse_unknown_keys([*replaced, *(record.in_place.keys if record.in_place else ())], "source", plan, run)


def changed(run: MoveRun, says: str) -> Refused:
    return Refused(
        f"The record of {run.move} {says}.",
        f"Somebody has changed it, or the move's declaration: restore row {run.pk} of {MoveRun._meta.db_table} from a "
        "backup, or the declaration.",
    )


def refuse_other_columns(plan: Plan, record: Record, run: MoveRun) -> None:
    for pair in plan.pairs:
        if shared := record.sequences.get(str(pair.target)):
            for table, kept in ((pair.source, shared.source), (pair.target, shared.target)):
                if not table.has_column(kept.column):
                    raise changed(run, f"names the column {kept.column!r}, which {table} does not have")


def find_pair(plan: Plan, schema: str, table: str, run: MoveRun, side: str) -> TablePair:
    for pair in plan.pairs:
        if (getattr(pair, side).schema, getattr(pair, side).name) == (schema, table):
            return pair
    raise changed(run, f"names {readable(schema, table)}, which is no {side} of this move")


def refuse_unreadable(table: Table, name: str) -> None:
    if all(name != part.name for part in (*table.all_constraints, *table.indexes)):
        raise Refused(
            f"An earlier version of rehome has dropped {name!r} of {table} for this move, and kept its SQL, which "
            "this version does not run.",
            "Create it again as the migration of its app does, which `manage.py sqlmigrate` prints.",
        )


def refuse_other_aside(pair: TablePair, record: Record, run: MoveRun) -> None:
    """The name is made from those of both tables, so nothing else can be taken for the old one."""
    if str(pair.source) not in record.views:
        raise changed(run, f"says nothing of the view {pair.source}")
    kept = (record.aside or {}).get(pair.source_model._meta.db_table)
    if record.aside and kept != SetAside(pair.source.schema, pair.source.name, trigger_name("aside", pair)):
        there = readable(kept.schema, kept.aside) if kept else "nothing"
        raise changed(run, f"says that the rows of {pair.source} were set aside as {there}, which is not their place")


def refuse_other_names(plan: Plan, record: Record, run: MoveRun) -> None:
    made = record.in_place.pairs if record.in_place else ()
    if len(made) != len(plan.pairs):
        raise changed(run, f"tells of {len(made)} tables, and the move has {len(plan.pairs)}")
    for pair, kept in zip(plan.pairs, made, strict=True):
        for column in {*kept.renaming.keys, *kept.defaults} - kept.renaming.columns.keys():
            raise changed(run, f"names the column {column!r}, which {pair.source} does not have")


# ----- foreign keys


def refuse_unknown_keys(keys: Iterable[ForeignKey], side: str, plan: Plan, run: MoveRun) -> None:
    for key in keys:
        refuse_unknown_key(key, find_pair(plan, key.schema, key.table, run, side), side, plan)


def refuse_unknown_key(key: ForeignKey, pair: TablePair, side: str, plan: Plan) -> None:
    """It leads to where the model's field leads, or where that of the other table does."""
    model, other = (pair.source_model, pair.target) if side == "source" else (pair.target_model, pair.source)
    if getattr(pair, side).kind == "r" and any(key.name == one.name for one in getattr(pair, side).foreign_keys):
        return
    ends = {*ends_of(model, key, plan.connection), *counterparts(key, pair, other)}
    if (key.end.schema, key.end.table) not in ends:
        raise Refused(
            f"The record of {plan} has a foreign key {key.name!r} of {key} to {key.end}, which no model tells of.",
            f"Somebody has changed it, or the key was added by hand: declare it in the migrations of "
            f"{model._meta.label}, with a ForeignKey or a rehome.constraints.DatabaseForeignKey.",
        )


def ends_of(model: Model, key: ForeignKey, connection: BaseDatabaseWrapper) -> Iterator[tuple[str, str]]:
    """The table that the model's field points at, which may be gone for now, and what that is a view of by now."""
    for field in concrete_fields(model).values():
        if (field.column,) == key.columns and field.remote_field:
            parent = field.remote_field.model._meta.db_table
            table = catalog.read_table(connection, connection.ops.quote_name(parent))
            yield (table.schema, table.name) if table else (key.schema, parent)
            while table and table.kind == "v" and (base := catalog.read_base(connection, table)):
                yield base
                table = catalog.read_table(connection, Identifier(*base).as_string())


def counterparts(key: ForeignKey, pair: TablePair, other: Table) -> Iterable[tuple[str, str]]:
    names = {there.name: here.name for here, there in pair.plain_columns}
    if other is pair.target:
        names = {here: there for there, here in names.items()}
    same = tuple(names.get(column, "") for column in key.columns)
    return [(one.end.schema, one.end.table) for one in other.foreign_keys if one.columns == same]


# ----- sequences


def check_sequences(plan: Plan, record: Record) -> None:
    """Those that the way back drops, or lets a column draw from, are the columns' own."""
    for pair in plan.pairs:
        if shared := record.sequences.get(str(pair.target)):
            refuse_strange_sequence(shared.target, pair.target, plan)
            if not shared.source.identity:  # An identity's is made anew.
                refuse_strange_sequence(shared.source, pair.source, plan)


def refuse_strange_sequence(kept: Numbered, table: Table, plan: Plan) -> None:
    own = kept.sequence.schema, kept.sequence.name
    if (kept.column, *own) not in catalog.read_owned_sequences(plan.connection, table):
        raise Refused(
            f"The record of {plan} says that {table}.{kept.column} had the sequence {readable(*own)}, which is not "
            "owned by it.",
            f"If that is right, run ALTER SEQUENCE {readable(*own)} OWNED BY {place(table)}.{readable(kept.column)}.",
        )
