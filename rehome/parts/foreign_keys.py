"""Foreign keys: of a target, which wait for its rows, and of other tables that point at one which is emptied.

A view has none, and none leads to it. Those of other tables that point at a source which becomes one point at the
target instead. Their comment keeps their former end, so that moves may be retired and unretired in any order. Those of
the source itself are kept by the ledger.
"""

import dataclasses
import functools
import json
from collections.abc import Collection, Iterable, Iterator

from rehome.errors import Refused
from rehome.models import MoveRun
from rehome.plan import record
from rehome.plan.ledger import Ledger
from rehome.plan.plan import Plan, TablePair
from rehome.plan.record import Record
from rehome.postgres import catalog, locks, sql
from rehome.postgres.session import Group
from rehome.postgres.sql import SQL, Identifier, Literal, Statement
from rehome.postgres.tables import End, ForeignKey, Table

ORIGIN = "rehome: pointed at "

# ----- one foreign key


def drop(key: ForeignKey) -> Statement:
    return sql.drop_constraint(key.schema, key.table, key.name)


def add(key: ForeignKey) -> list[Statement]:
    """NOT VALID: enforced for every later write, and added without a look at the rows."""
    added = sql.add_constraint(key.schema, key.table, key.name, key.definition, validate=False)
    return [added, *([comment_on(key, key.comment)] if key.comment else [])]


def comment_on(key: ForeignKey, comment: str) -> Statement:
    """None where `comment` is empty."""
    return SQL("COMMENT ON CONSTRAINT {} ON {} IS {}").format(
        Identifier(key.name), Identifier(key.schema, key.table), Literal(comment or None)
    )


def add_checked(key: ForeignKey) -> Statement:
    return sql.add_constraint(key.schema, key.table, key.name, key.definition)


def validate(key: ForeignKey) -> Group:
    """Blocks no other session."""
    return Group((sql.validate(key.schema, key.table, key.name),), patient=True)


def move(key: ForeignKey, end: End) -> list[Statement]:
    return [drop(key), *add(with_end(key, end))]


def with_end(key: ForeignKey, end: End) -> ForeignKey:
    """The same with another end; its comment tells where it belongs, if that is elsewhere."""
    home = home_of(key)
    comment = origin(home) if end != home else ""
    return dataclasses.replace(key, end=end, comment=comment)


def origin(home: End) -> str:
    """The comment of a key that leads elsewhere meanwhile."""
    return ORIGIN + json.dumps([home.schema, home.table, home.columns])


def origin_of(key: ForeignKey) -> End | None:
    """What it pointed at before that became a view; None where it was never re-pointed."""
    if not key.comment.startswith(ORIGIN):
        return None
    schema, table, columns = json.loads(key.comment.removeprefix(ORIGIN))
    return End(schema, table, tuple(columns))


def home_of(key: ForeignKey) -> End:
    """The end that it should have when nothing is retired."""
    return origin_of(key) or key.end


def to_keep(key: ForeignKey) -> ForeignKey:
    """As a run keeps it: with the end that it should have when nothing is retired."""
    return dataclasses.replace(key, end=home_of(key))


# ----- of the targets


def put_away(plan: Plan) -> list[Statement]:
    """Drop them; each statement is short and for a transaction of its own.

    Dropping a foreign key takes ACCESS EXCLUSIVE on the table it points at as well: inside a long transaction no user
    could log in until it ended.
    """
    return [drop(key) for key in of_targets(plan)]


def to_keep_of(plan: Plan) -> Record:
    return Record(dropped_keys=tuple(of_targets(plan)))


def add_foreign_keys(plan: Plan, *, acting: bool) -> list[Statement]:
    """Those that delete or change rows of the target when what they point at goes, or the others."""
    return [statement for key in of_targets(plan) if key.terms.act == acting for statement in add(key)]


def validations(plan: Plan) -> list[Group]:
    return [validate(key) for key in of_targets(plan)]


def of_targets(plan: Plan) -> list[ForeignKey]:
    return [key for pair in plan.pairs for key in pair.target.foreign_keys]


def build(plan: Plan, keys: Iterable[ForeignKey]) -> Iterator[Group]:
    """Those that were put away: NOT VALID, one short transaction each, then validated, which blocks no other session.
    Safe to repeat after any crash.
    """
    for key in keys:
        table = find_target(plan, key.schema, key.table)
        there = functools.partial(has_constraint, table, key.name)
        yield Group((*locks.lock([table], "SHARE ROW EXCLUSIVE"), *add(key)), unless=there)
        yield validate(key)


def find_target(plan: Plan, schema: str, name: str) -> Table:
    return next(pair.target for pair in plan.pairs if (pair.target.schema, pair.target.name) == (schema, name))


def has_constraint(table: Table, name: str) -> bool:
    return any(constraint.name == name for constraint in table.all_constraints)


# ----- of other tables, to the targets


def drop_incoming(plan: Plan) -> list[Statement]:
    """Foreign keys of other tables that point at a target are dropped, for TRUNCATE refuses a table that one
    points at, even from a table without rows. Their tables stay locked until the commit.
    """
    return [drop(key) for key in to_targets(plan)]


