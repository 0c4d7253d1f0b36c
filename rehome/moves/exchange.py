"""The SQL of a move in place, forwards and backwards: a table and its twin change places; and what the run keeps."""

import dataclasses
import functools
from collections.abc import Iterator

from rehome.parts import foreign_keys, grants, identity, matching, project_triggers, renaming, sync, views
from rehome.parts.matching import Counterparts
from rehome.plan.ledger import Ledger
from rehome.plan.plan import Plan, TablePair
from rehome.plan.record import Exchanged, InPlace, Place, Record
from rehome.plan.renaming import Part, Renaming
from rehome.postgres import anatomy, sql
from rehome.postgres.sql import SQL, Statement
from rehome.postgres.tables import ForeignKey, Grant


def find(plan: Plan) -> list[Counterparts]:
    targets = {pair.source.oid: (str(pair.target), matching.find_columns(pair)) for pair in plan.pairs}
    targets |= {pair.target.oid: (str(pair.target), {}) for pair in plan.pairs}
    read = functools.partial(anatomy.read_anatomy, connection=plan.connection)
    return [matching.find(pair, read(pair.source), read(pair.target), targets) for pair in plan.pairs]


def switch(plan: Plan, found: list[Counterparts], names: identity.Identity | None) -> list[Statement]:
    """From here the table has its twin's name. Foreign keys are last: their lock reaches other tables.

    Its own rows may point at content types, and are corrected while it has the name by which it was found.
    """
    pairs = list(zip(plan.pairs, found, strict=True))
    return [
        *identity.carry(names),
        *foreign_keys.drop_incoming(plan),
        # An earlier way back, of a move by copying, leaves one behind.
        *sync.lower_fence(plan),
        sql.drop_tables(pair.target for pair in plan.pairs),
        *(
            statement
            for parts in found
            for statement in renaming.rename(parts.renaming, [a for _, a in parts.defaults])
        ),
        *project_triggers.take_over(plan),
        *(s for p, parts in pairs for s in grants.give("TABLE", sql.name(p.target), added_grants(p, parts))),
        *(statement for pair in plan.pairs for statement in views.create(views.as_renamed(pair), plan, granting=True)),
        *(statement for parts in found for statement in renaming.add_foreign_keys(parts.renaming)),
        *(statement for key in foreign_keys.to_targets(plan) for statement in foreign_keys.add(key)),
    ]


def added_grants(pair: TablePair, found: Counterparts) -> list[Grant]:
    """What roles may do with the twin and not with the source."""
    own = [grants.renamed(privilege, found.renaming.columns) for privilege in pair.source.grants]
    table = dataclasses.replace(pair.source, grants=tuple(own))
    return [privilege for privilege in pair.target.grants if not grants.holds(table, privilege)]


def to_keep(plan: Plan, found: list[Counterparts]) -> InPlace:
    """What the way back and the settling need."""
    replaced = {before.name for parts in found for before, _ in parts.renaming.foreign_keys}
    own_keys = [key for pair in plan.pairs for key in pair.source.foreign_keys if key.name in replaced]
    added = [(one.schema, one.table[1], key.name) for one in (f.renaming for f in found) for _, key in one.foreign_keys]
    return InPlace(
        pairs=tuple(
            Exchanged(
                renaming=parts.renaming,
                defaults={before.name: before.text for before, _ in parts.defaults},
                added_grants=tuple(added_grants(pair, parts)),
                grants=pair.source.grants,
                twin_grants=pair.target.grants,
                twin_key_grants=tuple((column, g) for column, s in pair.target.sequences.items() for g in s.grants),
            )
            for pair, parts in zip(plan.pairs, found, strict=True)
        ),
        keys=tuple(map(foreign_keys.to_keep, own_keys)),
        stay=tuple(place_of(key) for pair in plan.pairs for key in pair.source.incoming),
        validate=(*added, *(place_of(key) for key in foreign_keys.to_targets(plan) if key.validated)),
    )


