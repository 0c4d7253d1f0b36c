"""Constraints and indexes that only the models or only a live table has, compared by definition, not by name."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator

from rehome.checkschema import suggestions
from rehome.checkschema.pair import Pair
from rehome.checkschema.report import Difference
from rehome.checkschema.shape import Part, Shape

LIKE = {"unique index": "unique"}
"""Kinds that mean the same, though Django finds only the one that it looks for."""

KEYS_FIRST = {"primary key": 0, "unique": 1, "foreign key": 3}
"""What a foreign key needs comes before it in the list of statements to run."""


def find_differences(pair: Pair) -> Iterator[Difference]:
    same, replaced, lacking, unknown = matched(pair)
    for says, has in same:
        yield from compare(pair, says, has)
    for says, has in replaced:
        yield differ(pair, says, has)
    yield from (missing(pair, part) for part in lacking if not part.implied)
    yield from (extra(pair, part, served_by(pair, part, unknown)) for part in unknown if is_extra(pair, part))


def staying(pair: Pair) -> Shape:
    """The live table without the parts that are dropped because the model does not have them, and with what the model
    says where it says something else.
    """
    same, replaced, _, unknown = matched(pair)
    parts = [has for _, has in same]
    parts += [
        dataclasses.replace(has, definition=says.definition) if says.kind == has.kind else has for says, has in replaced
    ]
    parts += [part for part in unknown if not is_extra(pair, part)]
    return dataclasses.replace(pair.found, parts=tuple(parts))


Pairs = list[tuple[Part, Part]]


def matched(pair: Pair) -> tuple[Pairs, Pairs, list[Part], list[Part]]:
    """Parts that mean the same, those that are one with another definition, and what only either side has."""
    expected = [part for part in pair.expected.parts if not comes_along(pair, part)]
    expected.sort(key=lambda part: KEYS_FIRST.get(part.kind, 2))
    simplify = pair.server.simplified
    same, lacking, unknown = match(
        expected,
        pair.found.parts,
        lambda a, b: is_same(a, b) and a.name == b.name,
        is_same,
        lambda a, b: a.kind == b.kind and simplify(a.definition) == simplify(b.definition),
    )
    # A part with the same name or columns is one difference, not two.
    replaced, lacking, unknown = match(lacking, unknown, is_near)
    return same, replaced, lacking, unknown


def comes_along(pair: Pair, part: Part) -> bool:
    """Whether it is of one column, which the table lacks: adding the field adds it."""
    alone = len(part.columns) == 1 and part.name not in pair.twin.named_parts
    return alone and pair.found.column(part.columns[0]) is None


def is_extra(pair: Pair, part: Part) -> bool:
    return not (part.implied or serves_key(pair, part))


def serves_key(pair: Pair, part: Part) -> bool:
    """Whether it is the index that a foreign key of the model will use, once the table has that."""
    keys = (key.columns for key in pair.expected.parts if key.kind == "foreign key")
    return pair.server.indexes_foreign_keys and part.kind == "index" and part.columns in keys


def served_by(pair: Pair, key: Part, unknown: Iterable[Part]) -> list[Part]:
    """The index that the server has made for a foreign key, which would stay without it."""
    keys = [part for part in pair.found.parts if part.kind == key.kind == "foreign key" and part.columns == key.columns]
    return [part for part in unknown if part.kind == "index" and part.columns == key.columns and keys == [key]]


Matched = tuple[list[tuple[Part, Part]], list[Part], list[Part]]
"""Pairs, what only the model has, and what only the table has."""


def match(expected: Iterable[Part], found: Iterable[Part], *rules: Callable[[Part, Part], bool]) -> Matched:
    """First the parts that are alike by the first rule, then those by the next."""
    left, pairs, lacking = list(found), [], list(expected)
    for alike in rules:
        for part in list(lacking):
            if twin := next((other for other in left if alike(part, other)), None):
                left.remove(twin)
                lacking.remove(part)
                pairs.append((part, twin))
    return pairs, lacking, left


def is_same(part: Part, other: Part) -> bool:
    return part.kind == other.kind and part.definition == other.definition


def is_near(part: Part, other: Part) -> bool:
    """Of one kind with the same name or columns; a table has one primary key, whatever its columns."""
    same_kind = LIKE.get(part.kind, part.kind) == LIKE.get(other.kind, other.kind)
    same_columns = bool(part.columns) and part.columns == other.columns
    return same_kind and (part.kind == "primary key" or part.name == other.name or same_columns)


def compare(pair: Pair, says: Part, has: Part) -> Iterator[Difference]:
    if says.name in pair.twin.named_parts and says.name != has.name:
        sql = pair.server.remedies.rename(pair.found, has, says.name)
        yield pair.difference(what(has), "name", says.name, has.name, sql, f'name="{has.name}"')
    if has.flaw:
        name = says.name if says.name in pair.twin.named_parts else has.name
        sql = pair.server.remedies.repair(pair.found, has, name)
        yield pair.difference(what(has), "flaw", "in force", has.flaw, sql)


def differ(pair: Pair, says: Part, has: Part) -> Difference:
    name = says.name if says.name in pair.twin.named_parts else ""
    sql, change = pair.server.remedies.replace(pair.found, says, has, name), suggestions.part(has, pair.twin.model)
    return pair.difference(what(has), "definition", describe(says), describe(has), sql, change)


def missing(pair: Pair, part: Part) -> Difference:
    name = part.name if part.name in pair.twin.named_parts else ""
    subject = f'{part.kind} "{name}"' if name else part.kind
    return pair.difference(subject, "missing", describe(part), None, pair.server.remedies.add(pair.found, part, name))


def extra(pair: Pair, part: Part, indexes: Iterable[Part]) -> Difference:
    drop, without = pair.server.remedies.drop, tuple(other for other in pair.found.parts if other is not part)
    sql = drop(pair.found, part)
    for index in indexes:
        if index.implied:
            sql += drop(dataclasses.replace(pair.found, parts=without), index)
    return pair.difference(what(part), "unknown", None, describe(part), sql, suggestions.part(part, pair.twin.model))


def what(part: Part) -> str:
    return f'{part.kind} "{part.name}"'


def describe(part: Part) -> str:
    return f"{part.kind.upper()} {part.definition}" if part.kind.endswith("index") else part.definition
