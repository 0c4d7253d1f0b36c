"""Tables of MySQL and MariaDB and their temporary twins, as SHOW CREATE TABLE describes both."""

import dataclasses
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.checkschema.mysql import show_create
from rehome.checkschema.mysql.remedies import MySQLRemedies
from rehome.checkschema.server import Server
from rehome.checkschema.shape import Part, Shape
from rehome.checkschema.twins import Twin, foreign_keys
from rehome.errors import Refused, one_line
from rehome.postgres import catalog

NO_SUCH_TABLE = 1146
COMPARED = re.compile(r"CHECK \(\((.*)\) = (?:0x01|true)\)")
TRIGGERS = """
SELECT trigger_name, action_timing, event_manipulation FROM information_schema.triggers
 WHERE event_object_schema = DATABASE() AND event_object_table = %s ORDER BY trigger_name
"""
INCOMING = """
SELECT DISTINCT table_name, constraint_name FROM information_schema.key_column_usage
 WHERE referenced_table_schema = DATABASE() AND referenced_table_name = %s
   AND (table_schema, table_name) <> (referenced_table_schema, referenced_table_name)
 ORDER BY table_name, constraint_name
"""
COLLATIONS = """
SELECT table_collation, @@collation_database FROM information_schema.tables
 WHERE table_schema = DATABASE() AND table_name = %s
"""


class MySQL(Server):
    makes_foreign_keys = False

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection.copy()
        """A connection of its own, with which its temporary tables and its settings end."""
        self.remedies = MySQLRemedies()

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
        collations = catalog.query(self.connection, COLLATIONS, [twin.live_name])
        return f" COLLATE {collations[0][0]}" if collations and collations[0][0] else ""

    def simplified(self, definition: str) -> str:
        """Django compares a raw condition with True here."""
        return COMPARED.sub(r"CHECK (\1)", definition)

    def read_twin(self, twin: Twin) -> Shape:
        shape = self.read(twin.name)
        if shape is None:
            raise AssertionError(f"{twin.name} has been made.")
        return dataclasses.replace(shape, parts=(*shape.parts, *self.expected_foreign_keys(twin)))

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
            if found := re.search(r"ADD CONSTRAINT `([^`]+)` (FOREIGN KEY .*)", str(statement)):
                yield Part("foreign key", found[1], show_create.IDLE.sub("", found[2]), (field.column,))

    def read(self, name: str) -> Shape | None:
        place = self.connection.ops.quote_name(name)
        try:
            ((_, statement, *others),) = catalog.query(self.connection, f"SHOW CREATE TABLE {place}")
        except DatabaseError as error:
            if error.args[0] == NO_SUCH_TABLE:
                return None
            raise
        described = catalog.query(self.connection, f"SHOW FULL COLUMNS FROM {place}")
        collations = {column: collation or "" for column, _, collation, *_ in described}
        if others:
            return self.describe_view(place, described)
        return Shape(
            place=place,
            schema="",
            kind="table",
            columns=tuple(show_create.columns(statement, collations)),
            parts=tuple(without_saying(list(show_create.parts(statement)))),
            comment=show_create.comment(statement),
            notes=tuple(self.notes_on(name, place, statement)),
            incoming=tuple(catalog.query(self.connection, INCOMING, [name])),
        )

    def describe_view(self, place: str, described: list[tuple[Any, ...]]) -> Shape:
        lines = (f"`{name}` {kind} {'NULL' if null == 'YES' else 'NOT NULL'}" for name, kind, _, null, *_ in described)
        columns = tuple(show_create.column(line, {}) for line in lines)
        return Shape(place=place, schema="", kind="view", columns=columns, parts=(), comment="")

    def notes_on(self, name: str, place: str, statement: str) -> Iterator[str]:
        made = show_create.ending(statement)
        engine, rows = re.search(r"ENGINE=(\w+)", made), re.search(r"ROW_FORMAT=(COMPACT|REDUNDANT)", made)
        if rows:
            yield f"Its rows are {rows[1]}: no index holds over 767 bytes; ALTER TABLE {place} ROW_FORMAT=DYNAMIC."
        if "PARTITION BY" in made:
            yield "It has partitions: it can have no foreign keys, and every key must name the partitioning columns."
        if engine and engine[1] != "InnoDB":
            yield f"Its engine {engine[1]} has no transactions; ALTER TABLE {place} ENGINE=InnoDB."
        for own, usual in catalog.query(self.connection, COLLATIONS, [name]):
            if own != usual:
                yield f"Its collation is {own}, and new tables get {usual}: no foreign key can join the two."
        for trigger, when, event in catalog.query(self.connection, TRIGGERS, [name]):
            yield f"Trigger {trigger} runs {when} {event}."


def without_saying(parts: list[Part]) -> Iterator[Part]:
    """A foreign key makes an index of its columns, which can't be dropped alone."""
    keys = {part.columns for part in parts if part.kind == "foreign key"}
    for part in parts:
        yield dataclasses.replace(part, implied=part.kind == "index" and part.columns in keys)
