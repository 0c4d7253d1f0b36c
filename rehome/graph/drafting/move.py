"""The migration of a move itself, with what its author has to decide."""

import keyword
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from django.db.migrations import Migration

from rehome.graph.drafting.layout import WIDTH, text_of
from rehome.graph.drafting.pairs import Pair
from rehome.plan.historical import concrete_fields, implicit_many_to_many
from rehome.plan.plan import Model

IN_PLACE = "`in_place=True` is recommended: two live tables are two lock spaces, and the project's code locks rows at:"


def move_text(migration: Migration, pair: Pair, questions: Sequence[str], advice: Sequence[str]) -> str:
    variable = pair.target[1]
    if keyword.iskeyword(variable) or variable in {"migrations", "models"}:
        variable += "_"
    declared = whole_or_exploded(f"{variable} = Move(", [f'"{pair.source_label}"', f'"{pair.target_label}"'], ")")
    asked = as_comment("Decide before this can run:", questions) + as_comment(IN_PLACE, advice)
    return text_of(
        migration,
        before=f"{asked}{declared}",
        operations=f"[migrations.RunPython({variable}.forwards, {variable}.backwards)]",
        imports=["Move"],
    ).replace("atomic = False\n", "atomic = False  # rehome opens its own transactions\n")


def as_comment(heading: str, points: Sequence[str]) -> str:
    """Bullets above the declaration, or nothing."""
    wrapper = textwrap.TextWrapper(
        WIDTH, initial_indent="# - ", subsequent_indent="#   ", break_long_words=False, break_on_hyphens=False
    )
    bullets = "".join(f"{wrapper.fill(point)}\n" for point in points)
    heading = textwrap.fill(heading, WIDTH, initial_indent="# ", subsequent_indent="# ")
    return f"{heading}\n{bullets}" if bullets else ""


def whole_or_exploded(begin: str, parts: list[str], end: str) -> str:
    line = f"{begin}{', '.join(parts)}{end}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([begin, *(f"    {part}," for part in parts), end])


def relations(model: Model) -> dict[str, Any]:
    fields = [field for field in concrete_fields(model).values() if field.remote_field]
    return {field.name: field for field in [*fields, *implicit_many_to_many(model)]}


def find_questions(source: Model, target: Model) -> Iterator[str]:
    """Fields without a counterpart of the same name that the move can't fill or leave by itself."""
    theirs = {**concrete_fields(source), **relations(source)}
    ours = {**concrete_fields(target), **relations(target)}
    for name, field in theirs.items():
        if name not in ours and not getattr(field, "generated", False):
            yield (
                f"{source._meta.label}.{name} has no counterpart: "
                f'fields={{"...": "{name}"}} carries it; discard=["{name}"], irreversible=True loses it and the way '
                "back."
            )
    for name, field in concrete_fields(target).items():
        fills_itself = field.null or field.has_default() or field.has_db_default() or field.generated
        if name not in theirs and not fills_itself:
            yield (
                f'{target._meta.label}.{name} may not be null and has no default: fields={{"{name}": ...}} fills it.'
            )
