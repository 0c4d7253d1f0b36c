"""Tables of MySQL and MariaDB and their temporary twins, as SHOW CREATE TABLE describes both."""

import dataclasses
import functools
import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.checkschema.joined import Key, Known
from rehome.checkschema.mysql import definitions, show_create
from rehome.checkschema.mysql.remedies import TRANSACTIONAL, MySQLRemedies
from rehome.checkschema.server import Server
from rehome.checkschema.shape import Part, Shape
from rehome.checkschema.twins import Twin, foreign_keys
from rehome.errors import Refused, one_line
from rehome.postgres import asking

NO_SUCH_TABLE = 1146
LACKING = {1115, 1273, 1064, 4161}
"""An unknown character set, collation or type."""
COMPARED = re.compile(r"CHECK \(\((.*)\) = (?:0x01|true)\)")
TRIGGERS = """
SELECT trigger_name, action_timing, event_manipulation FROM information_schema.triggers
 WHERE event_object_schema = COALESCE(%s, DATABASE()) AND event_object_table = %s ORDER BY trigger_name
"""
INCOMING = """
SELECT DISTINCT IF(table_schema = DATABASE(), table_name, CONCAT(table_schema, '.', table_name)), constraint_name
  FROM information_schema.key_column_usage
 WHERE referenced_table_schema = COALESCE(%s, DATABASE()) AND referenced_table_name = %s
   AND (table_schema, table_name) <> (referenced_table_schema, referenced_table_name)
 ORDER BY 1, constraint_name
"""
FOREIGN_KEYS = """
SELECT NULLIF(table_schema, DATABASE()), table_name, constraint_name, column_name,
       NULLIF(referenced_table_schema, DATABASE()), referenced_table_name, referenced_column_name
  FROM information_schema.key_column_usage
 WHERE DATABASE() IN (table_schema, referenced_table_schema) AND referenced_table_name IS NOT NULL
 ORDER BY table_schema, table_name, constraint_name, ordinal_position
"""
"""Of this database, and those of others that lead here."""
PREFIX, ROOM = "rehome ", 57
CHECK = re.compile(r"CONSTRAINT `(?:[^`]*?)([^`]{1,57})` CHECK\b")
"""The last part of its name, which may be as long as a name can be."""
KEEP_HISTORY = "SET SESSION system_versioning_alter_history = KEEP"
COLLATIONS = """
SELECT table_collation, @@collation_database FROM information_schema.tables
 WHERE table_schema = COALESCE(%s, DATABASE()) AND table_name = %s
"""


