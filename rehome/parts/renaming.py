"""How a table gets the names that its empty twin has, and its own again: the SQL, from a Renaming alone."""

from collections.abc import Mapping

from rehome.parts import sequences
from rehome.parts.grants import grant, grantee, what
from rehome.plan.renaming import Key, Part, Renaming
from rehome.postgres.sql import SQL, Identifier, Literal, Statement
from rehome.postgres.tables import Grant, Sequence

ASIDE = "rehome_aside"
"""Begins the name that a part has for as long as another part still has the one that it gets."""


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
