"""SQL of the triggers that keep two tables in step, and of the fence: pure functions from a TablePair."""

import dataclasses
import hashlib

from psycopg import sql

from rehome.catalog import Table
from rehome.plan import Assignment, Flow, TablePair
from rehome.sql import (
    OTHER_RECORD,
    PASSING,
    SAME_RECORD,
    changed,
    changes,
    columns,
    in_step,
    name,
    names,
    of,
    same_key,
    typed,
    values,
)

SQL, Identifier, Literal = sql.SQL, sql.Identifier, sql.Literal
Statement = sql.Composable

SYNC_EVENTS = "AFTER INSERT OR UPDATE OR DELETE"
TRUNCATE_EVENTS = "AFTER TRUNCATE"
FENCE_EVENTS = "BEFORE INSERT OR UPDATE OR DELETE"
VIEW_EVENTS = "INSTEAD OF INSERT OR UPDATE OR DELETE"
TYPE_BITS = {"ROW": 1, "BEFORE": 2, "INSERT": 4, "DELETE": 8, "UPDATE": 16, "TRUNCATE": 32, "INSTEAD": 64}
PREFIX = "rehome_"
WRITERS = 0x72656877
"""First key of the advisory lock that a session shares once it has written to a source, "rehw" in ASCII; the second
is the table's oid.
"""
# What a session can set that changes the value of an expression.
SETTINGS = (
    "bytea_output", "datestyle", "default_text_search_config", "extra_float_digits", "intervalstyle",
    "lc_monetary", "lc_numeric", "lc_time", "standard_conforming_strings", "timezone",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Trigger:
    """A trigger with the function it calls, both of one name, on one table."""

    table: Table
    name: str
    events: str
    each: str
    body: str
    owner: str | None
    """Whose rights the function has; None leaves it to the role that creates it."""
    counter: str = ""
    """The sequence that the function counts with, in the table's schema; empty where it counts nothing."""
    search_path: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    """What the function sees as the session sees it that creates it, whatever the writer has set."""
    passes: bool = False
    """Whether what the function writes passes the fence of a target that is being copied to."""
    condition: str = ""
    """SQL that decides whether the function is called; empty for always."""

    def create(self) -> list[Statement]:
        """Idempotent: what stands under the name is replaced. A policy that would hide rows is an error in it."""
        function = Identifier(self.table.schema, self.name)
        return [
            SQL(
                "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
                "SET search_path = {} SET row_security = off{}{} AS {}"
            ).format(
                function,
                columns(["pg_catalog", *self.search_path, "pg_temp"]),
                SQL(f" SET {PASSING} = 'on'" if self.passes else ""),
                SQL("").join(SQL(" SET {} FROM CURRENT").format(SQL(setting)) for setting in self.settings),
                quoted(self.body),
            ),
            *([SQL("ALTER FUNCTION {}() OWNER TO {}").format(function, Identifier(self.owner))] if self.owner else []),
            SQL("REVOKE ALL ON FUNCTION {}() FROM PUBLIC").format(function),
            SQL("COMMENT ON FUNCTION {}() IS {}").format(function, Literal(f"rehome {self.digest}")),
            *(create_counter(self.table.schema, self.counter, self.owner) if self.counter else []),
            SQL("CREATE OR REPLACE TRIGGER {} {} ON {} FOR EACH {}{} EXECUTE FUNCTION {}()").format(
                Identifier(self.name),
                SQL(self.events),
                name(self.table),
                SQL(self.each),
                SQL(f" WHEN ({self.condition})" if self.condition else ""),
                function,
            ),
        ]

    def drop(self) -> list[Statement]:
        return [*self.take_off(), *([drop_counter(self.table.schema, self.counter)] if self.counter else [])]

    def take_off(self) -> list[Statement]:
        """Leave the counter, which goes on from there when the trigger is created again."""
        return [
            SQL("DROP TRIGGER IF EXISTS {} ON {}").format(Identifier(self.name), name(self.table)),
            SQL("DROP FUNCTION IF EXISTS {}()").format(Identifier(self.table.schema, self.name)),
        ]

    @property
    def type(self) -> int:
        """As pg_trigger.tgtype has it."""
        words = f"{self.events} {self.each}".split()
        return sum(bit for word, bit in TYPE_BITS.items() if word in words)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.body.encode()).hexdigest()[:16]


