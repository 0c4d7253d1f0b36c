"""What was revoked on the old table of a live move, and is still granted on the new one because of the move."""

import dataclasses
from collections.abc import Iterator

from rehome.parts import grants
from rehome.parts.defect import Defect
from rehome.plan.plan import Plan, TablePair
from rehome.plan.record import Record
from rehome.postgres.sql import place, readable
from rehome.postgres.tables import Grant


def outlived(pair: TablePair, record: Record) -> list[Grant]:
    """Of what the move granted on the target, what has been revoked on the source since."""
    added, before = (grants.levels(kept.get(str(pair.target), ())) for kept in (record.grants, record.grants_before))
    columns = grants.columns_there(pair)
    given = tuple(there for one in pair.source.grants for there in grants.there(one, columns))
    here = dataclasses.replace(pair.source, grants=given)
    return [
        one
        for one in pair.target.grants
        if grants.right(one) in added and grants.right(one) not in before and not grants.holds(here, one)
    ]


def find_defects(plan: Plan, record: Record) -> Iterator[Defect]:
    """What was revoked under one name alone. Whether the role was to lose it under both, nothing tells."""
    for pair in plan.pairs:
        by_role: dict[tuple[str, str], list[Grant]] = {}
        for one in outlived(pair, record):
            by_role.setdefault((one.grantee, one.grantor), []).append(one)
        for (grantee, grantor), left in by_role.items():
            role = readable(grantee) if grantee else "PUBLIC"
            listed = ", ".join(dict.fromkeys(grants.what(one.privilege, one.column).as_string() for one in left))
            yield Defect(
                f"{role} has {listed} on {pair.target} because of the move, and it was revoked on {pair.source} since.",
                f"Run REVOKE {listed} ON {place(pair.target)} FROM {role} CASCADE"
                f"{f' as {grantor!r}' if grantor else ''}; or, where {role} is to keep it, grant it on "
                f"{place(pair.source)} again.",
            )
