"""PL/pgSQL of the trigger that carries a written row to the other table: pure functions from a TablePair."""

from rehome.parts.rows import changed, changes, in_sync, names, pass_of, same_columns, same_key, values
from rehome.plan.plan import Assignment, Flow, TablePair
from rehome.postgres.sql import (
    EQUAL,
    OTHER,
    SQL,
    Identifier,
    Literal,
    Statement,
    columns,
    differ,
    name,
    of,
    regclass,
    same,
    typed,
)
from rehome.postgres.tables import Table


def carry_body(flow: Flow, pair: TablePair, function: str, count: Statement, *, copying: bool = False) -> str:
    """PL/pgSQL that carries one written row of the origin to the destination.

    It means the same under any search path and whoever runs it: every name and every operator is qualified. A variable
    is, too, where a column of the tables could have its name.

    Loops end by value: a row that the other table already holds is left alone, whoever wrote it, so that
    writes by cascades and by other triggers are carried like any other. The row is read again first, for these
    may have changed it since the event, and what they wrote has been carried by then.

    A statement that writes many rows is carried row by row, and a cascade on the other side may meet rows whose
    turn has not come. So the side that was written to leads until its row is carried: what the other side's
    cascades change meanwhile comes back column by column, and neither makes nor deletes a row that the leading
    side has by then deleted or changed. From then on, until the transaction ends, nobody leads.

    What the destination alone has belongs to the life of a row, and not to its key. A key that one statement takes from
    a row and gives to another is free on the other side by the time of the other row's event, which brings that row
    there, or makes a new one: a primary key that is not deferrable has a row deleted before its key is given away.

    `count` is a condition that is evaluated once for each row that a client, and not the other side, has written.
    `copying` is for the time in which batches are copied to the destination.
    """
    side, other = sides(flow, pair)
    read = seen_by_event(flow)
    deleted = in_sync(pair, **{side: "old", other: "kept"})
    return (
        SQL(
            """
#variable_conflict use_column
DECLARE
  written pg_catalog.record;
  noted boolean;
  as_sent boolean;
  lead CONSTANT pg_catalog.text := coalesce(pg_catalog.current_setting('rehome.leader', true), '');
BEGIN{safe}{ordinary}
  <<carry>>
  DECLARE
    event CONSTANT pg_catalog.record := new;
    lives boolean := false;
    taken boolean := false;
    carried boolean := false;
    free CONSTANT boolean := lead {eq} '' OR lead {eq} 'nobody';
    deletes CONSTANT boolean := TG_OP {eq} 'DELETE';
    leads CONSTANT boolean := {leads};
    scans CONSTANT pg_catalog.text := pg_catalog.current_setting('enable_seqscan');
  BEGIN
    IF TG_OP {eq} 'UPDATE' AND NOT leads AND {untouched}
       OR TG_OP {eq} 'DELETE' AND coalesce(pg_catalog.current_setting('rehome.anew', true), '') {eq} {here} THEN
      RETURN NULL;
    END IF;
    IF free THEN
      noted := {nobody};
    END IF;
    -- A plan that is made while a table is empty lasts while it fills: what is only read is read by its key.
    noted := {by_key};
    IF pg_catalog.current_setting('transaction_isolation') {ne} 'read committed' THEN
      -- A snapshot that does not see this trigger does not see the rows on the other side either.
      IF NOT EXISTS (SELECT FROM pg_catalog.pg_trigger
                      WHERE tgrelid {eq} TG_RELID AND tgfoid {eq} {function}::pg_catalog.regprocedure) THEN
        RAISE serialization_failure USING MESSAGE = {too_old}, HINT = 'Run the transaction again.';
      END IF;
      -- Nor may it see a row that another transaction has deleted since: a lock on that is a serialization failure.
      PERFORM FROM {origin} AS seen WHERE {seen_here} FOR KEY SHARE;
      PERFORM FROM {destination} AS seen WHERE {seen_there} FOR KEY SHARE;
{meet}    END IF;
    IF TG_OP {eq} 'DELETE' THEN
      new := old;
    END IF;
    SELECT * INTO new FROM {origin} AS fresh WHERE {fresh};
    lives := FOUND;
    written := new;
    taken := TG_OP {eq} 'DELETE' AND lives;
    IF taken THEN
      -- The row was born again. If it looks the same, nothing tells whether its own event has been: it is made anew.
      PERFORM FROM {destination} AS kept WHERE {old_key} AND {settled};
      lives := FOUND;
      carried := NOT leads OR lives AND NOT EXISTS (SELECT FROM {destination} AS kept WHERE {old_key} AND {as_deleted});
    ELSIF lives THEN
      -- Under its new key may be the row that had it before; then this one is still under its old key.
      IF TG_OP {eq} 'INSERT' OR {same_key}
         OR ({unchanged} AND NOT (leads AND EXISTS (SELECT FROM {destination} AS kept WHERE {old_key}))) THEN
        PERFORM FROM {destination} AS kept WHERE {sent_key} AND {settled};
        carried := FOUND;
      END IF;
    END IF;
    noted := {as_before};
    IF carried THEN
      RETURN NULL;
    END IF;
    IF free THEN
      noted := {lead} AND {count};
    END IF;{open}{defer}
    IF TG_OP {eq} 'UPDATE' AND lives THEN
      IF NOT leads THEN
        -- What a trigger there has made of a carried value is no difference: see agreement.py.
        UPDATE {destination} AS kept SET {differences} WHERE {old_key} AND {any_difference};
        carried := true;
      ELSIF {same_key} THEN
        UPDATE {destination} AS kept SET {changes} WHERE {old_key} RETURNING {sent_key} INTO as_sent;
        carried := FOUND{kept_as_it_was};
      -- What is under the old key is not always this row: a trigger's own write may have carried another one there.
      ELSIF EXISTS (SELECT FROM {destination} AS kept WHERE {still_its}) THEN
        -- What looks like this row under its new key was made anew for the one that died.
        noted := {anew};
        DELETE FROM {destination} AS kept WHERE {new_key} AND {settled};
        noted := {as_ever};
        IF NOT EXISTS (SELECT FROM {destination} AS kept WHERE {new_key}) THEN
          UPDATE {destination} AS kept SET {changes} WHERE {still_its} RETURNING {sent_key} INTO as_sent;
          carried := true;
        END IF;
      END IF;
    END IF;
    IF TG_OP {ne} 'INSERT' AND NOT carried
       AND (leads OR EXISTS (SELECT FROM {destination} AS kept WHERE {old_key})) THEN
      IF TG_OP {eq} 'DELETE' AND lives THEN
        noted := {anew};
      END IF;
      DELETE FROM {destination} AS kept WHERE {old_key} AND (carry.leads OR {as_deleted})
        AND (carry.deletes OR NOT EXISTS (SELECT FROM {origin} AS reborn WHERE {reborn}));
      noted := {as_ever};{refuse_kept}
    END IF;
    IF lives AND NOT carried THEN
      INSERT INTO {destination} AS kept ({columns}) VALUES ({values})
      ON CONFLICT ({key}) DO UPDATE SET {changes}
      WHERE {newer} RETURNING {sent_key} INTO as_sent;
    END IF;{close}{require_sent}
    IF free THEN
      noted := {nobody};
    END IF;
    RETURN NULL;
  END;
END
"""
        )
        .format(
            safe=safe(flow, function),
            ordinary=ordinary(flow, pair, count, copying=copying),
            function=Literal(f"{Identifier(flow.origin.schema, function).as_string()}()"),
            too_old=Literal(f"This transaction began before {flow.origin} and {flow.destination} were kept in sync."),
            # While rows are copied, the source alone is written to, if by what another move carries.
            leads=SQL("true") if copying else SQL("free OR lead {} {}").format(EQUAL, Literal(side)),
            count=count,
            meet=meet_copied(flow, pair) if copying else SQL(""),
            origin=name(flow.origin),
            # No trigger of the project's fires there while rows are copied.
            refuse_kept=SQL("") if copying else refuse_kept(flow, pair),
            seen_here=SQL("({}) OR ({})").format(*(same_columns(flow, row, "seen") for row in ("old", "new"))),
            seen_there=SQL("({}) OR ({})").format(*(same_key(flow, row, "seen") for row in ("old", "new"))),
            untouched=untouched(flow, pair),
            fresh=same_columns(flow, "fresh", "new"),
            reborn=same_columns(flow, "reborn", "old"),
            still_its=SQL("{} AND ({} OR NOT EXISTS (SELECT FROM {} AS reborn WHERE {}))").format(
                same_key(flow, "old", "kept"), deleted, name(flow.origin), same_columns(flow, "reborn", "old")
            ),
            settled=in_sync(pair, **{side: "written", other: "kept"}),
            as_deleted=deleted,
            # The other side's rows that are deleted to be made anew: that is no answer to carry.
            anew=set_to("rehome.anew", str(flow.destination)),
            as_ever=set_to("rehome.anew", ""),
            here=Literal(str(flow.origin)),
            differences=SQL(", ").join(
                SQL("{} = {}").format(Identifier(assignment.column.name), difference(assignment, flow, pair))
                for assignment in flow.carried
            ),
            any_difference=differ(
                of("kept", names(flow.carried)),
                SQL(", ").join(typed(difference(a, flow, pair), a.column) for a in flow.carried),
            ),
            key=columns(there for _, there in flow.key),
            newer=differ(of("kept", names(flow.carried)), of("excluded", names(flow.carried))),
            unchanged=same(of("event", read), of("written", read)),
            # A row that a trigger there has kept as it was is not missing. But one that a batch has committed since the
            # UPDATE looked is as the batch read it: what is written meets it below.
            kept_as_it_was=SQL("" if copying else " OR {}").format(
                SQL("EXISTS (SELECT FROM {destination} AS kept WHERE {old_key})").format(**common(flow, pair))
            ),
            open=let_pass(pair, "on") if copying else SQL(""),
            close=let_pass(pair, "off") if copying else SQL(""),
            **common(flow, pair),
        )
        .as_string()
    )


