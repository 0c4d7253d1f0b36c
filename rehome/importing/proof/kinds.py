"""What kind of value a column has, in words that are the same for each server."""

import dataclasses
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.postgres.tables import Column

POSTGRESQL = {
    "smallint": "integer", "integer": "integer", "bigint": "integer", "numeric": "decimal",
    "real": "float", "double precision": "float", "boolean": "boolean",
    "text": "text", "character varying": "text", "citext": "text", "character": "padded", "bytea": "bytes",
    "date": "date", "timestamp without time zone": "local", "timestamp with time zone": "moment",
    "time without time zone": "time", "interval": "interval", "uuid": "uuid", "json": "json", "jsonb": "json",
    "geometry": "geometry", "geography": "geometry", "money": "money",
}  # fmt: skip
"""By name of a type without its schema."""
LONGEST = 1_000
"""Characters of a text that is written out beside the others of its row; a longer one counts by its own hash."""


@dataclasses.dataclass(frozen=True)
class Kind:
    family: str
    """Such as `decimal`; empty for a type that only its own server has."""
    name: str
    """As the server calls the type."""
    scale: int | None = None
    """How many digits a number or a second has after the point; None where that varies."""
    length: int | None = None
    """How many characters a text has at the most; None where that is not said."""
    nullable: bool = True

    @property
    def long(self) -> bool:
        return self.length is None or self.length > LONGEST


def of_column(column: Column) -> Kind:
    """Of a column of the target."""
    name = column.base_type.rpartition(".")[2]
    family, modifiers = POSTGRESQL.get(name, ""), column.modifiers
    scale = modifiers[1] if family == "decimal" and len(modifiers) == 2 else 0 if family == "integer" else None
    return Kind(family, name, scale, modifiers[0] if family == "text" and modifiers else None)


def of_postgresql(connection: BaseDatabaseWrapper, description: Any) -> list[Kind]:
    """Of the columns of a query. What is a domain there is the type below it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT oid::bigint, pg_catalog.format_type(oid, NULL), typtype = 'e' FROM pg_catalog.pg_type "
            "WHERE oid = ANY(%s)",
            [list({column.type_code for column in description})],
        )
        types = {oid: (name.rpartition(".")[2].strip('"'), enum) for oid, name, enum in cursor.fetchall()}
    return [of_type(*types[column.type_code], column) for column in description]


def of_type(name: str, enum: bool, column: Any) -> Kind:  # noqa: FBT001  As the catalog says it.
    family = "enum" if enum else POSTGRESQL.get(name, "")
    scale = column.scale if family == "decimal" else 0 if family == "integer" else None
    length = column.display_size if family == "text" else 63 if enum else None
    return Kind(family, name, scale, length)


def of_mysql(description: Any, flags: Any) -> list[Kind]:
    """Of the columns of a query, as the driver describes them."""
    from MySQLdb.constants import FIELD_TYPE, FLAG  # Installed only where such a database is read.

    families = {
        **dict.fromkeys(
            [FIELD_TYPE.TINY, FIELD_TYPE.SHORT, FIELD_TYPE.INT24, FIELD_TYPE.LONG, FIELD_TYPE.LONGLONG], "integer"
        ),
        **dict.fromkeys([FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL], "decimal"),
        **dict.fromkeys([FIELD_TYPE.FLOAT, FIELD_TYPE.DOUBLE], "float"),
        FIELD_TYPE.YEAR: "integer", FIELD_TYPE.BIT: "bit", FIELD_TYPE.DATE: "date",
        FIELD_TYPE.DATETIME: "local", FIELD_TYPE.TIMESTAMP: "moment", FIELD_TYPE.TIME: "time",
        FIELD_TYPE.JSON: "json", FIELD_TYPE.GEOMETRY: "geometry",
    }  # fmt: skip
    names = {number: name for name, number in vars(FIELD_TYPE).items() if isinstance(number, int)}
    found = []
    for (_, kind, _, size, _, scale, nullable), flag in zip(description, flags, strict=True):
        family = families.get(kind, "bytes" if flag & FLAG.BINARY else "text")
        family = "set" if flag & FLAG.SET else "enum" if flag & FLAG.ENUM else family
        known = family in {"decimal", "local", "moment", "time"} and scale is not None and scale < 31
        digits = scale if known else 0 if family == "integer" else None
        # Four bytes a character at the most.
        length = size // 4 if family in {"text", "enum", "set", "bytes"} and size and size > 0 else None
        found.append(Kind(family, names.get(kind, str(kind)), digits, length, nullable=bool(nullable)))
    return found
