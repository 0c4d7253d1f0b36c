"""Which rows of a set-aside table live on, and under which keys: what only that table knows belongs to a row's life.

While a table is retired, triggers of the target note each of its rows that is deleted or changes its key, in a table
of their own; nobody waits for the set-aside table itself. Without a note, a row lives on under its key.
"""

import dataclasses
from collections.abc import Iterator

from rehome.parts import grants, rows, sync
from rehome.parts.carry import called_by
from rehome.parts.triggers import Trigger, trigger_name
from rehome.plan.expressions import ROW
from rehome.plan.plan import Plan, TablePair
from rehome.plan.record import Record
from rehome.postgres import resolution, sql
from rehome.postgres.sql import SQL, Identifier, Statement, name, of
from rehome.postgres.tables import PREFIX, Column, Table


def needed(plan: Plan) -> list[TablePair]:
    """Those whose source has values that the target does not have."""
    return [pair for pair in plan.pairs if not all(rows.is_taken_whole(a, pair) for a in pair.backward.assignments)]


def noted(plan: Plan) -> list[TablePair]:
    """Those with a table of notes; a retirement by an earlier version has none."""
    return [pair for pair in needed(plan) if resolution.exists(plan.connection, place(pair).as_string())]


def place(pair: TablePair) -> Identifier:
    return Identifier(pair.source.schema, trigger_name("lives", pair))


def was(pair: TablePair) -> list[tuple[str, Column]]:
    """Columns of the notes, each with the column of the source's key that it is taken from."""
    return [(f"was_{number}", pair.source.column(here)) for number, (here, _) in enumerate(pair.forward.key, start=1)]


def now(pair: TablePair) -> list[tuple[str, Column]]:
    """The same of the target; null for a row that is gone."""
    return [(f"now_{number}", pair.target.column(there)) for number, (_, there) in enumerate(pair.forward.key, start=1)]


def same(row: str, columns: list[tuple[str, Column]]) -> Statement:
    """Whether a note, `note`, has the key of `row`."""
    return SQL(" AND ").join(
        sql.same_value(Identifier("note", own), Identifier(row, column.name), column) for own, column in columns
    )


# ----- while the table is set aside


def create(plan: Plan) -> list[Statement]:
    """Once the sources have been set aside; idempotent."""
    return [statement for pair in needed(plan) for statement in (*create_notes(pair), *create_triggers(pair))]


def create_notes(pair: TablePair) -> Iterator[Statement]:
    old, new = (sql.aliased((Identifier(row, c.name), own) for own, c in keys) for row, keys in keys_of(pair))
    notes = place(pair)
    yield SQL("CREATE TABLE IF NOT EXISTS {} AS SELECT {}, {} FROM {} AS old, {} AS new WITH NO DATA").format(
        notes, old, new, name(put_aside(pair)), name(pair.target)
    )
    yield sql.set_owner("TABLE", notes, pair.source.owner)
    yield from grants.exactly("TABLE", notes)
    for index, (_, keys) in zip(("was", "now"), keys_of(pair), strict=True):
        yield SQL("CREATE {}INDEX IF NOT EXISTS {} ON {} ({})").format(
            SQL("UNIQUE " if index == "was" else ""),
            Identifier(trigger_name(f"lives_{index}", pair)),
            notes,
            sql.columns(own for own, _ in keys),
        )


def keys_of(pair: TablePair) -> list[tuple[str, list[tuple[str, Column]]]]:
    return [("old", was(pair)), ("new", now(pair))]


def put_aside(pair: TablePair) -> Table:
    return dataclasses.replace(pair.source, name=trigger_name("aside", pair))


def create_triggers(pair: TablePair) -> list[Statement]:
    return [statement for trigger in wanted(pair) for statement in trigger.create()]


def wanted(pair: TablePair) -> list[Trigger]:
    """On the target, with the rights of the set-aside table's owner, for nobody else has any; no cost but for rows that
    are deleted or change their key.
    """
    table = dataclasses.replace(pair.target, owner=pair.source.owner)
    key = [there for _, there in pair.forward.key]
    other_key = sql.differ(of("old", key), of("new", key)).as_string()
    emptied = SQL("\nBEGIN{}\n  TRUNCATE {}, {};\n  RETURN NULL;\nEND\n").format(
        called_by(table, trigger_name("emptied", pair), "AFTER", "STATEMENT"), name(put_aside(pair)), place(pair)
    )
    return [
        Trigger(table, trigger_name("died", pair), "AFTER DELETE", "ROW", note_body(pair, lives=False), None),
        Trigger(
            table, trigger_name("moved", pair), "AFTER UPDATE", "ROW", note_body(pair, lives=True), None,
            condition=other_key,
        ),
        Trigger(table, trigger_name("emptied", pair), "AFTER TRUNCATE", "STATEMENT", emptied.as_string(), None),
    ]  # fmt: skip


