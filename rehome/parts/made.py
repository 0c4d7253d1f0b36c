"""What a move makes beside its tables, who owns each thing, and who may do what with it: one table of facts.

Whatever default privileges gave, a restored dump lost, or somebody changed is told from it.
"""

import dataclasses
from collections.abc import Iterable, Iterator

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.parts import aside, grants, lives, standing_views, sync
from rehome.parts.defect import Defect
from rehome.parts.triggers import Trigger
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.postgres import catalog, rights
from rehome.postgres.sql import SQL, Identifier, Statement, name, readable
from rehome.postgres.tables import OURS, Grant


@dataclasses.dataclass(frozen=True)
class Made:
    kind: str
    """TABLE, SEQUENCE or FUNCTION, as GRANT names it."""
    place: Statement
    """Its name, with the arguments of a function."""
    owner: str
    grants: tuple[Grant, ...] = ()
    """All that anybody but the owner may do."""

    def __str__(self) -> str:
        return f"The {self.kind.lower()} {self.place.as_string()}".replace('"', "")

    @property
    def is_made_anew(self) -> bool:
        """Whether a repair replaces it; anything else is used as it is, and so must not be another's."""
        return self.kind == "FUNCTION"

    @property
    def cure_of_owner(self) -> str:
        """Where somebody else owns what a repair would use as it is."""
        if self.is_made_anew:
            return ""
        place = self.place.as_string()
        return (
            f"If the move has made it, run ALTER {self.kind} {place} OWNER TO {readable(self.owner)}; if not, drop or "
            "rename it."
        )

    def find_defects(self, plan: Plan) -> Iterator[Defect]:
        found = rights.read_rights(plan.connection, self.kind, self.place.as_string())
        if found is None:
            yield Defect(f"{self} is gone: every write that uses it fails.")
            return
        owner, held = found
        if owner != self.owner:
            yield Defect(f"{self} belongs to {owner!r}, and not to {self.owner!r}.", self.cure_of_owner)
        # To the new owner, when it gets one, all of this is his own.
        given, wanted = (grants.levels(one for one in of if one.grantee != self.owner) for of in (held, self.grants))
        if beyond := grants.roles(right for right, option in given.items() if option > wanted.get(right, -1)):
            yield Defect(f"{self} gives privileges to {beyond}, who should have none.")
        if lacking := grants.roles(right for right in wanted if right not in given):
            yield Defect(f"{self} lacks the privileges that {lacking} needs to write.")


def of_triggers(triggers: Iterable[Trigger]) -> Iterator[Made]:
    """A trigger calls its function whoever has the right to; the counter is used as the writer."""
    for trigger in triggers:
        schema, owner, users = trigger.table.schema, trigger.table.owner, trigger.users or ()
        yield Made("FUNCTION", SQL("{}()").format(Identifier(schema, trigger.name)), owner)
        for value in trigger.values:
            yield Made("FUNCTION", value.signature, value.table.owner, value.grants)
        if trigger.counter:
            yield Made("SEQUENCE", Identifier(schema, trigger.counter), owner, given(users, owner))


def given(users: Iterable[str], owner: str) -> tuple[Grant, ...]:
    return tuple(Grant(user, "USAGE", grantable=False, column="") for user in users if user != owner)


def of_live(plan: Plan) -> list[Made]:
    """While both tables live."""
    return list(of_triggers(sync.wanted(plan)))


def of_retired(plan: Plan, record: Record) -> list[Made]:
    """What is kept of a retired table, for its owner alone; the views themselves are in `standing_views`."""
    noted = lives.noted(plan) if record.aside else []
    tables = [catalog.read_table(plan.connection, place.as_string()) for place in aside.places(record)]
    triggers = [trigger for pair in noted for trigger in lives.wanted(pair)]
    return [
        *(Made("TABLE", name(table), table.owner) for table in tables if table),
        *(Made("TABLE", lives.place(pair), pair.source.owner) for pair in noted),
        *of_triggers(triggers),
    ]


def is_damaged(plan: Plan, record: Record) -> bool:
    """Whether a move whose old names are views lacks anything that its repair would make again."""
    others = (*standing_views.find_defects(plan, record), *lives.find_defects(plan, record))
    return bool(others or find_defects(plan, of_retired(plan, record)))


def find_defects(plan: Plan, made: Iterable[Made]) -> list[Defect]:
    return list(dict.fromkeys(defect for one in made for defect in one.find_defects(plan)))


def withdraw(plan: Plan, made: Iterable[Made]) -> list[Statement]:
    """Whatever others may do beyond the facts, where that is so."""
    return [
        statement
        for one in made
        if any(one.find_defects(plan))
        for statement in grants.exactly(one.kind, one.place, one.grants)
    ]


def drop_uncalled(connection: BaseDatabaseWrapper) -> list[Statement]:
    """Functions whose triggers are gone, as DROP TABLE leaves them."""
    return [
        SQL("DROP FUNCTION IF EXISTS {}()").format(Identifier(*place))
        for place in catalog.find_uncalled(connection, f"^{OURS.pattern}$")
    ]
