"""What a table consists of, as PostgreSQL has it: frozen dataclasses, which catalog.py and anatomy.py read."""

import dataclasses
import functools
import re

from psycopg import sql

LARGEST = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}
"""By type of a key column, the last key that it can hold."""
PREFIX = "rehome_"
"""What the names of the triggers and functions begin with that rehome creates."""
ACTS = re.compile(r" ON (DELETE|UPDATE) (CASCADE|SET )")
PERIOD = re.compile(r", PERIOD ([\w$]+|\"([^\"]|\"\")+\")\)$")


@dataclasses.dataclass(frozen=True)
class Column:
    name: str
    type: str
    """With its modifiers, as `format_type` prints it: `character varying(200)`."""
    base_type: str
    """Without modifiers: `character varying`."""
    type_schema: str
    nullable: bool
    default: str | None
    identity: str
    """`a` always, `d` by default, empty when it is no identity column."""
    generated: str
    """`s` stored, `v` virtual, empty when it is no generated column."""
    collation: str
    """Qualified and quoted; empty for a type that has none."""
    generation: str | None = None
    """The expression that a generated column computes from the others of its row."""

    @functools.cached_property
    def modifiers(self) -> tuple[int, ...]:
        """Length of a varchar, precision and scale of a numeric."""
        found = re.search(r"\(([\d, ]+)\)", self.type)
        return tuple(int(part) for part in found[1].split(",")) if found else ()


@dataclasses.dataclass(frozen=True)
class Index:
    name: str
    definition: str
    """The whole CREATE INDEX statement."""
    unique: bool
    columns: tuple[str, ...]
    """Empty when the index has expressions or a condition."""
    plain: bool
    """Whether its definition says everything: no comment, tablespace, statistics target or role of its own."""


@dataclasses.dataclass(frozen=True)
class Constraint:
    """Any but a foreign key. Whether it is validated is no part of its definition."""

    name: str
    kind: str
    """p primary key, u unique, x exclusion, c check."""
    definition: str
    columns: tuple[str, ...]
    validated: bool
    deferrable: bool
    expression: str | None
    plain: bool = True
    """Whether its definition says everything, and no view depends on it."""


@dataclasses.dataclass(frozen=True)
class End:
    """What a foreign key points at."""

    schema: str
    table: str
    columns: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"


@dataclasses.dataclass(frozen=True)
class ForeignKey:
    """Its definition reads `head`, the other end, `tail`."""

    schema: str
    table: str
    name: str
    head: str
    tail: str
    end: End
    validated: bool
    columns: tuple[str, ...] = ()
    """Empty for one that only a run has kept, as are those that follow."""
    referenced: str = ""
    """The other table, qualified, and quoted where it must be."""
    referenced_oid: int = 0
    index: str = ""
    """The unique index there that it relies on."""
    comment: str = ""

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"

    @property
    def definition(self) -> str:
        *first, last = (sql.Identifier(column).as_string() for column in self.end.columns)
        columns = ", ".join([*first, f"PERIOD {last}" if PERIOD.search(self.head) else last])
        place = sql.Identifier(self.end.schema, self.end.table).as_string()
        return f"{self.head} REFERENCES {place} ({columns}){self.tail}"

    @property
    def acts(self) -> bool:
        """Whether the database itself deletes or changes rows for it."""
        return ACTS.search(self.tail) is not None


@dataclasses.dataclass(frozen=True)
class Grant:
    grantee: str
    """A role, or an empty string for PUBLIC."""
    privilege: str
    grantable: bool
    column: str
    """Empty for a grant on the whole table or sequence."""


@dataclasses.dataclass(frozen=True)
class Sequence:
    schema: str
    name: str
    type: str
    start: int
    increment: int
    minimum: int
    maximum: int
    cache: int
    cycle: bool
    grants: tuple[Grant, ...] = ()


@dataclasses.dataclass(frozen=True)
class Trigger:
    name: str
    function_schema: str
    function: str
    body: str
    enabled: bool
    type: int
    """pg_trigger.tgtype: when it fires, as bits."""
    whole: bool
    """Fires for every row and column, and with the rights and the search path of the function."""


@dataclasses.dataclass(frozen=True)
class Table:
    oid: int
    schema: str
    name: str
    kind: str
    owner: str
    owned: bool
    """Whether the connected role has the rights of the owner."""
    row_security: bool
    persistence: str
    """p permanent, u unlogged, t temporary."""
    inherits: bool
    partition: bool
    rules: tuple[str, ...]
    columns: tuple[Column, ...]
    constraints: tuple[Constraint, ...]
    foreign_keys: tuple[ForeignKey, ...]
    incoming: tuple[ForeignKey, ...]
    """Those of other tables that point here."""
    indexes: tuple[Index, ...]
    """Those that no constraint made."""
    triggers: tuple[Trigger, ...]
    grants: tuple[Grant, ...]
    sequences: dict[str, Sequence]
    """By column: the sequence that the column's identity or `nextval` default draws from."""

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    def has_column(self, name: str) -> bool:
        return any(column.name == name for column in self.columns)

    @property
    def all_constraints(self) -> tuple[Constraint | ForeignKey, ...]:
        return (*self.constraints, *self.foreign_keys)


@dataclasses.dataclass(frozen=True)
class Anatomy:
    table: Table
    comments: dict[str, str]
    """By column; that of the table itself under an empty name."""
    not_nulls: dict[str, str]
    """By column: the name of its NOT NULL."""


def describe(anatomy: Anatomy) -> set[tuple[object, ...]]:
    """Everything that has a name, and what PostgreSQL says of it; whether it is validated is left out."""
    table = anatomy.table
    return {
        *(("column", *dataclasses.astuple(column)) for column in table.columns),
        *(("constraint", c.name, c.definition) for c in table.all_constraints),
        *(("index", index.name, index.definition) for index in table.indexes),
        *(("sequence of", column, s.schema, s.name) for column, s in table.sequences.items()),
        *(("comment on", *item) for item in anatomy.comments.items()),
        *(("not null of", *item) for item in anatomy.not_nulls.items()),
    }