def empty_targets(plan: Plan) -> list[Statement]:
    """Truncate the targets, and let foreign keys point at them again."""
    targets = [pair.target for pair in plan.pairs]
    return [sql.truncate(targets), *(statement for key in to_targets(plan) for statement in add(key))]


def validate_incoming(plan: Plan) -> list[Group]:
    return [validate(key) for key in to_targets(plan)]


def to_targets(plan: Plan, stay: Collection[tuple[str, str, str]] = ()) -> list[ForeignKey]:
    """Foreign keys that point at a target from tables that are no target of this move, but for those in `stay`."""
    own = {str(pair.target) for pair in plan.pairs}
    found = [key for pair in plan.pairs for key in pair.target.incoming if str(key) not in own]
    return [key for key in found if (key.schema, key.table, key.name) not in stay]


# ----- of the sources, and of other tables to those that become views


def read(plan: Plan) -> list[ForeignKey]:
    """Every foreign key of a source or target or to one, as they are by now."""
    oids = [table.oid for pair in plan.pairs for table in (pair.source, pair.target)]
    found = {key for oid in oids for keys in catalog.read_foreign_keys(plan.connection, oid) for key in keys}
    return sorted(found, key=lambda key: (key.schema, key.table, key.name))


def of_sources(keys: Iterable[ForeignKey], plan: Plan) -> list[ForeignKey]:
    """Those of the sources."""
    return [key for key in keys if str(key) in source_names(plan)]


def to_sources(keys: Iterable[ForeignKey], plan: Plan) -> list[ForeignKey]:
    """Those of other tables that point at a source."""
    return [key for key in keys if str(key) not in source_names(plan) and str(key.end) in source_names(plan)]


def moved_off(keys: Iterable[ForeignKey], plan: Plan) -> list[ForeignKey]:
    """Those that point at a target because a source was retired."""
    targets = {str(pair.target) for pair in plan.pairs}
    return [key for key in keys if str(key.end) in targets and str(origin_of(key)) in source_names(plan)]


def source_names(plan: Plan) -> set[str]:
    return {str(pair.source) for pair in plan.pairs}


def counterparts(keys: Iterable[ForeignKey], plan: Plan) -> list[tuple[ForeignKey, End | None]]:
    """Each key that points at a source, with its new end: the same columns in the target.

    None where an expression makes one of them.
    """
    pairs = {str(pair.source): pair for pair in plan.pairs}
    found = []
    for key in keys:
        pair = pairs[str(key.end)]
        names = columns_there(pair)
        end = End(pair.target.schema, pair.target.name, tuple(names.get(column, "") for column in key.end.columns))
        found.append((key, end if all(end.columns) else None))
    return found


def columns_there(pair: TablePair) -> dict[str, str]:
    """By the source's column: the target's that it is taken from as it is."""
    return {a.column.name: next(iter(a.reads)) for a in pair.backward.assignments if a.plain}


def new_ends(plan: Plan) -> dict[str, record.End]:
    """What a foreign key to a source leads to while that is a view."""
    return {
        str(pair.source): record.End(pair.target.schema, pair.target.name, columns_there(pair)) for pair in plan.pairs
    }


def strange_view(end: End, pointed_at: str, run: MoveRun) -> Refused:
    return Refused(
        f"{end}{pointed_at} is a view, and not of the table that {run.move} says.",
        f"Make the view again with `manage.py retiremoves {run.move.partition(' -> ')[2]}`, or drop it.",
    )


def staying(plan: Plan, stay: Iterable[record.Place]) -> tuple[record.Place, ...]:
    """Foreign keys that belong to the table that went in place: those which led to it then, and those which migrations
    have led to its old name since.
    """
    led = moved_off((key for pair in plan.pairs for key in pair.target.incoming), plan)
    return (*stay, *((key.schema, key.table, key.name) for key in led))


def settle_at_home(plan: Plan) -> list[Statement]:
    """Where the end of a key has its old name again, no comment has to tell of it."""
    led = moved_off((key for pair in plan.pairs for key in pair.target.incoming), plan)
    return [comment_on(key, "") for key in led]


def at_its_end(key: ForeignKey, ledger: Ledger) -> ForeignKey:
    """A foreign key whose own end may have become a view meanwhile, with the end that it leads to by now."""
    table = catalog.read_table(ledger.connection, Identifier(key.end.schema, key.end.table).as_string())
    run = ledger.successor(str(key.end))
    if run is None or (table and table.kind != "v"):
        return key
    end = Record.of(run).ends.get(str(key.end))
    # What the run has kept of the columns is believed of the table alone that the view reads.
    if end is None or (table and catalog.read_base(ledger.connection, table) != (end.schema, end.table)):
        raise strange_view(key.end, f", which {key}.{key.name} points at,", run)
    return with_end(key, End(end.schema, end.table, tuple(end.columns[name] for name in key.end.columns)))
