"""SQL of the view that stands in for a table under its old name: pure functions from a TablePair.

A view whose columns are columns of the target is updatable by itself, and PostgreSQL treats it like the table:
`RETURNING`, `ON CONFLICT`, `FOR UPDATE`. Where an expression makes a column, a trigger carries each written row,
and `ON CONFLICT` is refused by PostgreSQL.
"""

import dataclasses
from collections.abc import Collection, Iterable, Mapping

from rehome.parts import functions, grants, writers
from rehome.parts.carry import called_by, defer_unique, discreet
from rehome.parts.rows import changes, names, same_columns, same_key, values
from rehome.parts.triggers import VIEW_EVENTS, Trigger, trigger_name
from rehome.plan.plan import GONE, Assignment, Plan, TablePair, read_column
from rehome.postgres import sql
from rehome.postgres.sql import (
    EQUAL,
    OTHER,
    SQL,
    Identifier,
    Literal,
    Statement,
    aliased,
    columns,
    differ,
    name,
    of,
    typed,
)
from rehome.postgres.tables import PREFIX, Column, Grant, Table


def create(pair: TablePair, plan: Plan, *, granting: bool = False) -> list[Statement]:
    """The view under the source's name, which must be free, with the source's owner, grants and defaults.

    Its users need rights on both the view and the target: see `grants.missing`.
    """
    return [*make(pair, plan, granting=granting), *grants.exactly("TABLE", name(pair.source), pair.source.grants)]


def make(pair: TablePair, plan: Plan, *, granting: bool = False, query: Statement | None = None) -> list[Statement]:
    """The same but for the grants; `query` is what it is to read, where that is known."""
    view = name(pair.source)
    return [
        sql.Within(
            SQL("CREATE VIEW {} WITH (security_invoker = {}) AS {}").format(
                view, SQL("true" if asks_reader(pair.source.grants) else "false"), query or select(pair)
            ),
            plan.search_path,
        ),
        sql.set_owner("VIEW", view, pair.source.owner),
        SQL("COMMENT ON VIEW {} IS {}").format(view, Literal(comment(pair))),
        *(
            sql.Within(
                SQL("ALTER VIEW {} ALTER COLUMN {} SET DEFAULT {}").format(view, Identifier(column), SQL(default)),
                plan.search_path,
            )
            for column, default in defaults(pair)
        ),
        *(statement for trigger in wanted(pair, plan, granting=granting) for statement in trigger.create()),
    ]


def drop(pair: TablePair) -> list[Statement]:
    """What stands under the source's name, if it is a view, and its trigger's function."""
    stands = pair.source.kind == "v" and pair.source.oid != GONE
    function = Identifier(pair.source.schema, trigger_name("view", pair))
    return [
        *([SQL("DROP VIEW {}").format(name(pair.source))] if stands else []),
        SQL("DROP FUNCTION IF EXISTS {}()").format(function),
    ]


def keep_sequences(view: Table, table: Table) -> list[Statement]:
    """What numbers the rows that come through the view must not go with the table that owns it."""
    statements: list[Statement] = []
    for column, sequence in table.sequences.items():
        default = view.column(column).default or ""
        if f"{sequence.name}'" in default or f'{sequence.name}"' in default:
            place, owner = Identifier(sequence.schema, sequence.name), Identifier(view.schema, view.name, column)
            statements.append(SQL("ALTER SEQUENCE {} OWNED BY {}").format(place, owner))
    return statements


def comment(pair: TablePair) -> str:
    return f"rehome: {pair.source} is a view of {pair.target}."


def asks_reader(granted: Iterable[Grant]) -> bool:
    """Whether readers of the view need the right to read the target, as its policies then apply to them.

    PostgreSQL would ask for every column that the view has, so a grant to read single columns is kept by a view
    that reads with its owner's rights.
    """
    return not any(privilege.column and privilege.privilege == "SELECT" for privilege in granted)


def is_plain(pair: TablePair) -> bool:
    """Whether each column of the view is a column of the target, and the other way round."""
    assignments = (*pair.forward.carried, *pair.backward.assignments)
    return not pair.derived and all(assignment.plain for assignment in assignments)


