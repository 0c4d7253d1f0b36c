"""Refusals of a move in place: the table must be able to take its twin's place as it is, and its own again."""

import re
from collections.abc import Collection, Iterable

from rehome.errors import Refused
from rehome.parts.matching import Counterparts, find_columns
from rehome.plan.historical import implicit_many_to_many
from rehome.plan.plan import Plan, TablePair
from rehome.postgres import anatomy, catalog
from rehome.postgres.sql import place, readable
from rehome.postgres.tables import Table
from rehome.preflight import checks, rights, tables

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
    for pair in plan.pairs:
        rights.refuse_closed_schema(plan.connection, pair.target.schema, "views")
        refuse_closed_to_owner(pair.target, plan)
    rights.refuse_closed_tables(plan)
    rights.refuse_closed_referrers(plan)


def refuse_closed_to_owner(table: Table, plan: Plan) -> None:
    """A view or a table can be given only to a role that could have made it."""
    question = "SELECT has_schema_privilege(%s, %s, 'CREATE')"
    if not catalog.value(plan.connection, question, [table.owner, table.schema]):
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
            if mine != other:
                raise Refused(
                    f"{pair.source}.{here.name} and {pair.target}.{there.name} differ in what PostgreSQL calls "
                    f"their definition: {what} is {mine!r} here and {other!r} there.",
                    f"Change one of the models by a migration first, or {COPY[0].lower()}{COPY[1:]}",
                )


# ----- the parts


def check_parts(plan: Plan, found: Iterable[Counterparts]) -> None:
    for pair, parts in zip(plan.pairs, found, strict=True):
        refuse_lacking(pair, parts)
        refuse_unvalidated(pair)
        refuse_borrowed_sequences(pair, plan)
        refuse_named_columns(pair, parts)
        refuse_owner_rights(pair)
        refuse_what_the_twin_has(pair, plan)


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


def refuse_named_columns(pair: TablePair, found: Counterparts) -> None:
    """A trigger stays with its table, and its function still reads the old names from `new` and `old`."""
    renamed = [old for old, new in found.renaming.columns.items() if old != new]
    for trigger in pair.source.triggers:
        for column in renamed:
            if re.search(rf"\b{re.escape(column)}\b", trigger.body):
                raise Refused(
                    f"The trigger {trigger.name!r} of {pair.source} names the column {column!r} in its function, "
                    "and the column is renamed.",
                    "Drop the trigger first, and create it for the new names afterwards.",
                )


def refuse_owner_rights(pair: TablePair) -> None:
    """A view over single granted columns reads with its owner's rights, for whom no policy holds."""
    if pair.source.row_security and any(g.column and g.privilege == "SELECT" for g in pair.source.grants):
        raise Refused(
            f"{pair.source} has row-level security, and grants to read single columns: no view could keep both.",
            "Grant SELECT on the whole table instead.",
        )


def refuse_what_the_twin_has(pair: TablePair, plan: Plan) -> None:
    """What would be gone with the twin, and what would keep it from going."""
    tables.refuse_unfit(pair.target)
    twin = pair.target, plan.connection
    for name in (*anatomy.find_belongings(*twin), *anatomy.find_dependents(*twin)):
        raise Refused(
            f"{name} depends on {pair.target}, which is dropped in favour of {pair.source}.",
            "Drop it before the move, and create it again afterwards.",
        )


# ----- the way back


def check_back(plan: Plan, stay: Collection[tuple[str, str, str]]) -> None:
    """Everything that must hold before the first write of the way back."""
    tables.refuse_moved_on(plan)
    for pair in plan.pairs:
        refuse_no_view(pair)
        for table in (pair.source, pair.target):
            rights.refuse_strangers_table(table, plan.connection)
        for name in anatomy.find_dependents(pair.source, plan.connection):
            raise Refused(f"{name} depends on {pair.source}, which is dropped.", "Drop it first.")
    check_rights(plan)
    checks.check_unreferenced(plan, stay)


def refuse_no_view(pair: TablePair) -> None:
    if pair.source.kind != "v":
        raise Refused(
            f"{pair.source} is no view of {pair.target}, as the move left it, so its name is not free.",
            "Rename or drop what is there under that name.",
        )
