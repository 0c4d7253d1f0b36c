"""Makes the tables of the twins by the statements that Django would make the live tables with."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.ddl_references import Statement

from rehome.errors import one_line
from rehome.schema.twins import Twin, foreign_keys

Attempt = Callable[[], AbstractContextManager[object]]
"""Opens a block whose statements are undone together when one of them fails."""


@dataclasses.dataclass(frozen=True)
class Unmade:
    """Something of a model that Django could not make in this database."""

    twin: Twin
    what: str
    why: str
    whole: bool
    """Whether there is no table at all to compare."""


def make_tables(
    twins: list[Twin],
    connection: BaseDatabaseWrapper,
    attempt: Attempt,
    options: Callable[[Twin], str],
    *,
    with_foreign_keys: bool,
) -> Iterator[Unmade]:
    """`options` are what stands behind the columns of a CREATE TABLE."""
    editor = open_editor(connection)
    statement = editor.sql_create_table.replace("CREATE TABLE", "CREATE TEMPORARY TABLE", 1)
    made = []
    for twin in twins:
        editor.sql_create_table = f"{statement}{options(twin)}"
        failure = try_to(attempt, functools.partial(create, editor, twin))
        if failure is None:
            made.append(twin)
        else:
            yield from find_culprits(editor, twin, attempt, failure)
    if with_foreign_keys:
        make_stand_ins(made, connection)
    for statement in editor.deferred_sql:
        if " FOREIGN KEY " in str(statement) and not with_foreign_keys:
            continue
        if failure := try_to(attempt, functools.partial(editor.execute, statement, None)):
            yield from (Unmade(twin, str(statement), failure, whole=False) for twin in named_in(statement, made))


def open_editor(connection: BaseDatabaseWrapper) -> Any:
    """Django's own, which takes a percent sign in a comment for a placeholder."""
    editor: Any = connection.schema_editor(atomic=False)
    editor.deferred_sql = []
    execute = editor.execute

    def execute_as_it_is(statement: Any, params: Any = ()) -> None:
        execute(statement, None if str(statement).startswith("COMMENT ON ") else params)

    editor.execute = execute_as_it_is
    return editor


def create(editor: Any, twin: Twin) -> None:
    """Its many-to-many tables are twins of their own, and what Django defers waits until all tables are there."""
    before = len(editor.deferred_sql)
    many_to_many, twin.twin._meta.local_many_to_many = twin.twin._meta.local_many_to_many, []
    try:
        editor.create_model(twin.twin)
    except DatabaseError:
        del editor.deferred_sql[before:]
        raise
    finally:
        twin.twin._meta.local_many_to_many = many_to_many


def try_to(attempt: Attempt, act: Callable[[], object]) -> str | None:
    """Why the server refused; None when it did not."""
    try:
        with attempt():
            act()
    except DatabaseError as error:
        return one_line(error)
    return None


def find_culprits(editor: Any, twin: Twin, attempt: Attempt, failure: str) -> Iterator[Unmade]:
    """The columns that can't be made even alone; without any, the table as a whole."""
    found = False
    for field in twin.twin._meta.local_concrete_fields:
        definition, params = editor.column_sql(twin.twin, field)
        name = editor.quote_name(field.column)
        table = f"CREATE TEMPORARY TABLE {editor.quote_name(twin.name)} ({name} {definition})"
        why = try_to(attempt, functools.partial(probe, editor, twin, table, params or None))
        if why is not None and not field.generated:
            found = True
            yield Unmade(twin, f"{name} {definition}", why, whole=True)
    if not found:
        yield Unmade(twin, f"a table for {twin.model._meta.label}", failure, whole=True)


def probe(editor: Any, twin: Twin, statement: str, params: Any) -> None:
    editor.execute(statement, params)
    editor.execute(f"DROP TABLE {editor.quote_name(twin.name)}", None)


def named_in(statement: Any, twins: Iterable[Twin]) -> list[Twin]:
    return [twin for twin in twins if isinstance(statement, Statement) and statement.references_table(twin.name)][:1]


def make_stand_ins(twins: list[Twin], connection: BaseDatabaseWrapper) -> None:
    """Tables for the foreign keys to models that are not compared, of the columns that are pointed at."""
    own = {twin.name for twin in twins}
    wanted: dict[str, dict[str, str]] = {}
    for field in foreign_keys(twins):
        table, target = field.target_field.model._meta.db_table, field.target_field
        if table not in own:
            wanted.setdefault(table, {})[target.column] = column_type(target, connection)
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        for table, columns in wanted.items():
            listed = ", ".join(f"{quote(name)} {kind} UNIQUE" for name, kind in columns.items())
            cursor.execute(f"CREATE TEMPORARY TABLE {quote(table)} ({listed})")


def column_type(field: Any, connection: BaseDatabaseWrapper) -> str:
    parameters = field.db_parameters(connection)
    collation = f" COLLATE {connection.ops.quote_name(parameters['collation'])}" if parameters.get("collation") else ""
    return f"{parameters['type']}{collation}"


def collect(connection: BaseDatabaseWrapper, act: Callable[[Any], object]) -> tuple[str, ...]:
    """The statements that a schema editor would run, without running them."""
    with connection.schema_editor(collect_sql=True, atomic=False) as editor:
        act(editor)
    return tuple(statement.rstrip(";") for statement in editor.collected_sql)
