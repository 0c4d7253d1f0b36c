"""Record: what a run keeps for its way back, for the next run after a crash, and for verification; and its JSON."""

import dataclasses
import types
import typing
from typing import Any

from rehome.models import MoveRun
from rehome.plan.renaming import Renaming
from rehome.postgres.tables import Grant, Sequence

Place = tuple[str, str, str]
"""Schema, table, and the name of a constraint or a column of it."""
Definition = tuple[str, str, str, str]
"""Schema, table, name and definition of a constraint or an index."""
Json = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """How far the copy of one table has come; it is saved in the transaction of the batch that it tells of."""

    filenode: int
    """A rewritten table has another one, and its rows are in other blocks."""
    block: int
    blocks: int
    """Where the copy ends: whatever later blocks hold, the trigger has carried."""
    rows: int

    @property
    def done(self) -> bool:
        return self.block >= self.blocks


@dataclasses.dataclass(frozen=True)
class Numbered:
    """A key column before the move, and the sequence that it drew from."""

    column: str
    identity: str
    sequence: Sequence


@dataclasses.dataclass(frozen=True)
class SharedSequence:
    source: Numbered
    target: Numbered


@dataclasses.dataclass(frozen=True)
class Exchanged:
    """One table that has its empty twin's name, and what either had before."""

    renaming: Renaming
    view: tuple[str, ...]
    """The statements that made the view under the old name, but for its grants."""
    added_grants: tuple[Grant, ...]
    grants: tuple[Grant, ...]
    twin_grants: tuple[Grant, ...]
    twin_key_grants: tuple[tuple[str, Grant], ...]


@dataclasses.dataclass(frozen=True)
class InPlace:
    pairs: tuple[Exchanged, ...]
    keys: tuple[Json, ...]
    """Foreign keys of the sources that point elsewhere while the move stands."""
    stay: tuple[Place, ...]
    """Foreign keys that pointed at the table before the move: they are the source model's, and stay with it."""
    validate: tuple[Place, ...]


@dataclasses.dataclass(frozen=True)
class SetAside:
    """The old table of a retired move: its schema, its own name and the one that it has meanwhile."""

    schema: str
    name: str
    aside: str


@dataclasses.dataclass(frozen=True)
class End:
    """What a foreign key to a source leads to while that is a view; `columns` are the target's, by the source's."""

    schema: str
    table: str
    columns: dict[str, str]


@dataclasses.dataclass(frozen=True)
class View:
    """How the view of a retired table was made, and what PostgreSQL said of it then."""

    statements: tuple[str, ...]
    definition: str
    triggers: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Counted:
    """When the writes through the old names were last counted, and how many there were, by table."""

    at: str
    counts: dict[str, int | None]


@dataclasses.dataclass(frozen=True)
class Record:
    """What a run keeps so far; a dictionary is keyed by the names of the targets' tables, unless it says otherwise."""

    tables: tuple[tuple[str, str], ...] = ()
    """The names of each source and its target."""
    constraints: tuple[Definition, ...] = ()
    indexes: tuple[Definition, ...] = ()
    unique_indexes: tuple[Definition, ...] = ()
    plan: str | None = None
    """The fingerprint of the plan that the copy began with."""
    copied: dict[str, Checkpoint] = dataclasses.field(default_factory=dict)
    sequences: dict[str, SharedSequence] = dataclasses.field(default_factory=dict)
    always: tuple[Place, ...] = ()
    """Identity columns that refused given values before the move."""
    grants: dict[str, tuple[Grant, ...]] = dataclasses.field(default_factory=dict)
    """What the move granted."""
    grants_before: dict[str, tuple[Grant, ...]] = dataclasses.field(default_factory=dict)
    content_type: int | None = None
    content_type_created: bool | None = None
    permissions: tuple[str, ...] = ()
    permissions_copied: tuple[str, ...] = ()
    grants_until: dict[str, int] = dataclasses.field(default_factory=dict)
    """By table of grants of permissions: the largest id that it had at the move."""
    in_place: InPlace | None = None
    ends: dict[str, End] = dataclasses.field(default_factory=dict)
    """By source."""
    aside: dict[str, SetAside] | None = None
    """By the name that the source's model has for its table; empty once the old tables have been dropped."""
    foreign_keys: tuple[Json, ...] | None = None
    """Those of the old tables of a retired move."""
    unvalidated: tuple[Json, ...] | None = None
    views: dict[str, View] = dataclasses.field(default_factory=dict)
    """By source."""
    looked: Counted | None = None

    @classmethod
    def of(cls, run: MoveRun) -> "Record":
        record: Record = decode(cls, run.kept)
        return record

    def keeping(self, **fields: Any) -> "Record":
        """The same record with other values."""
        return dataclasses.replace(self, **fields)

    def __or__(self, other: "Record") -> "Record":
        return dataclasses.replace(self, **other.said())

    def as_json(self) -> Json:
        return {name: value for name, value in dataclasses.asdict(self).items() if name in self.said()}

    def said(self) -> dict[str, Any]:
        """The fields that are not as they begin."""
        return {name: value for name, value in vars(self).items() if value != getattr(NOTHING, name)}


NOTHING = Record()


def decode(kind: Any, value: Any) -> Any:
    """`value`, as `as_json` and JSON have left it, as a `kind` again. What only an older version kept is left out."""
    arguments = typing.get_args(kind)
    if isinstance(kind, types.UnionType):  # The other one is None.
        return None if value is None else decode(arguments[0], value)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{name: decode(hints[name], item) for name, item in value.items() if name in hints})
    if typing.get_origin(kind) is dict and arguments[1] is not Any:
        return {name: decode(arguments[1], item) for name, item in value.items()}
    if typing.get_origin(kind) is tuple:
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(decode(item_kind, item) for item_kind, item in zip(kinds, value, strict=True))
    return value
