"""Foreign keys at a table that becomes a view, and at one that comes back: a view has none, and none leads to it.

Those of other tables point at the target instead. Their comment remembers where they came from, so that they find
back in whatever order moves are retired and brought back. Those of the source itself are kept by the ledger.
"""

import dataclasses
import functools
import json
from collections.abc import Iterable, Iterator
from typing import Any

from rehome.plan import record
from rehome.plan.ledger import Ledger
from rehome.plan.plan import Plan, TablePair
from rehome.plan.record import Record
from rehome.postgres import catalog, locks, sql
from rehome.postgres.session import Group, Session
from rehome.postgres.sql import SQL, Identifier, Literal, Statement
from rehome.postgres.tables import Incoming, Table


def add_foreign_keys(plan: Plan, *, acting: bool) -> list[Statement]:
    """Those that delete or change rows of the target when what they point at goes, or the others. NOT VALID: enforced
    for every later write, and added without a look at the rows.
    """
    return [
        sql.add_constraint(pair.target, key, validate=False)
        for pair in plan.pairs
        for key in pair.target.foreign_keys
        if key.acts == acting
    ]


def validations(plan: Plan) -> list[Group]:
    """Validate the foreign keys; each statement blocks nobody."""
    return [
        Group((sql.validate(pair.target.schema, pair.target.name, key.name),), patient=True)
        for pair in plan.pairs
        for key in pair.target.foreign_keys
    ]


def let_go(plan: Plan) -> list[Statement]:
    """Foreign keys of other tables that point at a target step aside, for TRUNCATE refuses a table that one
    points at, even from a table without rows. Their tables stay locked until the commit.
    """
    return [sql.drop_incoming(key) for key in other_incoming(plan)]


def empty(plan: Plan) -> list[Statement]:
    """Truncate the targets, and let foreign keys point at them again."""
    targets = [pair.target for pair in plan.pairs]
    return [sql.truncate(targets), *(sql.add_incoming(key) for key in other_incoming(plan))]


def settle_back(plan: Plan) -> list[Group]:
    return [Group((sql.validate(key.schema, key.table, key.name),), patient=True) for key in other_incoming(plan)]


def other_incoming(plan: Plan) -> list[Incoming]:
    """Foreign keys that point at a target from tables that are no target of this move."""
    own = {(pair.target.schema, pair.target.name) for pair in plan.pairs}
    return [key for pair in plan.pairs for key in pair.target.incoming if (key.schema, key.table) not in own]


def build(plan: Plan, kept: Record) -> Iterator[Group]:
    """Those that were put away: NOT VALID, one short transaction each, then validated, which blocks nobody. Safe to
    repeat after any crash.
    """
    for schema, name, constraint, definition in kept.constraints:
        if definition.startswith("FOREIGN KEY"):
            table = find_target(plan, schema, name)
            locked = locks.lock([table], "SHARE ROW EXCLUSIVE")
            yield Group(
                (*locked, add_foreign_key(table, constraint, definition)),
                unless=functools.partial(has_constraint, table, constraint),
            )
            yield Group((sql.validate(schema, name, constraint),), patient=True)


def find_target(plan: Plan, schema: str, name: str) -> Table:
    return next(pair.target for pair in plan.pairs if (pair.target.schema, pair.target.name) == (schema, name))


def has_constraint(table: Table, name: str) -> bool:
    return any(constraint.name == name for constraint in table.constraints)


def add_foreign_key(table: Table, name: str, definition: str) -> Statement:
    return SQL("ALTER TABLE {} ADD CONSTRAINT {} {} NOT VALID").format(
        sql.name(table), Identifier(name), SQL(definition.removesuffix(" NOT VALID"))
    )


ORIGIN = "rehome: pointed at "

KEYS = """
SELECT n.nspname, t.relname, c.conname, pg_get_constraintdef(c.oid), format('%%s(%%s)', c.confrelid::regclass,
         (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.pos) FROM unnest(c.confkey)
            WITH ORDINALITY k(num, pos) JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.num)),
       fn.nspname, ft.relname,
       ARRAY(SELECT a.attname::text FROM unnest(c.confkey) WITH ORDINALITY k(num, pos)
               JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.num ORDER BY k.pos),
       coalesce(obj_description(c.oid, 'pg_constraint'), ''), c.convalidated
  FROM pg_constraint c
  JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
  JOIN pg_class ft ON ft.oid = c.confrelid JOIN pg_namespace fn ON fn.oid = ft.relnamespace
 WHERE c.contype = 'f' AND c.conparentid = 0 AND (c.conrelid = ANY(%(oids)s) OR c.confrelid = ANY(%(oids)s))
 ORDER BY n.nspname, t.relname, c.conname
"""


@dataclasses.dataclass(frozen=True)
class End:
    """What a foreign key points at."""

    schema: str
    table: str
    columns: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"

    @property
    def clause(self) -> Statement:
        return SQL("{} ({})").format(Identifier(self.schema, self.table), sql.columns(self.columns))