def note_body(pair: TablePair, *, lives: bool) -> str:
    """Of a row that has a note already, that is changed; of one that was born since, there is nothing to note."""
    after = [Identifier("new", c.name) if lives else SQL("NULL") for _, c in now(pair)]
    function = trigger_name("moved" if lives else "died", pair)
    return (
        SQL("""
BEGIN{called}
  UPDATE {notes} AS note SET {changes} WHERE {noted};
  IF NOT FOUND THEN
    INSERT INTO {notes} ({columns}) SELECT {before}, {after} FROM {aside} AS kept WHERE {kept} ON CONFLICT DO NOTHING;
  END IF;
  RETURN NULL;
END
""")
        .format(
            called=called_by(pair.target, function, "AFTER", "ROW"),
            notes=place(pair),
            changes=SQL(", ").join(
                SQL("{} = {}").format(Identifier(own), value) for (own, _), value in zip(now(pair), after, strict=True)
            ),
            noted=same("old", now(pair)),
            columns=sql.columns(own for own, _ in (*was(pair), *now(pair))),
            before=of("kept", (column.name for _, column in was(pair))),
            after=SQL(", ").join(after),
            aside=name(put_aside(pair)),
            kept=rows.same_key(pair.backward, "old", "kept"),
        )
        .as_string()
    )


def stop(pairs: list[TablePair]) -> list[Statement]:
    """Forget the notes, and write none; others may read the targets meanwhile, as they could not if triggers were
    dropped.
    """
    there = {trigger.name for pair in pairs for trigger in pair.target.triggers}
    triggers = [t for pair in pairs for t in wanted(pair) if t.name in there]
    stopped = [sql.enable_trigger(trigger.table, trigger.name, "D") for trigger in triggers]
    return [*stopped, *(SQL("DROP TABLE {}").format(place(pair)) for pair in pairs)]


def drop(plan: Plan) -> list[Statement]:
    """Idempotent."""
    statements = []
    for pair in needed(plan):
        statements += [statement for trigger in wanted(pair) for statement in trigger.drop()]
        statements.append(SQL("DROP TABLE IF EXISTS {}").format(place(pair)))
    return statements


def find_defects(plan: Plan, record: Record) -> list[str]:
    """One sentence for each table whose rows are not followed; `plan` may have its view for the table."""
    return [
        f"A trigger of {pair.target} is missing or disabled that follows its rows, or the table of its notes is gone: "
        f"what {pair.source} alone knows of rows that are deleted or change their key meanwhile may come to others "
        "with `retiremoves --undo`."
        for pair in needed(plan)
        if record.aside and not is_followed(pair, plan)
    ]


def is_followed(pair: TablePair, plan: Plan) -> bool:
    """Without the notes, the triggers make every write fail that deletes a row or changes its key."""
    there = resolution.exists(plan.connection, place(pair).as_string())
    return there and all(sync.state_of(trigger) != "missing" for trigger in wanted(pair))


# ----- once it comes into use again


def is_as_it_was(pair: TablePair) -> Statement:
    """Whether there is no note of a row `kept` of the source, nor of a row "new" of the target."""
    return SQL(
        "NOT EXISTS (SELECT FROM {0} AS note WHERE {1}) AND NOT EXISTS (SELECT FROM {0} AS note WHERE {2})"
    ).format(place(pair), same("kept", was(pair)), same(ROW, now(pair)))


@sql.firing
def follow(pair: TablePair) -> Statement:
    """Remove from the source what is gone, and give their keys of now to the others.

    Rows may have changed their keys with each other, so each is deleted before the first is inserted.
    """
    own = [name for name, _ in now(pair)]
    keys = {column.name: f"{PREFIX}{key}" for key, (_, column) in zip(own, was(pair), strict=True)}
    names = [column.name for column in pair.source.columns if not column.generated]
    return SQL(
        "WITH taken AS (DELETE FROM {source} AS kept USING {notes} AS note WHERE {was} RETURNING kept.*, {now}), "
        "stale AS (DELETE FROM {source} AS kept USING (SELECT {there} FROM {notes} AS note) AS origin WHERE {here} "
        "AND NOT EXISTS (SELECT FROM {notes} AS note WHERE {was}) RETURNING 1) "
        "INSERT INTO {source} ({columns}) OVERRIDING SYSTEM VALUE SELECT {values} "
        "FROM taken, (SELECT pg_catalog.count(*) FROM taken) AS all_taken, "
        "(SELECT pg_catalog.count(*) FROM stale) AS all_stale WHERE {lives}"
    ).format(
        source=name(pair.source),
        notes=place(pair),
        was=same("kept", was(pair)),
        now=sql.aliased((Identifier("note", key), f"{PREFIX}{key}") for key in own),
        there=sql.aliased((Identifier("note", key), column.name) for key, column in now(pair)),
        here=rows.same_key(pair.backward, "origin", "kept"),
        columns=sql.columns(names),
        values=of("taken", (keys.get(column, column) for column in names)),
        lives=sql.present(keys.values(), "taken"),
    )