class MySQL(Server):
    makes_foreign_keys = False
    installable = "what this server has"
    indexes_foreign_keys = True

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection.copy()
        """A connection of its own, with which its temporary tables and its settings end."""
        self.known = Known()
        self.remedies = MySQLRemedies(self.known, functools.cache(self.describe))

    @contextmanager
    def temporary_tables(self) -> Iterator[None]:
        try:
            with self.connection.cursor() as cursor:
                # A connection may be read-only by default.
                cursor.execute("SET SESSION TRANSACTION READ WRITE")
                self.refuse_without_temporary_tables(cursor)
            yield
        finally:
            self.connection.close()

    def refuse_without_temporary_tables(self, cursor: Any) -> None:
        try:
            cursor.execute("CREATE TEMPORARY TABLE rehome_probe (id int)")
        except DatabaseError as error:
            raise Refused(
                f"This connection to database {self.connection.alias!r} can make no temporary tables, which "
                f"checkschema needs for its comparison: {one_line(error)}.",
                "GRANT CREATE TEMPORARY TABLES to its user, or run it where writing is allowed.",
            ) from error

    def table_options(self, twin: Twin) -> str:
        """A column without a collation gets its table's, one added later too."""
        collations = asking.fetch(self.connection, COLLATIONS, definitions.split(self.quoted(None, twin.live_name)))
        return f" COLLATE {collations[0][0]}" if collations and collations[0][0] else ""

    def simplified(self, definition: str) -> str:
        """Django compares a raw condition with True here."""
        return COMPARED.sub(r"CHECK (\1)", definition)

    def as_twin(self, statement: str) -> str:
        """MySQL has one check of a name in a database, MariaDB one in a table."""
        return CHECK.sub(rf"CONSTRAINT `{PREFIX}\1` CHECK", statement)

    def read_twin(self, twin: Twin) -> Shape:
        shape = self.read(twin.name)
        if shape is None:
            raise AssertionError(f"{twin.name} has been made.")
        named = {part.name[-ROOM:]: part.name for part in twin.twin._meta.constraints}
        parts = (dataclasses.replace(p, name=named.get(p.name.removeprefix(PREFIX), p.name)) for p in shape.parts)
        return dataclasses.replace(shape, parts=(*parts, *self.expected_foreign_keys(twin)))

    def expected_foreign_keys(self, twin: Twin) -> Iterator[Part]:
        """Temporary tables have none: read them from Django's statements that would make them."""
        editor: Any = self.connection.schema_editor(collect_sql=True)
        editor.deferred_sql = []
        for field in foreign_keys([Twin(twin.model, twin.model)]):
            own = next((key for key in twin.model._meta.constraints if getattr(key, "field", None) == field.name), None)
            statement = (
                own.create_sql(twin.model, editor)
                if own
                else editor._create_fk_sql(twin.model, field, "_fk_%(to_table)s_%(to_column)s")
            )
            # Django's own name has the quotes of a table in another database.
            if found := re.search(r"ADD CONSTRAINT `(.+?)` (FOREIGN KEY .*)", str(statement)):
                yield Part("foreign key", found[1], show_create.IDLE.sub("", found[2]), (field.column,))

    def foreign_keys(self) -> Iterator[Key]:
        rows = asking.fetch(self.connection, FOREIGN_KEYS)
        for (schema, table, name), columns in itertools.groupby(rows, key=lambda row: row[:3]):
            place = self.quoted(schema, table)
            pairs = tuple(((place, own), (self.quoted(far, other), column)) for *_, own, far, other, column in columns)
            shape = self.remedies.live(place)
            for part in shape.parts if shape else ():
                if part.kind == "foreign key" and part.name == name:
                    yield Key(place, name, part.definition, pairs)

    def quoted(self, schema: str | None, name: str) -> str:
        """A table as a statement names it, of another database with that one's name."""
        quote = self.connection.ops.quote_name
        return f"{quote(schema)}.{quote(name)}" if schema else quote(name)

    def read(self, name: str) -> Shape | None:
        return self.describe(self.connection.ops.quote_name(name))

    def describe(self, place: str) -> Shape | None:
        """A table by its name in a statement."""
        try:
            ((name, statement, *others),) = asking.fetch(self.connection, f"SHOW CREATE TABLE {place}")
        except DatabaseError as error:
            if error.args[0] == NO_SUCH_TABLE:
                return None
            raise
        there = [definitions.split(place)[0], name]
        described = asking.fetch(self.connection, f"SHOW FULL COLUMNS FROM {place}")
        collations = {column: collation or "" for column, _, collation, *_ in described}
        if others:
            return self.describe_view(place, described)
        statement = show_create.plain(statement)
        return Shape(
            place=place,
            schema="",
            kind="table",
            columns=tuple(show_create.columns(statement, collations)),
            parts=tuple(without_saying(list(show_create.parts(statement)))),
            comment=show_create.comment(statement),
            notes=tuple(self.notes_on(there, place, statement)),
            incoming=tuple(asking.fetch(self.connection, INCOMING, there)),
            engine=show_create.engine(statement),
            before=(KEEP_HISTORY,) if show_create.has_history(statement) else (),
        )

    def describe_view(self, place: str, described: list[tuple[Any, ...]]) -> Shape:
        lines = (f"`{name}` {kind} {'NULL' if null == 'YES' else 'NOT NULL'}" for name, kind, _, null, *_ in described)
        columns = tuple(show_create.column(line, {}) for line in lines)
        return Shape(place=place, schema="", kind="view", columns=columns, parts=(), comment="")

    def lacks(self, error: BaseException) -> bool:
        return bool(error.args) and error.args[0] in LACKING

    def engine_note(self, shape: Shape) -> str:
        if shape.engine in ("", TRANSACTIONAL):
            return ""
        return f"Its engine {shape.engine} has no transactions; ALTER TABLE {shape.place} ENGINE={TRANSACTIONAL}."

    def notes_on(self, there: Sequence[str | None], place: str, statement: str) -> Iterator[str]:
        made = show_create.ending(statement)
        rows = re.search(r"ROW_FORMAT=(COMPACT|REDUNDANT)", made)
        if rows:
            yield f"Its rows are {rows[1]}: no index holds over 767 bytes; ALTER TABLE {place} ROW_FORMAT=DYNAMIC."
        if "PARTITION BY" in made:
            yield "It has partitions: it can have no foreign keys, and every key must name the partitioning columns."
        if show_create.has_history(statement):
            yield f"It keeps its history, and the server refuses to alter it, a migration too, without: {KEEP_HISTORY}."
        for column in show_create.columns(statement, {}):
            if "COMPRESSED" in column.definition.split():
                yield f"Column {column.name} is compressed: altering it keeps that only where it is said again."
        for own, usual in asking.fetch(self.connection, COLLATIONS, there):
            if own != usual:
                yield f"Its collation is {own}, and new tables get {usual}: no foreign key can join the two."
        for trigger, when, event in asking.fetch(self.connection, TRIGGERS, there):
            yield f"Trigger {trigger} runs {when} {event}."


def without_saying(parts: list[Part]) -> Iterator[Part]:
    """A foreign key makes an index of its columns, which can't be dropped alone."""
    keys = {part.columns for part in parts if part.kind == "foreign key"}
    for part in parts:
        yield dataclasses.replace(part, implied=part.implied or (part.kind == "index" and part.columns in keys))