@dataclasses.dataclass(frozen=True)
class Key:
    """A foreign key, whose definition reads `head`, the other end, `tail`."""

    schema: str
    table: str
    name: str
    head: str
    tail: str
    end: End
    origin: End | None
    """What it pointed at before that became a view; None where it was never re-pointed."""
    validated: bool

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"

    @property
    def home(self) -> End:
        return self.origin or self.end

    def as_json(self) -> dict[str, Any]:
        """With the other end that it should have when nothing is retired."""
        return {**dataclasses.asdict(self), "end": dataclasses.asdict(self.home), "origin": None}


def from_json(record: dict[str, Any]) -> Key:
    return Key(**{**record, "end": End(**{**record["end"], "columns": tuple(record["end"]["columns"])})})


def read(plan: Plan) -> list[Key]:
    """Every foreign key of a source or to one, and to a target."""
    oids = [table.oid for pair in plan.pairs for table in (pair.source, pair.target)]
    return [make_key(*row) for row in catalog.query(plan.connection, KEYS, {"oids": oids})]


def make_key(
    schema: str, table: str, name: str, definition: str, clause: str, other_schema: str, other: str,
    columns: list[str], comment: str, validated: bool,
) -> Key:  # fmt: skip
    head, _, tail = definition.partition(f" REFERENCES {clause}")
    origin = None
    if comment.startswith(ORIGIN):
        origin_schema, origin_table, origin_columns = json.loads(comment.removeprefix(ORIGIN))
        origin = End(origin_schema, origin_table, tuple(origin_columns))
    end = End(other_schema, other, tuple(columns))
    return Key(schema, table, name, head, tail.removesuffix(" NOT VALID"), end, origin, validated)


def own(keys: Iterable[Key], plan: Plan) -> list[Key]:
    """Those of the sources."""
    return [key for key in keys if str(key) in sources(plan)]


def incoming(keys: Iterable[Key], plan: Plan) -> list[Key]:
    """Those of other tables that point at a source."""
    return [key for key in keys if str(key) not in sources(plan) and str(key.end) in sources(plan)]


def returning(keys: Iterable[Key], plan: Plan) -> list[Key]:
    """Those that point at a target because a source was retired."""
    targets = {str(pair.target) for pair in plan.pairs}
    return [key for key in keys if key.origin and str(key.end) in targets and str(key.origin) in sources(plan)]


def sources(plan: Plan) -> set[str]:
    return {str(pair.source) for pair in plan.pairs}


def counterpart(end: End, pair: TablePair) -> End | None:
    """The same columns in the target; None where an expression makes one of them."""
    names = {a.column.name: next(iter(a.reads)) for a in pair.backward.assignments if a.plain}
    if not names.keys() >= set(end.columns):
        return None
    return End(pair.target.schema, pair.target.name, tuple(names[column] for column in end.columns))


def counterparts(keys: Iterable[Key], plan: Plan) -> list[tuple[Key, End | None]]:
    """Each key that points at a source, with its new end."""
    pairs = {str(pair.source): pair for pair in plan.pairs}
    return [(key, counterpart(key.end, pairs[str(key.end)])) for key in keys]


def stands(session: Session, key: Key) -> bool:
    found = "SELECT FROM pg_constraint WHERE conname = %s AND conrelid = to_regclass(%s)"
    return bool(session.rows(found, [key.name, Identifier(key.schema, key.table).as_string()]))


def ends(plan: Plan) -> dict[str, record.End]:
    """What a foreign key to a source leads to while that is a view."""
    return {
        str(pair.source): record.End(
            pair.target.schema,
            pair.target.name,
            {a.column.name: next(iter(a.reads)) for a in pair.backward.assignments if a.plain},
        )
        for pair in plan.pairs
    }


def find_end(key: Key, ledger: Ledger) -> End:
    """Where a foreign key leads whose own end may have become a view meanwhile."""
    table = catalog.read_table(ledger.connection, Identifier(key.end.schema, key.end.table).as_string())
    run = ledger.successor(str(key.end))
    if run is None or (table and table.kind != "v"):
        return key.end
    end = Record.of(run).ends[str(key.end)]
    return End(end.schema, end.table, tuple(end.columns[column] for column in key.end.columns))


# ----- statements


def drop(key: Key) -> Statement:
    return SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}").format(
        Identifier(key.schema, key.table), Identifier(key.name)
    )


def add(key: Key, end: End) -> list[Statement]:
    """Without a look at the rows; the comment tells where it belongs, if that is elsewhere."""
    place, home = Identifier(key.schema, key.table), key.home
    origin = Literal(ORIGIN + json.dumps([home.schema, home.table, home.columns])) if end != home else SQL("NULL")
    return [
        SQL("ALTER TABLE {} ADD CONSTRAINT {} {} REFERENCES {}{} NOT VALID").format(
            place, Identifier(key.name), SQL(key.head), end.clause, SQL(key.tail)
        ),
        SQL("COMMENT ON CONSTRAINT {} ON {} IS {}").format(Identifier(key.name), place, origin),
    ]


def move(key: Key, end: End) -> list[Statement]:
    return [drop(key), *add(key, end)]


def is_unvalidated(plan: Plan, place: Statement, name: str) -> bool:
    table = catalog.read_table(plan.connection, place.as_string())
    return table is not None and any(c.name == name and not c.validated for c in table.constraints)
