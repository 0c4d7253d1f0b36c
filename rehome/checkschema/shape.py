"""What a table is made of, in the words of its server: the same for a live table and for its twin."""

import dataclasses

NUMBERED = "numbered by a sequence of its own"
"""Of a column whose next value nobody has to name; how the server does it makes no difference to Django."""


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
    """NUMBERED, or what is wrong about that, or nothing."""
    cure: tuple[str, ...] = ()
    """The statements after which it is NUMBERED."""
    definition: str = ""
    """All of it, where the server alters a column by saying all again."""

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
    """What keeps it from doing what it says: not validated, or invalid."""
    implied: bool = False
    """Whether it is there because of another part."""
    column: str = ""
    """Of a check that stands with its column: the column's definition without it."""


@dataclasses.dataclass(frozen=True)
class Shape:
    place: str
    """How a statement names the table."""
    schema: str
    kind: str
    """table, or what else stands under the name."""
    columns: tuple[Column, ...]
    parts: tuple[Part, ...]
    comment: str
    notes: tuple[str, ...] = ()
    """What no model can say, in sentences."""
    incoming: tuple[tuple[str, str], ...] = ()
    """Foreign keys of other tables that point here: the table, without its schema, and the key."""

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)
