"""Tables of PostgreSQL and their temporary twins, as the catalog describes both."""

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.checkschema.joined import Key, Known
from rehome.checkschema.postgres import notes, sequences
from rehome.checkschema.postgres.remedies import PostgreSQLRemedies
from rehome.checkschema.server import Server
from rehome.checkschema.shape import Column, Part, Shape
from rehome.checkschema.twins import Twin
from rehome.errors import Refused
from rehome.plan import historical
from rehome.postgres import anatomy, asking, catalog, resolution, sql, states, tables
from rehome.postgres.tables import Anatomy, Constraint, ForeignKey, Table

KINDS = {"p": "primary key", "u": "unique", "x": "exclusion", "c": "check"}
RELATIONS = {"r": "table", "p": "table", "v": "view", "m": "materialized view", "f": "foreign table"}

INVALID = """
SELECT i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
 WHERE x.indrelid = %s AND NOT (x.indisvalid AND x.indisready)
"""

# PostgreSQL 18 can have a NOT NULL that is not validated; SET NOT NULL validates it.
UNPROVED = """
SELECT a.attname FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
 WHERE c.conrelid = %s AND c.contype = 'n' AND NOT c.convalidated
"""

FOREIGN_KEYS = """
SELECT format('%I.%I', n.nspname, r.relname), c.conname::text, pg_get_constraintdef(c.oid),
       (SELECT array_agg(a.attname::text ORDER BY k.place) FROM unnest(c.conkey) WITH ORDINALITY AS k (number, place)
          JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number),
       format('%I.%I', rn.nspname, rr.relname),
       (SELECT array_agg(a.attname::text ORDER BY k.place) FROM unnest(c.confkey) WITH ORDINALITY AS k (number, place)
          JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.number)
  FROM pg_constraint c
  JOIN pg_class r ON r.oid = c.conrelid JOIN pg_namespace n ON n.oid = r.relnamespace
  JOIN pg_class rr ON rr.oid = c.confrelid JOIN pg_namespace rn ON rn.oid = rr.relnamespace
 WHERE c.contype = 'f' AND c.conparentid = 0 AND r.relpersistence <> 't'
 ORDER BY 1, 2
"""

PLACE = "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %s"

MAY_MAKE_TABLES = "SELECT pg_is_in_recovery(), has_database_privilege(current_database(), 'TEMPORARY')"
# Quoted only where it must be.
QUOTED_NAME = "SELECT format('%%I.%%I', %s::text, %s::text)"

# A default of NULL: PHP's tools write DEFAULT NULL, and the server keeps it with its cast.
NOTHING = re.compile(r"NULL::[\w .\"()\[\]]+")
# A literal with the type of its column, which is compared on its own.
LITERAL = re.compile(r"('(?:[^']|'')*')::[\w .\"()\[\]]+")
# Casts from before a column's type changed; they change no comparison of texts or of integers.
TEXT_CASTS = re.compile(r"::(?:text|character varying|bpchar)(?:\(\d+\))?(?:\[\])?")
NUMBER_CASTS = re.compile(r"\((-?\d+)\)::(?:smallint|integer|bigint)")
QUOTED = re.compile(r"'((?:[^']|'')*)'(::(?:smallint|integer|bigint)(?!\[))?|\"(?:[^\"]|\"\")*\"")
NEEDLESS = re.compile(r"(?<![\w\x00])\(([\w\x00]+|\([^()]*\)|ARRAY\[[^\]()]*\])\)")


