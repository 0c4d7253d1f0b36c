"""Record: what a run keeps for its way back, for the next run after a crash, and for verification; and its JSON.

It has facts alone: names, numbers, known words, texts that are compared or become comments. Nothing of it is SQL, for
whoever may write to the ledger's table could put there what the owner of the tables would then run.
"""

import dataclasses
from typing import Any

from rehome.errors import Refused
from rehome.models import MoveRun
from rehome.plan import earlier
from rehome.plan.facts import Json, decode, encode
from rehome.plan.renaming import Renaming
from rehome.postgres.tables import ColumnIndex, ForeignKey, Grant, Sequence, TriggerState

Place = tuple[str, str, str]
"""Schema, table, and the name of a constraint, an index or a column of it."""


@dataclasses.dataclass(frozen=True)
class Declared:
    """What the Move said when it ran. Expressions are texts that are compared and shown, and never run."""

    fields: dict[str, str]
    backwards: dict[str, str]
    discard: tuple[str, ...]
    discard_triggers: tuple[str, ...]
    in_place: bool
    irreversible: bool


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
    defaults: dict[str, str | None]
    """By source's column, where it changes: what its default was, which its view has meanwhile. It is compared, and not
    run.
    """
    added_grants: tuple[Grant, ...]
    grants: tuple[Grant, ...]
    twin_grants: tuple[Grant, ...]
    twin_key_grants: tuple[tuple[str, Grant], ...]


@dataclasses.dataclass(frozen=True)
class InPlace:
    pairs: tuple[Exchanged, ...]
    keys: tuple[ForeignKey, ...]
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
    """What PostgreSQL said of the view of a retired table when it was made, and what that granted."""

    definition: str
    triggers: dict[str, str]
    owner: str = ""
    """Empty where an older version made it, which kept neither this nor the defaults."""
    defaults: dict[str, str] | None = None
    """By column; compared, and not run."""
    grants: tuple[Grant, ...] = ()
    """What others might do with the table."""
    oid: int = 0
    """Which it has where it was made: a restored one has another, and may have lost its grants."""


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
    declared: Declared | None = None
    """None where a version before 0.3 began the run."""
    dropped_keys: tuple[ForeignKey, ...] = ()
    """Foreign keys of the targets that are added again once the rows are there."""
    dropped_indexes: tuple[ColumnIndex, ...] = ()
    """The same of indexes and unique constraints, of a move online."""
    unreadable: tuple[Place, ...] = ()
    """What an earlier version dropped and kept as SQL that no facts can say."""
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
    """The id of the row that was the source's, and is the target's once the labels have been exchanged."""
    content_type_created: bool | None = None
    label_stays: bool = False
    """Whether the source still has that row, and its label, until the move is retired."""
    permissions: tuple[str, ...] = ()
    permissions_copied: tuple[str, ...] = ()
    grants_until: dict[str, int] = dataclasses.field(default_factory=dict)
    """By table of grants of permissions: the largest id that it had at the move."""
    in_place: InPlace | None = None
    ends: dict[str, End] = dataclasses.field(default_factory=dict)
    """By source."""
    aside: dict[str, SetAside] | None = None
    """By the name that the source's model has for its table; empty once the old tables have been dropped."""
    triggers: dict[str, dict[str, TriggerState]] = dataclasses.field(default_factory=dict)
    """By table: the project's triggers that the move has disabled, and pg_trigger.tgenabled before."""
    foreign_keys: tuple[ForeignKey, ...] | None = None
    """Those of the old tables of a retired move."""
    unvalidated: tuple[ForeignKey, ...] | None = None
    views: dict[str, View] = dataclasses.field(default_factory=dict)
    """By source."""
    looked: Counted | None = None
    probed: dict[str, int] = dataclasses.field(default_factory=dict)
    """By source: how many of the writes that were counted `verifymoves --probe` has tried."""

    server: str = ""
    """On which the oids in `roles` are these roles': its system identifier."""
    roles: dict[str, int] = dataclasses.field(default_factory=dict)
    """By name, the oids of the roles that are named in all of this."""

    @classmethod
    def of(cls, run: MoveRun) -> "Record":
        """Raises Refused where what the run has kept is not what a run keeps."""
        try:
            record: Record = decode(cls, earlier.convert(run.kept))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Refused(
                f"The record of {run.move} in {MoveRun._meta.db_table}, row {run.pk}, cannot be read: {error}.",
                "Somebody has changed it: restore that row from a backup.",
            ) from error
        return record

    def keeping(self, **fields: Any) -> "Record":
        """The same record with other values."""
        return dataclasses.replace(self, **fields)

    def __or__(self, other: "Record") -> "Record":
        return dataclasses.replace(self, **other.said())

    def as_json(self) -> Json:
        return {name: encode(value) for name, value in self.said().items()}

    def said(self) -> dict[str, Any]:
        """The fields that are not as they begin."""
        return {name: value for name, value in vars(self).items() if value != getattr(NOTHING, name)}


NOTHING = Record()
