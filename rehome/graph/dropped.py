"""Tables that go with migrations which are unapplied around a move: names, prints and notes that no other table has."""

from collections.abc import Iterator

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import CreateModel
from django.db.migrations.loader import MigrationLoader

from rehome.errors import Refused
from rehome.graph.discovery import DeclaredMove, Key, find_moves, flatten
from rehome.plan.ledger import Ledger
from rehome.plan.phases import standing
from rehome.postgres import asking, catalog
from rehome.postgres.tables import Table
from rehome.preflight import questions


def refuse_dropped(keys: set[Key], loader: MigrationLoader, connection: BaseDatabaseWrapper) -> None:
    """Raise Refused, with nothing changed, where unapplying the migrations `keys` would drop tables that have rows.

    Only where a move, or a migration that it needs, is among them. The target of a move that has run is left out: its
    rows are in the source, or the move itself refuses.
    """
    applied = keys & loader.applied_migrations.keys()
    moves = list(find_moves(loader))
    if not any(applied & {*loader.graph.forwards_plan(move.key)} for move in moves):
        return
    targets = {move.move.resolve_labels()[1] for move in moves if has_copied(move, loader, connection)}
    found = [
        (table, key, count)
        for table, key in tables(applied, targets, loader, connection)
        if (count := asking.value(connection, questions.count_rows(table).as_string()))
    ]
    if found:
        named = ", ".join(f"{table} with {count:,} {'row' if count == 1 else 'rows'}" for table, _, count in found)
        places = ", ".join(sorted({".".join(key) for _, key, _ in found}))
        raise Refused(
            f"Unapplying {places} would drop {named}, which no other table has.",
            "Keep them in an app whose migrations do not depend on these, or add --discard-data to drop them.",
        )


def has_copied(move: DeclaredMove, loader: MigrationLoader, connection: BaseDatabaseWrapper) -> bool:
    """Before it has, whatever is in its target was written there."""
    run = Ledger(connection.alias).latest_named(str(move))
    return move.key in loader.applied_migrations or (run is not None and bool(standing(run).interrupted))


def tables(
    applied: set[Key], targets: set[Key], loader: MigrationLoader, connection: BaseDatabaseWrapper
) -> Iterator[tuple[Table, Key]]:
    """Those that exist, each with the migration that made it."""
    state = loader.project_state([key for key in loader.applied_migrations if key in loader.graph.nodes])
    for key in sorted(applied):
        for operation in loader.graph.nodes[key].operations:
            for part in flatten(operation):
                label = (key[0], part.name_lower) if isinstance(part, CreateModel) else None
                if label is None or label in targets or label not in state.models:
                    continue
                options = state.apps.get_model(*label)._meta
                if options.proxy:  # Its rows are in the table of another model.
                    continue
                joins = [field.remote_field.through._meta for field in options.local_many_to_many]
                for one in [options, *(join for join in joins if join.auto_created)]:
                    table = catalog.read_table(connection, connection.ops.quote_name(one.db_table))
                    if table and table.kind == "r" and options.managed:
                        yield table, key
