"""How a table gets the names that its empty twin has, and its own again: the SQL, from a Renaming alone."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from rehome.parts import sequences
from rehome.parts.grants import grant, grantee, what
from rehome.postgres.sql import SQL, Identifier, Literal, Statement
from rehome.postgres.tables import Grant, Sequence, Table

ASIDE = "rehome_aside"
"""Begins the name that a part has for as long as another part still has the one that it gets."""


@dataclasses.dataclass(frozen=True)
class Key:
    """A column that numbers its rows, and what it draws from."""

    identity: str
    sequence: Sequence


@dataclasses.dataclass(frozen=True)
class Part:
    """A foreign key, a default or a comment before and after: its name, or that of its column, and what it says."""

    name: str
    text: str | None


@dataclasses.dataclass(frozen=True)
class Renaming:
    """Everything that changes about one table; `reversed` is the way back. Each pair is (before, after)."""

    schema: str
    owner: str
    table: tuple[str, str]
    columns: dict[str, str]
    constraints: dict[str, str]
    indexes: dict[str, str]
    keys: dict[str, tuple[Key, Key]]
    """By the column's name before."""
    foreign_keys: tuple[tuple[Part, Part], ...]
    """Those that point at another table afterwards."""
    defaults: tuple[tuple[Part, Part], ...]
    comments: tuple[tuple[Part, Part], ...]
    """That of the table under an empty name."""

    def reversed(self) -> "Renaming":
        return dataclasses.replace(
            self,
            table=turned(self.table),
            columns={new: old for old, new in self.columns.items()},
            constraints={new: old for old, new in self.constraints.items()},
            indexes={new: old for old, new in self.indexes.items()},
            keys={self.columns[column]: turned(pair) for column, pair in self.keys.items()},
            foreign_keys=tuple(map(turned, self.foreign_keys)),
            defaults=tuple(map(turned, self.defaults)),
            comments=tuple(map(turned, self.comments)),
        )

    def of_what_is_there(self, table: Table, not_nulls: Iterable[str]) -> "Renaming":
        """Without what somebody has dropped from `table` or revoked meanwhile."""
        columns = {column.name for column in table.columns}
        constraints = {constraint.name for constraint in table.constraints} | set(not_nulls)
        indexes = {index.name for index in table.indexes}
        return dataclasses.replace(
            self,
            owner=table.owner,
            columns={old: new for old, new in self.columns.items() if old in columns},
            constraints={old: new for old, new in self.constraints.items() if old in constraints},
            indexes={old: new for old, new in self.indexes.items() if old in indexes},
            keys={
                column: (that_stands(before, table.sequences[column]), that_stands(after, table.sequences[column]))
                for column, (before, after) in self.keys.items()
                if column in table.sequences
            },
            defaults=tuple(pair for pair in self.defaults if pair[0].name in columns),
            comments=tuple(pair for pair in self.comments if pair[0].name in {"", *columns}),
        )


def that_stands(key: Key, sequence: Sequence) -> Key:
    """With those of its grants alone that the sequence has by now."""
    held = {(given.grantee, given.privilege) for given in sequence.grants}
    standing = tuple(given for given in key.sequence.grants if (given.grantee, given.privilege) in held)
    return dataclasses.replace(key, sequence=dataclasses.replace(key.sequence, grants=standing))


def turned(pair: tuple[Any, Any]) -> tuple[Any, Any]:
    return pair[1], pair[0]


def as_json(renaming: Renaming) -> dict[str, Any]:
    return dataclasses.asdict(renaming)


def read(record: Mapping[str, Any]) -> Renaming:
    """From what `as_json` made."""

    def parts(pairs: Iterable[Any]) -> tuple[tuple[Part, Part], ...]:
        return tuple((Part(**before), Part(**after)) for before, after in pairs)

    def key(item: Mapping[str, Any]) -> Key:
        return Key(item["identity"], sequences.read(item["sequence"]))

    return Renaming(
        **{
            **record,
            "table": tuple(record["table"]),
            "keys": {column: (key(before), key(after)) for column, (before, after) in record["keys"].items()},
            **{name: parts(record[name]) for name in ("foreign_keys", "defaults", "comments")},
        }
    )


# ----- SQL


def rename(renaming: Renaming) -> list[Statement]:
    """All but the foreign keys that point elsewhere afterwards, which go here and come with `add_foreign_keys`."""
    before, place = (Identifier(renaming.schema, table) for table in renaming.table)
    table = SQL("ALTER TABLE {}").format(place)
    return [
        *(drop_constraint(before, key.name) for key, _ in renaming.foreign_keys),
        SQL("ALTER TABLE {} RENAME TO {}").format(before, Identifier(renaming.table[1])),
        *rename_each(SQL("{} RENAME COLUMN").format(table), renaming.columns),
        *rename_each(SQL("{} RENAME CONSTRAINT").format(table), renaming.constraints),
        *rename_indexes(renaming),
        *(statement for column in renaming.keys for statement in change_key(renaming, column, place)),
        *(set_default(place, after) for before, after in renaming.defaults if before.text != after.text),
        *(comment(place, after) for before, after in renaming.comments if before.text != after.text),
    ]