def wanted(pair: TablePair, plan: Plan, *, granting: bool = False) -> list[Trigger]:
    """The trigger that carries what is written to the view; none where PostgreSQL does.

    Whoever writes to the view holds rights on it and on the target: it runs as that role. With `granting`, the view
    and the target are about to have the source's grants.
    """
    if is_plain(pair):
        return []
    users = writers.users(plan, pair, granting=granting)
    called, computed = functions.compute(pair, plan.search_path)
    trigger = trigger_name("view", pair)
    carried = body(called, trigger)
    carried = discreet(carried, pair.target) if users is None else carried
    return [Trigger(pair.source, trigger, VIEW_EVENTS, "ROW", carried, users, values=computed)]


def as_renamed(pair: TablePair) -> TablePair:
    """The pair that the view is made of where the table takes the target's name. The table's own sequence and its
    generated columns are the view's too.
    """
    columns = {
        column.name: dataclasses.replace(column, default=None, identity="", generated="")
        if column.name in pair.source.sequences or column.generated
        else column
        for column in pair.source.columns
    }
    assignments = [
        *(dataclasses.replace(a, column=columns[a.column.name]) for a in pair.backward.assignments),
        *(
            Assignment(columns[column.name], read_column(column.name), frozenset({column.name}))
            for column in pair.source.columns
            if column.generated
        ),
    ]
    return dataclasses.replace(
        pair,
        source=dataclasses.replace(pair.source, columns=tuple(columns.values())),
        backward=dataclasses.replace(pair.backward, assignments=tuple(assignments)),
    )


def as_standing(
    pair: TablePair, columns: Mapping[str, str], granted: Iterable[Grant], known: Collection[str]
) -> TablePair:
    """The pair that the view is made of once the table has the target's name: by the view's columns, the table's that
    they are. A default of its own, of the columns `known`, is the view's.
    """
    names = {there: here for here, there in columns.items()}
    own = {column.name: column.default for column in pair.source.columns if column.name in known}
    found = tuple(
        dataclasses.replace(
            c, name=names[c.name], default=own.get(names[c.name]), identity="", generated="", generation=None
        )
        for c in pair.target.columns
        if c.name in names
    )
    assignments = tuple(
        Assignment(column, read_column(columns[column.name]), frozenset({columns[column.name]})) for column in found
    )
    source = dataclasses.replace(
        pair.source, owner=pair.target.owner, columns=found, grants=tuple(granted), sequences={}
    )
    return dataclasses.replace(
        pair, source=source, backward=dataclasses.replace(pair.backward, assignments=assignments)
    )


def as_left(pair: TablePair, known: Collection[str] | None) -> TablePair:
    """The pair that the view is made of once the old table has been dropped: the view has its columns, and the defaults
    that are its own, of the columns `known`; None for any.
    """
    columns = {
        column.name: column if known is None or column.name in known else dataclasses.replace(column, default=None)
        for column in pair.source.columns
    }
    made = tuple(dataclasses.replace(one, column=columns[one.column.name]) for one in pair.backward.assignments)
    found = {assignment.column.name for assignment in made}
    source = dataclasses.replace(pair.source, columns=tuple(c for c in columns.values() if c.name in found))
    return dataclasses.replace(pair, source=source, backward=dataclasses.replace(pair.backward, assignments=made))


# ----- the columns


def select(pair: TablePair) -> Statement:
    return SQL("SELECT {} FROM {} AS new").format(listed(pair), name(pair.target))


def listed(pair: TablePair) -> Statement:
    """The source's columns in its order; after them, unnamed by old code, those that are filled for each new row."""
    made = {assignment.column.name: assignment for assignment in pair.backward.assignments}
    # A column that no model knows, and that holds nothing, has no part in the move.
    known = [column for column in pair.source.columns if column.generated or column.name in made]
    found = [(generated(c, pair) if c.generated else read(made[c.name]), c.name) for c in known]
    return aliased([*found, *((Identifier("new", filled.column.name), place) for place, filled in fills(pair))])


def read(assignment: Assignment) -> Statement:
    value = SQL(assignment.value)
    return value if assignment.plain else typed(value, assignment.column)


