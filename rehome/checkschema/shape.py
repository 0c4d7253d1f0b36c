"""The columns and parts of a table, in its server's words: the same for a live table and for its twin."""

import dataclasses

NUMBERED = "numbered by a sequence of its own"
"""Of a column that gets its next value by itself; how the server does it makes no difference to Django."""


@dataclasses.dataclass(frozen=True)
class Column:
    name: str
    type: str
    """With its modifiers: `character varying(200)`."""
    nullable: bool
    default: str | None
    generated: str
    """How it is computed from the other columns; empty for one that is written."""
    collation: str
    comment: str
    numbered: str = ""
    """NUMBERED, or what is wrong with its sequence; empty without one."""
    cure: tuple[str, ...] = ()
    """The statements after which it is NUMBERED."""
    definition: str = ""
    """The whole definition, where the server alters a column by repeating it."""
    sequence: str = ""
    """What numbers it, as a statement names it, where that has a type of its own."""

    @property
    def kept(self) -> str:
        """STORED or VIRTUAL, of one that is computed; empty for one that is written."""
        return self.generated.rpartition(" ")[2]

    @property
    def demanding(self) -> bool:
        """Whether an insert that does not name it fails."""
        return not (self.nullable or self.generated or self.numbered or self.default is not None)


@dataclasses.dataclass(frozen=True)
class Part:
    """A constraint or an index."""

    kind: str
    """primary key, unique, exclusion, check, foreign key, index or unique index."""
    name: str
    definition: str
    columns: tuple[str, ...]
    """Empty for an index with expressions or a condition."""
    flaw: str = ""
    """Why it is not in force: not validated, or invalid."""
    implied: bool = False
    """Whether another part made it."""
    column: str = ""
    """Of a check within a column's definition: that definition without it."""


@dataclasses.dataclass(frozen=True)
class Shape:
    place: str
    """How a statement names the table."""
    schema: str
    kind: str
    """table, view or another kind."""
    columns: tuple[Column, ...]
    parts: tuple[Part, ...]
    comment: str
    notes: tuple[str, ...] = ()
    """What no model can say, in sentences."""
    incoming: tuple[tuple[str, str], ...] = ()
    """Foreign keys of other tables that point here: the table, without its schema, and the key."""
    engine: str = ""
    """What keeps its rows, where the server has several."""
    before: tuple[str, ...] = ()
    """Statements without which the server refuses to alter it."""

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)
