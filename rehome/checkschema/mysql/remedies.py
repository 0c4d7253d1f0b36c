"""Statements of MySQL and MariaDB that make a live table what the models say."""

from rehome.checkschema.shape import Column, Part, Shape


class MySQLRemedies:
    def alter_column(self, kind: str, table: Shape, expected: Column, found: Column) -> tuple[str, ...]:
        """The whole definition of a column is repeated: the server drops what is left out."""
        definition = expected.definition
        if expected.collation and "COLLATE" not in definition:
            name, kind_of_text, *rest = definition.split(" ", 2)
            definition = " ".join([name, kind_of_text, "COLLATE", expected.collation, *rest])
        return (f"ALTER TABLE {table.place} MODIFY COLUMN {definition}",)

    def let_insert(self, table: Shape, found: Column) -> tuple[str, ...]:
        return (f"ALTER TABLE {table.place} MODIFY COLUMN {found.definition.replace(' NOT NULL', ' NULL', 1)}",)

    def comment(self, table: Shape, text: str) -> tuple[str, ...]:
        return (f"ALTER TABLE {table.place} COMMENT = {literal(text)}",)

    def add(self, table: Shape, part: Part, name: str) -> tuple[str, ...]:
        return (f"ALTER TABLE {table.place} {adding(part, name)}",)

    def drop(self, table: Shape, part: Part) -> tuple[str, ...]:
        return (f"ALTER TABLE {table.place} {dropping(part)}",)

    def replace(self, table: Shape, expected: Part, found: Part, name: str) -> tuple[str, ...]:
        """In one statement, so that the table is never without it; for constraints the server takes two."""
        if expected.kind in ("foreign key", "check"):
            return (*self.drop(table, found), *self.add(table, expected, name or found.name))
        return (f"ALTER TABLE {table.place} {dropping(found)}, {adding(expected, name or found.name)}",)

    def rename(self, table: Shape, part: Part, name: str) -> tuple[str, ...]:
        if part.kind == "check":
            return (*self.drop(table, part), *self.add(table, part, name))
        return (f"ALTER TABLE {table.place} RENAME INDEX {quoted(part.name)} TO {quoted(name)}",)

    def repair(self, table: Shape, part: Part) -> tuple[str, ...]:
        """This server leaves nothing invalid or not validated."""
        return ()


def adding(part: Part, name: str) -> str:
    if part.kind in ("foreign key", "check"):
        return f"ADD{f' CONSTRAINT {quoted(name)}' if name else ''} {part.definition}"
    before, _, after = part.definition.partition("KEY ")
    return f"ADD {before}KEY {quoted(name) + ' ' if name and part.kind != 'primary key' else ''}{after}"


def dropping(part: Part) -> str:
    if part.column:
        return f"MODIFY COLUMN {part.column}"
    if part.kind == "primary key":
        return "DROP PRIMARY KEY"
    if part.kind == "foreign key":
        return f"DROP FOREIGN KEY {quoted(part.name)}"
    return f"DROP {'CONSTRAINT' if part.kind == 'check' else 'KEY'} {quoted(part.name)}"


def quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"


def literal(text: str) -> str:
    doubled = text.replace("\\", "\\\\").replace("'", "''")
    return f"'{doubled}'"