class PostgreSQL(Server):
    makes_foreign_keys = True
    installable = "what this server has, or install its extension there (CREATE EXTENSION)"

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self.known = Known()
        self.remedies = PostgreSQLRemedies(connection, self.known)
        self.places: dict[int, str] = {}
        """By the oid of a table that a foreign key of a twin points at: the live table in its place."""

    @contextmanager
    def temporary_tables(self) -> Iterator[None]:
        """A transaction that can make temporary tables and is rolled back."""
        self.refuse_without_temporary_tables()
        with transaction.atomic(using=self.connection.alias):
            # A connection may be read-only by default; after the transaction's first query that could not be changed.
            with self.connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION READ WRITE")
            yield
            transaction.set_rollback(True, using=self.connection.alias)

    def refuse_without_temporary_tables(self) -> None:
        ((standby, allowed),) = asking.query(self.connection, MAY_MAKE_TABLES)
        if standby or not allowed:
            raise Refused(
                f"This connection to database {self.connection.alias!r} can make no temporary tables, which "
                "checkschema needs for its comparison.",
                "Run it on the primary." if standby else "GRANT TEMPORARY ON DATABASE to its role.",
            )

    def attempt(self) -> AbstractContextManager[object]:
        return transaction.atomic(using=self.connection.alias)

    def stand_for(self, name: str, live_name: str) -> None:
        quote = self.connection.ops.quote_name
        stand_in, live = (resolution.find(self.connection, quote(table)) for table in (name, live_name))
        assert stand_in is not None  # noqa: S101  It has just been made.
        found = asking.query(self.connection, PLACE, [live])
        self.places[stand_in] = sql.readable(*found[0]) if found else quote(live_name)

    def lacks(self, error: BaseException) -> bool:
        return states.state_of(error) in states.UNKNOWN - states.NOT_THERE

    def foreign_keys(self) -> Iterator[Key]:
        for table, name, definition, own, other, referenced in asking.query(self.connection, FOREIGN_KEYS):
            pairs = (((table, here), (other, there)) for here, there in zip(own, referenced, strict=True))
            yield Key(table, name, definition, tuple(pairs))

    def notes(self) -> Iterator[str]:
        return notes.find_in_database(self.connection)

    def simplified(self, definition: str) -> str:
        return simplified(definition)

    def read_twin(self, twin: Twin) -> Shape:
        return self.describe(historical.get_table(self.connection, twin.twin))

    def read(self, name: str) -> Shape | None:
        table = catalog.read_table(self.connection, self.connection.ops.quote_name(name))
        return None if table is None else self.describe(table)

    def describe(self, table: Table) -> Shape:
        whole = anatomy.read_anatomy(table, self.connection)
        invalid = set(asking.column(self.connection, INVALID, [table.oid]))
        place = asking.value(self.connection, QUOTED_NAME, [table.schema, table.name])
        return Shape(
            place=place,
            schema=table.schema,
            kind=RELATIONS.get(table.kind, "relation of another kind"),
            columns=tuple(self.columns(whole)),
            parts=(
                *(describe_constraint(c, self.places) for c in table.all_constraints),
                *(describe_index(i, invalid) for i in table.indexes),
            ),
            comment=whole.comments.get("", ""),
            notes=tuple(notes.find(table, place, self.connection)) if table.persistence != "t" else (),
            incoming=tuple((key.table, key.name) for key in table.incoming),
        )

    def columns(self, whole: Anatomy) -> Iterator[Column]:
        numbered_columns = sequences.read(whole.table, self.connection)
        following = {name: sql.name(one).as_string() for name, one in whole.table.sequences.items()}
        unproved = set(asking.column(self.connection, UNPROVED, [whole.table.oid]))
        for column in whole.table.columns:
            numbered, cure = numbered_columns.get(column.name, ("", ()))
            yield Column(
                name=column.name,
                type=column.type,
                nullable=column.nullable or column.name in unproved,
                default=None if numbered else constant(column.default),
                generated=generation(column),
                collation=column.collation,
                comment=whole.comments.get(column.name, ""),
                numbered=numbered,
                cure=cure,
                sequence="" if column.identity else following.get(column.name, ""),
            )


def constant(default: str | None) -> str | None:
    """Without the type that the server adds to a literal: the column's type is compared by itself."""
    if default is None or NOTHING.fullmatch(default):
        return None
    literal = LITERAL.fullmatch(default)
    return literal[1] if literal else default


def generation(column: tables.Column) -> str:
    kind = "VIRTUAL" if column.generated == "v" else "STORED"
    return f"{column.generation} {kind}" if column.generated else ""


def describe_constraint(constraint: Constraint | ForeignKey, places: Mapping[int, str]) -> Part:
    flaw = "" if constraint.validated else "not validated"
    if isinstance(constraint, Constraint):
        return Part(KINDS[constraint.kind], constraint.name, constraint.definition, constraint.columns, flaw)
    place = places.get(constraint.referenced_oid) or sql.readable(constraint.end.schema, constraint.end.table)
    columns, referenced = (sql.columns(names).as_string() for names in (constraint.columns, constraint.end.columns))
    definition = f"FOREIGN KEY ({columns}) REFERENCES {place}({referenced}){constraint.terms}"
    return Part("foreign key", constraint.name, definition, constraint.columns, flaw)


def describe_index(index: tables.Index, invalid: set[str]) -> Part:
    kind = "unique index" if index.unique else "index"
    definition = index.definition[index.definition.index(" USING ") + len(" USING ") :]
    flaw = "invalid, as a concurrent build leaves it that failed" if index.name in invalid else ""
    return Part(kind, index.name, definition, index.columns, flaw)


def simplified(definition: str) -> str:
    """Without needless casts and parentheses, which the server adds when a column's type changes."""
    quoted: list[str] = []

    def stash(found: re.Match[str]) -> str:
        if found[2]:
            return found[1]  # A negative number, which is written like a text.
        quoted.append(found[0])
        return f"\x00{len(quoted) - 1}\x00"

    text = NUMBER_CASTS.sub(r"\1", TEXT_CASTS.sub("", QUOTED.sub(stash, definition)))
    while (shorter := NEEDLESS.sub(r"\1", text)) != text:
        text = shorter
    return re.sub(r"\x00(\d+)\x00", lambda found: quoted[int(found[1])], text)