def seen_by_event(flow: Flow) -> list[str]:
    """The columns that are carried, but for virtual ones, whose value a trigger does not see."""
    return sorted(c.name for a in flow.carried for c in map(flow.origin.column, a.reads) if not c.generated)


def untouched(flow: Flow, pair: TablePair) -> Statement:
    """Whether an answer has nothing to carry; a column that merely follows from others does so again whatever the other
    side has written to it.
    """
    if any(merely_follows(assignment, flow, pair) for assignment in flow.carried):
        return SQL("false")
    read = seen_by_event(flow)
    return same(of("old", read), of("new", read))


def merely_follows(assignment: Assignment, flow: Flow, pair: TablePair) -> bool:
    """Whether the other way carries nothing that is written to the column."""
    if assignment.plain:
        return flow is pair.forward and assignment in pair.derived
    return not pair.counterparts(assignment, flow)


def safe(flow: Flow, function: str) -> Statement:
    """Nobody else's trigger calls the function, and no policy hides from it what it has to see."""
    return SQL(
        """{called}
  IF pg_catalog.row_security_active({origin}) OR pg_catalog.row_security_active({destination}) THEN
    RAISE insufficient_privilege USING MESSAGE = {hidden}, HINT = {hint};
  END IF;"""
    ).format(
        called=called_by(flow.origin, function, "AFTER", "ROW"),
        origin=regclass(flow.origin),
        destination=regclass(flow.destination),
        hidden=Literal(
            f"Row-level security of {flow.origin} or {flow.destination}, which are kept in sync, hides rows "
            "from this role."
        ),
        hint=Literal("Disable it on both tables, or let this role bypass it, until the move is retired."),
    )


