"""SQL of the triggers that keep two tables in sync, and of the fence: pure functions from a TablePair."""

import dataclasses
import functools
import hashlib
import re

from rehome.parts import functions, grants
from rehome.parts.agreement import agree_body
from rehome.parts.carry import carry_body, discreet
from rehome.parts.functions import Value
from rehome.parts.rows import pass_of
from rehome.plan.plan import Flow, TablePair
from rehome.postgres import sql
from rehome.postgres.sql import EQUAL, GREATER, OTHER, SQL, Identifier, Literal, Statement, name, quoted
from rehome.postgres.tables import PREFIX, Grant, Table

AGREEING = "same"
"""Begins the name of a trigger that comes, by its name, after the one that carries."""
SYNC_EVENTS = "AFTER INSERT OR UPDATE OR DELETE"
TRUNCATE_EVENTS = "AFTER TRUNCATE"
OR_TRUNCATE = " OR TRUNCATE"
FENCE_EVENTS = f"BEFORE INSERT OR UPDATE OR DELETE{OR_TRUNCATE}"
VIEW_EVENTS = "INSTEAD OF INSERT OR UPDATE OR DELETE"
TYPE_BITS = {"ROW": 1, "BEFORE": 2, "INSERT": 4, "DELETE": 8, "UPDATE": 16, "TRUNCATE": 32, "INSTEAD": 64}
WRITERS = 0x72656877
"""First key of the advisory lock that a session shares once it has written to a source, "rehw" in ASCII; the second
is the table's oid.
"""
ACTION = r"^[^\n]*\n[^\n]*(DELETE FROM|UPDATE) ONLY [^\n]* WHERE \$\d+ OPERATOR\("
"""Where the statement that calls a function is that of a foreign key: the second line of its context."""
SAFE_PATH = "pg_catalog, pg_temp"


@dataclasses.dataclass(frozen=True)
class Trigger:
    """A trigger with the function it calls, both of one name, on one table."""

    table: Table
    name: str
    events: str
    each: str
    body: str
    users: tuple[str, ...] | None
    """The roles that it is called by and that hold the rights that it needs, an empty name for PUBLIC: it has their
    rights and their search path. None where one of them lacks rights: it has those of the table's owner.
    """
    counter: str = ""
    """The sequence that the function counts with, in the table's schema; empty where it counts nothing."""
    values: tuple[Value, ...] = ()
    """What it computes with."""
    condition: str = ""
    """SQL that decides whether the function is called; empty for always."""

    def create(self) -> list[Statement]:
        """Idempotent: what stands under the name is replaced."""
        function = SQL("{}()").format(Identifier(self.table.schema, self.name))
        return [
            *(statement for value in self.values for statement in value.create()),
            SQL("CREATE OR REPLACE FUNCTION {} RETURNS trigger LANGUAGE plpgsql {} AS {}").format(
                function,
                SQL(
                    "SECURITY INVOKER" if self.users is not None else f"SECURITY DEFINER SET search_path = {SAFE_PATH}"
                ),
                quoted(self.body),
            ),
            sql.set_owner("FUNCTION", function, self.table.owner),
            *grants.exactly("FUNCTION", function),
            SQL("COMMENT ON FUNCTION {} IS {}").format(function, Literal(f"rehome {self.digest}")),
            *self.create_counter(),
            SQL("CREATE OR REPLACE TRIGGER {} {} ON {} FOR EACH {}{} EXECUTE FUNCTION {}").format(
                Identifier(self.name),
                SQL(self.events),
                name(self.table),
                SQL(self.each),
                SQL(f" WHEN ({self.condition})" if self.condition else ""),
                function,
            ),
        ]

    def create_counter(self) -> list[Statement]:
        if not self.counter:
            return []
        counter = Identifier(self.table.schema, self.counter)
        users = sorted({*(self.users or ())} - {self.table.owner})
        return [
            SQL("CREATE SEQUENCE IF NOT EXISTS {}").format(counter),
            sql.set_owner("SEQUENCE", counter, self.table.owner),
            *grants.exactly("SEQUENCE", counter, [Grant(user, "USAGE", grantable=False, column="") for user in users]),
        ]

    def drop(self) -> list[Statement]:
        counter = SQL("DROP SEQUENCE IF EXISTS {}").format(Identifier(self.table.schema, self.counter))
        return [*self.drop_trigger(), *([counter] if self.counter else [])]

    def drop_trigger(self) -> list[Statement]:
        """Leave the counter, which continues from there when the trigger is created again."""
        return [
            SQL("DROP TRIGGER IF EXISTS {} ON {}").format(Identifier(self.name), name(self.table)),
            SQL("DROP FUNCTION IF EXISTS {}()").format(Identifier(self.table.schema, self.name)),
            *(value.drop() for value in self.values),
        ]

    @property
    def type(self) -> int:
        """As pg_trigger.tgtype has it."""
        words = f"{self.events} {self.each}".split()
        return sum(bit for word, bit in TYPE_BITS.items() if word in words)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.body.encode()).hexdigest()[:16]


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


