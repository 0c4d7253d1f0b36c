"""The unique constraints and indexes of a table, and how one is taken away for the length of a transaction."""

import dataclasses
from collections.abc import Iterator

from rehome.postgres import sql
from rehome.postgres.sql import SQL, Identifier, Statement, of
from rehome.postgres.tables import Constraint, Index, Table


@dataclasses.dataclass(frozen=True)
class Unique:
    name: str
    columns: tuple[str, ...]
    nulls_equal: bool
    """Whether two nulls are the same value for it."""
    waits: bool
    """Whether it is checked when a statement, or the transaction, is done: rows may then exchange their values."""
    drop: Statement | None
    """None where something depends on it, or its definition does not say everything."""
    restore: Statement

    def same(self, one: str, other: str) -> Statement:
        """Whether two rows have the same values; null where one of these is unknown."""
        if not self.nulls_equal:
            return SQL(" AND ").join(
                SQL("{} = {}").format(Identifier(one, column), Identifier(other, column)) for column in self.columns
            )
        # The hash lets rows be joined by it: nothing else finds what is not distinct, but a look at every pair.
        rows = [SQL("ROW({})").format(of(row, self.columns)) for row in (one, other)]
        return SQL(
            "hash_record_extended({0}, 0) = hash_record_extended({1}, 0) AND {0} IS NOT DISTINCT FROM {1}"
        ).format(*rows)


def find_uniques(table: Table) -> Iterator[Unique]:
    """Those over columns alone: an expression or a condition is PostgreSQL's own business."""
    relied_on = {incoming.index for incoming in table.incoming}
    found: list[tuple[Constraint | Index, bool, Statement, Statement]] = [
        (
            c,
            c.deferrable,
            sql.drop_constraint(table.schema, table.name, c.name),
            sql.add_constraint(table.schema, table.name, c.name, c.definition),
        )
        for c in table.constraints
        if c.kind in "pu"
    ]
    found += [
        (i, False, sql.drop_index(table, i.name), SQL(i.definition)) for i in table.indexes if i.unique and i.columns
    ]
    for one, waits, drop, restore in found:
        free = table.owned and one.plain and one.name not in relied_on
        nulls_equal = "NULLS NOT DISTINCT" in one.definition
        yield Unique(one.name, one.columns, nulls_equal, waits, drop if free else None, restore)