def quoted(body: str) -> Statement:
    """`body` between dollar quotes that it does not contain itself."""
    tag = "$rehome$"
    while tag in body:
        tag = f"{tag[:-1]}_$"
    return SQL(f"{tag}{body}{tag}")


def trigger_name(kind: str, pair: TablePair) -> str:
    """Short enough for any table, and different for each pair, for a table may be part of two moves."""
    both = f"{pair.source}\n{pair.target}"
    return f"{PREFIX}{kind}_{hashlib.sha256(both.encode()).hexdigest()[:12]}"


def sync_triggers(pair: TablePair, search_path: tuple[str, ...]) -> list[Trigger]:
    """What keeps both tables of a pair in step: one row trigger and one truncate trigger on each."""
    owner = pair.source.owner if pair.source.owner == pair.target.owner else None
    computed = not all(assignment.plain for flow in (pair.forward, pair.backward) for assignment in flow.assignments)
    settings = SETTINGS if computed else ()
    triggers = []
    for flow, kind in ((pair.forward, "forward"), (pair.backward, "backward")):
        row, statement = trigger_name(kind, pair), trigger_name(f"{kind}_truncate", pair)
        body = sync_body(flow, pair, row)
        counter = trigger_name("writes", pair) if kind == "forward" else ""
        triggers += [
            Trigger(flow.origin, row, SYNC_EVENTS, "ROW", body, owner, counter, search_path, settings),
            Trigger(flow.origin, statement, TRUNCATE_EVENTS, "STATEMENT", truncate_body(flow), owner),
        ]
    return triggers


def fence(kind: str, table: Table, pair: TablePair, message: str, hint: str, *, gate: bool = False) -> Trigger:
    """Turns every write to `table` into an error; with `gate`, every write of a stranger to the move."""
    body = SQL("\nBEGIN\n  RAISE object_not_in_prerequisite_state USING MESSAGE = {}, HINT = {};\nEND\n").format(
        Literal(message), Literal(hint)
    )
    stranger = f"pg_catalog.current_setting('{PASSING}', true) IS DISTINCT FROM 'on'" if gate else ""
    return Trigger(
        table, trigger_name(kind, pair), FENCE_EVENTS, "STATEMENT", body.as_string(), table.owner, condition=stranger
    )


def truncate_body(flow: Flow) -> str:
    """Refuses to empty one table alone. It runs after the statement, so emptying both at once, as `flush`
    does, is allowed. It looks at the file, because an older snapshot may not see the other table's rows.
    """
    return (
        SQL(
            "\nBEGIN\n  IF pg_relation_size({other}::regclass) > 0 THEN\n"
            "    RAISE object_not_in_prerequisite_state USING MESSAGE = {message}, HINT = {hint};\n"
            "  END IF;\n  RETURN NULL;\nEND\n"
        )
        .format(
            other=Literal(name(flow.destination).as_string()),
            message=Literal(f"{flow.origin} can't be truncated alone: {flow.destination} is kept in step with it."),
            hint=Literal("Use DELETE, or truncate both tables in one statement."),
        )
        .as_string()
    )


