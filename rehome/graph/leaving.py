"""Which migrations lead the models of an app away from a model. What forgets that model has to come after them: a new
database would else make keys to a model that is not there.
"""

from collections.abc import Collection

from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

from rehome.graph.discovery import Key, in_order
from rehome.graph.relations import bases_of, related, relations_of


def find_last(models: Collection[Key], loader: MigrationLoader) -> dict[str, Key]:
    """By app: the last of its migrations by which something that led to one of the models leads there no more."""
    state, found = ProjectState(real_apps=set(loader.unmigrated_apps)), {}
    for migration in in_order(loader):
        app_label = migration.app_label
        before = leading(state, models, app_label)
        state = migration.mutate_state(state, preserve=False)
        if before - leading(state, models, app_label):
            found[app_label] = app_label, migration.name
    return found


def leading(state: ProjectState, models: Collection[Key], app_label: str) -> set[tuple[str, str]]:
    """(model, field) of each relation of the app's models to one of `models`; no field for a base."""
    found = set()
    for (app, name), model in state.models.items():
        if app == app_label:
            fields = [field for field, value in relations_of(model) if {*models} & {*related(value, model)}]
            bases = [""] if {*models} & {*bases_of(model)} else []
            found |= {(name, field) for field in (*fields, *bases)}
    return found
