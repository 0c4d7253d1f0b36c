"""Moves every model of the test applications into an app that is not installed; a view takes the place of its table."""

import os
import sys
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.management.color import no_style
from django.db import models
from django.db.migrations import CreateModel
from django.db.migrations.state import ModelState, ProjectState
from django.db.models.functions import Coalesce

APPS = ("aggregation", "expressions", "queries", "select_for_update", "bulk_create")
KINDS = {"in-place", "retired", "computed"}
PREFIX = "behind_"
TABLES = (
    "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace "
    "AND relname LIKE 'behind\\_%'"
)


def behind(connection: Any) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(TABLES)
        return [name for (name,) in cursor.fetchall()]


def replace_tables(connection: Any) -> None:
    """Raises nothing for a model that can't move: it keeps its table, and is named on stderr with the reason."""
    from rehome.errors import RehomeError

    kind = os.environ["BEHIND_KIND"]
    state = ProjectState.from_apps(apps)
    chosen = [model for model in apps.get_models() if model._meta.app_label in APPS]
    moved, kept = [], []
    made = []
    for model in chosen:
        try:
            create(model, state, connection)
            made.append(model)
        except (RehomeError, Exception) as error:  # noqa: BLE001
            kept.append((model, error))
    for model in made:
        try:
            move(model, state, connection, kind)
            moved.append(model)
        except RehomeError as error:
            kept.append((model, error))
    print(f"{kind}: {len(moved)} models are behind views.", file=sys.stderr)
    for model, error in kept:
        print(f"  {model._meta.label} keeps its table: {' '.join(str(error).split())[:150]}", file=sys.stderr)
    connection.ops.sql_flush(no_style(), [])


def create(model: Any, state: ProjectState, connection: Any) -> None:
    """The model of the same name in an app of its own, with its table."""
    found = ModelState.from_model(model)
    label = PREFIX + found.app_label
    if not model._meta.managed or model._meta.proxy or model._meta.parents:
        raise ValueError("It is unmanaged, a proxy or a child.")
    options = {key: value for key, value in found.options.items() if key not in ("db_table", "indexes", "constraints")}
    options["db_table"] = f"{label}_{found.name_lower}"
    options["constraints"] = [constraint.clone() for constraint in found.options["constraints"]]
    for constraint in options["constraints"]:
        constraint.name = f"behind_{constraint.name}"
    fields = [(name, clone(field, model)) for name, field in found.fields.items()]
    bases = tuple(base for base in found.bases if base is models.Model or isinstance(base, str)) or (models.Model,)
    operation = CreateModel(found.name, fields, options=options, bases=bases)
    before = state.clone()
    after = state.clone()
    operation.state_forwards(label, after)
    with connection.schema_editor() as editor:
        operation.database_forwards(label, editor, before, after)
    operation.state_forwards(label, state)


def clone(field: Any, model: Any) -> Any:
    """A relation to itself is the other model's to itself."""
    *_, args, kwargs = field.deconstruct()
    if str(kwargs.get("to", "")).lower() == model._meta.label_lower:
        kwargs["to"] = PREFIX + model._meta.label
    return type(field)(*args, **kwargs)


def move(model: Any, state: ProjectState, connection: Any, kind: str) -> None:
    """In place by a real move; the others get what a retirement leaves behind, without its comparisons and trials."""
    from rehome import Move
    from rehome.moves import runner

    label = model._meta.label
    options = dict(computed(model)) if kind == "computed" else {}
    moved = Move(label, PREFIX + label, in_place=kind == "in-place", **options)
    if kind == "in-place":
        runner.forward(moved, state.apps, connection)
    else:
        retire(moved, state.apps, connection)


def retire(moved: Any, state_apps: Any, connection: Any) -> None:
    from rehome.moves.steps import open_session
    from rehome.parts import aside, foreign_keys, sequences, views
    from rehome.plan.resolve import make_plan, renew

    plan = make_plan(moved, state_apps, connection)
    session = open_session(plan)
    with session.transaction():
        session.execute_all(sequences.share(plan))
        plan = renew(plan)
        keys = foreign_keys.read(plan)
        for key in foreign_keys.of_sources(keys, plan):
            session.execute(foreign_keys.drop(key))
        for key, end in foreign_keys.counterparts(foreign_keys.to_sources(keys, plan), plan):
            session.execute_all(foreign_keys.move(key, end) if end else [foreign_keys.drop(key)])
        session.execute_all(aside.put_away(plan))
        for pair in plan.pairs:
            session.execute_all(views.create(pair, plan))


def computed(model: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """An expression that changes no value: where one is, a trigger carries what is written to the view."""
    for field in model._meta.local_concrete_fields:
        if not (field.primary_key or field.is_relation or field.generated):
            yield "fields", {field.name: Coalesce(field.name, field.name)}
            yield "backwards", {field.name: Coalesce(field.name, field.name)}
            return
