"""Refusals of a move in place: the table must be able to take its twin's place as it is, and its own again."""

import re
from collections.abc import Iterable
from typing import NoReturn

from rehome.errors import Refused
from rehome.models import MoveRun
from rehome.parts import foreign_keys, project_triggers, standing_views
from rehome.parts.matching import Counterparts, find_columns
from rehome.parts.project_triggers import has_word
from rehome.plan.historical import implicit_many_to_many
from rehome.plan.plan import GONE, Plan, TablePair
from rehome.plan.record import InPlace, Record
from rehome.postgres import anatomy, asking
from rehome.postgres.sql import place, readable
from rehome.postgres.tables import Column, Table, Trigger
from rehome.preflight import checks, leftovers, rights, tables, writers
from rehome.preflight.fates import Way

COPY = "Leave in_place=True out, so that the rows are copied."


def check_pairs(plan: Plan) -> None:
    """What can be said of both tables before their parts are compared."""
    refuse_changes(plan)
    for pair in plan.pairs:
        tables.refuse_same_table(pair, plan)
        tables.refuse_kind(pair.source)
        tables.refuse_kind(pair.target)
        tables.refuse_other_moves(pair)
        for model, table in ((pair.source_model, pair.source), (pair.target_model, pair.target)):
            rights.refuse_strangers_table(table, plan.connection)
            tables.refuse_drift(model, table, plan.connection)
        tables.refuse_dropped_keys(pair)
        refuse_other_place(pair)
        refuse_other_columns(pair)


def check_rights(plan: Plan) -> None:
    writers.refuse_unfit_owners(plan)
    for pair in plan.pairs:
        rights.refuse_closed_schema(plan.connection, pair.target.schema, "views")
        refuse_closed_to_owner(pair.target, plan)
    rights.refuse_strangers_code(plan)
    rights.refuse_closed_tables(plan)
    rights.refuse_closed_referrers(plan)


def refuse_closed_to_owner(table: Table, plan: Plan) -> None:
    """A view or a table can be given only to a role that could have made it."""
    question = "SELECT has_schema_privilege(%s, %s, 'CREATE')"
    if not asking.value(plan.connection, question, [table.owner, table.schema]):
        raise Refused(
            f"The owner {table.owner!r} of {table} may not create views in schema {table.schema}.",
            f"Run GRANT CREATE ON SCHEMA {readable(table.schema)} TO {readable(table.owner)}.",
        )


# ----- the declaration


def refuse_changes(plan: Plan) -> None:
    """No row is changed, so no value can be computed, dropped or filled in."""
    move = plan.move
    given = {name: value for name, value in move.fields.items() if not isinstance(value, str)}
    for what, names in (("fields", given), ("backwards", move.backward_fields), ("discard", sorted(move.discard))):
        for name in names:
            raise Refused(
                f"{plan} is to move in place, which changes no value, but {what} names {name!r}.",
                f"Take it out of {what}, or leave in_place=True out, so that the rows are copied.",
            )
    unmatched = len(implicit_many_to_many(plan.target_model)) - len(plan.pairs) + 1
    if unmatched:
        raise Refused(
            f"{plan.target_model._meta.label} has {unmatched} many-to-many field(s) that "
            f"{plan.source_model._meta.label} lacks.",
            "Add such a field in a migration after this one.",
        )


# ----- the columns


def refuse_other_place(pair: TablePair) -> None:
    if pair.source.schema != pair.target.schema:
        raise Refused(f"{pair.source} and {pair.target} are in two schemas.", COPY)
    if pair.source.owner != pair.target.owner:
        raise Refused(
            f"{pair.source} belongs to {pair.source.owner!r}, and {pair.target} to {pair.target.owner!r}.",
            f"Run ALTER TABLE {place(pair.target)} OWNER TO {readable(pair.source.owner)} first.",
        )