def sync_body(flow: Flow, pair: TablePair, function: str) -> str:
    """PL/pgSQL that carries one written row of the origin to the destination.

    Loops end by value: a row that the other table already holds is left alone, whoever wrote it, so that
    writes by cascades and by other triggers are carried like any other. The row is read again first, for these
    may have changed it since the event, and what they wrote has been carried by then.

    A statement that writes many rows is carried row by row, and a cascade on the other side may meet rows whose
    turn has not come. So the side that was written to leads until its row is carried: what the other side's
    cascades change meanwhile comes back column by column, and neither makes nor deletes a row that the leading
    side has by then deleted or changed.
    """
    forward = flow is pair.forward
    written = {"source": "written", "target": "kept"} if forward else {"source": "kept", "target": "written"}
    deleted = {"source": "old", "target": "kept"} if forward else {"source": "kept", "target": "old"}
    # A trigger does not see the value of a virtual column.
    read = sorted(c.name for a in flow.carried for c in map(flow.origin.column, a.reads) if not c.generated)
    return (
        SQL(
            """
#variable_conflict use_column
<<carry>>
DECLARE
  event CONSTANT record := new;
  written record;
  lives boolean := false;
  carried boolean := false;
  leader CONSTANT text := coalesce(current_setting('rehome.leader', true), '');
  leads CONSTANT boolean := leader IN ('', {side});{noted}
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    -- A snapshot that does not see this trigger does not see the rows on the other side either.
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = TG_RELID AND tgfoid = {function}::regprocedure) THEN
      RAISE serialization_failure USING MESSAGE = {too_old}, HINT = 'Run the transaction again.';
    END IF;
    -- Nor may it see a row that another transaction has deleted since: a lock on that is a serialization failure.
    PERFORM FROM {origin} AS seen WHERE {seen_here} FOR KEY SHARE;
    PERFORM FROM {destination} AS seen WHERE {seen_there} FOR KEY SHARE;
  END IF;
  IF TG_OP <> 'DELETE' THEN
    SELECT * INTO new FROM {origin} AS fresh WHERE {fresh};
    lives := FOUND;
  END IF;
  IF lives THEN
    written := new;
    IF EXISTS ({settled}) AND (TG_OP = 'INSERT' OR {same_key} OR {unchanged}) THEN
      RETURN NULL;
    END IF;
  END IF;
  IF leader = '' THEN
    PERFORM set_config('rehome.leader', {side}, true);{note}
  END IF;{defer}
  IF TG_OP = 'UPDATE' AND lives AND NOT leads THEN
    UPDATE {destination} AS kept SET {differences} WHERE {old_key};
    carried := true;
  -- A key that the other table still has was deleted by the same statement: see below.
  ELSIF TG_OP = 'UPDATE' AND lives AND ({same_key} OR NOT EXISTS ({taken})) THEN
    UPDATE {destination} AS kept SET {changes} WHERE {old_key};
    carried := FOUND;
  END IF;
  -- A row that was born again under the key by the same statement has an event of its own.
  IF TG_OP <> 'INSERT' AND NOT carried AND NOT EXISTS (SELECT FROM {origin} AS reborn WHERE {reborn}) THEN
    DELETE FROM {destination} AS kept WHERE {old_key} AND (carry.leads OR {as_deleted});
  END IF;
  IF lives AND NOT carried THEN
    INSERT INTO {destination} AS kept ({columns}) VALUES ({values})
    ON CONFLICT ({key}) DO UPDATE SET {changes}
    WHERE ROW({kept})::record {other_record} ROW({excluded_values})::record;
  END IF;
  IF leader = '' THEN
    PERFORM set_config('rehome.leader', '', true);
  END IF;
  RETURN NULL;
END
"""
        )
        .format(
            function=Literal(f"{Identifier(flow.origin.schema, function).as_string()}()"),
            too_old=Literal(f"This transaction began before {flow.origin} and {flow.destination} were kept in step."),
            side=Literal("source" if forward else "target"),
            origin=name(flow.origin),
            destination=name(flow.destination),
            seen_here=either(same_columns(flow, "old", "seen"), same_columns(flow, "new", "seen")),
            seen_there=either(same_key(flow, "old", "seen"), same_key(flow, "new", "seen")),
            fresh=same_columns(flow, "fresh", "new"),
            reborn=same_columns(flow, "reborn", "old"),
            same_key=same_columns(flow, "old", "new"),
            old_key=same_key(flow, "old", "kept"),
            taken=SQL("SELECT FROM {} AS kept WHERE {}").format(name(flow.destination), same_key(flow, "new", "kept")),
            settled=SQL("SELECT FROM {} AS kept WHERE {} AND {}").format(
                name(flow.destination), same_key(flow, "written", "kept"), in_step(pair, **written)
            ),
            as_deleted=in_step(pair, **deleted),
            defer=defer_unique(flow),
            noted=SQL("\n  noted boolean;" if forward else ""),
            note=note_write(pair) if forward else SQL(""),
            changes=changes(flow, pair),
            differences=SQL(", ").join(difference(assignment, flow, pair) for assignment in flow.carried),
            columns=columns(assignment.column.name for assignment in flow.assignments),
            values=values(flow.assignments),
            key=columns(there for _, there in flow.key),
            kept=of("kept", names(flow.carried)),
            excluded_values=of("excluded", names(flow.carried)),
            unchanged=SQL("ROW({})::record {} ROW({})::record").format(
                of("event", read), SAME_RECORD, of("written", read)
            ),
            other_record=OTHER_RECORD,
        )
        .as_string()
    )


