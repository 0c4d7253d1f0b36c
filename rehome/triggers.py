"""SQL of the triggers that keep two tables in step, and of the fence: pure functions from a TablePair."""

import dataclasses
import hashlib

from psycopg import sql

from rehome.catalog import Table
from rehome.plan import Flow, TablePair
from rehome.sql import OTHER_RECORD, changes, columns, in_step, name, names, of, same_key, values

SQL, Identifier, Literal = sql.SQL, sql.Identifier, sql.Literal
Statement = sql.Composable

SYNC_EVENTS = "AFTER INSERT OR UPDATE OR DELETE"
TRUNCATE_EVENTS = "AFTER TRUNCATE"
FENCE_EVENTS = "BEFORE INSERT OR UPDATE OR DELETE"
PREFIX = "rehome_"


@dataclasses.dataclass(frozen=True)
class Trigger:
    """A trigger with the function it calls, both of one name, on one table."""

    table: Table
    name: str
    events: str
    each: str
    body: str
    search_path: tuple[str, ...] = ()

    def create(self) -> list[Statement]:
        """Idempotent: what stands under the name is replaced."""
        function = Identifier(self.table.schema, self.name)
        return [
            SQL(
                "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
                "SET search_path = {} AS {}"
            ).format(function, columns(["pg_catalog", *self.search_path, "pg_temp"]), quoted(self.body)),
            SQL("REVOKE ALL ON FUNCTION {}() FROM PUBLIC").format(function),
            SQL("COMMENT ON FUNCTION {}() IS {}").format(function, Literal(f"rehome {self.digest}")),
            SQL("CREATE OR REPLACE TRIGGER {} {} ON {} FOR EACH {} EXECUTE FUNCTION {}()").format(
                Identifier(self.name), SQL(self.events), name(self.table), SQL(self.each), function
            ),
        ]

    def drop(self) -> list[Statement]:
        return [
            SQL("DROP TRIGGER IF EXISTS {} ON {}").format(Identifier(self.name), name(self.table)),
            SQL("DROP FUNCTION IF EXISTS {}()").format(Identifier(self.table.schema, self.name)),
        ]

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
    triggers = []
    for flow, kind in ((pair.forward, "forward"), (pair.backward, "backward")):
        body = sync_body(flow, pair)
        triggers.append(Trigger(flow.origin, trigger_name(kind, pair), SYNC_EVENTS, "ROW", body, search_path))
        triggers.append(
            Trigger(
                flow.origin,
                trigger_name(f"{kind}_truncate", pair),
                TRUNCATE_EVENTS,
                "STATEMENT",
                truncate_body(flow),
            )
        )
    return triggers


def fence(kind: str, table: Table, pair: TablePair, message: str, hint: str) -> Trigger:
    """Turns every write to `table` into an error."""
    body = SQL("\nBEGIN\n  RAISE object_not_in_prerequisite_state USING MESSAGE = {}, HINT = {};\nEND\n").format(
        Literal(message), Literal(hint)
    )
    return Trigger(table, trigger_name(kind, pair), FENCE_EVENTS, "STATEMENT", body.as_string())


def truncate_body(flow: Flow) -> str:
    """Refuses to empty one table alone. It runs after the statement, so emptying both at once, as `flush`
    does, is allowed.
    """
    return (
        SQL(
            "\nBEGIN\n  IF EXISTS (SELECT FROM {other}) THEN\n"
            "    RAISE object_not_in_prerequisite_state USING MESSAGE = {message}, HINT = {hint};\n"
            "  END IF;\n  RETURN NULL;\nEND\n"
        )
        .format(
            other=name(flow.destination),
            message=Literal(f"{flow.origin} can't be truncated alone: {flow.destination} is kept in step with it."),
            hint=Literal("Use DELETE, or truncate both tables in one statement."),
        )
        .as_string()
    )


def sync_body(flow: Flow, pair: TablePair) -> str:
    """PL/pgSQL that carries one written row of the origin to the destination.

    Loops end by value: a row that the other table already holds is left alone, whoever wrote it, so that
    writes by cascades and by other triggers are carried like any other.
    """
    sides = ("written", "kept") if flow is pair.forward else ("kept", "written")
    return (
        SQL(
            """
#variable_conflict use_column
DECLARE
  written CONSTANT record := new;
BEGIN
  IF TG_OP = 'DELETE' THEN
    -- A row that was born again under the key by the same statement has an event of its own.
    IF NOT EXISTS (SELECT FROM {origin} AS reborn WHERE {reborn}) THEN
      DELETE FROM {destination} AS kept WHERE {old_key};
    END IF;
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF EXISTS ({settled}) THEN
      RETURN NULL;
    END IF;
    UPDATE {destination} AS kept SET {changes} WHERE {old_key};
    IF FOUND THEN
      RETURN NULL;
    END IF;
  ELSIF {computed} AND EXISTS ({settled}) THEN
    RETURN NULL;
  END IF;
  INSERT INTO {destination} AS kept ({columns}) VALUES ({values})
  ON CONFLICT ({key}) DO UPDATE SET {changes}
  WHERE ROW({kept})::record {other_record} ROW({excluded_values})::record;
  RETURN NULL;
END
"""
        )
        .format(
            origin=name(flow.origin),
            destination=name(flow.destination),
            reborn=same_origin_key(flow),
            old_key=same_key(flow, "old", "kept"),
            settled=SQL("SELECT FROM {} AS kept WHERE {} AND {}").format(
                name(flow.destination), same_key(flow, "written", "kept"), in_step(pair, *sides)
            ),
            computed=SQL("false" if all(assignment.plain for assignment in pair.forward.carried) else "true"),
            changes=changes(flow, pair),
            columns=columns(assignment.column.name for assignment in flow.assignments),
            values=values(flow.assignments),
            key=columns(there for _, there in flow.key),
            kept=of("kept", names(flow.carried)),
            excluded_values=of("excluded", names(flow.carried)),
            other_record=OTHER_RECORD,
        )
        .as_string()
    )


def same_origin_key(flow: Flow) -> Statement:
    return SQL(" AND ").join(
        SQL("{} = {}").format(Identifier("reborn", here), Identifier("old", here)) for here, _ in flow.key
    )
