"""Both tables draw their keys from one sequence while both live, and each gets its own kind of column back."""

import dataclasses
from collections.abc import Iterable

from rehome.parts.grants import grant
from rehome.plan.plan import Assignment, Plan, TablePair
from rehome.plan.record import Numbered, Record, SharedSequence
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL, Identifier, Literal, Statement, largest_key, name
from rehome.postgres.tables import LARGEST, Grant, Sequence, Table


def to_keep(plan: Plan) -> Record:
    """What the key columns of both sides were before the move."""
    kept = {}
    for pair in plan.pairs:
        if pair.shared_sequence:
            source_column, source, target_column, target = pair.shared_sequence
            kept[str(pair.target)] = SharedSequence(
                Numbered(source_column, pair.source.column(source_column).identity, source),
                Numbered(target_column, pair.target.column(target_column).identity, target),
            )
    always = [(table.schema, table.name, column) for pair in plan.pairs for table, column in always_generated(pair)]
    return Record(sequences=kept, always=tuple(always))


def share(plan: Plan) -> list[Statement]:
    """Let both key columns draw from one sequence, which has the name of the target's.

    An identity column's sequence can't be shared, so both columns get a `nextval` default. A serial column's
    own sequence stays where it is, unused, until the way back.
    """
    statements: list[Statement] = []
    for pair in plan.pairs:
        statements += [generate(Identifier(t.schema, t.name), c, "BY DEFAULT") for t, c in always_generated(pair)]
        if pair.shared_sequence is None:
            continue
        source_column, source, target_column, target = pair.shared_sequence
        shared = dataclasses.replace(
            source,
            schema=target.schema,
            name=target.name,
            type=target.type,
            minimum=target.minimum if source.type != target.type else source.minimum,
            maximum=target.maximum if source.type != target.type else source.maximum,
        )
        place = Identifier(shared.schema, shared.name)
        default = SQL("nextval({}::regclass)").format(Literal(place.as_string()))
        table, old, column = name(pair.target), Identifier(source.schema, source.name), Identifier(target_column)
        if pair.target.column(target_column).identity:
            statements.append(SQL("ALTER TABLE {} ALTER COLUMN {} DROP IDENTITY").format(table, column))
        else:
            statements += [
                SQL("ALTER TABLE {} ALTER COLUMN {} DROP DEFAULT").format(table, column),
                SQL("DROP SEQUENCE {}").format(place),
            ]
        statements += [
            *create(shared, pair.target, target_column),
            continue_from(place, old, pair.source, source_column, shared),
            SQL("ALTER TABLE {} ALTER COLUMN {} SET DEFAULT {}").format(table, column, default),
            *(grant("SEQUENCE", place, privilege) for privilege in [*source.grants, *target.grants, *usage(pair)]),
        ]
        statements += draw_from(place, pair.source, source_column)
    return statements


def usage(pair: TablePair) -> list[Grant]:
    """A right to the sequence for whoever may insert: an identity column asks for none, a default does."""
    inserters = {pair.source.owner} - {pair.target.owner}
    if any(pair.source.column(here).identity or pair.target.column(there).identity for here, there in pair.forward.key):
        granted = (*pair.source.grants, *pair.target.grants)
        inserters |= {privilege.grantee for privilege in granted if privilege.privilege == "INSERT"}
    return [Grant(grantee, "USAGE", grantable=False, column="") for grantee in sorted(inserters)]


def always_generated(pair: TablePair) -> list[tuple[Table, str]]:
    """Identity columns outside the shared sequence that would refuse the values of the other table."""
    shared = {pair.shared_sequence[0], pair.shared_sequence[2]} if pair.shared_sequence else set()
    return [
        (flow.destination, assignment.column.name)
        for flow in (pair.forward, pair.backward)
        for assignment in flow.assignments
        if assignment.column.identity == "a" and assignment.column.name not in shared
    ]


def generate(table: Statement, column: str, kind: str) -> Statement:
    return SQL("ALTER TABLE {} ALTER COLUMN {} SET GENERATED {}").format(table, Identifier(column), SQL(kind))


def draw_from(place: Statement, table: Table, column: str) -> list[Statement]:
    """Let new rows of `table` take their key from the sequence at `place`."""
    identity = [SQL("ALTER TABLE {} ALTER COLUMN {} DROP IDENTITY").format(name(table), Identifier(column))]
    return [
        *(identity if table.column(column).identity else []),
        SQL("ALTER TABLE {} ALTER COLUMN {} SET DEFAULT nextval({}::regclass)").format(
            name(table), Identifier(column), Literal(place.as_string())
        ),
    ]


