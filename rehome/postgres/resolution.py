"""What a name means to the project, whose search path a session of rehome does not look in."""

import re
from collections.abc import Iterable

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.postgres import asking

MEANT = "SELECT pg_catalog.to_regclass(%s)::pg_catalog.oid::pg_catalog.int8"

VIEW_MEANT = """
SELECT c.oid::pg_catalog.int8 FROM pg_catalog.pg_class c
 WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(%s) AND c.relkind OPERATOR(pg_catalog.=) 'v'
"""

ALL_MEANT = """
SELECT pg_catalog.to_regclass(name)::pg_catalog.oid::pg_catalog.int8
  FROM pg_catalog.unnest(%s::pg_catalog.text[]) WITH ORDINALITY AS asked (name, number)
 ORDER BY number
"""

NAMED = {
    "opclass": """
SELECT n.nspname, o.opcname
  FROM pg_opclass o JOIN pg_namespace n ON n.oid = o.opcnamespace JOIN pg_am a ON a.oid = o.opcmethod
 WHERE o.opcname = %(name)s AND a.amname = %(method)s AND n.nspname = ANY(%(schemas)s)
 ORDER BY array_position(%(schemas)s, n.nspname::text) LIMIT 1
""",
    "collation": """
SELECT n.nspname, c.collname
  FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
 WHERE c.collname = %(name)s AND n.nspname = ANY(%(schemas)s)
 ORDER BY array_position(%(schemas)s, n.nspname::text) LIMIT 1
""",
}

CHANGING = """
SELECT DISTINCT proname FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace
 WHERE proname = ANY(%s) AND nspname = ANY(%s) AND (provolatile = 'v' OR provolatile = 's' AND pronargs = 0)
"""

COLLATED = re.compile(r'\s+COLLATE\s+(?:"(?:[^"]|"")+"|[\w$]+)(?:\.(?:"(?:[^"]|"")+"|[\w$]+))?', re.IGNORECASE)
"""What the type of a column may be followed by; a column's collation is another matter."""


def find(connection: BaseDatabaseWrapper, quoted_name: str) -> int | None:
    """The oid of the table (or view) that `quoted_name` means to the project; None when there is none.

    The only place where a table is found by a name that may lack its schema.
    """
    oid: int | None = asking.fetch_for_project(connection, MEANT, [quoted_name])[0][0]
    return oid


def find_all(connection: BaseDatabaseWrapper, quoted_names: Iterable[str]) -> list[int | None]:
    """The same of several, in their order."""
    return [oid for (oid,) in asking.fetch_for_project(connection, ALL_MEANT, [list(quoted_names)])]


def find_view(connection: BaseDatabaseWrapper, quoted_name: str) -> int | None:
    """The oid of the view that `quoted_name` means to the project, by one cheap question; None where it means none."""
    found = asking.fetch_for_project(connection, VIEW_MEANT, [quoted_name])
    return found[0][0] if found else None


def exists(connection: BaseDatabaseWrapper, name: str) -> bool:
    """Whether `name` means a table or view to the project."""
    return find(connection, name) is not None


def current_schema(connection: BaseDatabaseWrapper) -> str | None:
    """Where the project creates tables; None where its search path names no schema that is there."""
    question = "SELECT pg_catalog.current_schema()::pg_catalog.text"
    found: str | None = asking.fetch_for_project(connection, question)[0][0]
    return found


def place_of(connection: BaseDatabaseWrapper, oid: int) -> tuple[str, str]:
    """(schema, name) of a table or view."""
    question = "SELECT nspname, relname FROM pg_namespace n JOIN pg_class c ON relnamespace = n.oid WHERE c.oid = %s"
    ((schema, name),) = asking.query(connection, question, [oid])
    return schema, name


def extension_schemas(connection: BaseDatabaseWrapper) -> set[str]:
    """Schemas that hold the types, operators and functions of extensions."""
    schemas = "SELECT DISTINCT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
    return set(asking.column(connection, schemas))


def qualify(connection: BaseDatabaseWrapper, kind: str, method: str, name: tuple[str, ...]) -> tuple[str, ...]:
    """With the schema, of the operator class or collation that the name means to the project."""
    if len(name) != 1:
        return name
    asked = {"name": name[0], "method": method, "schemas": search_path(connection)}
    found = asking.query(connection, NAMED[kind], asked)
    return found[0] if found else name


def changing_functions(connection: BaseDatabaseWrapper, names: Iterable[str]) -> list[str]:
    """Those of the functions that may give another value for the same arguments, within a second or a day."""
    places = [*search_path(connection), *extension_schemas(connection)]
    return sorted(asking.column(connection, CHANGING, [list(names), places]))


def search_path(connection: BaseDatabaseWrapper) -> list[str]:
    """The schemas where the project finds names, `pg_catalog` among them."""
    ((schemas,),) = asking.fetch_for_project(connection, "SELECT pg_catalog.current_schemas(true)::pg_catalog.text[]")
    return list(schemas)


def canonical_type(connection: BaseDatabaseWrapper, declared: str) -> str | None:
    """`varchar(200)` as PostgreSQL prints it, `character varying(200)`; None when there is no such type."""
    declared = COLLATED.sub("", declared)
    modifiers = "".join(re.findall(r"\([^)]*\)", declared)).replace(" ", "")
    array = "[]" if declared.rstrip().endswith("]") else ""
    bare = re.sub(r"\([^)]*\)|\[\d*\]", "", declared).strip()
    type_oid = "SELECT pg_catalog.to_regtype(%s)::pg_catalog.oid::pg_catalog.int8"
    ((oid,),) = asking.fetch_for_project(connection, type_oid, [bare])
    if oid is None:
        return None
    printed = asking.value(connection, "SELECT format_type(%s::oid, NULL)", [oid])
    head, space, tail = printed.partition(" with")
    return f"{head}{modifiers}{space}{tail}{array}"
