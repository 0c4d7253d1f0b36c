"""Makes the tables of the twins, by the statements with which Django would make the live tables."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.checkschema.server import Server
from rehome.checkschema.twins import Twin, foreign_keys
from rehome.errors import one_line


@dataclasses.dataclass(frozen=True)
class Unmade:
    """Something of a model that Django could not make in this database."""

    twin: Twin
    what: str
    why: str
    whole: bool
    """Whether the whole table is missing."""
    lacking: bool
    """Whether the server lacks what it names: a type, a collation or an operator class."""


@dataclasses.dataclass(frozen=True)
class Refusal:
    why: str
    lacking: bool


def make_tables(twins: list[Twin], server: Server) -> Iterator[Unmade]:
    """First all tables, then what Django defers: the indexes, and the foreign keys from one to the other."""
    editor = open_editor(server)
    create_table = editor.sql_create_table.replace("CREATE TABLE", "CREATE TEMPORARY TABLE", 1)
    deferred: dict[Twin, list[Any]] = {}
    for twin in twins:
        editor.sql_create_table, editor.deferred_sql = f"{create_table}{server.table_options(twin)}", []
        failure = try_to(server, functools.partial(create, editor, twin.twin))
        if failure is None:
            deferred[twin] = editor.deferred_sql
        else:
            yield from find_culprits(editor, twin, server, failure)
    if server.makes_foreign_keys:
        make_stand_ins(list(deferred), server.connection)
    for twin, statements in deferred.items():
        for statement in statements:
            if " FOREIGN KEY " in str(statement) and not server.makes_foreign_keys:
                continue
            if failure := try_to(server, functools.partial(editor.execute, statement, None)):
                yield unmade(twin, str(statement).replace(twin.name, twin.live_name), failure, whole=False)


def unmade(twin: Twin, what: str, refusal: Refusal, *, whole: bool) -> Unmade:
    return Unmade(twin, what, refusal.why, whole, refusal.lacking)


def open_editor(server: Server) -> Any:
    """Django's own takes a percent sign in a comment for a placeholder; this one does not."""
    editor: Any = server.connection.schema_editor(atomic=False)
    execute = editor.execute

    def execute_as_it_is(statement: Any, params: Any = ()) -> None:
        execute(server.as_twin(str(statement)), None if str(statement).startswith("COMMENT ON ") else params)

    editor.execute = execute_as_it_is
    return editor


def create(editor: Any, model: Any) -> None:
    """Without its many-to-many tables, which have twins of their own."""
    many_to_many, model._meta.local_many_to_many = model._meta.local_many_to_many, []
    try:
        editor.create_model(model)
    finally:
        model._meta.local_many_to_many = many_to_many


def try_to(server: Server, act: Callable[[], object]) -> Refusal | None:
    """Why the server refused; None when it did not."""
    connection: Any = server.connection
    try:
        with server.attempt():
            act()
    except (DatabaseError, connection.Database.Error) as error:
        # The latter where Django composes a statement itself.
        return Refusal(one_line(error), server.lacks(error))
    return None


def find_culprits(editor: Any, twin: Twin, server: Server, failure: Refusal) -> list[Unmade]:
    """The columns that the server refuses one by one; if there is none, the whole table."""
    found = []
    for field in twin.twin._meta.local_concrete_fields:
        definition, params = editor.column_sql(twin.twin, field)
        name = editor.quote_name(field.column)
        table = f"CREATE TEMPORARY TABLE {editor.quote_name(twin.name)} ({name} {definition})"
        why = try_to(server, functools.partial(probe, editor, twin, table, params or None))
        if why is not None and not field.generated:
            found.append(unmade(twin, f"{name} {definition}", why, whole=True))
    return found or [unmade(twin, f"a table for {twin.label}", failure, whole=True)]


def probe(editor: Any, twin: Twin, statement: str, params: Any) -> None:
    editor.execute(statement, params)
    editor.execute(f"DROP TABLE {editor.quote_name(twin.name)}", None)


def make_stand_ins(twins: list[Twin], connection: BaseDatabaseWrapper) -> None:
    """Tables for foreign keys to models that are not compared, with the columns that these refer to."""
    own, quote = {twin.name for twin in twins}, connection.ops.quote_name
    wanted: dict[str, dict[str, str]] = {}
    for target in (field.target_field for field in foreign_keys(twins)):
        if (table := target.model._meta.db_table) not in own:
            kind, collation = target.db_type(connection), target.db_parameters(connection).get("collation")
            collated = f" COLLATE {quote(collation)}" if collation else ""
            wanted.setdefault(table, {})[target.column] = f"{kind}{collated}"
    with connection.cursor() as cursor:
        for table, columns in wanted.items():
            listed = ", ".join(f"{quote(name)} {kind} UNIQUE" for name, kind in columns.items())
            cursor.execute(f"CREATE TEMPORARY TABLE {quote(table)} ({listed})")


def collect(connection: BaseDatabaseWrapper, act: Callable[[Any], object]) -> tuple[str, ...]:
    """The statements that a schema editor would run, without running them."""
    with connection.schema_editor(collect_sql=True, atomic=False) as editor:
        act(editor)
    return tuple(statement.rstrip(";") for statement in editor.collected_sql)
