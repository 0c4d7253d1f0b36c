"""Statements of MySQL and MariaDB that make a live table what the models say."""

from collections.abc import Callable, Iterable, Iterator

from rehome.checkschema.joined import End, Key, Known
from rehome.checkschema.mysql import definitions
from rehome.checkschema.mysql.definitions import quoted
from rehome.checkschema.shape import Column, Part, Shape

LONGEST_NAME = 64
TRANSACTIONAL = "InnoDB"


class MySQLRemedies:
    def __init__(self, known: Known, live: Callable[[str], Shape | None]) -> None:
        self.known = known
        self.live = live
        """Reads another table, by its name in a statement."""

    def alter_column(self, kind: str, table: Shape, expected: Column, found: Column) -> tuple[str, ...]:
        """The whole definition of a column is repeated: the server drops what is left out."""
        if expected.kept != found.kept:
            return replace_column(table, expected, found)
        columns, keys = self.known.joined((table.place, found.name))
        changes = [change for end in columns if (change := self.change(end, table, expected, found))]
        if not keys or not any(retyped for _, retyped in changes):
            return tuple(statement for statement, _ in changes)
        return (
            *(f"ALTER TABLE {key.table} DROP FOREIGN KEY {quoted(key.name)}" for key in keys),
            *(statement for statement, _ in changes),
            *(f"ALTER TABLE {key.table} ADD CONSTRAINT {quoted(key.name)} {self.again(key)}" for key in keys),
        )

    def change(self, end: End, table: Shape, expected: Column, found: Column) -> tuple[str, bool] | None:
        """The statement for one of the columns that change together, and whether it is one of another type then; None
        where it stays as it is.
        """
        place, name = end
        shape = table if place == table.place else self.live(place)
        here = shape.column(name) if shape else None
        if shape is None or here is None:
            return None
        says = self.known.column(end)
        definition = definition_for(shape, says) if says else definitions.retyped(here.definition, expected.definition)
        same = definitions.type_of(definition) == definitions.type_of(here.definition)
        tighter = says is not None and (here.nullable > says.nullable or here.numbered != says.numbered)
        if says is None and same:
            return None
        return f"ALTER TABLE {place} MODIFY COLUMN {definition}", not same or tighter

    def again(self, key: Key) -> str:
        """A key that was dropped; a column that is NOT NULL now can't become null with it."""
        own = [self.known.column((key.table, column)) for column in key.columns]
        filled = any(column is not None and not column.nullable for column in own)
        return (
            key.definition.replace(" ON DELETE SET NULL", "").replace(" ON UPDATE SET NULL", "")
            if filled
            else (key.definition)
        )

    def let_insert(self, table: Shape, found: Column) -> tuple[str, ...]:
        return (f"ALTER TABLE {table.place} MODIFY COLUMN {definitions.nullable(found.definition)}",)

    def comment(self, table: Shape, text: str) -> tuple[str, ...]:
        return (f"ALTER TABLE {table.place} COMMENT = {literal(text)}",)

    def engine(self, table: Shape, engine: str) -> tuple[str, ...]:
        return (f"ALTER TABLE {table.place} ENGINE={engine}",)

    def add(self, table: Shape, part: Part, name: str) -> tuple[str, ...]:
        if part.column:
            # A check within a column's definition, which its own remedy brings along as well.
            column = self.known.column((table.place, part.columns[0]))
            if column and table.column(column.name):
                return (f"ALTER TABLE {table.place} MODIFY COLUMN {definition_for(table, column)}",)
        ready = self.make_ready(part) if part.kind == "foreign key" else ()
        return (*ready, f"ALTER TABLE {table.place} {adding(part, name)}")

    def make_ready(self, key: Part) -> Iterator[str]:
        """The table that a key refers to, where its engine ignores keys."""
        place = definitions.referenced(key.definition)
        shape = self.live(place)
        if shape and shape.engine != TRANSACTIONAL:
            yield from self.engine(shape, TRANSACTIONAL)

    def drop(self, table: Shape, part: Part) -> tuple[str, ...]:
        if part.column:
            column = self.known.column((table.place, part.columns[0]))
            definition = definition_for(table, column) if column else part.column
            return (f"ALTER TABLE {table.place} MODIFY COLUMN {definition}",)
        return (f"ALTER TABLE {table.place} {', '.join([dropping(part), *instead(table, part)])}",)

    def replace(self, table: Shape, expected: Part, found: Part, name: str) -> tuple[str, ...]:
        """In one statement, so that the table is never without it; for constraints the server takes two."""
        if expected.kind in ("foreign key", "check"):
            return (*self.drop(table, found), *self.add(table, expected, name or found.name))
        return (f"ALTER TABLE {table.place} {dropping(found)}, {adding(expected, name or found.name)}",)

    def rename(self, table: Shape, part: Part, name: str) -> tuple[str, ...]:
        if part.kind in ("foreign key", "check"):
            return (*self.drop(table, part), *self.add(table, part, name))
        return (f"ALTER TABLE {table.place} RENAME INDEX {quoted(part.name)} TO {quoted(name)}",)

    def repair(self, table: Shape, part: Part, name: str) -> tuple[str, ...]:
        """The server leaves nothing invalid, but people can have it ignore an index or a check."""
        if part.kind == "check":
            return (f"ALTER TABLE {table.place} ALTER CHECK {quoted(name)} ENFORCED",)
        word = "NOT IGNORED" if part.flaw == definitions.IGNORED else "VISIBLE"
        return (f"ALTER TABLE {table.place} ALTER INDEX {quoted(name)} {word}",)