def place_of(key: ForeignKey) -> Place:
    return key.schema, key.table, key.name


# ----- and back: the table gets its own names, and its twin is made again


def revert(plan: Plan, kept: InPlace, record: Record) -> list[Statement]:
    pairs = list(zip(plan.pairs, kept.pairs, strict=True))
    renamings = [own_names(plan, pair, before) for pair, before in pairs]
    defaults = [list(own_defaults(pair, before)) for pair, before in pairs]
    ledger = Ledger(plan.connection.alias)
    own = [foreign_keys.at_its_end(key, ledger) for key in kept.keys]
    keys = twins_keys(plan, kept)
    return [
        *(statement for pair in plan.pairs for statement in views.drop(pair)),
        *map(foreign_keys.drop, keys),
        *foreign_keys.settle_at_home(plan),
        *(statement for pair, before in pairs for statement in revoke_added(pair, before)),
        *project_triggers.leave(plan, record),
        *(s for one, own in zip(renamings, defaults, strict=True) for s in renaming.rename(one, own)),
        *make_twins(plan),
        *project_triggers.return_to_twins(plan, record),
        *(statement for pair, before in pairs for statement in grant_again(pair, before)),
        *sync.raise_fence(plan),
        *(statement for key in (*own, *keys) for statement in foreign_keys.add(key)),
    ]


def to_validate(plan: Plan, kept: InPlace) -> tuple[Place, ...]:
    """After the way back."""
    renamings = [pair.renaming for pair in kept.pairs]
    own = [(one.schema, one.table[0], before.name) for one in renamings for before, _ in one.foreign_keys]
    return (*own, *(place_of(key) for key in twins_keys(plan, kept) if key.validated))


def twins_keys(plan: Plan, kept: InPlace) -> list[ForeignKey]:
    """Those of other tables that go back to the empty twin."""
    return foreign_keys.to_targets(plan, foreign_keys.staying(plan, kept.stay))


def own_names(plan: Plan, pair: TablePair, kept: Exchanged) -> Renaming:
    not_nulls = anatomy.read_anatomy(pair.target, plan.connection).not_nulls
    named = dataclasses.replace(kept.renaming, schema=pair.target.schema, table=(pair.source.name, pair.target.name))
    return named.reversed().of_what_is_there(pair.target, not_nulls.values())


def own_defaults(pair: TablePair, kept: Exchanged) -> Iterator[Part]:
    """Those of the columns before the move, as their view has them: what a run has kept is compared, and not run."""
    for name, text in kept.defaults.items():
        if pair.target.has_column(kept.renaming.columns[name]):
            yield Part(name, None if text is None else pair.source.column(name).default)


def revoke_added(pair: TablePair, kept: Exchanged) -> list[Statement]:
    """What came with the twin."""
    own = [grants.renamed(given, kept.renaming.columns) for given in kept.grants]
    return grants.take_away(pair.target, kept.added_grants, own)


def make_twins(plan: Plan) -> list[Statement]:
    """The statements with which Django makes the target's tables, as its migrations would: by names of the project."""
    with plan.connection.schema_editor(collect_sql=True, atomic=False) as editor:
        editor.create_model(plan.target_model)
    made = [sql.Firing(SQL(text.rstrip("; "))) for text in editor.collected_sql]
    return [*made, *(sql.set_owner("TABLE", sql.name(pair.target), pair.target.owner) for pair in plan.pairs)]


def grant_again(pair: TablePair, kept: Exchanged) -> Iterator[Statement]:
    """What roles could do with the twin, and nothing that default privileges would add."""
    still = grants.standing(kept.twin_grants, pair.target.grants)
    yield from grants.exactly("TABLE", sql.name(pair.target), still)
    for column, sequence in pair.target.sequences.items():
        own = [given for key, given in kept.twin_key_grants if key == column]
        yield grants.exactly_on_key(pair.target, column, grants.standing(own, sequence.grants))
