"""SQL of the view that stands in for a table under its old name: pure functions from a TablePair.

A view whose columns are columns of the target is updatable by itself, and PostgreSQL treats it like the table:
`RETURNING`, `ON CONFLICT`, `FOR UPDATE`. Where an expression makes a column, a trigger carries each written row,
and `ON CONFLICT` is refused by PostgreSQL.
"""

import dataclasses

from rehome.parts.grants import grant
from rehome.parts.rows import changes, names, same_columns, same_key, values
from rehome.parts.triggers import VIEW_EVENTS, Trigger, trigger_name
from rehome.plan.plan import GONE, Assignment, TablePair, read_column
from rehome.postgres import sql
from rehome.postgres.sql import SQL, Identifier, Literal, Statement, aliased, columns, differ, name, of, typed
from rehome.postgres.tables import PREFIX, Column, Table


def create(pair: TablePair, search_path: tuple[str, ...]) -> list[Statement]:
    """The view under the source's name, which must be free, with the source's owner, grants and defaults.

    Its users need rights on both the view and the target: see `grants.missing`.
    """
    granted = [grant("TABLE", name(pair.source), privilege) for privilege in pair.source.grants]
    return [*make(pair, search_path), *granted]


def make(pair: TablePair, search_path: tuple[str, ...]) -> list[Statement]:
    """The same but for the grants."""
    view = name(pair.source)
    return [
        SQL("CREATE VIEW {} WITH (security_invoker = {}) AS {}").format(
            view, SQL("true" if asks_reader(pair) else "false"), select(pair)
        ),
        sql.set_owner("VIEW", view, pair.source.owner),
        SQL("COMMENT ON VIEW {} IS {}").format(view, Literal(comment(pair))),
        *(
            SQL("ALTER VIEW {} ALTER COLUMN {} SET DEFAULT {}").format(view, Identifier(column), SQL(default))
            for column, default in defaults(pair)
        ),
        *(statement for trigger in wanted(pair, search_path) for statement in trigger.create()),
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


def asks_reader(pair: TablePair) -> bool:
    """Whether readers of the view need the right to read the target, as its policies then apply to them.

    PostgreSQL would ask for every column that the view has, so a grant to read single columns is kept by a view
    that reads with its owner's rights.
    """
    return not any(privilege.column and privilege.privilege == "SELECT" for privilege in pair.source.grants)


def is_plain(pair: TablePair) -> bool:
    """Whether each column of the view is a column of the target, and the other way round."""
    return all(assignment.plain for assignment in (*pair.forward.carried, *pair.backward.assignments))


def wanted(pair: TablePair, search_path: tuple[str, ...]) -> list[Trigger]:
    """The trigger that carries what is written to the view; none where PostgreSQL does.

    It computes with the settings of the session, as the view does that the session reads.
    """
    if is_plain(pair):
        return []
    owner = pair.source.owner if pair.source.owner == pair.target.owner else None
    trigger = trigger_name("view", pair)
    return [Trigger(pair.source, trigger, VIEW_EVENTS, "ROW", body(pair), owner, search_path=search_path)]


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


# ----- the columns


def select(pair: TablePair) -> Statement:
    return SQL("SELECT {} FROM {} AS new").format(listed(pair), name(pair.target))


def listed(pair: TablePair) -> Statement:
    """The source's columns in its order; after them, unnamed by old code, those that are filled for each new row."""
    made = {assignment.column.name: assignment for assignment in pair.backward.assignments}
    found = [(generated(c, pair) if c.generated else read(made[c.name]), c.name) for c in pair.source.columns]
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


def body(pair: TablePair) -> str:
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
  seen record;
  written record;
BEGIN
  IF TG_OP <> 'INSERT' THEN
    PERFORM FROM {target} AS kept WHERE {old_key} FOR NO KEY UPDATE;
    SELECT * INTO seen FROM {view} AS seen WHERE {same_old};
    IF NOT FOUND THEN
      RETURN NULL;
    END IF;
    IF {differ} THEN
      RAISE serialization_failure USING MESSAGE = {changed}, HINT = 'Run the transaction again.';
    END IF;
  END IF;
  IF TG_OP = 'DELETE' THEN
    DELETE FROM {target} AS kept WHERE {old_key};
    RETURN old;
  END IF;
  written := new;
  IF TG_OP = 'INSERT' THEN
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
            target=name(pair.target),
            view=name(pair.source),
            old_key=same_key(flow, "old", "kept"),
            same_old=same_columns(flow, "seen", "old"),
            row=listed(pair),
            differ=differ(of("seen", read), of("old", read)),
            changed=Literal(f"Another transaction has changed this row of {pair.source}, a view, at the same time."),
            columns=columns(names(flow.assignments)),
            values=values(flow.assignments),
            changes=changes(flow, pair),
        )
        .as_string()
    )