def refuse_other_columns(pair: TablePair) -> None:
    """Each column has a counterpart of the same type, collation and nullability."""
    matched = {new: pair.source.column(old) for old, new in find_columns(pair).items()}
    for column in pair.source.columns:
        if column not in matched.values():
            raise Refused(f"{pair.source}.{column.name} has no counterpart in {pair.target}.", COPY)
    for there in pair.target.columns:
        if there.name not in matched:
            raise Refused(
                f"{pair.target}.{there.name} has no counterpart in {pair.source}.",
                f"Add the field in a migration after this one, or {COPY[0].lower()}{COPY[1:]}",
            )
        here = matched[there.name]
        for what, mine, other in (
            ("type", here.type, there.type),
            ("collation", here.collation, there.collation),
            ("null", here.nullable, there.nullable),
            ("generated", here.generation, there.generation),
            ("numbered by a sequence", here.name in pair.source.sequences, there.name in pair.target.sequences),
        ):
            free = what == "type" and is_key_of_many_to_many(pair, here) and is_key_of_many_to_many(pair, there)
            if mine != other and not free:
                raise Refused(
                    f"{pair.source}.{here.name} and {pair.target}.{there.name} differ in what PostgreSQL calls "
                    f"their definition: {what} is {mine!r} here and {other!r} there.",
                    f"Change one of the models by a migration first, or {COPY[0].lower()}{COPY[1:]}",
                )


def is_key_of_many_to_many(pair: TablePair, column: Column) -> bool:
    keys = {name for names in pair.forward.key for name in names}
    return pair.width_is_free and column.name in keys and column.type in {"integer", "bigint"}


# ----- the parts


def check_parts(plan: Plan, found: Iterable[Counterparts]) -> None:
    for pair, parts in zip(plan.pairs, found, strict=True):
        refuse_lacking(pair, parts)
        refuse_unvalidated(pair)
        refuse_borrowed_sequences(pair, plan)
        refuse_named_columns(pair, parts, plan)
        refuse_same_trigger(pair, plan)
        refuse_owner_rights(pair)
        tables.refuse_unfit(pair.target)
    leftovers.refuse_ties(Way.IN_PLACE, plan)


def refuse_lacking(pair: TablePair, found: Counterparts) -> None:
    for statement in found.lacking:
        raise Refused(
            f"{pair.target} has a constraint or an index that {pair.source} lacks.",
            f"Give it to {pair.source} first, under any name: {statement}.",
        )


def refuse_unvalidated(pair: TablePair) -> None:
    for constraint in pair.source.all_constraints:
        if not constraint.validated:
            name = readable(constraint.name)
            raise Refused(
                f"PostgreSQL has not checked every row of {pair.source} against its constraint {name}.",
                f"Run ALTER TABLE {place(pair.source)} VALIDATE CONSTRAINT {name} first.",
            )


def refuse_borrowed_sequences(pair: TablePair, plan: Plan) -> None:
    for column, sequence in anatomy.find_borrowed(pair.source, plan.connection):
        raise Refused(
            f"{pair.source}.{column} draws from the sequence {sequence}, which is not its own alone.",
            f"Run ALTER SEQUENCE {sequence} OWNED BY {place(pair.source)}.{readable(column)}, and let no "
            "other column draw from it.",
        )


def refuse_named_columns(pair: TablePair, found: Counterparts, plan: Plan) -> None:
    """A trigger stays with its table, unless the twin has another for it, and its function still reads the old names
    from `new` and `old`.
    """
    renamed = [old for old, new in found.renaming.columns.items() if old != new]
    succeeded = project_triggers.succeeded(pair, plan)
    for trigger in [trigger for trigger in pair.source.triggers if trigger not in succeeded]:
        for column in renamed:
            if has_word(column, trigger.body) or column in trigger.arguments:
                refuse_named(trigger, pair.source, f"the column {column!r}")


def refuse_named(trigger: Trigger, table: Table, named: str) -> NoReturn:
    raise Refused(
        f"The trigger {trigger.name!r} of {table} names {named} in its function, which gets another name.",
        f"Run DROP TRIGGER {readable(trigger.name)} ON {place(table)} first, and create it for the other names "
        "afterwards.",
    )


