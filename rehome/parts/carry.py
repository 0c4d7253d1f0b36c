"""PL/pgSQL of the trigger that carries a written row to the other table: pure functions from a TablePair."""

from rehome.parts.rows import changed, changes, in_sync, names, same_columns, same_key, values
from rehome.plan.plan import Assignment, Flow, TablePair
from rehome.postgres.sql import SQL, Identifier, Literal, Statement, columns, differ, name, of, same, typed


def carry_body(flow: Flow, pair: TablePair, function: str, count: Statement, *, copying: bool = False) -> str:
    """PL/pgSQL that carries one written row of the origin to the destination.

    Loops end by value: a row that the other table already holds is left alone, whoever wrote it, so that
    writes by cascades and by other triggers are carried like any other. The row is read again first, for these
    may have changed it since the event, and what they wrote has been carried by then.

    A statement that writes many rows is carried row by row, and a cascade on the other side may meet rows whose
    turn has not come. So the side that was written to leads until its row is carried: what the other side's
    cascades change meanwhile comes back column by column, and neither makes nor deletes a row that the leading
    side has by then deleted or changed. From then on, until the transaction ends, nobody leads.

    `count` is a condition that is evaluated once for each row that a client, and not the other side, has written.
    `copying` is for the time in which batches are copied to the destination.
    """
    side, other = sides(flow, pair)
    # A trigger does not see the value of a virtual column.
    read = sorted(c.name for a in flow.carried for c in map(flow.origin.column, a.reads) if not c.generated)
    return (
        SQL(
            """
#variable_conflict use_column
DECLARE
  written record;
  noted boolean;
BEGIN{ordinary}
  <<carry>>
  DECLARE
    event CONSTANT record := new;
    lives boolean := false;
    carried boolean := false;
    leader CONSTANT text := coalesce(nullif(current_setting('rehome.leader', true), 'nobody'), '');
    leads CONSTANT boolean := leader IN ('', {side});
  BEGIN
    IF leader = '' THEN
      noted := {nobody};
    END IF;
    IF current_setting('transaction_isolation') <> 'read committed' THEN
      -- A snapshot that does not see this trigger does not see the rows on the other side either.
      IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = TG_RELID AND tgfoid = {function}::regprocedure) THEN
        RAISE serialization_failure USING MESSAGE = {too_old}, HINT = 'Run the transaction again.';
      END IF;
      -- Nor may it see a row that another transaction has deleted since: a lock on that is a serialization failure.
      PERFORM FROM {origin} AS seen WHERE {seen_here} FOR KEY SHARE;
      PERFORM FROM {destination} AS seen WHERE {seen_there} FOR KEY SHARE;
{meet}    END IF;
    IF TG_OP <> 'DELETE' THEN
      SELECT * INTO new FROM {origin} AS fresh WHERE {fresh};
      lives := FOUND;
    END IF;
    IF lives THEN
      written := new;
      IF TG_OP = 'INSERT' OR {same_key} OR {unchanged} THEN
        PERFORM FROM {destination} AS kept WHERE {written_key} AND {settled};
        IF FOUND THEN
          RETURN NULL;
        END IF;
      END IF;
    END IF;
    IF leader = '' THEN
      noted := {lead} AND {count};
    END IF;{defer}
    IF TG_OP = 'UPDATE' AND lives THEN
      IF NOT leads THEN
        UPDATE {destination} AS kept SET {differences} WHERE {old_key};
        carried := true;
      ELSIF {same_key} THEN
        UPDATE {destination} AS kept SET {changes} WHERE {old_key};
        carried := FOUND;
      -- A key that the other table still has was deleted by the same statement: see below.
      ELSIF NOT EXISTS (SELECT FROM {destination} AS kept WHERE {new_key}) THEN
        UPDATE {destination} AS kept SET {changes} WHERE {old_key};
        carried := FOUND;
      END IF;
    END IF;
    IF TG_OP <> 'INSERT' AND NOT carried THEN
      -- A row that was born again under the key by the same statement has an event of its own.
      DELETE FROM {destination} AS kept WHERE {old_key} AND (carry.leads OR {as_deleted})
        AND NOT EXISTS (SELECT FROM {origin} AS reborn WHERE {reborn});
    END IF;
    IF lives AND NOT carried THEN
      INSERT INTO {destination} AS kept ({columns}) VALUES ({values})
      ON CONFLICT ({key}) DO UPDATE SET {changes}
      WHERE {newer};
    END IF;
    IF leader = '' THEN
      noted := {nobody};
    END IF;
    RETURN NULL;
  END;
END
"""
        )
        .format(
            ordinary=ordinary(flow, pair, count),
            function=Literal(f"{Identifier(flow.origin.schema, function).as_string()}()"),
            too_old=Literal(f"This transaction began before {flow.origin} and {flow.destination} were kept in sync."),
            side=Literal(side),
            count=count,
            meet=meet_copied(flow, pair) if copying else SQL(""),
            origin=name(flow.origin),
            seen_here=SQL("({}) OR ({})").format(*(same_columns(flow, row, "seen") for row in ("old", "new"))),
            seen_there=SQL("({}) OR ({})").format(*(same_key(flow, row, "seen") for row in ("old", "new"))),
            fresh=same_columns(flow, "fresh", "new"),
            reborn=same_columns(flow, "reborn", "old"),
            new_key=same_key(flow, "new", "kept"),
            written_key=same_key(flow, "written", "kept"),
            settled=in_sync(pair, **{side: "written", other: "kept"}),
            as_deleted=in_sync(pair, **{side: "old", other: "kept"}),
            differences=SQL(", ").join(difference(assignment, flow, pair) for assignment in flow.carried),
            key=columns(there for _, there in flow.key),
            newer=differ(of("kept", names(flow.carried)), of("excluded", names(flow.carried))),
            unchanged=same(of("event", read), of("written", read)),
            **common(flow, pair),
        )
        .as_string()
    )


