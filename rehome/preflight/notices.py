"""What is left behind and does no harm there: a sentence for each, with what to do, before it matters."""

import dataclasses
import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from rehome.parts import grants, project_triggers
from rehome.parts.matching import Counterparts
from rehome.parts.triggers import trigger_name
from rehome.plan.plan import Plan, TablePair
from rehome.postgres import asking
from rehome.postgres.sql import place, readable
from rehome.postgres.tables import PREFIX, Table
from rehome.postgres.ties import Kind, Tie
from rehome.preflight import leftovers
from rehome.preflight.fates import FATES, Fate, Part, Way, roles

# Those that the catalog ties to the table are read as its ties.
FUNCTIONS = """
SELECT p.oid::regprocedure::text
  FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
 WHERE NOT starts_with(p.proname, %s) AND p.pronamespace::regnamespace::text !~ '^(pg_|information_schema)'
   AND l.lanname NOT IN ('c', 'internal') AND p.prosrc ~ %s
 ORDER BY 1
"""

PUBLISHED = "SELECT p.pubname FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE prrelid = %s"

BY_COLUMN = {"SELECT", "INSERT", "UPDATE", "REFERENCES"}
READERS = {Kind.VIEW, Kind.FOREIGN_POLICY, Kind.FOREIGN_TRIGGER, Kind.ROW_TYPE}
WHY = {Way.FORWARD: " before the old table goes", Way.BACK: ", for the new table is emptied"}
STAYS = {
    Way.FORWARD: "stays with that table",
    Way.IN_PLACE: "is dropped with that table",
    Way.BACK: "stays with that table, which is emptied",
    Way.IN_PLACE_BACK: "is dropped with that view",
    Way.RETIRE: "stays with the rows that are set aside",
    Way.UNRETIRE: "is dropped with that view",
    Way.DROP: "is dropped with the old rows",
}


def find(plan: Plan, way: Way = Way.FORWARD) -> list[str]:
    """One sentence for each thing, with its remedy; reads the catalog alone."""
    tied = leftovers.read(plan)
    return [notice for pair in plan.pairs for notice in find_in(way, pair, plan, tied)]


def find_in(way: Way, pair: TablePair, plan: Plan, tied: leftovers.Tied) -> Iterator[str]:
    gone, other = roles(way, pair)
    if way is Way.FORWARD:
        yield from in_carried_writes(pair)
        yield from more_rights(gone, other, grants.columns_there(pair))
        yield from wider_rights(pair)
        yield from shared_rights(pair)
    found = leftovers.find(way, Fate.NAMED, pair, tied)
    for tie in found:
        if tie.kind in READERS:
            yield f"{tie.name} reads {gone}; create it again over {other}{WHY[way]}."
    if way in {Way.FORWARD, Way.BACK}:
        functions = asking.column(plan.connection, FUNCTIONS, naming(gone))
        named = {tie.name for tie in found if tie.kind is Kind.FUNCTION} | {f"function {name}" for name in functions}
        for function in sorted(named):
            yield f"{function} names {gone}; let it name {other}{WHY[way]}."
    for tie in found:
        if tie.kind in {Kind.PUBLICATION, Kind.WIDE_PUBLICATION}:
            yield (
                f"publication {tie.name} sends what is written to {gone}; for subscribers of the new table run "
                f"ALTER PUBLICATION {readable(tie.name)} ADD TABLE {place(other)}."
            )
        if tie.kind is Kind.REPLICA_IDENTITY:
            yield f"{gone} has REPLICA IDENTITY {tie.name}; give {other} the same with ALTER TABLE."
    if way is Way.RETIRE:
        for tie in tied[gone.oid]:
            if tie.kind is Kind.WIDE_PUBLICATION:
                yield (
                    f"publication {tie.name} will send what `retiremoves --undo` writes to the old rows, under the "
                    f"name {trigger_name('aside', pair)}; give each subscriber a table of that name before you undo."
                )
    if way is Way.IN_PLACE_BACK:
        yield from renamed_publications(other, gone, plan)
    yield from in_storage([tie for tie in found if tie.kind is Kind.STORAGE], gone, other)
    rest = [tie for tie in found if tie.kind in WORDS]
    parts = leftovers.unmatched(way, pair) if FATES[Part.CONSTRAINT][way] is Fate.NAMED else ()
    for thing in (*map(in_words, rest), *parts):
        yield f"{thing} of {gone} {STAYS[way]}; {other} has none like it. Create it there if it is needed."


def in_carried_writes(pair: TablePair) -> Iterator[str]:
    """Which triggers of the source fire for what is written to the target otherwise than for what is written to it."""
    for trigger in project_triggers.of_project(pair.source):
        named = f"trigger {readable(trigger.name)} of {pair.source}"
        if "pg_trigger_depth" in trigger.definition + trigger.body:
            yield f"{named} asks pg_trigger_depth(), which is one more for what is written to {pair.target}."
        if trigger.columns:
            yield (
                f"{named} is one of UPDATE OF, and fires for every update of {pair.target} while both tables are live: "
                "let its WHEN compare old and new."
            )