def repair(plan: Plan, session: Session) -> list[Statement]:
    """What `is_ahead` looks for in a move that stands: both tables draw from the target's sequence, after the largest
    key.
    """
    statements: list[Statement] = []
    for pair in plan.pairs:
        for source_column, target_column in () if is_ahead(session, pair) else pair.forward.key:
            if sequence := pair.target.sequences.get(target_column):
                place = Identifier(sequence.schema, sequence.name)
                statements.append(continue_from(place, place, pair.source, source_column, sequence))
                if source_column in pair.source.sequences:
                    statements += draw_from(place, pair.source, source_column)
    return statements


def follow_largest_key(pair: TablePair) -> list[Statement]:
    """A target that numbers its rows by itself, where the source never did, goes on after the largest key."""
    statements: list[Statement] = []
    for source_column, column in pair.forward.key:
        if sequence := pair.target.sequences.get(column):
            place = Literal(Identifier(sequence.schema, sequence.name).as_string())
            largest = largest_key(pair.target, column, below=end_of_keys(sequence, pair.source, source_column))
            statements.append(SQL("SELECT setval({}::regclass, ({})) WHERE ({}) > 0").format(place, largest, largest))
    return statements


def advance(table: Table, assignments: Iterable[Assignment]) -> list[Statement]:
    """Where a sequence numbers a column that was written to, and stands behind its largest key, it goes on after it."""
    statements: list[Statement] = []
    for column in (assignment.column.name for assignment in assignments):
        if (sequence := table.sequences.get(column)) and is_climbing(sequence):
            place = Identifier(sequence.schema, sequence.name)
            largest = largest_key(table, column, below=end_of_keys(sequence, table, column))
            statements.append(
                SQL(
                    "SELECT setval({}::regclass, largest) FROM (SELECT ({}) AS largest) AS keys, {} AS numbers "
                    "WHERE largest > last_value OR (largest = last_value AND NOT is_called)"
                ).format(Literal(place.as_string()), largest, place)
            )
    return statements


def follow(plan: Plan) -> list[Statement]:
    """After the rows have come: where the target alone numbers its rows, it goes on after the largest key."""
    return [s for pair in plan.pairs if pair.shared_sequence is None for s in follow_largest_key(pair)]


def revert(record: Record, plan: Plan) -> list[Statement]:
    """Undo `share` and `follow`: the source's own sequence goes on after the last key given out."""
    alone = [pair for pair in plan.pairs if str(pair.target) not in record.sequences]
    return [*unshare(record, plan), *(statement for pair in alone for statement in revert_alone(pair))]


def unshare(record: Record, plan: Plan) -> list[Statement]:
    """Undo `share`."""
    statements = [generate(Identifier(schema, table), column, "ALWAYS") for schema, table, column in record.always]
    for pair in plan.pairs:
        if shared := record.sequences.get(str(pair.target)):
            statements += revert_source(shared, pair.source)
            statements += revert_target(shared.target, pair.target)
    return statements


def is_sharing(record: Record, plan: Plan) -> bool:
    """Whether `share` has been done, and not undone."""
    relaxed = bool(record.always) and not any(always_generated(pair) for pair in plan.pairs)
    return relaxed or any(draw_from_one(pair) for pair in plan.pairs)


def revert_source(kept: SharedSequence, table: Table) -> list[Statement]:
    sequence, shared = kept.source.sequence, kept.target.sequence
    own, place, column = Identifier(sequence.schema, sequence.name), name(table), Identifier(kept.source.column)
    statements: list[Statement] = [SQL("ALTER TABLE {} ALTER COLUMN {} DROP DEFAULT").format(place, column)]
    if kept.source.identity:
        statements += [
            add_identity(place, column, kept.source.identity, sequence),
            *(grant("SEQUENCE", own, privilege) for privilege in sequence.grants),
        ]
    else:
        default = SQL("nextval({}::regclass)").format(Literal(own.as_string()))
        statements.append(SQL("ALTER TABLE {} ALTER COLUMN {} SET DEFAULT {}").format(place, column, default))
    shared_place = Identifier(shared.schema, shared.name)
    return [*statements, continue_from(own, shared_place, table, kept.source.column, sequence)]


def revert_alone(pair: TablePair) -> list[Statement]:
    """Where one side alone numbers its rows, a source goes on after the largest key, and a target begins again."""
    statements: list[Statement] = []
    for here, there in pair.forward.key:
        if sequence := pair.source.sequences.get(here):
            place = Identifier(sequence.schema, sequence.name)
            statements.append(continue_from(place, place, pair.source, here, sequence))
        if sequence := pair.target.sequences.get(there):
            statements.append(SQL("ALTER SEQUENCE {} RESTART").format(Identifier(sequence.schema, sequence.name)))
    return statements