def note_write(pair: TablePair) -> Statement:
    """Count a write that came in through the source, and mark its session: see writes.py.

    An assignment is evaluated without a query. Nobody waits for a sequence, nor for a lock that is only shared, and
    to take one again that the session has is a matter of its own memory.
    """
    return SQL(
        "\n    noted := nextval({}::regclass) > 0 AND pg_try_advisory_lock_shared({}, TG_RELID::integer);"
    ).format(Literal(Identifier(pair.source.schema, trigger_name("writes", pair)).as_string()), Literal(WRITERS))


def create_counter(schema: str, counter: str, owner: str | None) -> list[Statement]:
    place = Identifier(schema, counter)
    return [
        SQL("CREATE SEQUENCE IF NOT EXISTS {}").format(place),
        *([SQL("ALTER SEQUENCE {} OWNER TO {}").format(place, Identifier(owner))] if owner else []),
    ]


def drop_counter(schema: str, counter: str) -> Statement:
    return SQL("DROP SEQUENCE IF EXISTS {}").format(Identifier(schema, counter))


def same_columns(flow: Flow, one: str, other: str) -> Statement:
    """Whether two rows of the origin have one key."""
    return SQL(" AND ").join(
        SQL("{} = {}").format(Identifier(one, here), Identifier(other, here)) for here, _ in flow.key
    )


def either(one: Statement, other: Statement) -> Statement:
    return SQL("({}) OR ({})").format(one, other)


def difference(assignment: Assignment, flow: Flow, pair: TablePair) -> Statement:
    """`column = value` that leaves a column alone where the leading side has another value than before the event."""
    column = Identifier(assignment.column.name)
    if not assignment.plain:
        return SQL("{} = {}").format(column, changed(assignment, flow, pair))
    return SQL("{} = CASE WHEN ROW(kept.{})::record {} ROW({})::record THEN {} ELSE kept.{} END").format(
        column,
        column,
        SAME_RECORD,
        typed(Identifier("old", *assignment.reads), assignment.column),
        changed(assignment, flow, pair),
        column,
    )


def defer_unique(flow: Flow) -> Statement:
    """Values that change places in one statement are carried row by row: the destination's deferrable
    constraints look at them at the commit, as the origin's do at the end of the statement.
    """
    deferrable = [c.name for c in flow.destination.constraints if c.kind in "ux" and c.deferrable]
    if not deferrable:
        return SQL("")
    places = SQL(", ").join(Identifier(flow.destination.schema, constraint) for constraint in deferrable)
    return SQL("\n  SET CONSTRAINTS {} DEFERRED;").format(places)
