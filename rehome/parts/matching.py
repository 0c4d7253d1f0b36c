"""Which part of a table is the counterpart of which part of its empty twin: by definition, whatever their names."""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

from rehome.parts.sequences import named_after
from rehome.plan.plan import TablePair
from rehome.plan.renaming import Key, Part, Renaming
from rehome.postgres.sql import Identifier
from rehome.postgres.tables import Anatomy, Constraint, ForeignKey, Grant, Index, Table

# A literal, a cast, or an identifier that is no call of a function.
TOKENS = re.compile(r"'(?:[^']|'')*'|::\s*\w+|\"(?:[^\"]|\"\")+\"(?!\()|\b[a-z_][\w$]*\b(?!\()")

Columns = Mapping[str, str]
Targets = Mapping[int, tuple[str, Columns]]
"""By the oid of each table of the plan: the place it is at afterwards, and the names that its columns get."""
Found = TypeVar("Found", Constraint, ForeignKey, Index)


@dataclasses.dataclass(frozen=True)
class Counterparts:
    renaming: Renaming
    defaults: tuple[tuple[Part, Part], ...]
    """Those that change, before and after."""
    lacking: tuple[str, ...]
    """Statements that would add to the source what only the twin has."""
    own: tuple[str, ...]
    """What only the source has, in words: it stays as it is."""


def find(pair: TablePair, source: Anatomy, twin: Anatomy, targets: Targets) -> Counterparts:
    columns = find_columns(pair)
    back = {new: old for old, new in columns.items()}
    same = {column.name: column.name for column in twin.table.columns}
    shapes = [functools.partial(shape_of, columns=names, targets=targets) for names in (columns, same)]
    constraints = match(source.table.constraints, twin.table.constraints, *shapes)
    keys = match(source.table.foreign_keys, twin.table.foreign_keys, *shapes)
    indexes = match(source.table.indexes, twin.table.indexes, *shapes)
    replaced = find_replaced(keys, columns)
    gone, come = [before for before, _ in replaced], [after for _, after in replaced]
    not_nulls = {
        name: twin.not_nulls[columns[column]]
        for column, name in source.not_nulls.items()
        if columns.get(column) in twin.not_nulls
    }
    return Counterparts(
        Renaming(
            schema=twin.table.schema,
            owner=source.table.owner,
            table=(source.table.name, twin.table.name),
            columns=columns,
            constraints=renamed(constraints) | renamed(keys) | not_nulls,
            indexes=renamed(indexes),
            keys=find_keys(source.table, twin.table, columns, widths=pair.width_is_free),
            foreign_keys=tuple(replaced),
            comments=tuple(find_comments(source, twin, columns)),
        ),
        defaults=tuple(find_defaults(source.table, twin.table, columns)),
        lacking=(
            *(add(c, source.table, back) for c in constraints.lacking),
            *(add(key, source.table, back) for key in keys.lacking if key not in come),
            *(build(i, source.table, back) for i in indexes.lacking),
        ),
        own=(
            *(f"constraint {c.name}" for c in constraints.own),
            *(f"constraint {key.name}" for key in keys.own if key not in gone),
            *(f"index {i.name}" for i in indexes.own),
        ),
    )


# ----- columns


def find_columns(pair: TablePair) -> dict[str, str]:
    """The source's columns by the names that they get; a generated one keeps its name."""
    derived = {assignment.column.name for assignment in pair.derived}
    plain = {source.name: target.name for source, target in pair.plain_columns if target.name not in derived}
    return plain | {c.name: c.name for c in pair.source.columns if c.generated and pair.target.has_column(c.name)}


def find_keys(source: Table, twin: Table, columns: Columns, *, widths: bool) -> dict[str, tuple[Key, Key]]:
    """Afterwards a key is numbered as before, under the name of the twin's sequence and of the twin's kind. With
    `widths`, it keeps its own.
    """
    keys = {}
    for name, sequence in source.sequences.items():
        other = twin.sequences.get(columns.get(name, ""))
        if other is None:
            continue
        if widths:
            other = dataclasses.replace(other, type=sequence.type)
        before, kind = Key(source.column(name).identity, sequence), twin.column(columns[name]).identity
        # A default needs a right to its sequence for each role that inserts, and an identity does not.
        asked = before.identity and not kind
        inserters = sorted({g.grantee for g in source.grants if asked and g.privilege == "INSERT"})
        usage = [Grant(inserter, "USAGE", grantable=False, column="") for inserter in inserters]
        granted = tuple(dict.fromkeys([*sequence.grants, *other.grants, *usage]))
        keys[name] = before, Key(kind, dataclasses.replace(named_after(other, sequence), grants=granted))
    return keys


