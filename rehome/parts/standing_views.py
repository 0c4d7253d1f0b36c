"""The views that stand under old tables' names: what each was made to be, what is wrong with it by now, its repair."""

import dataclasses
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.errors import Refused
from rehome.parts import grants, views
from rehome.plan import resolve
from rehome.plan.plan import GONE, Plan, TablePair
from rehome.plan.record import Exchanged, Record, View
from rehome.postgres import asking, catalog
from rehome.postgres.sql import SQL, Identifier, Statement, name, place, readable
from rehome.postgres.tables import Grant, Table

WRITABLE = 8 | 16 | 4
"""Bits of pg_relation_is_updatable for INSERT, DELETE and UPDATE."""
WORD = r"\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'|\w+|[^\w\s]"
"""A name in quotes, a text, a name, number or word of SQL, or a sign."""

STANDING = """
SELECT pg_relation_is_updatable(c.oid, true),
       coalesce((SELECT option_value::boolean FROM pg_options_to_table(c.reloptions)
                  WHERE option_name = 'security_invoker'), false)
  FROM pg_class c WHERE c.oid = %s
"""
SCHEMA = re.compile(r'(?:"(?:[^"]|"")+"|[A-Za-z_][\w$]*)\.')
"""Before a name in an expression: whether PostgreSQL prints it depends on the search path."""


@dataclasses.dataclass(frozen=True)
class StandingView:
    """What stands under one table's name, and what the move put there."""

    view: Table
    table: Table
    owner: str
    made_of: TablePair
    """What it is made of again."""
    words: Collection[str]
    """What PostgreSQL may say of it, in short."""
    triggers: Mapping[str, str]
    """By name, the body of each."""
    defaults: Mapping[str, str] | None
    """By column; None where they are not known."""
    grants: tuple[Grant, ...]
    """Of the old table, in its columns."""
    columns: Mapping[str, Collection[str]]
    """By the view's column: the table's that it is taken from."""
    oid: int = 0
    """Which the view had when it was made; 0 where that is not known."""

    @property
    def stands(self) -> bool:
        return self.view.kind == "v" and self.view.oid != GONE

    def is_itself(self, connection: BaseDatabaseWrapper) -> bool:
        """Whether it reads the table as it was made to."""
        return self.stands and is_known(read_definition(self.view, connection), self.words)

    def find_defects(self, connection: BaseDatabaseWrapper) -> Iterator[str]:
        """One sentence for each thing that old code would miss, or should not have."""
        if self.stands:
            yield from self.find_damage(connection)
            yield from self.find_rights(connection)
        else:
            yield f"{self.view}, the view of {self.table}, is gone."

    def find_damage(self, connection: BaseDatabaseWrapper) -> Iterator[str]:
        """What makes it another view, but for rights."""
        view, table = self.view, self.table
        ((writable, invoker),) = asking.query(connection, STANDING, [view.oid])
        if not self.is_itself(connection):
            yield f"{view} is not the view of {table} that the move made."
        elif (
            writable & WRITABLE != WRITABLE
            or view.rules
            or self.triggers != {trigger.name: trigger.enabled and trigger.body for trigger in view.triggers}
        ):
            yield f"{view} does not carry every write to {table}."
        # A grant that has been revoked since made it a view without, which then lets nobody read more.
        if views.asks_reader(self.grants) and not invoker:
            yield f"{view} has lost security_invoker, so it is read with the rights of its owner."
        if invoker and not views.asks_reader(self.made_of.source.grants):
            yield f"{view} has security_invoker, so roles that may read single columns of it can't."
        if view.owner != self.owner:
            yield f"{view} belongs to {view.owner!r}, and not to {self.owner!r}, who owned the table of that name."
        if others := sorted(self.changed_defaults()):
            yield f"{view} does not fill {', '.join(others)} with the default that the table of that name had."

    def changed_defaults(self) -> set[str]:
        if self.defaults is None:
            return set()
        found = {column.name: column.default for column in self.view.columns if column.default is not None}
        return {
            column
            for column in {*found, *self.defaults}
            if unqualified(found.get(column)) != unqualified(self.defaults.get(column))
        }

    def find_rights(self, connection: BaseDatabaseWrapper) -> Iterator[str]:
        view, table = self.view, self.table
        if lacking := sorted({g.grantee or "PUBLIC" for g in self.given(connection) if not grants.holds(view, g)}):
            yield f"{view} lacks privileges that {table} gives to {', '.join(lacking)}."
        allowed = self.rights(connection)
        if beyond := sorted({g.grantee or "PUBLIC" for g in view.grants if g not in allowed}):
            yield f"{view} gives privileges to {', '.join(beyond)} that {table} does not give."

    def given(self, connection: BaseDatabaseWrapper) -> list[Grant]:
        """What it should grant: what has not been revoked on the table since.

        The table does not tell of a column that it lacks. There the view itself does, if it is the one that was made.
        """
        return [
            given
            for given in grants.of_roles_there(self.grants, connection)
            if (self.is_left_alone(given) if self.is_foreign(given) else gives(self.table, given, self.columns))
        ]

    def is_left_alone(self, given: Grant) -> bool:
        """Whether nobody has revoked it on the view, as far as that tells."""
        return not self.stands or self.view.oid != self.oid or grants.holds(self.view, given)

    def rights(self, connection: BaseDatabaseWrapper) -> list[Grant]:
        """What it may grant, and the table of that name after it: of what it grants by now, nothing that neither the
        old table gave nor the new one gives.
        """
        given = self.given(connection)
        if not self.stands:
            return given
        known = grants.levels(given)
        return [
            held
            for held in self.view.grants
            if held.grantable <= known.get(grants.right(held), -1)
            or (not self.is_foreign(held) and gives(self.table, held, self.columns))
        ]

    def is_foreign(self, grant: Grant) -> bool:
        """Whether it is of a column that the table does not have."""
        return grant.column not in {"", *self.columns}

    def make(self, plan: Plan) -> list[Statement]:
        """The statements that make it again, but for its grants, of what the tables and the view say by now.

        Raises Refused where nothing but the view itself could tell what it was.
        """
        # A view that reads what it should says it better than a plan for which the old table is gone.
        itself = self.is_itself(plan.connection)
        query = SQL(read_definition(self.view, plan.connection).rstrip("; ")) if itself else None
        if query is None and {c.name for c in self.made_of.source.columns} < {c.name for c in self.view.columns}:
            raise Refused(
                f"{self.view} is not the view of {self.table} that the move made, and the old table, which told what "
                "its columns were, has been dropped.",
                f"Create the view again from a backup, as `pg_dump --table='{place(self.view)}'` prints it.",
            )
        if (
            self.made_of.source.kind == "v"
            and self.stands
            and (lost := sorted(self.changed_defaults() & {*(self.defaults or {})}))
        ):
            raise Refused(
                f"{self.view} has another default for {', '.join(lost)} than the move gave it, which the view alone "
                "told.",
                f"Run ALTER VIEW {place(self.view)} ALTER COLUMN {readable(lost[0])} SET DEFAULT ..., with that "
                "default.",
            )
        return views.make(self.made_of, plan, query=query)


