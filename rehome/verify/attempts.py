"""The writes that a probe tries through one name, those first that are the least likely to break a constraint."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping

from rehome.plan.plan import TablePair
from rehome.postgres.sql import SQL, Identifier, Literal, Statement, name
from rehome.postgres.tables import PREFIX, Table
from rehome.verify import queries, samples
from rehome.verify.roles import KEY, Rights
from rehome.verify.samples import Key, Sample, Type


@dataclasses.dataclass(frozen=True)
class Name:
    """A table, or a view in place of one, that programs write to."""

    table: Table
    key: tuple[str, ...]
    """In the order of the other name's."""
    carried: frozenset[str]
    """Columns whose values are seen under the other name."""
    is_view: bool
    drawn: frozenset[str]
    """Columns of the key that the table, or the one behind the view, gives by itself."""
    writable: tuple[str, ...]
    """All columns but those that are computed, or numbered whatever is given."""
    unique: frozenset[str]
    """Columns, outside the key, of unique and exclusion constraints and of unique indexes."""

    def __str__(self) -> str:
        return str(self.table)

    @property
    def place(self) -> str:
        """Qualified and quoted."""
        return name(self.table).as_string()

    def has_key(self, key: Key) -> Statement:
        """Whether the row named `one` has it."""
        return queries.has_key("one", map(self.table.column, self.key), key)


def read_name(pair: TablePair, *, old: bool, is_view: bool) -> Name:
    flow = pair.forward if old else pair.backward
    table = flow.origin
    columns = [c for c in table.columns if not (c.generated or c.name.startswith(PREFIX))]
    if is_view:
        made = {assignment.column.name for assignment in pair.backward.assignments}
        columns = [column for column in columns if column.name in made]
    keys = [(here if old else there, there) for here, there in pair.forward.key]
    behind = {here: [table.column(here), *([pair.target.column(there)] if is_view else [])] for here, there in keys}
    unique = [constraint.columns for constraint in table.constraints if constraint.kind in "ux"]
    unique += [index.columns for index in table.indexes if index.unique]
    return Name(
        table=table,
        key=tuple(behind),
        carried=frozenset().union(*(assignment.reads for assignment in flow.carried)),
        is_view=is_view,
        drawn=frozenset(here for here, found in behind.items() if any(c.default or c.identity for c in found)),
        unique=frozenset(column for columns in unique for column in columns if column not in behind),
        writable=tuple(column.name for column in columns if column.identity != "a" or column.name in behind),
    )


@dataclasses.dataclass(frozen=True)
class Write:
    statement: Statement
    key: Key | None = None
    """Of the row afterwards; None where there is none, or the statement returns it."""
    gone: Key | None = None
    """A key that no row has afterwards."""
    instead: Statement | None = None
    """What deletes the row that is there first, so that this one takes its place."""
    taken: Key | None = None
    """The key of that row, which a new one does not get."""
    drawn: bool = False
    """Whether the table itself gives the row its key, which the statement returns."""
    known: bool = True
    """Whether its values are those of a row that is there, so that nothing is wrong with them."""


@dataclasses.dataclass(frozen=True)
class Attempts:
    """What can be written through one name, starting from one row."""

    name: Name
    sample: Sample
    values: dict[str, str | None]
    """Of that row."""
    neighbours: dict[str, list[str]]
    types: dict[str, Type]

    @property
    def kinds(self) -> dict[str, Callable[[Rights], Iterator[Write]]]:
        return {
            "INSERT": self.inserts, "UPDATE": self.updates, KEY: self.changes_of_key,
            "DELETE": self.deletes,
        }  # fmt: skip

    def inserts(self, rights: Rights) -> Iterator[Write]:
        """In the place of the row that is there, so that constraints hold which it alone may satisfy."""
        one, key = self.name, self.sample.key
        instead = [self.delete()] if self.sample.removable else []
        values = {column: self.values[column] for column in one.writable if column in rights.insert}
        rest = {column: value for column, value in values.items() if column not in one.drawn}
        if len(rest) < len(values) and rights.select.issuperset(one.key):
            for first in instead:
                yield Write(samples.insert(one.table, rest, one.key), instead=first, taken=key, drawn=True)
            other = rest | {c: value for c, value in self.others_of_unique().items() if c in rest}
            yield Write(samples.insert(one.table, other, one.key), drawn=True, known=False)
        if rights.insert.issuperset(one.key):
            for first in instead:
                yield Write(samples.insert(one.table, values), key, instead=first)
            for new in self.other_keys():
                given = values | self.others_of_unique() | dict(zip(one.key, new, strict=True))
                yield Write(samples.insert(one.table, given), new, known=False)

    def updates(self, rights: Rights) -> Iterator[Write]:
        one = self.name
        columns = [c for c in one.writable if c in rights.update & one.carried and c not in one.key]
        for column in sorted(columns, key=lambda column: column in one.unique):
            for value in self.other_values(column):
                yield Write(self.update({column: value}), self.sample.key, known=False)

    def changes_of_key(self, rights: Rights) -> Iterator[Write]:
        for new in self.other_keys():
            before = dict(zip(self.name.key, self.sample.key, strict=True))
            changed = {c: value for c, value in zip(self.name.key, new, strict=True) if value != before[c]}
            if rights.update.issuperset(changed):
                yield Write(self.update(changed), new, gone=self.sample.key, known=False)

    def deletes(self, rights: Rights) -> Iterator[Write]:
        if self.sample.removable:
            yield Write(self.delete(), gone=self.sample.key)

    def update(self, values: Mapping[str, str | None]) -> Statement:
        changes = SQL(", ").join(SQL("{} = {}").format(Identifier(c), Literal(value)) for c, value in values.items())
        return SQL("UPDATE {} AS one SET {} WHERE {}").format(name(self.name.table), changes, self.chosen())

    def delete(self) -> Statement:
        return SQL("DELETE FROM {} AS one WHERE {}").format(name(self.name.table), self.chosen())

    def chosen(self) -> Statement:
        return self.name.has_key(self.sample.key)

    def other_values(self, column: str) -> Iterator[str | None]:
        now = self.values[column]
        yield from [value for value in self.neighbours.get(column, ()) if value != now][:1]
        yield from list(self.types[column].others(now))[:2]
        if now is not None and self.name.table.column(column).nullable:
            yield None

    def others_of_unique(self) -> dict[str, str | None]:
        """Other values than the row's, as far as they can be made up, of the columns that repeat none."""
        columns = [column for column in self.name.writable if column in self.name.unique]
        return {column: next(self.types[column].others(self.values[column]), None) for column in columns}

    def other_keys(self) -> Iterator[Key]:
        key = self.sample.key
        for position, column in enumerate(self.name.key):
            for value in self.types[column].other_keys(key[position]):
                yield (*key[:position], value, *key[position + 1 :])