@functools.lru_cache(maxsize=32)
def sync_triggers(
    pair: TablePair,
    search_path: tuple[str, ...],
    users: tuple[str, ...] | None,
    agreeing: frozenset[str] = frozenset(),
    *,
    copying: bool = False,
) -> tuple[Trigger, ...]:
    """What keeps both tables of a pair in sync: one row trigger and one truncate trigger on each, and one more for the
    ways `agreeing`, on which a trigger of the project's may change what is carried.
    """
    pair, computed = functions.compute(pair, search_path)
    triggers = []
    for flow, kind in ((pair.forward, "forward"), (pair.backward, "backward")):
        row, statement = trigger_name(kind, pair), trigger_name(f"{kind}_truncate", pair)
        message = f"{flow.origin} can't be truncated alone: {flow.destination} is kept in sync with it."
        alone = truncate_body(flow, message, "Use DELETE, or truncate both tables in one statement.")
        body = carry_body(flow, pair, row, count_write(pair) if kind == "forward" else SQL("true"), copying=copying)
        body = discreet(body, flow.destination) if users is None else body
        counter = trigger_name("writes", pair) if kind == "forward" else ""
        # Whether a row is in sync is asked both ways, by either function.
        triggers += [
            Trigger(flow.origin, row, SYNC_EVENTS, "ROW", body, users, counter, computed),
            Trigger(flow.origin, statement, TRUNCATE_EVENTS, "STATEMENT", alone, ()),
        ]
        if kind in agreeing:
            agreed = trigger_name(f"{AGREEING}_{kind}", pair)
            body = agree_body(flow, pair, agreed)
            body = discreet(body, flow.destination) if users is None else body
            triggers.append(Trigger(flow.origin, agreed, SYNC_EVENTS, "ROW", body, users, values=computed))
    return tuple(triggers)


def agreeing(pair: TablePair) -> set[str]:
    """The names of those triggers that only some pairs need."""
    return {trigger_name(f"{AGREEING}_{way}", pair) for way in ("forward", "backward")}


def fence(kind: str, table: Table, pair: TablePair, message: str, hint: str, *, gate: bool = False) -> Trigger:
    """Turns every write to `table` into an error; with `gate`, every write of a stranger to the move.

    What can't change a table that is empty is allowed: to truncate it, as `flush` does to all at once, and what a
    foreign key does by itself when a row of another table is deleted. A client's UPDATE or DELETE that looks like that
    changes nothing either, for there is no row: an INSERT alone would, and no foreign key acts by one.
    """
    body = SQL(
        """
DECLARE
  caller pg_catalog.text;
BEGIN
  GET DIAGNOSTICS caller = PG_CONTEXT;
  IF (TG_OP {eq} 'TRUNCATE' OR TG_OP {ne} 'INSERT' AND caller OPERATOR(pg_catalog.~) {action})
     AND pg_catalog.pg_relation_size(TG_RELID) {eq} 0{passes} THEN
    RETURN NULL;
  END IF;
  RAISE object_not_in_prerequisite_state USING MESSAGE = {message}, HINT = {hint};
END
"""
    ).format(
        eq=EQUAL,
        ne=OTHER,
        action=Literal(ACTION),
        passes=passes(pair) if gate else SQL(""),
        message=Literal(message),
        hint=Literal(hint),
    )
    # While rows are copied, the trigger of the sync refuses to empty one table alone.
    events = FENCE_EVENTS.removesuffix(OR_TRUNCATE) if gate else FENCE_EVENTS
    return Trigger(table, trigger_name(kind, pair), events, "STATEMENT", body.as_string(), ())


def passes(pair: TablePair) -> Statement:
    return SQL(" OR coalesce(pg_catalog.current_setting({}, true), '') {} 'on'").format(Literal(pass_of(pair)), EQUAL)


def freeze(pair: TablePair, message: str, hint: str) -> list[Trigger]:
    """Turns every write to the source into an error, and emptying it while its target has rows."""
    fenced = fence("frozen", pair.source, pair, message, hint)
    return [
        dataclasses.replace(fenced, events=FENCE_EVENTS.removesuffix(OR_TRUNCATE)),
        Trigger(
            pair.source,
            trigger_name("frozen_truncate", pair),
            TRUNCATE_EVENTS,
            "STATEMENT",
            truncate_body(pair.forward, message, hint),
            (),
        ),
    ]


def truncate_body(flow: Flow, message: str, hint: str) -> str:
    """Refuses to empty one table alone. It runs after the statement, so emptying both at once, as `flush`
    does, is allowed. It looks at the file, because an older snapshot may not see the other table's rows.
    """
    return (
        SQL(
            """
BEGIN
  IF pg_catalog.pg_relation_size({other}) {greater} 0 THEN
    RAISE object_not_in_prerequisite_state USING MESSAGE = {message}, HINT = {hint};
  END IF;
  RETURN NULL;
END
"""
        )
        .format(
            other=file_of(flow.destination),
            greater=GREATER,
            message=Literal(message),
            hint=Literal(hint),
        )
        .as_string()
    )


def file_of(table: Table) -> Statement:
    """Its oid, for a role that may not know the names in its schema."""
    return SQL(
        "(SELECT c.oid::pg_catalog.regclass FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
        "ON n.oid {eq} c.relnamespace WHERE n.nspname {eq} {} AND c.relname {eq} {})"
    ).format(Literal(table.schema), Literal(table.name), eq=EQUAL)


def count_write(pair: TablePair) -> Statement:
    """Count a write that came in through the source, and mark its session: see writes.py.

    No session waits for a sequence, nor for a lock that is only shared, and to take one again that the session has is
    a matter of its own memory.
    """
    return SQL(
        "pg_catalog.nextval({}::pg_catalog.regclass) {} 0 "
        "AND pg_catalog.pg_try_advisory_lock_shared({}, TG_RELID::integer)"
    ).format(
        Literal(Identifier(pair.source.schema, trigger_name("writes", pair)).as_string()), GREATER, Literal(WRITERS)
    )