def called_by(table: Table, function: str, when: str, level: str) -> Statement:
    """First in a body: the function serves its trigger, and none that somebody hangs on another table."""
    return SQL(
        """
  IF TG_RELID {ne} {table} OR TG_WHEN {ne} {when} OR TG_LEVEL {ne} {level} THEN
    RAISE insufficient_privilege USING MESSAGE = {misused};
  END IF;"""
    ).format(
        ne=OTHER,
        table=regclass(table),
        when=Literal(when),
        level=Literal(level),
        misused=Literal(
            f"The function {table.schema}.{function} serves the trigger of that name on {table}, and no other."
        ),
    )


DISCREET = """
#variable_conflict use_column
DECLARE
  state pg_catalog.text;
  said pg_catalog.text;
  advice pg_catalog.text;
  broken pg_catalog.text;
BEGIN{body};
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, said = MESSAGE_TEXT, advice = PG_EXCEPTION_HINT,
    broken = CONSTRAINT_NAME;
  IF NOT (state OPERATOR(pg_catalog.~) {wordless} OR pg_catalog.pg_has_role(session_user, current_user, 'USAGE')) THEN
    said := {unsaid};
    advice := {cure};
  END IF;
  RAISE USING ERRCODE = state, MESSAGE = said, HINT = advice, CONSTRAINT = broken;
END
"""
WORDLESS = "^(0A|23|25|40|53|54|55|57|58|P0|42501)"
"""States whose messages name no value: those of constraints, locks and resources, and what a function raises itself.
What can't be computed, or does not fit, is quoted in the message, by code of any kind.
"""


