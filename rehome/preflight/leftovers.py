"""What a way would lose: everything that the catalog ties to a table, less what the plan carries.

A model knows less than its table. So each refusal begins from what is there, and what nobody has decided about in
`fates` is refused as well.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from rehome.errors import Refused
from rehome.parts import matching
from rehome.plan.historical import column_of, concrete_fields
from rehome.plan.plan import Model, Plan, TablePair
from rehome.postgres import asking, catalog, ties
from rehome.postgres.sql import place, readable
from rehome.postgres.tables import Column, Constraint, Index, Table
from rehome.postgres.ties import Kind, Tie
from rehome.preflight import questions
from rehome.preflight.fates import FATES, SOURCE_GOES, Fate, Part, Way, roles

LITERAL = re.compile(r"(NULL|true|false|-?[\d.]+|'(?:[^']|'')*')(::[\w\s\".\[\](),]+)?")
"""A default that is a value, so that to ask for it has no effect and gives the same each time."""
ORDER = list(FATES)
"""In which they are refused: the cause before what follows from it."""
NEVER_ALIKE = {(Way.RETIRE, Kind.PUBLICATION)}
"""Where it makes no difference that the other table has the like: unretiring writes to the table under another name."""

ON_EITHER = {
    Way.FORWARD: {Kind.SEQUENCE_USER, Kind.SUBSCRIPTION},
    Way.IN_PLACE: {Kind.SUBSCRIPTION},
    Way.BACK: {Kind.HEIR, Kind.SUBSCRIPTION},
}
"""What is refused on the table that takes the other's place, too."""

Tied = Mapping[int, list[Tie]]
"""By the oid of its table."""
Known = Callable[[Table], Collection[str]]
"""The columns of a table that some model knows."""


def refuse(way: Way, plan: Plan, views: Iterable[Table] = ()) -> None:
    """Raise Refused for the first thing that this way would lose. `views` stand under old names, and are the move's."""
    refuse_ties(way, plan, views)
    refuse_columns(way, plan)


def refuse_ties(way: Way, plan: Plan, views: Iterable[Table] = ()) -> None:
    tied = read(plan, views)
    for pair in plan.pairs:
        gone, other = roles(way, pair)
        found = [(tie, gone, other) for tie in find(way, Fate.REFUSED, pair, tied)]
        if way in ON_EITHER:
            found += [(tie, other, gone) for tie in tied[other.oid] if tie.kind in ON_EITHER[way]]
        for tie, table, stays in sorted(found, key=lambda one: ORDER.index(one[0].kind)):
            raise Refused(*explain(way, tie, table, stays))


def read(plan: Plan, views: Iterable[Table] = ()) -> Tied:
    """The ties of every table of the plan, but for those to each other."""
    tables = [table for pair in plan.pairs for table in (pair.source, pair.target)]
    return ties.read(tables, plan.connection, [table.oid for table in (*tables, *views)])


def find(way: Way, fate: Fate, pair: TablePair, tied: Tied) -> list[Tie]:
    """Those of the table that goes to which this happens, and which the other table has no like of."""
    gone, other = roles(way, pair)
    if way in {Way.UNRETIRE, Way.IN_PLACE_BACK} and gone.kind != "v":
        return []  # Somebody has dropped the view, and nothing goes.
    found = [tie for tie in tied[gone.oid] if FATES[tie.kind][way] is fate and not is_own_sequence(tie, gone, pair)]
    names = columns(way, pair)
    alike = [tie for tie in found if tie.same is not None and (way, tie.kind) not in NEVER_ALIKE]
    there = {(tie.same, tie.column) for tie in tied[other.oid]}
    return [tie for tie in found if tie not in alike or (tie.same, names.get(tie.column, tie.column)) not in there]


def columns(way: Way, pair: TablePair) -> dict[str, str]:
    """By the column of the table that goes: the other's that has its values as they are."""
    names = matching.find_columns(pair)
    return names if way in SOURCE_GOES else {there: here for here, there in names.items()}


def is_own_sequence(tie: Tie, table: Table, pair: TablePair) -> bool:
    """Whether it numbers the table's own rows, or did until both tables drew from one."""
    keys = {column for key in pair.forward.key for column in key}
    drawn = {place(sequence) for sequence in table.sequences.values()}
    return tie.kind is Kind.SEQUENCE and (tie.column in keys or tie.name in drawn)


# ----- the words


BECOMES = {
    Way.FORWARD: "is to move",
    Way.CANCEL: "is emptied",
    Way.BACK: "is emptied",
    Way.IN_PLACE_BACK: "is dropped",
    Way.RETIRE: "becomes a view",
    Way.UNRETIRE: "is dropped in favour of the old table",
    Way.DROP: "is dropped",
}
AGAIN = {
    Way.IN_PLACE: "Drop it before the move, and create it again afterwards.",
    Way.RETIRE: "Drop it, retire the move, then create it again: it will read the view.",
    Way.UNRETIRE: "Drop it, unretire the move, then create it again: it will read the table.",
}
OWN = {
    Kind.RULE: "rule",
    Kind.POLICY: "policy",
    Kind.STATISTICS: "statistics",
}