def revert_target(kept: Numbered, table: Table) -> list[Statement]:
    sequence = kept.sequence
    place, column = Identifier(sequence.schema, sequence.name), Identifier(kept.column)
    statements: list[Statement] = [
        SQL("ALTER TABLE {} ALTER COLUMN {} DROP DEFAULT").format(name(table), column),
        SQL("DROP SEQUENCE {}").format(place),
    ]
    if kept.identity:
        statements.append(add_identity(name(table), column, kept.identity, sequence))
    else:
        statements += [
            *create(sequence, table, kept.column),
            SQL("ALTER TABLE {} ALTER COLUMN {} SET DEFAULT nextval({}::regclass)").format(
                name(table), column, Literal(place.as_string())
            ),
        ]
    return statements + [grant("SEQUENCE", place, privilege) for privilege in sequence.grants]


def options(sequence: Sequence) -> Statement:
    return SQL("INCREMENT BY {} MINVALUE {} MAXVALUE {} START WITH {} CACHE {} {}").format(
        Literal(sequence.increment),
        Literal(sequence.minimum),
        Literal(sequence.maximum),
        Literal(sequence.start),
        Literal(sequence.cache),
        SQL("CYCLE" if sequence.cycle else "NO CYCLE"),
    )


def create(sequence: Sequence, table: Table, column: str) -> list[Statement]:
    """It belongs to the column, and so to the table's owner, whoever makes it."""
    place = Identifier(sequence.schema, sequence.name)
    return [
        SQL("CREATE SEQUENCE {} AS {} {}").format(place, SQL(sequence.type), options(sequence)),
        SQL("ALTER SEQUENCE {} OWNER TO {}").format(place, Identifier(table.owner)),
        SQL("ALTER SEQUENCE {} OWNED BY {}").format(place, Identifier(table.schema, table.name, column)),
    ]


def add_identity(table: Statement, column: Statement, kind: str, sequence: Sequence) -> Statement:
    return SQL("ALTER TABLE {} ALTER COLUMN {} ADD GENERATED {} AS IDENTITY (SEQUENCE NAME {} {})").format(
        table,
        column,
        SQL("ALWAYS" if kind == "a" else "BY DEFAULT"),
        Identifier(sequence.schema, sequence.name),
        options(sequence),
    )


def continue_from(place: Statement, old: Statement, source: Table, column: str, sequence: Sequence) -> Statement:
    """Start where the old sequence stands, or after the largest key where that one had fallen behind it."""
    if not is_climbing(sequence):
        return SQL("SELECT setval({}::regclass, last_value, is_called) FROM {}").format(Literal(place.as_string()), old)
    return SQL(
        "SELECT setval({}::regclass, greatest(last_value, largest), "
        "is_called OR coalesce(largest >= last_value, false)) FROM {}, (SELECT ({})::bigint AS largest) AS keys"
    ).format(Literal(place.as_string()), old, largest_key(source, column, below=end_of_keys(sequence, source, column)))


def is_climbing(sequence: Sequence) -> bool:
    """Whether the next key is larger than all before: not where it counts downwards or begins again."""
    return sequence.increment > 0 and not sequence.cycle


def end_of_keys(sequence: Sequence, source: Table, column: str) -> int:
    """The last key that both tables can hold. A row may have it while the sequence is far behind: to go on
    after that row would be the end of all inserts.
    """
    return min(sequence.maximum, LARGEST.get(source.column(column).base_type, sequence.maximum))


def draw_from_one(pair: TablePair) -> bool:
    """Whether both tables number their rows, from the same sequence."""
    if pair.shared_sequence is None:
        return False
    _, source, _, target = pair.shared_sequence
    return (source.schema, source.name) == (target.schema, target.name)


def is_shared(pair: TablePair, record: Record) -> bool:
    """Whether both key columns still draw from a sequence, where the move let them."""
    shared = record.sequences.get(str(pair.target))
    return shared is None or (
        shared.source.column in pair.source.sequences and shared.target.column in pair.target.sequences
    )


def is_ahead(session: Session, pair: TablePair) -> bool:
    """Whether the next key is new: the shared sequence stands at or after the largest key of both tables,
    and both tables draw from it. True where no sequence numbers the rows.
    """
    for source_column, target_column in pair.forward.key:
        sequence = pair.target.sequences.get(target_column)
        if sequence is None:
            continue
        own = pair.source.sequences.get(source_column)
        if own is not None and (own.schema, own.name) != (sequence.schema, sequence.name):
            return False
        place = Identifier(sequence.schema, sequence.name)
        largest_number = largest_key(
            pair.target, target_column, below=end_of_keys(sequence, pair.source, source_column)
        )
        ((last, called, largest),) = session.rows(
            SQL("SELECT last_value, is_called, ({}) FROM {}").format(largest_number, place)
        )
        if largest is not None and is_climbing(sequence) and (largest > last or (largest == last and not called)):
            return False
    return True
