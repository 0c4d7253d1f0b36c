"""Reads pg_catalog into frozen dataclasses; the only module that knows its tables, and it never writes."""

import dataclasses
import functools
import re

LARGEST = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}
"""By type of a key column, the last key that it can hold."""
PREFIX = "rehome_"
"""What the names of the triggers and functions begin with that rehome creates."""
REFERENCED = re.compile(r' REFERENCES (?:"(?:[^"]|"")*"|[^"(])+\((?:"(?:[^"]|"")*"|[^")])+\)')
"""What a foreign key points at, in words of pg_get_constraintdef."""


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
    generated: bool
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
    name: str
    kind: str
    """p primary key, u unique, x exclusion, c check, f foreign key."""
    definition: str
    columns: tuple[str, ...]
    validated: bool
    deferrable: bool
    expression: str | None
    referenced: str | None
    """Of a foreign key: the other table, qualified and quoted."""
    referenced_columns: tuple[str, ...]
    referenced_oid: int
    plain: bool = True
    """Whether its definition says everything, and no view depends on it."""

    @property
    def options(self) -> str:
        """Of a foreign key: what it says behind what it points at; it may name columns there too."""
        return REFERENCED.split(self.definition.removesuffix(" NOT VALID"), maxsplit=1)[-1]

    @property
    def acts(self) -> bool:
        """Of a foreign key: whether the database itself deletes or changes rows for it."""
        return re.search(r" ON (DELETE|UPDATE) (CASCADE|SET )", self.definition) is not None


@dataclasses.dataclass(frozen=True)
class Incoming:
    """A foreign key of another table that points here."""

    schema: str
    table: str
    name: str
    definition: str
    columns: tuple[str, ...]
    index: str
    """The unique index here that it relies on."""
    validated: bool


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
    indexes: tuple[Index, ...]
    """Those that no constraint made."""
    incoming: tuple[Incoming, ...]
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
    def foreign_keys(self) -> tuple[Constraint, ...]:
        return tuple(constraint for constraint in self.constraints if constraint.kind == "f")


@dataclasses.dataclass(frozen=True)
class Anatomy:
    table: Table
    comments: dict[str, str]
    """By column; that of the table itself under an empty name."""
    not_nulls: dict[str, str]
    """By column: the name of its NOT NULL."""
    generated: dict[str, str]
    """By column: how it is stored, and its expression."""


def describe(anatomy: Anatomy) -> set[tuple[object, ...]]:
    """Everything that has a name, and what PostgreSQL says of it; whether it is validated is left out."""
    table = anatomy.table
    return {
        *(("column", *dataclasses.astuple(column)) for column in table.columns),
        *(("constraint", c.name, c.kind, c.definition.removesuffix(" NOT VALID")) for c in table.constraints),
        *(("index", index.name, index.definition) for index in table.indexes),
        *(("sequence of", column, s.schema, s.name) for column, s in table.sequences.items()),
        *(("comment on", *item) for item in anatomy.comments.items()),
        *(("not null of", *item) for item in anatomy.not_nulls.items()),
        *(("generated", *item) for item in anatomy.generated.items()),
    }
