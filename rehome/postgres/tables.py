"""What a table consists of, as PostgreSQL has it: frozen dataclasses, which catalog.py and anatomy.py read."""

import dataclasses
import functools
import re
from typing import Literal

from psycopg import sql

SCHEMA = re.compile(r'(\w+|"(?:[^"]|"")+")\.(?=[\w"])')
"""What the name of a type begins with that is none of PostgreSQL's own."""
LARGEST = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}
"""By type of a key column, the last key that it can hold."""
PREFIX = "rehome_"
"""What the names begin with that rehome gives."""
OURS = re.compile(rf"{PREFIX}[a-z_]+_[0-9a-f]{{12}}")
"""The names of its triggers and of their functions."""
BEFORE_ROW, INSERT, DELETE, UPDATE, TRUNCATE = 1 | 2, 4, 8, 16, 32
EVENTS = INSERT | DELETE | UPDATE | TRUNCATE
"""Bits of pg_trigger.tgtype."""


def without_schema(printed: str) -> str:
    """A type as a person writes it: `citext`."""
    return SCHEMA.sub("", printed, count=1)


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
    domain_default: str | None = None
    """Of its type, where that is a domain: it counts where the column has no default of its own."""
    equals: str = "OPERATOR(pg_catalog.=)"
    """Of a column of the primary key, the operator by which its index tells keys apart."""
    operand: str = ""
    """The type that this operator compares, where it is none of PostgreSQL's own: `public.citext`."""

    @property
    def fallback(self) -> str | None:
        """What a row has there that gives no value; None for NULL."""
        return self.domain_default if self.default is None else self.default

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
class IndexKey:
    """One column of a ColumnIndex."""

    column: str
    collation: tuple[str, ...] = ()
    """Schema and name; empty for the column's own."""
    opclass: tuple[str, ...] = ()
    """Schema and name; empty for the one that is the type's own."""
    options: dict[str, str] = dataclasses.field(default_factory=dict)
    """Of its operator class."""
    descending: bool = False
    nulls_first: bool = False


@dataclasses.dataclass(frozen=True)
class ColumnIndex:
    """An index over columns alone, in facts that can be kept and are no SQL: it has no expression and no condition."""

    schema: str
    table: str
    name: str
    method: str
    unique: bool
    keys: tuple[IndexKey, ...]
    included: tuple[str, ...] = ()
    nulls_distinct: bool = True
    options: dict[str, str] = dataclasses.field(default_factory=dict)
    """Storage parameters."""
    constraint: Literal["", "UNIQUE", "PRIMARY KEY"] = ""
    """That it bears, under its name."""
    deferrable: bool = False
    deferred: bool = False


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


FOUND = {"kept": False}
"""Of a field that no run keeps, for it is read from the catalog whenever it is needed."""
Action = Literal["NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"]


@dataclasses.dataclass(frozen=True)
class Terms:
    """How a foreign key holds."""

    full: bool = False
    """MATCH FULL: of several columns, all are null or none."""
    on_update: Action = "NO ACTION"
    on_delete: Action = "NO ACTION"
    set_columns: tuple[str, ...] = ()
    """Those that `on_delete` sets; empty for all."""
    deferrable: bool = False
    deferred: bool = False
    period: bool = False
    """Whether the last column is a period of time."""
    enforced: bool = True

    @property
    def act(self) -> bool:
        """Whether the database itself deletes or changes rows."""
        return bool({self.on_update, self.on_delete} - {"NO ACTION", "RESTRICT"})

    @property
    def restrict(self) -> bool:
        """Whether it refuses at once, whatever it would leave to the end of the transaction."""
        return "RESTRICT" in {self.on_update, self.on_delete}

    def __str__(self) -> str:
        chosen = f" ({quoted(self.set_columns)})" if self.set_columns else ""
        said = (
            (" MATCH FULL", self.full),
            (f" ON UPDATE {self.on_update}", self.on_update != "NO ACTION"),
            (f" ON DELETE {self.on_delete}{chosen}", self.on_delete != "NO ACTION"),
            (" DEFERRABLE", self.deferrable),
            (" INITIALLY DEFERRED", self.deferred),
            (" NOT ENFORCED", not self.enforced),
        )
        return "".join(words for words, meant in said if meant)


