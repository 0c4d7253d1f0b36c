"""Names that two models can't have at once, in Django while both classes are there, and in PostgreSQL."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import apps
from django.core.checks.model_checks import check_all_models
from django.db.migrations.state import ModelState, ProjectState
from django.db.migrations.writer import MigrationWriter
from django.db.models import CheckConstraint, Index, Model

from rehome.errors import Refused
from rehome.graph.drafting import places
from rehome.graph.drafting.pairs import Pair
from rehome.graph.drafting.refusals import is_foreign
from rehome.parts.index_names import as_stored
from rehome.plan.historical import implicit_many_to_many

OF_RELATIONS = {"fields.E302", "fields.E303", "fields.E304", "fields.E305"}
LONGEST_INDEX_NAME = 30
"""That Django allows."""

# ----- in Django


def refuse_clashes(pairs: Sequence[Pair], command: str) -> None:
    """Of the classes that are kept beside their copies, before Django refuses every command because of them."""
    lines = [line for pair in pairs if not pair.cut for line in find_clashes(pair)]
    if lines:
        listed = "".join(f"\n  - {line}" for line in dict.fromkeys(lines))
        raise Refused(
            "Both classes are in the code, and Django refuses what has the same name in both. Write these lines:",
            f"{listed}\nThen run `{command}` again; or cut the old class, and nothing is there twice.",
        )


def find_clashes(pair: Pair) -> Iterator[str]:
    """The line to write for each."""
    source, target = apps.get_model(pair.source_label), apps.get_model(pair.target_label)
    yield from relation_lines(source, target)
    yield from through_lines(source, target)
    theirs = {part.name for part in [*source._meta.indexes, *source._meta.constraints]}
    silenced = {error.id for error in check_all_models(None) if error.is_silenced()}
    for parts, error in ((target._meta.indexes, "models.E030"), (target._meta.constraints, "models.E032")):
        for part in parts:
            if part.name in theirs and error not in silenced:
                yield renamed(part, source, target)


def relation_lines(source: type[Model], target: type[Model]) -> Iterator[str]:
    """In the old class, which goes: the new one keeps the name that code uses."""
    field: Any
    for field in [*source._meta.local_fields, *source._meta.local_many_to_many]:
        found = [error for error in field.check(from_model=source) if error.id in OF_RELATIONS]
        if any(f"{target._meta.label}." in str(error.msg) for error in found if not error.is_silenced()):
            written = places.field(source, field.name)
            if written and is_foreign(written.place.path):
                yield of_its_own(target, field.name)
                continue
            arguments = {"related_name": "+"}
            if field.remote_field.related_query_name:
                arguments["related_query_name"] = f"{source._meta.app_label}_{field.remote_field.related_query_name}"
            if written and is_shared(written, target):
                arguments = {"related_name": "%(app_label)s_%(class)s_" + field.name}
            yield written.with_(**arguments) if written else f'{source._meta.label}.{field.name}: related_name="+"'


def of_its_own(target: type[Model], name: str) -> str:
    """In the new class, for one that both have from an installed package, whose code is nobody's to change."""
    known: Any = target._meta.get_field(name)
    *_, args, kwargs = known.deconstruct()
    own = f"{target._meta.app_label}_{target._meta.model_name}"
    field = type(known)(*args, **{**kwargs, "related_name": f"{own}_set", "related_query_name": own})
    return f"{target._meta.label}: {name} = {MigrationWriter.serialize(field)[0]}"


def through_lines(source: type[Model], target: type[Model]) -> Iterator[str]:
    field: Any
    for field in target._meta.local_many_to_many:
        through = field.remote_field.through
        if any(error.id == "fields.E336" for error in field.check(from_model=target)):
            app_label, label = target._meta.app_label, through._meta.label
            yield (
                f"{target._meta.label}.{field.name} needs a table of its own: copy {label} into {app_label}, write "
                f'through="{app_label}.{through.__name__}", and add `{label} {app_label}.{through.__name__}` to the '
                "command"
            )


def renamed(part: Any, source: type[Model], target: type[Model]) -> str:
    """In the new class, so that no table changes: an index or constraint under a name that begins with its app."""
    name = f"{target._meta.app_label}_{part.name.removeprefix(f'{source._meta.app_label}_')}"
    if isinstance(part, Index) and len(name) > LONGEST_INDEX_NAME:
        # Two long names must not become one.
        name = f"{name[: LONGEST_INDEX_NAME - 5]}_{hashlib.sha256(name.encode()).hexdigest()[:4]}"
    written = places.named(target, part.name)
    if written and is_foreign(written.place.path):
        written = None
    if written and is_shared(written, source):
        name = "%(app_label)s_%(class)s_" + part.name[-10:].lstrip("_")
    if written:
        return written.with_(name=name)
    copy = part.clone()
    copy.name = name
    return f"{target._meta.label}: {MigrationWriter.serialize(copy)[0]}"


def is_shared(written: places.Written, other: type[Model]) -> bool:
    """Whether both classes have it from one base."""
    return issubclass(other, written.owner)


# ----- in PostgreSQL


def names_aside(pairs: Sequence[Pair], before: ProjectState, code: ProjectState) -> dict[str, list[str]]:
    """By the label of an old model: those of its indexes, unique and exclusion constraints that a new table needs."""
    needed = {name for pair in pairs if pair.has_rows for name in names_of(code.models[pair.target])}
    found = {
        pair.source_label: [name for name in names_of(before.models[pair.source]) if name in needed]
        for pair in pairs
        if pair.has_rows
    }
    return {label: names for label, names in found.items() if names}


def names_of(model: ModelState) -> list[str]:
    """As PostgreSQL stores them. A check constraint's name belongs to its table alone."""
    constraints = [part for part in model.options.get("constraints", []) if not isinstance(part, CheckConstraint)]
    return [as_stored(part.name) for part in [*model.options.get("indexes", []), *constraints]]


def refuse_tables(pairs: Sequence[Pair], before: ProjectState, after: ProjectState, command: str) -> None:
    """Rows that are copied need a table of another name, and so does each many-to-many field."""
    for pair in pairs:
        if not pair.has_rows:
            continue
        source, target = before.apps.get_model(*pair.source), after.apps.get_model(*pair.target)
        if source._meta.db_table == target._meta.db_table:
            raise Refused(
                f"{pair.target_label} has the table of {pair.source_label}, {target._meta.db_table!r}, and both tables "
                "are there for a while.",
                "Remove db_table from its Meta, or write another name; or keep the table with "
                f"`{command} --state-only`.",
            )
        theirs = {table_between(field) for field in implicit_many_to_many(source)}
        for field in implicit_many_to_many(target):
            if table_between(field) in theirs:
                raise Refused(
                    f"{pair.target_label}.{field.name} has a table of {pair.source_label}, "
                    f"{table_between(field)!r}, and both tables are there for a while.",
                    f"Remove db_table from the field, or write another name; or keep the table with `{command} "
                    "--state-only`.",
                )


def table_between(field: Any) -> str:
    """Of a many-to-many field."""
    return str(field.remote_field.through._meta.db_table)
