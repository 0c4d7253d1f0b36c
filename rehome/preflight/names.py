"""Refuses names that a move needs and that somebody else has taken: names of rehome's can be foretold."""

from collections.abc import Iterable, Iterator

from rehome.errors import Refused
from rehome.parts import lives, made, sync
from rehome.parts.made import Made
from rehome.parts.triggers import trigger_name
from rehome.plan.plan import Plan
from rehome.postgres import asking, rights
from rehome.postgres.sql import Identifier, Statement
from rehome.postgres.tables import Table

HAS_ITS_RIGHTS = "SELECT pg_has_role(%s, %s, 'MEMBER')"


def refuse_of_move(plan: Plan) -> None:
    """Before a move: its triggers' functions, the values that they compute, what they count with, and the fence."""
    triggers = [*sync.wanted(plan, granting=True), *map(sync.fence_of_target, plan.pairs)]
    refuse_taken(plan, made.of_triggers(triggers))


def refuse_of_retirement(plan: Plan) -> None:
    refuse_taken(plan, needed_to_retire(plan))
    for pair in plan.pairs:
        aside = Identifier(pair.source.schema, trigger_name("aside", pair))
        if found := rights.read_rights(plan.connection, "TABLE", aside.as_string()):
            raise taken(aside, found[0])


def refuse_adopted(plan: Plan, used: Iterable[Made]) -> None:
    """Before a repair: what it would use as it finds it."""
    for one in used:
        found = None if one.is_made_anew else rights.read_rights(plan.connection, one.kind, one.place.as_string())
        if found and not asking.value(plan.connection, HAS_ITS_RIGHTS, [found[0], one.owner]):
            raise Refused(f"{one} belongs to {found[0]!r}, and not to {one.owner!r}.", one.cure_of_owner)


def needed_to_retire(plan: Plan) -> Iterator[Made]:
    for pair in lives.needed(plan):
        for kind in ("lives", "lives_was", "lives_now"):
            yield relation(pair.source, trigger_name(kind, pair))
        yield from made.of_triggers(lives.wanted(pair))


def relation(table: Table, name: str) -> Made:
    return Made("TABLE", Identifier(table.schema, name), table.owner)


def refuse_taken(plan: Plan, needed: Iterable[Made]) -> None:
    """What is there already is made anew, or used, as long as it belongs to whoever has the owner's rights anyway."""
    for one in needed:
        if found := rights.read_rights(plan.connection, one.kind, one.place.as_string()):
            owner, _ = found
            if not asking.value(plan.connection, HAS_ITS_RIGHTS, [owner, one.owner]):
                raise taken(one.place, owner)


def taken(place: Statement, owner: str) -> Refused:
    name = place.as_string().replace('"', "")
    return Refused(
        f"{name} is there already and belongs to {owner!r}: the move needs that name for something of its own.",
        "Find out what it is for, and drop or rename it.",
    )