def common(flow: Flow, pair: TablePair) -> dict[str, Statement]:
    """What more than one of these pieces of SQL has a place for."""
    return {
        "destination": name(flow.destination),
        "same_key": same_columns(flow, "old", "new"),
        "old_key": same_key(flow, "old", "kept"),
        "lead": let_lead(sides(flow, pair)[0]),
        "nobody": let_lead("nobody"),
        "defer": defer_unique(flow),
        "changes": changes(flow, pair),
        "columns": columns(names(flow.assignments)),
        "values": values(flow.assignments),
    }


def meet_copied(flow: Flow, pair: TablePair) -> Statement:
    """Under a snapshot from before a batch the row that it copied can't be seen, and has to go as well: an insert
    under its key meets it, and is a serialization failure.
    """
    return SQL("""      IF TG_OP <> 'INSERT' AND NOT EXISTS (SELECT FROM {destination} AS kept WHERE {old_key}) THEN
        noted := {lead};
        new := old;
        INSERT INTO {destination} ({columns}) OVERRIDING SYSTEM VALUE VALUES ({values}) ON CONFLICT DO NOTHING;
        DELETE FROM {destination} AS kept WHERE {old_key};
        IF TG_OP = 'UPDATE' THEN
          new := event;
        END IF;
        IF leader = '' THEN
          noted := {nobody};
        END IF;
      END IF;
""").format(**common(flow, pair))


def ordinary(flow: Flow, pair: TablePair, count: Statement) -> Statement:
    """The two events that make up nearly all: a transaction's first write, and the answer of the other side to it.

    They are handled here with one statement each; whatever is not as usual is left to what follows. Nothing has
    been carried before a transaction's first event, so nothing newer than its row has been: it need not be read
    again. Every other event finds that the setting says so. An answer compares the event's own row, for a later
    change of it has an event of its own. Under a stricter isolation, a row that the UPDATE finds has not been changed
    since the snapshot, or it is a serialization failure.

    Where a generated column is carried it is read again each time: an event does not have the value of a virtual one.
    """
    read = sorted({column for assignment in flow.carried for column in assignment.reads})
    if any(flow.origin.column(column).generated for column in read):
        return SQL("")
    side, other = sides(flow, pair)
    plain = all(assignment.plain for way in (pair.forward, pair.backward) for assignment in way.carried)
    row = "new" if plain else "written"
    return SQL(
        """{remember}
  IF TG_OP = 'UPDATE' AND {same_key} AND coalesce(current_setting('rehome.leader', true), '') = '' AND {changed} THEN
    noted := {lead};{defer}
    UPDATE {destination} AS kept SET {changes} WHERE {old_key};
    IF FOUND THEN
      noted := {nobody} AND {count};
      RETURN NULL;
    END IF;
    -- What follows begins as if this had not been tried: whoever leads for longer would pass the fence.
    noted := {untried};
  ELSIF TG_OP = 'UPDATE' AND {same_key} AND current_setting('rehome.leader', true) = {other} THEN
    PERFORM FROM {destination} AS kept WHERE {key} AND {settled};
    IF FOUND THEN
      RETURN NULL;
    END IF;
  END IF;"""
    ).format(
        remember=SQL("" if plain else "\n  written := new;"),
        changed=differ(of("old", read), of("new", read)),
        untried=let_lead(""),
        other=Literal(other),
        count=count,
        key=same_key(flow, row, "kept"),
        settled=in_sync(pair, **{side: row, other: "kept"}),
        **common(flow, pair),
    )


def sides(flow: Flow, pair: TablePair) -> tuple[str, str]:
    """Of the origin and of the destination, as the setting and `in_sync` call them."""
    return ("source", "target") if flow is pair.forward else ("target", "source")


def let_lead(leader: str) -> Statement:
    """As an assignment's value, because that is evaluated without a query."""
    return SQL("set_config('rehome.leader', {0}, true) = {0}").format(Literal(leader))


def difference(assignment: Assignment, flow: Flow, pair: TablePair) -> Statement:
    """`column = value` that leaves a column alone where the leading side has another value than before the event."""
    column = Identifier(assignment.column.name)
    if not assignment.plain:
        return SQL("{} = {}").format(column, changed(assignment, flow, pair))
    before = same(SQL("kept.{}").format(column), typed(Identifier("old", *assignment.reads), assignment.column))
    return SQL("{0} = CASE WHEN {1} THEN {2} ELSE kept.{0} END").format(column, before, changed(assignment, flow, pair))


def defer_unique(flow: Flow) -> Statement:
    """Values that change places in one statement are carried row by row: the destination's deferrable
    constraints look at them at the commit, as the origin's do at the end of the statement.
    """
    deferrable = [c.name for c in flow.destination.constraints if c.kind in "ux" and c.deferrable]
    if not deferrable:
        return SQL("")
    places = SQL(", ").join(Identifier(flow.destination.schema, constraint) for constraint in deferrable)
    return SQL("\n    SET CONSTRAINTS {} DEFERRED;").format(places)
