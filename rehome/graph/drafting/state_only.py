"""What has to be the same where a model goes to another app and its table stays: no statement changes the table."""

from collections.abc import Sequence
from typing import Any

from django.apps.registry import Apps
from django.db.migrations.state import ModelState, ProjectState
from django.db.migrations.writer import MigrationWriter

from rehome.errors import Refused
from rehome.graph.comparable import comparable
from rehome.graph.drafting.pairs import Pair
from rehome.graph.drafting.states import differ
from rehome.graph.relations import Ends, led_to

OF_TABLES = ("unique_together", "order_with_respect_to", "db_tablespace", "managed", "indexes", "constraints")
"""Options of a model that its table has a part in."""


def refuse_changes(pairs: Sequence[Pair], before: ProjectState, apps: Apps, code: ProjectState) -> None:
    """`apps` has the models of `before`."""
    ends = {pair.source: pair.target_label for pair in pairs}
    for pair in pairs:
        if pair.has_rows:
            source, target = before.models[pair.source], code.models[pair.target]
            refuse_table(pair, apps, target)
            refuse_kept(pair)
            refuse_fields(pair, source, target, ends)
            refuse_options(pair, source, target)


def refuse_table(pair: Pair, apps: Apps, target: ModelState) -> None:
    table = apps.get_model(*pair.source)._meta.db_table
    if target.options.get("db_table") != table:
        raise Refused(
            f"{pair.target_label} would have another table than {pair.source_label}.",
            f'Write `db_table = "{table}"` into its Meta.',
        )


def refuse_kept(pair: Pair) -> None:
    if not pair.cut:
        raise Refused(
            f"{pair.source_label} is still in the code, and two models can't have one table.", "Remove that class."
        )


def refuse_fields(pair: Pair, source: ModelState, target: ModelState, ends: Ends) -> None:
    if lost := source.fields.keys() - target.fields.keys():
        raise Refused(f"{pair.target_label} lacks {', '.join(sorted(lost))}.", AFTERWARDS)
    if new := target.fields.keys() - source.fields.keys():
        raise Refused(f"{pair.target_label} has {', '.join(sorted(new))}, and its table has not.", AFTERWARDS)
    for name, field in target.fields.items():
        there = led_to(source.fields[name], source, ends)
        if changed := differ(there, field):
            raise Refused(
                f"{pair.target_label}.{name} is not the same as {pair.source_label}.{name}: "
                f"{' and '.join(sorted(changed))} differs.",
                f"Write it as {written(source.fields[name])}. {AFTERWARDS}",
            )
    fields: dict[str, Any] = target.fields
    automatic = [name for name, field in fields.items() if field.many_to_many and not field.remote_field.through]
    if automatic and pair.source[1] != pair.target[1]:
        raise Refused(
            f"The table of {pair.target_label}.{automatic[0]} has a column that is named after {pair.source_label}.",
            "Keep the name of the class; rename it afterwards, with a migration of its own.",
        )


AFTERWARDS = "Change it afterwards, with a migration of its own."


def refuse_options(pair: Pair, source: ModelState, target: ModelState) -> None:
    for option in OF_TABLES:
        before, after = (parts_of(model.options.get(option)) for model in (source, target))
        if before != after:
            raise Refused(
                f"{option} of {pair.target_label} is not the same as that of {pair.source_label}.",
                f"Write it as it was, with the same names. {AFTERWARDS}",
            )


def parts_of(option: Any) -> Any:
    """Of indexes and constraints, what they are made of, in whatever order."""
    if isinstance(option, list | tuple):
        return sorted(repr(comparable(part)) for part in option)
    return option or None


def written(field: Any) -> str:
    """As a migration has it, which says where a class of the project's comes from."""
    return str(MigrationWriter.serialize(field)[0])