def find_defaults(source: Table, twin: Table, columns: Columns) -> Iterable[tuple[Part, Part]]:
    """Those that change."""
    for old, new in columns.items():
        before, after = Part(old, source.column(old).default), Part(new, twin.column(new).default)
        if before.text != after.text and old not in source.sequences and not source.column(old).generated:
            yield before, after


def find_comments(source: Anatomy, twin: Anatomy, columns: Columns) -> Iterable[tuple[Part, Part]]:
    for old, new in {"": "", **columns}.items():
        own = source.comments.get(old)
        yield Part(old, own), Part(new, twin.comments.get(new, own))


# ----- constraints and indexes


@dataclasses.dataclass(frozen=True)
class Match(Generic[Found]):
    pairs: list[tuple[Found, Found]]
    lacking: list[Found]
    """What only the twin has."""
    own: list[Found]
    """What only the source has."""


def match(
    source: Iterable[Found], twin: Iterable[Found], here: Callable[[Found], object], there: Callable[[Found], object]
) -> Match[Found]:
    """Pair parts of one shape, which `here` and `there` tell; of several, one that has the name already."""
    own = list(source)
    pairs, lacking = [], []
    for part in twin:
        alike = [other for other in own if here(other) == there(part)]
        if alike:
            chosen = next((other for other in alike if other.name == part.name), alike[0])
            own.remove(chosen)
            pairs.append((chosen, part))
        else:
            lacking.append(part)
    return Match(pairs, lacking, own)


def renamed(found: Match[Found]) -> dict[str, str]:
    return {before.name: after.name for before, after in found.pairs}


def find_replaced(found: Match[ForeignKey], columns: Columns) -> list[tuple[ForeignKey, ForeignKey]]:
    """Foreign keys over the same columns that don't say the same; elsewhere they would stand beside each other."""
    replaced = []
    for after in found.lacking:
        same = [key for key in found.own if tuple(map(columns.get, key.columns)) == after.columns]
        if same:
            replaced.append((same[0], after))
    return replaced


def shape_of(part: Constraint | ForeignKey | Index, columns: Columns, targets: Targets) -> object:
    """What a part says but for its name, in the twin's names."""
    if isinstance(part, Constraint):
        return part.kind, translate(part.definition, columns)
    if isinstance(part, Index):
        return part.unique, translate(method(part), columns)
    place, there = targets.get(part.referenced_oid, (str(part.end), {}))
    ends = tuple(map(columns.get, part.columns)), tuple(there.get(column, column) for column in part.end.columns)
    return place, ends, translate(str(part.terms), columns)


def method(index: Index) -> str:
    return index.definition[index.definition.index(" USING ") :]


def translate(definition: str, columns: Columns) -> str:
    """The same definition with other names for its columns, each of them quoted.

    PostgreSQL itself has the last word: the move compares what it says of both tables before it commits.
    """

    def other(token: re.Match[str]) -> str:
        text = token[0]
        name = text[1:-1].replace('""', '"') if text.startswith('"') else text
        return Identifier(columns[name]).as_string() if name in columns else text

    return TOKENS.sub(other, definition)


def with_width(pair: TablePair, twin: Anatomy) -> Anatomy:
    """The twin as the table will be: with the width of the source's key, where any serves."""
    if not pair.width_is_free:
        return twin
    ((here, there),) = pair.forward.key
    own = pair.source.column(here)
    changed = [
        dataclasses.replace(column, type=own.type, base_type=own.base_type) if column.name == there else column
        for column in twin.table.columns
    ]
    return dataclasses.replace(twin, table=dataclasses.replace(twin.table, columns=tuple(changed)))


def add(constraint: Constraint | ForeignKey, table: Table, columns: Columns) -> str:
    if isinstance(constraint, ForeignKey):
        definition = with_columns(constraint, columns).definition
    else:
        definition = translate(constraint.definition, columns)
    return f"ALTER TABLE {Identifier(table.schema, table.name).as_string()} ADD {definition}"


def with_columns(key: ForeignKey, columns: Columns) -> ForeignKey:
    """The same over columns of other names."""
    own, set_columns = (
        tuple(columns.get(name, name) for name in names) for names in (key.columns, key.terms.set_columns)
    )
    return dataclasses.replace(key, columns=own, terms=dataclasses.replace(key.terms, set_columns=set_columns))


def build(index: Index, table: Table, columns: Columns) -> str:
    place = Identifier(table.schema, table.name).as_string()
    unique = "UNIQUE " if index.unique else ""
    return f"CREATE {unique}INDEX CONCURRENTLY ON {place}{translate(method(index), columns)}"
