"""Texts that the `normalise` of a lookup does not take, such as one that is no time.

One that came from the source is a reject. In one that it is compared with, no row of the source is to blame: an error
names it.
"""

from collections.abc import Iterator, Mapping

from rehome.errors import ImportFailed, visible
from rehome.importing import lookups
from rehome.importing.declaration import Lookup
from rehome.importing.lookups import Found
from rehome.importing.plan import ImportPlan, Taken
from rehome.importing.rejected.catching import create_function
from rehome.importing.tables import temporary
from rehome.importing.values import ask, cell
from rehome.plan.historical import column_of, concrete_fields
from rehome.plan.plan import Flow
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL, Identifier, Literal, Statement


def create_faults(plan: ImportPlan) -> Iterator[Statement]:
    """The functions that `fault` calls, which `lookups.drop_faults` drops."""
    for taken in plan.lookups:
        if taken.lookup and taken.lookup.normalise:
            yield lookups.drop_fault(plan, taken)
            given = lookups.as_looked_up(plan, taken.lookup, Identifier("given"))
            yield create_function(
                lookups.fault(plan, taken), f"DECLARE made text := {given}; BEGIN RETURN NULL; END;", "text", "SQLERRM"
            )


def fault(plan: ImportPlan, taken: Taken, text: Statement) -> Statement | None:
    """Why a text is not taken, null where it is; None where each is."""
    normalises = taken.lookup and taken.lookup.normalise
    return SQL("{}({})").format(lookups.fault(plan, taken), text) if normalises else None


def safely(plan: ImportPlan, found: Found, text: Statement) -> Statement:
    """A text in the form in which it is compared; null where it has none."""
    assert found.taken.lookup  # noqa: S101  It is one's.
    made, why = SQL(lookups.as_looked_up(plan, found.taken.lookup, text)), fault(plan, found.taken, text)
    return SQL("CASE WHEN {} IS NULL THEN {} END").format(why, made) if why else made


def blame(found: Found, plan: ImportPlan, other: ImportPlan, flow: Flow) -> Statement | None:
    """Changes the reason of values that are found in a row which cannot be imported itself; None where that is unknown.

    `flow` is that of `other`, an import into the model that was looked in.
    """
    lookup = found.taken.lookup
    field = concrete_fields(other.target_model).get(str(lookup.by)) if lookup else None
    if not lookup or not field or str(lookup.among).lower() != other.target_model._meta.label_lower:
        return None
    if column_of(field) not in {a.column.name for a in flow.carried}:
        return None
    by = SQL("{}::text").format(Identifier("parent", column_of(field)))
    return SQL(
        'UPDATE {rejects} AS rejected SET reason = {reason} WHERE "column" = {column} AND EXISTS '
        "(SELECT FROM {left} AS parent WHERE {natural} = {given})"
    ).format(
        rejects=temporary(plan, "rejects"),
        reason=Literal(f"refers to a row of {other.target} that cannot be imported itself"),
        column=Literal(found.taken.column.name),
        left=temporary(other, "left"),
        natural=safely(plan, found, by),
        given=safely(plan, found, Identifier("rejected", "value")),
    )


def ask_own(plan: ImportPlan, flow: Flow) -> Iterator[Statement]:
    """Rows of the source that others of this import are looked up among, by a value that is not taken."""
    fields, carried = concrete_fields(plan.target_model), {a.column.name for a in flow.carried}
    for taken in plan.own_lookups:
        field = fields.get(str(taken.lookup.by)) if taken.lookup else None
        if field and (column := column_of(field)) in carried:
            text = SQL("{}::text").format(cell(column))
            if why := fault(plan, taken, text):
                place = Literal(f", and {taken.column.name} is looked up in {taken.lookup}")
                yield ask(flow, column, SQL("{} || {}").format(why, place), text, SQL("{} IS NOT NULL").format(why))


def refuse_known(plan: ImportPlan, session: Session) -> None:
    """Raises ImportFailed for a text of the target or of the declaration that is not taken."""
    for taken in plan.lookups:
        why = fault(plan, taken, Identifier("known", "text"))
        for place, known in find_known(plan, taken) if why else ():
            question = SQL("SELECT text, {0} FROM ({1}) AS known (text, value) WHERE {0} IS NOT NULL LIMIT 1")
            for text, reason in session.rows(question.format(why, known)):
                raise ImportFailed(
                    f"{plan} looks {taken.column.name} up in {taken.lookup}, and {place} has {visible(repr(text))}, "
                    f"which the lookup's normalise does not take: {visible(reason)}. Nothing is committed; correct "
                    "that value, or let normalise make null of it."
                )


def find_known(plan: ImportPlan, taken: Taken) -> Iterator[tuple[str, Statement]]:
    """The texts that the source's are compared with, as they are, each with a value; and where they are."""
    if taken.lookup:
        given = isinstance(taken.lookup.among, Mapping)
        as_it_is = Lookup(taken.lookup.among, by=taken.lookup.by, gives=taken.lookup.gives)
        place = "the declaration" if given else f"database {plan.connection.alias!r}"
        yield place, lookups.known(plan, taken, as_it_is)
    if taken.constant:
        yield "the declaration", SQL("SELECT {}, NULL").format(Literal(str(taken.given.value)))  # type: ignore[union-attr]