def explain(way: Way, tie: Tie, gone: Table, other: Table) -> tuple[str, str]:
    """(what is wrong, the cure)."""
    becomes = f"is dropped in favour of {other}" if way is Way.IN_PLACE else BECOMES[way]
    name = readable(tie.name)
    match tie.kind:
        case Kind.PUBLICATION | Kind.WIDE_PUBLICATION:
            dropped = f", ALTER PUBLICATION {name} DROP TABLE {place(gone)}" if tie.kind is Kind.PUBLICATION else ""
            return (
                f"publication {tie.name} sends what is written to {gone}, which {becomes}: later rows would be sent "
                "nowhere.",
                f"Run ALTER PUBLICATION {name} ADD TABLE {place(other)}{dropped}, and refresh each subscription.",
            )
        case Kind.SUBSCRIPTION:
            return (
                f"subscription {tie.name} writes to {gone}, and fires none of its triggers.",
                f"End it first, with DROP SUBSCRIPTION {name}, or take the table out of it.",
            )
        case Kind.SEQUENCE_USER:
            return (
                f"{tie.name} draws from a sequence of {gone}, which is replaced or dropped.",
                "Give that column a sequence of its own first: CREATE SEQUENCE ... OWNED BY, then SET DEFAULT nextval.",
            )
        case Kind.SEQUENCE:
            return (
                f"sequence {tie.name} is owned by {gone}.{tie.column}, and {gone} {becomes}.",
                f"Run ALTER SEQUENCE {tie.name} OWNED BY NONE, or drop it, first.",
            )
        case Kind.LABEL:
            kind = "COLUMN" if tie.column else "TABLE"
            here = ".".join([str(gone), *filter(None, [tie.column])])
            return (
                f"{here} has the security label {tie.name}, and {gone} {becomes}; {other} has none like it.",
                f"Run SECURITY LABEL ... ON {kind} for {place(other)} as well, or drop the label first.",
            )
        case Kind.ROW_SECURITY:
            return (
                f"{gone} has row-level security, {gone} {becomes}, and its policies do not hold for {other}.",
                f"Run ALTER TABLE {place(gone)} DISABLE ROW LEVEL SECURITY first.",
            )
        case Kind.EXTENSION:
            return (
                f"{gone} belongs to the extension {tie.name}, and {becomes}.",
                f"Run ALTER EXTENSION {name} DROP {'VIEW' if gone.kind == 'v' else 'TABLE'} {place(gone)} first.",
            )
        case Kind.TRIGGER:
            return f"{gone} has the trigger {tie.name!r}, and {gone} {becomes}.", AGAIN.get(way, "Drop it first.")
        case Kind.HEIR:
            return (
                f"{tie.name} is tied to {gone} by inheritance, and {gone} {becomes}.",
                "Detach it with ALTER TABLE ... DETACH PARTITION or NO INHERIT first.",
            )
    thing = " ".join([*filter(None, [OWN.get(tie.kind)]), tie.name])
    if way is Way.RETIRE:
        the = "the " if tie.kind is Kind.VIEW else ""
        problem = f"{gone} can't become a view, because {the}{thing} depends on the table and would still read it."
    else:
        problem = f"{thing} depends on {gone}, which {becomes}."
    return problem, AGAIN.get(way, "Drop it first.")


# ----- columns


def refuse_columns(way: Way, plan: Plan, known: Known | None = None) -> None:
    """What is written to a column that no model at hand knows is in no plan: it may be of a later release.

    The rows are looked at only where there is such a column.
    """
    if FATES[Part.COLUMN][way] is Fate.REFUSED:
        for pair in plan.pairs:
            refuse_unknown_columns(way, pair, plan, known)


def refuse_unknown_columns(way: Way, pair: TablePair, plan: Plan, known: Known | None) -> None:
    gone, other = roles(way, pair)
    model = pair.source_model if gone is pair.source else pair.target_model
    for column in find_unknown(gone, model, plan):
        if known and column.name in known(gone):
            continue
        found = count_values(gone, column, plan)
        if found is None and way is not Way.RETIRE:
            continue
        has = f"has values in {found[0]:,} rows, such as {found[1]}" if found else "exists"
        raise Refused(
            f"{gone}.{column.name} {has}, but {model._meta.label} has no such column here and {other} can't hold it.",
            f"Use the release whose migrations know it. To lose it, run ALTER TABLE {place(gone)} DROP COLUMN "
            f"{readable(column.name)}.",
        )


def find_unknown(table: Table, model: Model, plan: Plan) -> list[Column]:
    """As the table is by now; what is generated is lost with what it is made of."""
    known = {column_of(field) for field in concrete_fields(model).values()}
    there = catalog.read_columns(plan.connection, table.oid)
    return [column for column in there if column.name not in known and not column.generated]


def count_values(table: Table, column: Column, plan: Plan) -> tuple[int, str] | None:
    """(in how many rows somebody wrote a value there, the key of one of them); None where nobody did."""
    key = next((c.columns for c in table.constraints if c.kind == "p"), (column.name,))
    fallback = column.fallback
    untouched = ["NULL", *([fallback] if fallback and LITERAL.fullmatch(fallback) else [])]
    query = questions.count_values(table, key, column, untouched)
    ((count, example),) = asking.query(plan.connection, query.as_string())
    return (count, example) if count else None


# ----- constraints and indexes


def unmatched(way: Way, pair: TablePair) -> Iterator[str]:
    """Of the table that goes, in words: those that say what none of the other table says."""
    gone, other = roles(way, pair)
    names, same = columns(way, pair), {column.name: column.name for column in other.columns}

    def here(part: Constraint | Index) -> object:
        return matching.shape_of(part, names, {})

    def there(part: Constraint | Index) -> object:
        return matching.shape_of(part, same, {})

    yield from (f"constraint {c.name}" for c in matching.match(gone.constraints, other.constraints, here, there).own)
    yield from (f"index {i.name}" for i in matching.match(gone.indexes, other.indexes, here, there).own)