def quoted(columns: tuple[str, ...]) -> str:
    return ", ".join(sql.Identifier(column).as_string() for column in columns)


@dataclasses.dataclass(frozen=True)
class ForeignKey:
    """In facts that can be kept and are no SQL, and what the catalog alone knows."""

    schema: str
    table: str
    name: str
    columns: tuple[str, ...]
    end: End
    terms: Terms
    validated: bool
    referenced_oid: int = dataclasses.field(default=0, metadata=FOUND)
    index: str = dataclasses.field(default="", metadata=FOUND)
    """The unique index there that it relies on."""
    comment: str = dataclasses.field(default="", metadata=FOUND)
    operators: tuple[str, ...] = dataclasses.field(default=(), metadata=FOUND)
    """By which it compares each column, qualified."""

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"

    @property
    def referenced(self) -> str:
        """The other table, quoted, and qualified where its schema is known."""
        return sql.Identifier(*filter(None, (self.end.schema, self.end.table))).as_string()

    @property
    def definition(self) -> str:
        own, there = self.listed(self.columns), self.listed(self.end.columns)
        return f"FOREIGN KEY ({own}) REFERENCES {self.referenced} ({there}){self.terms}"

    def listed(self, columns: tuple[str, ...]) -> str:
        if not self.terms.period:
            return quoted(columns)
        return f"{quoted(columns[:-1])}, PERIOD {quoted(columns[-1:])}"


Privilege = Literal[
    "SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN", "USAGE", "EXECUTE"
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Grant:
    grantee: str
    """A role, or an empty string for PUBLIC."""
    privilege: Privilege
    grantable: bool
    column: str
    """Empty for a grant on the whole table or sequence."""
    grantor: str = ""
    """Who passed it on under a grant option; empty for the owner."""


@dataclasses.dataclass(frozen=True)
class Sequence:
    schema: str
    name: str
    type: Literal["smallint", "integer", "bigint"]
    start: int
    increment: int
    minimum: int
    maximum: int
    cache: int
    cycle: bool
    grants: tuple[Grant, ...] = ()


TriggerState = Literal["O", "A", "R", "D"]


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
    """Whether it fires for every row and column."""
    owner: str
    """Of the function, as is what follows."""
    definer: bool
    """Whether it has the rights of its owner."""
    settings: tuple[str, ...]
    """What it sets while it runs: `search_path=pg_catalog`."""
    state: TriggerState = "O"
    """pg_trigger.tgenabled: O origin, A always, R replica, D disabled."""
    definition: str = ""
    """The whole CREATE TRIGGER statement."""
    columns: tuple[str, ...] = ()
    """Of `UPDATE OF`; empty where any column may change."""
    arguments: tuple[str, ...] = ()
    """Of its function."""
    sees_rows: bool = True
    """Whether it is called for each row, or has transition tables."""
    refers: bool = False
    """Whether it is a constraint trigger `FROM` another table."""
    comment: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether rehome has made it, as its name tells: see triggers.trigger_name."""
        return OURS.fullmatch(self.name) is not None

    @property
    def settles(self) -> bool:
        """Whether it may change the row that is being written, or keep it from being written."""
        return self.type & (BEFORE_ROW | TRUNCATE) == BEFORE_ROW

    @property
    def is_of_statement(self) -> bool:
        """Whether it is called once for a statement that writes rows, and can't tell which."""
        return not self.sees_rows and bool(self.type & ~TRUNCATE & EVENTS)

    @property
    def is_of_truncate(self) -> bool:
        return bool(self.type & TRUNCATE)


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

    def __hash__(self) -> int:
        return hash((self.oid, self.name))

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
