"""SQL of the triggers that keep two tables in sync, and of the fence: pure functions from a TablePair."""

import dataclasses
import hashlib
import re

from rehome.parts.carry import carry_body
from rehome.plan.plan import Flow, TablePair
from rehome.postgres import sql
from rehome.postgres.sql import SQL, Identifier, Literal, Statement, columns, name
from rehome.postgres.tables import PREFIX, Table

SYNC_EVENTS = "AFTER INSERT OR UPDATE OR DELETE"
TRUNCATE_EVENTS = "AFTER TRUNCATE"
FENCE_EVENTS = "BEFORE INSERT OR UPDATE OR DELETE"
VIEW_EVENTS = "INSTEAD OF INSERT OR UPDATE OR DELETE"
TYPE_BITS = {"ROW": 1, "BEFORE": 2, "INSERT": 4, "DELETE": 8, "UPDATE": 16, "TRUNCATE": 32, "INSTEAD": 64}
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
    condition: str = ""
    """SQL that decides whether the function is called; empty for always."""

    def create(self) -> list[Statement]:
        """Idempotent: what stands under the name is replaced. A policy that would hide rows is an error in it."""
        function, counter = (Identifier(self.table.schema, own) for own in (self.name, self.counter))
        return [
            SQL(
                "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
                "SET search_path = {} SET row_security = off{}{} AS {}"
            ).format(
                function,
                columns(["pg_catalog", *self.search_path, "pg_temp"]),
                # A plan that was made while a table was empty lasts while it fills.
                SQL(" SET enable_seqscan = off" if self.each == "ROW" else ""),
                SQL("").join(SQL(" SET {} FROM CURRENT").format(SQL(setting)) for setting in self.settings),
                quoted(self.body),
            ),
            *([sql.set_owner("FUNCTION", SQL("{}()").format(function), self.owner)] if self.owner else []),
            SQL("REVOKE ALL ON FUNCTION {}() FROM PUBLIC").format(function),
            SQL("COMMENT ON FUNCTION {}() IS {}").format(function, Literal(f"rehome {self.digest}")),
            *([SQL("CREATE SEQUENCE IF NOT EXISTS {}").format(counter)] if self.counter else []),
            *([sql.set_owner("SEQUENCE", counter, self.owner)] if self.counter and self.owner else []),
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
        counter = SQL("DROP SEQUENCE IF EXISTS {}").format(Identifier(self.table.schema, self.counter))
        return [*self.drop_trigger(), *([counter] if self.counter else [])]

    def drop_trigger(self) -> list[Statement]:
        """Leave the counter, which continues from there when the trigger is created again."""
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


def standing(kind: str, table: Table) -> list[str]:
    """The table's enabled triggers of this kind, of whatever move."""
    named = re.compile(rf"{PREFIX}{kind}_[0-9a-f]{{12}}")
    return [trigger.name for trigger in table.triggers if trigger.enabled and named.fullmatch(trigger.name)]


def of_others(kind: str, table: Table, pair: TablePair) -> list[str]:
    """Those of `standing` that belong to another move."""
    return [trigger for trigger in standing(kind, table) if trigger != trigger_name(kind, pair)]


def sync_triggers(pair: TablePair, search_path: tuple[str, ...], *, copying: bool = False) -> list[Trigger]:
    """What keeps both tables of a pair in sync: one row trigger and one truncate trigger on each."""
    owner = pair.source.owner if pair.source.owner == pair.target.owner else None
    computed = not all(assignment.plain for flow in (pair.forward, pair.backward) for assignment in flow.assignments)
    settings = SETTINGS if computed else ()
    triggers = []
    for flow, kind in ((pair.forward, "forward"), (pair.backward, "backward")):
        row, statement = trigger_name(kind, pair), trigger_name(f"{kind}_truncate", pair)
        body = carry_body(flow, pair, row, count_write(pair) if kind == "forward" else SQL("true"), copying=copying)
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
    stranger = "pg_catalog.current_setting('rehome.leader', true) IS DISTINCT FROM 'source'" if gate else ""
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
            message=Literal(f"{flow.origin} can't be truncated alone: {flow.destination} is kept in sync with it."),
            hint=Literal("Use DELETE, or truncate both tables in one statement."),
        )
        .as_string()
    )


def count_write(pair: TablePair) -> Statement:
    """Count a write that came in through the source, and mark its session: see writes.py.

    No session waits for a sequence, nor for a lock that is only shared, and to take one again that the session has is
    a matter of its own memory.
    """
    return SQL("nextval({}::regclass) > 0 AND pg_try_advisory_lock_shared({}, TG_RELID::integer)").format(
        Literal(Identifier(pair.source.schema, trigger_name("writes", pair)).as_string()), Literal(WRITERS)
    )