def in_place(pair: TablePair, made: Exchanged) -> StandingView:
    columns = made.renaming.columns
    taken = {here: (there,) for here, there in columns.items()}
    return StandingView(
        view=pair.source,
        table=pair.target,
        owner=pair.target.owner,
        made_of=views.as_standing(pair, columns, held(pair.target, made.grants, taken), made.defaults),
        words=expected(pair.source, pair.target, columns),
        triggers={},
        defaults={name: default for name, default in made.defaults.items() if default is not None},
        grants=made.grants,
        columns=taken,
    )


def retired(pair: TablePair, made: View, old: TablePair | None) -> StandingView:
    """`old` has the table that is set aside, under its own name; None once that was dropped."""
    columns = grants.columns_there(pair)
    made_of = old or views.as_left(pair, made.defaults)
    # Whoever owns the table that is set aside owned what the view replaced.
    confirmed = made.owner if made.owner == pair.target.owner else pair.source.owner
    owner = old.source.owner if old else confirmed
    granted = held(pair.target, made.grants, columns)
    source = dataclasses.replace(made_of.source, oid=pair.source.oid, owner=owner, grants=granted)
    return StandingView(
        view=pair.source,
        table=pair.target,
        owner=owner,
        made_of=dataclasses.replace(made_of, source=source),
        words={made.definition},
        triggers=made.triggers,
        defaults=made.defaults,
        grants=made.grants,
        columns=columns,
        oid=made.oid,
    )


def held(table: Table, given: Iterable[Grant], columns: Mapping[str, Collection[str]]) -> tuple[Grant, ...]:
    """Those that have not been revoked on the table since, as far as it has their columns."""
    known = {"", *columns}
    return tuple(one for one in given if one.column not in known or gives(table, one, columns))


def gives(table: Table, given: Grant, columns: Mapping[str, Collection[str]]) -> bool:
    """Whether a role may do with the table all that it may do with a view of it."""
    return all(grants.holds(table, one) for one in grants.there(given, columns))


