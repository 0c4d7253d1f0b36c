"""The SQL of the way back from a move in place: the table gets its own names, and its twin is made again."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from rehome.moves import steps
from rehome.parts import foreign_keys, grants, identity, old_names, renaming, sync
from rehome.parts.grants import renamed
from rehome.parts.old_names import KEPT
from rehome.parts.renaming import Renaming
from rehome.plan.ledger import Ledger
from rehome.plan.plan import GONE, Plan, TablePair
from rehome.postgres import anatomy, locks, sql
from rehome.postgres.sql import SQL, Identifier, Literal, Statement
from rehome.postgres.tables import Grant, Incoming
from rehome.preflight import in_place


def stay(kept: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Foreign keys that pointed at the table before the move: they are the source model's, and stay with it."""
    return [(schema, table, name) for schema, table, name in kept[KEPT]["stay"]]


def enter(plan: Plan) -> list[Statement]:
    """The view before the table, as whoever reads the view has them."""
    return locks.lock([table for table in steps.tables_of(plan) if table.oid != GONE], "ACCESS EXCLUSIVE")


def switch(plan: Plan, names: identity.Identity | None, kept: Mapping[str, Any]) -> list[Statement]:
    records = kept[KEPT]["pairs"]
    back = [own_names(plan, pair, record) for pair, record in zip(plan.pairs, records, strict=True)]
    keys = twins_keys(plan, kept)
    own, ledger = map(foreign_keys.from_json, kept[KEPT]["keys"]), Ledger(plan.connection.alias)
    return [
        *(statement for pair in plan.pairs for statement in old_names.drop(pair)),
        *(sql.drop_incoming(key) for key in keys),
        *(
            statement
            for pair, record in zip(plan.pairs, records, strict=True)
            for statement in take_grants_away(pair, record)
        ),
        *(statement for one in back for statement in renaming.rename(one)),
        *make_twins(plan),
        *(s for pair, record in zip(plan.pairs, records, strict=True) for s in grant_again(pair, record)),
        *identity.give_back(names, dict(kept)),
        *sync.raise_fence(plan),
        *(statement for key in own for statement in foreign_keys.add(key, foreign_keys.find_end(key, ledger))),
        *(sql.add_incoming(key) for key in keys),
    ]


def to_keep(plan: Plan, kept: Mapping[str, Any]) -> dict[str, Any]:
    """With what is left to validate after the way back."""
    renamings = [renaming.read(record["renaming"]) for record in kept[KEPT]["pairs"]]
    validate = [
        *((own.schema, own.table[0], before.name) for own in renamings for before, _ in own.foreign_keys),
        *((key.schema, key.table, key.name) for key in twins_keys(plan, kept) if key.validated),
    ]
    return {**kept, KEPT: {**kept[KEPT], "validate": validate}}


def twins_keys(plan: Plan, kept: Mapping[str, Any]) -> list[Incoming]:
    """Those of other tables that go back to the empty twin."""
    return [key for pair in plan.pairs for key in in_place.foreign(pair, plan, stay(kept))]


def own_names(plan: Plan, pair: TablePair, record: Mapping[str, Any]) -> Renaming:
    not_nulls = anatomy.read_anatomy(pair.target, plan.connection).not_nulls
    return renaming.read(record["renaming"]).reversed().of_what_is_there(pair.target, not_nulls.values())


def take_grants_away(pair: TablePair, record: Mapping[str, Any]) -> list[Statement]:
    """What came with the twin; that also takes a weaker grant of the source's own, which is given again."""
    columns = record["renaming"]["columns"]
    added = that_stand(record["added_grants"], pair.target.grants)
    own = that_stand([renamed_record(privilege, columns) for privilege in record["grants"]], pair.target.grants)
    taken = {what_is_given(privilege) for privilege in added}
    place = sql.name(pair.target)
    return [
        *(grants.revoke(place, privilege) for privilege in added),
        *(grants.grant("TABLE", place, privilege) for privilege in own if what_is_given(privilege) in taken),
    ]


def that_stand(records: Iterable[Mapping[str, Any]], standing: Iterable[Grant]) -> list[Grant]:
    """Those that nobody has revoked since; a role that is gone has none."""
    held = set(map(what_is_given, standing))
    return [given for record in records if what_is_given(given := Grant(**record)) in held]


def what_is_given(privilege: Grant) -> tuple[str, str, str]:
    return privilege.grantee, privilege.privilege, privilege.column


def renamed_record(record: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    return dataclasses.asdict(renamed(Grant(**record), columns))


def make_twins(plan: Plan) -> list[Statement]:
    """The statements with which Django makes the target's tables, as its migrations would."""
    with plan.connection.schema_editor(collect_sql=True, atomic=False) as editor:
        editor.create_model(plan.target_model)
    owners = [
        SQL("ALTER TABLE {} OWNER TO {}").format(sql.name(pair.target), Identifier(pair.target.owner))
        for pair in plan.pairs
    ]
    return [*(SQL(text.rstrip("; ")) for text in editor.collected_sql), *owners]


def grant_again(pair: TablePair, record: Mapping[str, Any]) -> list[Statement]:
    """What roles could do with the twin; the name of its sequence is Django's and PostgreSQL's affair."""
    place = sql.name(pair.target)
    statements = [grants.grant("TABLE", place, g) for g in that_stand(record["twin_grants"], pair.target.grants)]
    for column, privilege in record["twin_key_grants"]:
        own = pair.target.sequences.get(column)
        for given in that_stand([privilege], own.grants if own else ()):
            statements.append(
                SQL("DO $$ BEGIN EXECUTE replace({}, {}, pg_get_serial_sequence({}, {})); END $$").format(
                    Literal(grants.grant("SEQUENCE", Identifier("its"), given).as_string()),
                    Literal('"its"'),
                    Literal(place.as_string()),
                    Literal(column),
                )
            )
    return statements