def discreet(body: str, destination: Table) -> str:
    """The same with the rights of an owner, to whom PostgreSQL would show a row in an error's details, and a value in
    its message, that whoever writes may not read.
    """
    told = {
        "wordless": WORDLESS,
        "unsaid": f"A value that is carried to {destination} can't be computed from this row, or does not fit there.",
        "cure": "The owner of the table is told which, for this role may not read all of the row.",
    }
    # A body is a text of SQL by now, which may have braces of its own.
    ending = DISCREET
    for place, text in told.items():
        ending = ending.replace(f"{{{place}}}", Literal(text).as_string())
    return ending.replace("{body}", body.replace("#variable_conflict use_column", "").rstrip())


def common(flow: Flow, pair: TablePair) -> dict[str, Statement]:
    """What more than one of these pieces of SQL has a place for."""
    return {
        "destination": name(flow.destination),
        "same_key": same_columns(flow, "old", "new"),
        "old_key": same_key(flow, "old", "kept"),
        "new_key": same_key(flow, "new", "kept"),
        # RETURNING has a row of its own called "new" since PostgreSQL 18.
        "sent_key": same_key(flow, "written", "kept"),
        "require_sent": require_sent(flow),
        "eq": EQUAL,
        "ne": OTHER,
        "lead": let_lead(sides(flow, pair)[0]),
        "nobody": let_lead("nobody"),
        "by_key": set_to("enable_seqscan", "off"),
        "as_before": SQL("pg_catalog.set_config('enable_seqscan', scans, true) {} scans").format(EQUAL),
        "defer": defer_unique(flow),
        "changes": changes(flow, pair),
        "columns": columns(names(flow.assignments)),
        "values": values(flow.assignments),
    }


def require_sent(flow: Flow) -> Statement:
    """An error where a row was written under another key than was sent: the origin's would have no counterpart."""
    return SQL("""
    IF NOT as_sent THEN
      RAISE object_not_in_prerequisite_state USING
        MESSAGE = {message} OPERATOR(pg_catalog.||) coalesce(
          (SELECT pg_catalog.string_agg(tgname::pg_catalog.text, ', ' ORDER BY oid) FROM pg_catalog.pg_trigger
            WHERE tgrelid {eq} {destination} AND NOT tgisinternal AND tgenabled {ne} 'D'::pg_catalog."char"
              AND tgtype OPERATOR(pg_catalog.&) 3::smallint {eq} 3), ''),
        HINT = {hint};
    END IF;""").format(
        message=Literal(f"A BEFORE trigger of {flow.destination} has changed the key of a row of {flow.origin}: "),
        destination=regclass(flow.destination),
        eq=EQUAL,
        ne=OTHER,
        hint=Literal(f"Write the key to {flow.origin} as that trigger makes it, or let the trigger leave it alone."),
    )


def refuse_kept(flow: Flow, pair: TablePair) -> Statement:
    """A row that a trigger there has made again would be taken for the one that has its key here."""
    return SQL("""
      IF taken AND NOT lives AND EXISTS (SELECT FROM {destination} AS kept WHERE {old_key}) THEN
        RAISE unique_violation USING MESSAGE = {message};
      END IF;""").format(
        message=Literal(
            f"A trigger of {flow.destination} keeps a row that was deleted, and another row has its key by now."
        ),
        **common(flow, pair),
    )