def unqualified(expression: str | None) -> str | None:
    return expression and SCHEMA.sub("", expression)


# ----- what PostgreSQL says of it


def read_definition(view: Table, connection: BaseDatabaseWrapper) -> str:
    return str(asking.value(connection, "SELECT pg_get_viewdef(%s::oid)", [view.oid]))


def in_short(definition: str) -> str:
    """The words of a view of one table, without what differs between versions of PostgreSQL.

    It decides by version which names it puts in quotes. Version 15 writes the name of the table's row before each
    column, and takes another name than the view was made with.
    """
    text = definition.strip(" ;")
    row = re.escape(re.findall(WORD, text)[-1])
    words = re.findall(rf"(?s)(?:{row}\.(?=.*\sFROM\s))?({WORD})", text)
    return " ".join(re.sub(r'^"([a-z_][a-z0-9_]*)"$', r"\1", word) for word in words[:-1])


def is_known(definition: str, words: Collection[str]) -> bool:
    """Version 0.1 kept the text without quotes, and without the name of the row."""
    text = re.sub(r"\s+", " ", definition.replace('"', "")).strip(" ;")
    return in_short(definition) in words or re.sub(r"\bnew(_\d+)?\b\.?", "", text) in words


def expected(view: Table, table: Table, columns: Mapping[str, str]) -> set[str]:
    """What a view of plain columns is in short, whether or not the search path finds its table."""
    if {column.name for column in view.columns} != columns.keys():
        return set()
    listed = SQL(", ").join(
        Identifier(columns[c.name])
        if columns[c.name] == c.name
        else SQL("{} AS {}").format(Identifier(columns[c.name]), Identifier(c.name))
        for c in view.columns
    )
    places = [Identifier(table.name), Identifier(table.schema, table.name)]
    return {in_short(SQL("SELECT {} FROM {} new").format(listed, place).as_string()) for place in places}


# ----- of a whole plan


def find(plan: Plan, record: Record) -> list[StandingView]:
    """In the order of the plan's pairs."""
    if record.in_place:
        return [in_place(pair, made) for pair, made in zip(plan.pairs, record.in_place.pairs, strict=True)]
    return [
        retired(pair, record.views[str(pair.source)], old)
        for pair, old in zip(plan.pairs, old_pairs(plan, record), strict=True)
    ]


def old_pairs(plan: Plan, record: Record) -> Iterable[TablePair | None]:
    """Of the tables that are set aside, as far as they are all there."""
    kept = (record.aside or {}).values()
    if kept and all(resolve.find(plan.connection, old.schema, old.aside) for old in kept):
        return resolve.plan_of(plan, record, own_names=True).pairs
    return [None] * len(plan.pairs)


def find_defects(plan: Plan, record: Record) -> list[str]:
    return [defect for one in find(plan, record) for defect in one.find_defects(plan.connection)]


def repair(plan: Plan, record: Record) -> list[Statement]:
    """Make each view again that is not what the move made, with its rights; nothing where all are."""
    statements: list[Statement] = []
    for pair, one in zip(plan.pairs, find(plan, record), strict=True):
        if any(one.find_defects(plan.connection)):
            if not one.stands or any(one.find_damage(plan.connection)):
                statements += [*views.drop(pair), *one.make(plan)]
            wanted = [*one.given(plan.connection), *one.rights(plan.connection)]
            statements += grants.exactly("TABLE", name(pair.source), wanted)
    return statements


def to_keep(plan: Plan) -> dict[str, View]:
    """By the source's name: how the view of a retired table was made, and what PostgreSQL says of it by now."""
    return {
        str(pair.source): View(
            triggers={trigger.name: trigger.body for trigger in views.wanted(pair, plan)},
            owner=pair.source.owner,
            grants=pair.source.grants,
            **read_again(pair, plan),
        )
        for pair in plan.pairs
    }


def to_keep_repaired(plan: Plan, record: Record) -> Record:
    """With what PostgreSQL says of retired tables' views after `repair`: another version of it may use other words."""
    made = {str(pair.source): read_again(pair, plan) for pair in plan.pairs}
    return record.keeping(
        views={source: dataclasses.replace(record.views[source], **said) for source, said in made.items()}
    )


def read_again(pair: TablePair, plan: Plan) -> dict[str, Any]:
    view = catalog.read_table(plan.connection, name(pair.source).as_string())
    assert view is not None  # noqa: S101  It has just been made.
    return {
        "oid": view.oid,
        "definition": in_short(read_definition(view, plan.connection)),
        "defaults": {column.name: column.default for column in view.columns if column.default is not None},
    }