def generated(column: Column, pair: TablePair) -> Statement:
    """What the source's table would generate from the row."""
    assert column.generation is not None  # noqa: S101  A generated column has one.
    row = aliased((read(assignment), assignment.column.name) for assignment in pair.backward.assignments)
    return SQL("(SELECT {} FROM (SELECT {}) AS source)").format(typed(SQL(column.generation), column), row)


def fills(pair: TablePair) -> list[tuple[str, Assignment]]:
    """(column of the view, what the target's column is filled with) where old code knows no such column and the
    target's table no default: a default of the view fills it.
    """
    filled = [a for a in pair.forward.assignments if not a.carried and is_plain(pair)]
    return [(f"{PREFIX}{number}_{fill.column.name}", fill) for number, fill in enumerate(filled, start=1)]


def defaults(pair: TablePair) -> list[tuple[str, str]]:
    """(column of the view, default) for each that a new row would not get from the target by itself."""
    found = [(place, filled.value) for place, filled in fills(pair)]
    for assignment in pair.backward.assignments:
        default = default_of(assignment.column, pair)
        if default is not None and not (is_plain(pair) and gives_same(default, assignment, pair)):
            found.append((assignment.column.name, default))
    return found


def default_of(column: Column, pair: TablePair) -> str | None:
    """An identity column's default is the next number of its sequence."""
    if not column.identity:
        return column.default
    sequence = pair.source.sequences[column.name]
    place = Identifier(sequence.schema, sequence.name).as_string()
    return SQL("nextval({}::regclass)").format(Literal(place)).as_string()


def gives_same(default: str, assignment: Assignment, pair: TablePair) -> bool:
    column = pair.target.column(*assignment.reads)
    return column.default == default or (bool(assignment.column.identity) and column.name in pair.target.sequences)


# ----- what is written to it


def body(pair: TablePair, function: str) -> str:
    """PL/pgSQL that carries one row, written to the view, to the target; it returns the row as the view then has it.

    PostgreSQL neither locks the row of such a view nor looks at it again after a wait. A row that somebody else has
    changed since the statement read it is a serialization failure, or that change would be lost. What is returned is
    the row that was written: a snapshot may still show another one under its key.
    """
    flow = pair.forward
    read = names(pair.backward.assignments)
    return (
        SQL(
            """
#variable_conflict use_column
DECLARE
  seen pg_catalog.record;
  written pg_catalog.record;
BEGIN{called}
  IF TG_OP {ne} 'INSERT' THEN
    PERFORM FROM {target} AS kept WHERE {old_key} FOR NO KEY UPDATE;
    SELECT * INTO seen FROM {source} AS seen WHERE {same_old};
    IF NOT FOUND THEN
      RETURN NULL;
    END IF;
    IF {differ} THEN
      RAISE serialization_failure USING MESSAGE = {changed}, HINT = 'Run the transaction again.';
    END IF;
  END IF;
  IF TG_OP {eq} 'DELETE' THEN
    DELETE FROM {target} AS kept WHERE {old_key};
    RETURN old;
  END IF;
  written := new;{defer}
  IF TG_OP {eq} 'INSERT' THEN
    WITH made AS (INSERT INTO {target} ({columns}) VALUES ({values}) RETURNING *)
    SELECT {row} INTO new FROM made AS new;
  ELSE
    WITH made AS (UPDATE {target} AS kept SET {changes} WHERE {old_key} RETURNING *)
    SELECT {row} INTO new FROM made AS new;
  END IF;
  RETURN new;
END
"""
        )
        .format(
            eq=EQUAL,
            ne=OTHER,
            target=name(pair.target),
            source=name(pair.source),
            called=called_by(pair.source, function, "INSTEAD OF", "ROW"),
            old_key=same_key(flow, "old", "kept"),
            same_old=same_columns(flow, "seen", "old"),
            row=listed(pair),
            # Each row is a statement of its own here, and values may change places in that of the client.
            defer=defer_unique(flow),
            differ=differ(of("seen", read), of("old", read)),
            changed=Literal(f"Another transaction has changed this row of {pair.source}, a view, at the same time."),
            columns=columns(names(flow.assignments)),
            values=values(flow.assignments),
            changes=changes(flow, pair),
        )
        .as_string()
    )