def refuse_same_trigger(pair: TablePair, plan: Plan) -> None:
    """Two triggers of one name can't stay on one table."""
    for trigger in project_triggers.succeeded(pair, plan):
        if trigger.name in {there.name for there in pair.target.triggers}:
            name = readable(trigger.name)
            raise Refused(
                f"{pair.source} and {pair.target} both have a trigger {trigger.name!r}, and a table can have only one "
                "of that name.",
                f"Run DROP TRIGGER {name} ON {place(pair.target)} first: that of {pair.source} stays with the table.",
            )


def refuse_owner_rights(pair: TablePair) -> None:
    """A view over single granted columns reads with its owner's rights, for whom no policy holds."""
    if pair.source.row_security and any(g.column and g.privilege == "SELECT" for g in pair.source.grants):
        raise Refused(
            f"{pair.source} has row-level security, and grants to read single columns: no view could keep both.",
            "Grant SELECT on the whole table instead.",
        )


# ----- the way back


def check_back(plan: Plan, run: MoveRun, kept: InPlace) -> None:
    """Everything that must hold before the first write of the way back."""
    tables.refuse_moved_on(plan)
    stay = foreign_keys.staying(plan, kept.stay)
    checks.refuse_later_moves(plan, run, stay)
    check_place(plan, kept)
    refuse_names_of_now(plan, run, kept)
    checks.check_unreferenced(plan, stay)


def check_place(plan: Plan, kept: InPlace) -> None:
    """What of it no migration that is unapplied before is meant to change."""
    for pair in plan.pairs:
        refuse_no_view(pair)
        for table in (pair.source, pair.target):
            rights.refuse_strangers_table(table, plan.connection)
    leftovers.refuse_ties(Way.IN_PLACE_BACK, plan)
    refuse_lost_defaults(plan, kept)
    check_rights(plan)


def refuse_names_of_now(plan: Plan, run: MoveRun, kept: InPlace) -> None:
    """A trigger of the project's that was created since, for the names of now. The twin's are dropped, and those that
    they succeeded have the names that come back.
    """
    record = Record.of(run)
    for pair, made in zip(plan.pairs, kept.pairs, strict=True):
        go = {*project_triggers.of_twin(pair, record), *project_triggers.of_table(pair, record)}
        renamed = [now for before, now in made.renaming.columns.items() if before != now]
        for trigger in project_triggers.of_project(pair.target):
            if trigger not in go and trigger.state != project_triggers.DISABLED:
                refuse_name_of_now(trigger, pair.target, renamed)


def refuse_name_of_now(trigger: Trigger, table: Table, renamed: Iterable[str]) -> None:
    if has_word(table.name, trigger.body):
        refuse_named(trigger, table, f"the table {table}")
    for column in renamed:
        if reads(column, trigger):
            refuse_named(trigger, table, f"the column {column!r}")


def reads(column: str, trigger: Trigger) -> bool:
    """Whether its function reads a column of the row; that it has the word alone does not stop a rollback."""
    name = re.escape(column)
    of_row = rf"""\b(?:new|old)\s*\.\s*"?{name}\b|'{name}'"""
    return column in trigger.arguments or re.search(of_row, trigger.body, re.IGNORECASE) is not None


def refuse_lost_defaults(plan: Plan, kept: InPlace) -> None:
    """A default that is not the target's is the view's: what the run has kept of it is compared, and not run."""
    for pair, made in zip(plan.pairs, kept.pairs, strict=True):
        for name, default in made.defaults.items():
            gone = pair.source.oid == GONE or pair.source.column(name).default is None
            if default is not None and gone:
                view = standing_views.in_place(pair, made)
                create = [view.make(plan)[0]] if pair.source.oid == GONE else []
                statements = [*(one.as_string() for one in create), f"ALTER VIEW {place(pair.source)} ALTER COLUMN "]
                raise Refused(
                    f"{pair.source}.{name} had a default of its own, which was kept by the view of that name, and is "
                    "gone with it.",
                    f"Run {'; '.join(statements)}{readable(name)} SET DEFAULT ..., with that default.",
                )


def refuse_no_view(pair: TablePair) -> None:
    if pair.source.kind != "v":
        raise Refused(
            f"{pair.source} is no view of {pair.target}, as the move left it, so its name is not free.",
            "Rename or drop what is there under that name.",
        )