def naming(table: Table) -> list[str]:
    """To look for functions that have the table's name in their body."""
    return [PREFIX, rf"\m{re.escape(table.name)}\M"]


def renamed_publications(table: Table, named: Table, plan: Plan) -> Iterator[str]:
    for publication in asking.column(plan.connection, PUBLISHED, [table.oid]):
        yield (
            f"publication {publication} sends what is written to {table} under the name {named} by now; rename the "
            "table of each subscriber too."
        )


def in_storage(options: Iterable[Tie], gone: Table, other: Table) -> Iterator[str]:
    if names := ", ".join(tie.name for tie in options):
        yield (
            f"{gone} has storage parameters of its own; run ALTER TABLE {place(other)} SET ({names}) if they were "
            "meant for the rows."
        )


WORDS = {
    Kind.TRIGGER: "trigger {name}",
    Kind.RULE: "rule {name}",
    Kind.POLICY: "policy {name}",
    Kind.STATISTICS: "statistics {name}",
    Kind.COMMENT: "comment {name!r}",
    Kind.TABLESPACE: "tablespace {name}",
    Kind.COLUMN_OPTION: "option {name}",
    Kind.LABEL: "security label {name}",
    Kind.ROW_SECURITY: "row-level security",
}


def in_words(tie: Tie) -> str:
    column = f" of column {tie.column}" if tie.column else ""
    return WORDS[tie.kind].format(name=tie.name) + column


def more_rights(source: Table, target: Table, columns: Mapping[str, Collection[str]]) -> Iterator[str]:
    """Who may do something with the new table that the old one does not allow, as default privileges may have it."""
    given = tuple(there for one in source.grants for there in grants.there(one, columns))
    here = dataclasses.replace(source, grants=given)
    more: dict[str, list[str]] = {}
    for held in target.grants:
        if not grants.holds(here, dataclasses.replace(held, grantable=False)):
            on = f" ({readable(held.column)})" if held.column else ""
            more.setdefault(held.grantee, []).append(f"{held.privilege}{on}")
    for grantee, privileges in more.items():
        role, listed = readable(grantee) if grantee else "PUBLIC", ", ".join(privileges)
        yield (
            f"{role} has {listed} on {target}, and not on {source}, whose rows are there now; unless that is meant, "
            f"run REVOKE {listed} ON {place(target)} FROM {role}."
        )


def wider_rights(pair: TablePair) -> Iterator[str]:
    """A right to a whole table is one to its columns of later, too: who gets rights to more columns by the move."""
    carried = {a.column.name for a in pair.forward.carried}
    new = [c.name for c in pair.target.columns if c.name not in carried and not c.generated]
    whole = [one for one in grants.missing(pair) if not one.column and one.privilege in BY_COLUMN]
    roles = {one.grantee for one in whole if one.grantee != pair.source.owner}
    if new and roles:
        listed = ", ".join(sorted(readable(role) if role else "PUBLIC" for role in roles))
        columns = ", ".join(map(readable, new))
        yield (
            f"{listed} may use all of {pair.target} as all of {pair.source}, and so {columns}, which only the new "
            f"table has; to keep these from a role, run REVOKE ... ON {place(pair.target)} FROM it, and "
            "GRANT ... (columns) in a migration."
        )


def shared_rights(pair: TablePair) -> Iterator[str]:
    """Who may do something with the keys of both tables from now on, and had no right to those of the old one."""
    if not pair.shared_sequence:
        return
    _, own, _, other = pair.shared_sequence
    known = grants.levels(own.grants)
    more: dict[str, list[str]] = {}
    for held in other.grants if own != other else ():
        if grants.right(held) not in known and held.privilege != "SELECT":
            more.setdefault(held.grantee, []).append(held.privilege)
    for grantee, privileges in more.items():
        role, listed = readable(grantee) if grantee else "PUBLIC", ", ".join(privileges)
        yield (
            f"{role} has {listed} on the sequence {place(other)}, which numbers the rows of {pair.source} too from now "
            f"on; unless that is meant, run REVOKE {listed} ON SEQUENCE {place(other)} FROM {role}."
        )


def find_in_place(pair: TablePair, found: Counterparts, plan: Plan) -> Iterator[str]:
    """What a renamed table keeps, and may be a surprise under its new name."""
    source, target = pair.source, pair.target
    yield from more_rights(source, target, {here: [there] for here, there in found.renaming.columns.items()})
    for part in found.own:
        yield f"{part} of {source} stays under its name, for {target} had no such definition."
    for function in asking.column(plan.connection, FUNCTIONS, naming(source)):
        yield f"function {function} names {source}, a view by now; let it name {target} before the view goes."
    yield from renamed_publications(source, target, plan)
    yield from find_in(Way.IN_PLACE, pair, plan, leftovers.read(plan))