def definition_for(table: Shape, column: Column) -> str:
    """What a column is to be, without a check that the table has already."""
    definition = definitions.collated(column.definition, column.collation)
    checks = {part.definition for part in table.parts if part.kind == "check" and not part.column}
    return definitions.without_checks(definition, checks)


def replace_column(table: Shape, expected: Column, found: Column) -> tuple[str, ...]:
    """Between a column that is written, one that is kept and one that is computed when it is read, the server changes
    none: another column takes the place, and what names the old one is made again.
    """
    name, definition, alter = quoted(found.name), definition_for(table, expected), f"ALTER TABLE {table.place}"
    parts = [part for part in table.parts if name in part.definition and not part.column]
    # In statements of their own: with the same name, a constraint is not dropped and added by one.
    drops = [f"{alter} {', '.join(map(dropping, parts))}"] if parts else []
    adds = [f"{alter} {', '.join(adding(part, part.name) for part in parts)}"] if parts else []
    if expected.generated:
        return (*drops, f"{alter} DROP COLUMN {name}, ADD COLUMN {definition}", *adds)
    aside = quoted(f"{found.name[: LONGEST_NAME - len(' rehome')]} rehome")
    return (
        f"{alter} ADD COLUMN {aside} {definitions.type_of(definition)} NULL",
        f"UPDATE {table.place} SET {aside} = {name}",  # noqa: S608
        *drops,
        f"{alter} DROP COLUMN {name}, CHANGE COLUMN {aside} {definition}",
        *adds,
    )


def instead(table: Shape, part: Part) -> Iterable[str]:
    """An index for a foreign key that has used this one, which the server would not let go otherwise."""
    others = [other.columns for other in table.parts if other.kind in INDEXED and other is not part]
    keys = [key.columns for key in table.parts if key.kind == "foreign key"] if part.kind in INDEXED else []
    for columns in keys:
        alone = not any(other[: len(columns)] == columns for other in others)
        if alone and part.columns[: len(columns)] == columns:
            yield f"ADD KEY ({','.join(map(quoted, columns))})"


INDEXED = {"primary key", "unique", "index"}


def adding(part: Part, name: str) -> str:
    if part.kind in ("foreign key", "check"):
        return f"ADD{f' CONSTRAINT {quoted(name)}' if name else ''} {part.definition}"
    before, _, after = part.definition.partition("KEY ")
    return f"ADD {before}KEY {quoted(name) + ' ' if name and part.kind != 'primary key' else ''}{after}"


def dropping(part: Part) -> str:
    if part.kind == "primary key":
        return "DROP PRIMARY KEY"
    if part.kind == "foreign key":
        return f"DROP FOREIGN KEY {quoted(part.name)}"
    return f"DROP {'CONSTRAINT' if part.kind == 'check' else 'KEY'} {quoted(part.name)}"


def literal(text: str) -> str:
    doubled = text.replace("\\", "\\\\").replace("'", "''")
    return f"'{doubled}'"