def in_turn(names: Mapping[str, str]) -> list[tuple[str, str]]:
    """Renames in an order in which no name is given that another part still has."""
    changed = {old: new for old, new in names.items() if old != new}
    aside = {old: f"{ASIDE}_{number}" for number, old in enumerate(changed) if old in changed.values()}
    return [*aside.items(), *((aside.get(old, old), new) for old, new in changed.items())]


def rename_each(what: Statement, names: Mapping[str, str]) -> list[Statement]:
    return [SQL("{} {} TO {}").format(what, Identifier(old), Identifier(new)) for old, new in in_turn(names)]


def rename_indexes(renaming: Renaming) -> list[Statement]:
    return [
        SQL("ALTER INDEX {} RENAME TO {}").format(Identifier(renaming.schema, old), Identifier(new))
        for old, new in in_turn(renaming.indexes)
    ]


def add_foreign_keys(renaming: Renaming) -> list[Statement]:
    """NOT VALID: enforced for every later write, and added without a look at the rows."""
    return [
        SQL("ALTER TABLE {} ADD CONSTRAINT {} {} NOT VALID").format(
            Identifier(renaming.schema, renaming.table[1]), Identifier(key.name), SQL(str(key.text))
        )
        for _, key in renaming.foreign_keys
    ]


def drop_constraint(place: Statement, name: str) -> Statement:
    return SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}").format(place, Identifier(name))


def set_default(place: Statement, part: Part) -> Statement:
    change = SQL("DROP DEFAULT") if part.text is None else SQL("SET DEFAULT {}").format(SQL(part.text))
    return SQL("ALTER TABLE {} ALTER COLUMN {} {}").format(place, Identifier(part.name), change)


def comment(place: Statement, part: Part) -> Statement:
    return SQL("COMMENT ON {} IS {}").format(
        SQL("COLUMN {}.{}").format(place, Identifier(part.name)) if part.name else SQL("TABLE {}").format(place),
        Literal(part.text),
    )


# ----- the column that numbers the rows


def change_key(renaming: Renaming, column: str, place: Statement) -> list[Statement]:
    """The sequence gets its other name and stays where it stands; its kind becomes the other's where they differ."""
    before, after = renaming.keys[column]
    name = renaming.columns[column]
    if bool(before.identity) != bool(after.identity):
        return convert(renaming, name, before, after)
    statements: list[Statement] = []
    if before.identity != after.identity:
        statements.append(
            sequences.generate(place, name, "ALWAYS" if after.identity == "a" else "BY DEFAULT"),
        )
    if before.sequence.name != after.sequence.name:
        old, new = Identifier(before.sequence.schema, before.sequence.name), Identifier(after.sequence.name)
        statements.append(SQL("ALTER SEQUENCE {} RENAME TO {}").format(old, new))
    return [*statements, *regrant(before.sequence, after.sequence)]


def convert(renaming: Renaming, name: str, before: Key, after: Key) -> list[Statement]:
    """A `serial` key becomes an identity, or the other way round: with a new sequence that goes on from the old."""
    table, column = Identifier(renaming.schema, renaming.table[1]), Identifier(name)
    old = Identifier(before.sequence.schema, before.sequence.name)
    new = Identifier(after.sequence.schema, after.sequence.name)
    position = SQL("SELECT setval({}::regclass, last_value, is_called) FROM {}").format(Literal(new.as_string()), old)
    granted = [grant("SEQUENCE", new, privilege) for privilege in after.sequence.grants]
    if after.identity:
        return [
            SQL("ALTER TABLE {} ALTER COLUMN {} DROP DEFAULT").format(table, column),
            sequences.add_identity(table, column, after.identity, after.sequence),
            position,
            SQL("DROP SEQUENCE {}").format(old),
            *granted,
        ]
    return [
        SQL("CREATE SEQUENCE {} AS {} {}").format(new, SQL(after.sequence.type), sequences.options(after.sequence)),
        position,
        SQL("ALTER TABLE {} ALTER COLUMN {} DROP IDENTITY").format(table, column),
        SQL("ALTER SEQUENCE {} OWNER TO {}").format(new, Identifier(renaming.owner)),
        SQL("ALTER SEQUENCE {} OWNED BY {}").format(new, Identifier(renaming.schema, renaming.table[1], name)),
        SQL("ALTER TABLE {} ALTER COLUMN {} SET DEFAULT nextval({}::regclass)").format(
            table, column, Literal(new.as_string())
        ),
        *granted,
    ]


def regrant(before: Sequence, after: Sequence) -> list[Statement]:
    """Of the sequence that is `after` by now: what only one of the two grants is given or taken away."""
    place = Identifier(after.schema, after.name)
    return [
        *(revoke_from_sequence(place, given) for given in before.grants if given not in after.grants),
        *(grant("SEQUENCE", place, given) for given in after.grants if given not in before.grants),
    ]


def revoke_from_sequence(place: Statement, given: Grant) -> Statement:
    return SQL("REVOKE {} ON SEQUENCE {} FROM {}").format(what(given), place, grantee(given))
