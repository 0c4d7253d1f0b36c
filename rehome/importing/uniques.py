"""The unique constraints and indexes of a table, and how to drop one until the end of a transaction."""

import dataclasses
from collections.abc import Iterator

from rehome.postgres import sql
from rehome.postgres.sql import SQL, Statement
from rehome.postgres.tables import Constraint, Index, Table


@dataclasses.dataclass(frozen=True)
class Unique:
    name: str
    columns: tuple[str, ...]
    nulls_equal: bool
    """Whether two nulls are the same value for it."""
    waits: bool
    """Whether it is checked at the end of a statement or of the transaction, so that rows can exchange values."""
    drop: Statement | None
    """None where something depends on it, or its definition is not complete."""
    rebuild: Statement

    def same(self, one: str, other: str) -> Statement:
        """Whether two rows have the same values; null where one of these is unknown."""
        if not self.nulls_equal:
            return sql.equal(one, other, zip(self.columns, self.columns, strict=True))
        # PostgreSQL can join by the hash; by IS NOT DISTINCT alone it would compare every pair of rows.
        rows = [SQL("ROW({})").format(sql.of(row, self.columns)) for row in (one, other)]
        return SQL(
            "hash_record_extended({0}, 0) = hash_record_extended({1}, 0) AND {0} IS NOT DISTINCT FROM {1}"
        ).format(*rows)


def find_uniques(table: Table) -> Iterator[Unique]:
    """Those over columns alone: for an expression or a condition, ask PostgreSQL itself."""
    relied_on = {incoming.index for incoming in table.incoming}
    found: list[Constraint | Index] = [constraint for constraint in table.constraints if constraint.kind in "pu"]
    for one in [*found, *(index for index in table.indexes if index.unique and index.columns)]:
        if isinstance(one, Constraint):
            waits, drop = one.deferrable, sql.drop_constraint(table.schema, table.name, one.name)
            rebuild = sql.add_constraint(table.schema, table.name, one.name, one.definition)
        else:
            waits, drop, rebuild = False, sql.drop_index(table, one.name), SQL(one.definition)
        free = table.owned and one.plain and one.name not in relied_on
        nulls_equal = "NULLS NOT DISTINCT" in one.definition
        yield Unique(one.name, one.columns, nulls_equal, waits, drop if free else None, rebuild)
