"""The views that stand under old tables' names: what each was made to be, what is wrong with it by now, its repair."""

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.parts import grants, views
from rehome.plan.plan import GONE, Plan, TablePair
from rehome.plan.record import Exchanged, Record, View
from rehome.postgres import catalog
from rehome.postgres.sql import SQL, Identifier, Statement, name
from rehome.postgres.tables import Grant, Table

WRITABLE = 8 | 16 | 4
"""Bits of pg_relation_is_updatable for INSERT, DELETE and UPDATE."""
WORD = r"\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'|\w+|[^\w\s]"
"""A name in quotes, a text, a name, number or word of SQL, or a sign."""
GRANT = re.compile(
    r'GRANT (\w+)(?: \("((?:[^"]|"")+)"\))? ON TABLE .+ TO (PUBLIC|"(?:[^"]|"")+")( WITH GRANT OPTION)?', re.DOTALL
)

STANDING = """
SELECT pg_relation_is_updatable(c.oid, true),
       coalesce((SELECT option_value::boolean FROM pg_options_to_table(c.reloptions)
                  WHERE option_name = 'security_invoker'), false)
  FROM pg_class c WHERE c.oid = %s
"""
ROLES = "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s) UNION ALL SELECT ''"


@dataclasses.dataclass(frozen=True)
class StandingView:
    """What stands under one table's name, and what the move put there."""

    view: Table
    table: Table
    statements: tuple[str, ...]
    """That made the view, but for its grants."""
    words: Collection[str]
    """What PostgreSQL may say of it, in short."""
    triggers: Mapping[str, str]
    """By name, the body of each."""
    grants: tuple[Grant, ...]
    """Of the old table, in its columns."""
    columns: Mapping[str, str]
    """By the view's column: the table's that it is taken from."""

    def is_itself(self, connection: BaseDatabaseWrapper) -> bool:
        """Whether it reads the table as it was made to."""
        if self.view.kind != "v" or self.view.oid == GONE:
            return False
        return is_known(read_definition(self.view, connection), self.words)

    def find_defects(self, connection: BaseDatabaseWrapper) -> Iterator[str]:
        """One sentence for each thing that old code would miss."""
        view, table = self.view, self.table
        if view.kind != "v" or view.oid == GONE:
            yield f"{view}, the view of {table}, is gone."
            return
        ((writable, invoker),) = catalog.query(connection, STANDING, [view.oid])
        if not self.is_itself(connection):
            yield f"{view} is not the view of {table} that the move made."
        elif (
            writable & WRITABLE != WRITABLE
            or view.rules
            or self.triggers != {trigger.name: trigger.enabled and trigger.body for trigger in view.triggers}
        ):
            yield f"{view} does not carry every write to {table}."
        asks = "security_invoker = true" in self.statements[0]
        if asks and not invoker:
            yield f"{view} has lost security_invoker, so it is read with the rights of its owner."
        if invoker and not asks:
            yield f"{view} has security_invoker, so roles that may read single columns of it can't."
        if lacking := sorted({g.grantee or "PUBLIC" for g in self.given(connection) if not grants.holds(view, g)}):
            yield f"{view} lacks privileges that {table} gives to {', '.join(lacking)}."

    def given(self, connection: BaseDatabaseWrapper) -> list[Grant]:
        """What it should grant: what has not been revoked on the table since.

        The table does not tell of a column that it lacks; there it is enough that the role still exists.
        """
        roles = catalog.column(connection, ROLES, [[g.grantee for g in self.grants]])
        known = {"", *self.columns}
        return [
            given
            for given in self.grants
            if given.grantee in roles
            if given.column not in known or grants.holds(self.table, grants.renamed(given, self.columns))
        ]


def in_place(pair: TablePair, made: Exchanged) -> StandingView:
    columns = made.renaming.columns
    words = expected(pair.source, pair.target, columns)
    return StandingView(pair.source, pair.target, made.view, words, {}, made.grants, columns)


def retired(pair: TablePair, made: View) -> StandingView:
    granted = {text: found for text in made.statements if (found := GRANT.fullmatch(text))}
    return StandingView(
        view=pair.source,
        table=pair.target,
        statements=tuple(text for text in made.statements if text not in granted),
        words={made.definition},
        triggers=made.triggers,
        grants=tuple(map(read_grant, granted.values())),
        columns=grants.columns_there(pair),
    )


def read_grant(found: re.Match[str]) -> Grant:
    """From the words of `grants.grant`."""
    privilege, column, grantee, grantable = found.groups()
    role = "" if grantee == "PUBLIC" else grantee[1:-1].replace('""', '"')
    return Grant(role, privilege, grantable=bool(grantable), column=(column or "").replace('""', '"'))


# ----- what PostgreSQL says of it


def read_definition(view: Table, connection: BaseDatabaseWrapper) -> str:
    return str(catalog.value(connection, "SELECT pg_get_viewdef(%s::oid)", [view.oid]))


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
    return [retired(pair, record.views[str(pair.source)]) for pair in plan.pairs]


def find_defects(plan: Plan, record: Record) -> list[str]:
    return [defect for one in find(plan, record) for defect in one.find_defects(plan.connection)]


def repair(plan: Plan, record: Record) -> list[Statement]:
    """Make each view again that is not what the move made; nothing where all are."""
    statements: list[Statement] = []
    for pair, one in zip(plan.pairs, find(plan, record), strict=True):
        if any(one.find_defects(plan.connection)):
            granted = [grants.grant("TABLE", name(pair.source), given) for given in one.given(plan.connection)]
            statements += [*views.drop(pair), *map(SQL, one.statements), *granted]
    return statements


def to_keep(plan: Plan) -> dict[str, View]:
    """By the source's name: how the view of a retired table was made, and what PostgreSQL says of it by now."""
    return {
        str(pair.source): View(
            statements=tuple(statement.as_string() for statement in views.create(pair, plan.search_path)),
            definition=read_again(pair, plan),
            triggers={trigger.name: trigger.body for trigger in views.wanted(pair, plan.search_path)},
        )
        for pair in plan.pairs
    }


def to_keep_repaired(plan: Plan, record: Record) -> Record:
    """With what PostgreSQL says of retired tables' views after `repair`: another version of it may use other words."""
    made = {str(pair.source): read_again(pair, plan) for pair in plan.pairs}
    return record.keeping(
        views={source: dataclasses.replace(record.views[source], definition=words) for source, words in made.items()}
    )


def read_again(pair: TablePair, plan: Plan) -> str:
    view = catalog.read_table(plan.connection, name(pair.source).as_string())
    assert view is not None  # noqa: S101  It has just been made.
    return in_short(read_definition(view, plan.connection))