def meet_copied(flow: Flow, pair: TablePair) -> Statement:
    """Under a snapshot from before a batch the row that it copied can't be seen, and has to go as well: an insert
    under its key meets it, and is a serialization failure.
    """
    return SQL("""      IF TG_OP {ne} 'INSERT' AND NOT EXISTS (SELECT FROM {destination} AS kept WHERE {old_key}) THEN
        noted := {lead} AND {as_before};{open}
        new := old;
        INSERT INTO {destination} ({columns}) OVERRIDING SYSTEM VALUE VALUES ({values}) ON CONFLICT DO NOTHING;
        DELETE FROM {destination} AS kept WHERE {old_key};
        IF TG_OP {eq} 'UPDATE' THEN
          new := event;
        END IF;{close}
        noted := pg_catalog.set_config('rehome.leader', CASE WHEN free THEN 'nobody' ELSE lead END, true) {eq} ''
          OR {by_key};
      END IF;
""").format(open=let_pass(pair, "on"), close=let_pass(pair, "off"), **common(flow, pair))


def ordinary(flow: Flow, pair: TablePair, count: Statement, *, copying: bool) -> Statement:
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
        """
  written := new;
  IF TG_OP {eq} 'UPDATE' AND {same_key} AND lead {eq} '' AND {changed} THEN
    noted := {lead};{open}{defer}
    UPDATE {destination} AS kept SET {changes} WHERE {old_key} RETURNING {sent_key} INTO as_sent;{close}
    IF FOUND THEN{require_sent}
      noted := {nobody} AND {count};
      RETURN NULL;
    END IF;
    -- What follows begins as if this had not been tried.
    noted := {untried};
  ELSIF TG_OP {eq} 'UPDATE' AND {same_key} AND lead {eq} {other} THEN
    PERFORM FROM {destination} AS kept WHERE {key} AND {settled};
    IF FOUND THEN
      RETURN NULL;
    END IF;
  END IF;"""
    ).format(
        changed=differ(of("old", read), of("new", read)),
        untried=let_lead(""),
        other=Literal(other),
        count=count,
        key=same_key(flow, row, "kept"),
        settled=in_sync(pair, **{side: row, other: "kept"}),
        open=let_pass(pair, "on") if copying else SQL(""),
        close=let_pass(pair, "off") if copying else SQL(""),
        **common(flow, pair),
    )


def sides(flow: Flow, pair: TablePair) -> tuple[str, str]:
    """Of the origin and of the destination, as the setting and `in_sync` call them."""
    return ("source", "target") if flow is pair.forward else ("target", "source")


def let_lead(leader: str) -> Statement:
    return set_to("rehome.leader", leader)


def set_to(setting: str, value: str) -> Statement:
    """Until the transaction ends; as an assignment's value, because that is evaluated without a query."""
    return SQL("pg_catalog.set_config({0}, {1}, true) {2} {1}").format(Literal(setting), Literal(value), EQUAL)


def let_pass(pair: TablePair, value: str) -> Statement:
    """Whether the next statements may write to a target that is closed while it is copied to."""
    return SQL("\n    noted := {};").format(set_to(pass_of(pair), value))


def difference(assignment: Assignment, flow: Flow, pair: TablePair) -> Statement:
    """The value that leaves a column alone where the leading side has another value than before the event."""
    column = Identifier(assignment.column.name)
    if not assignment.plain or merely_follows(assignment, flow, pair):
        return changed(assignment, flow, pair)
    before = same(SQL("kept.{}").format(column), typed(Identifier("old", *assignment.reads), assignment.column))
    return SQL("CASE WHEN {1} THEN {2} ELSE kept.{0} END").format(column, before, changed(assignment, flow, pair))


def defer_unique(flow: Flow) -> Statement:
    """Values that change places in one statement are carried row by row: the destination's deferrable
    constraints look at them at the commit, as the origin's do at the end of the statement. A constraint that has been
    dropped since needs nothing.
    """
    deferrable = [c.name for c in flow.destination.constraints if c.kind in "ux" and c.deferrable]
    return SQL("").join(
        SQL(
            """
    IF EXISTS (SELECT FROM pg_catalog.pg_constraint
                WHERE conrelid {eq} {destination} AND conname {eq} {name} AND condeferrable) THEN
      SET CONSTRAINTS {place} DEFERRED;
    END IF;"""
        ).format(
            eq=EQUAL,
            destination=regclass(flow.destination),
            name=Literal(constraint),
            place=Identifier(flow.destination.schema, constraint),
        )
        for constraint in deferrable
    )
