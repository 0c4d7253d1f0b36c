"""Refuses what a declaration gets wrong, by name, before a row is read."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from django.core.exceptions import FieldError
from django.db.models import F, Q
from django.db.models.constants import LOOKUP_SEP

from rehome.errors import Refused
from rehome.importing import lookups, watermark
from rehome.importing.plan import ImportPlan, Taken
from rehome.plan.historical import concrete_fields

PARTS_OF_MOMENTS = {"DateField": "TruncDate", "TimeField": "TruncTime"}
"""By the type of a field, what takes its value of a date with a time."""
APART = "Keep their rows apart with a Value in key, such as 'kind': Value('a')"


def check(plans: Sequence[ImportPlan]) -> None:
    refuse_same_rows(plans)
    for plan in plans:
        refuse_unreadable(plan)
        refuse_left_behind(plan)
        lookups.find(plan)
        watermark.check(plan)


def refuse_same_rows(plans: Sequence[ImportPlan]) -> None:
    """Imports that would take each other's rows for gone, or for their own."""
    names: set[str] = set()
    keys: dict[object, ImportPlan] = {}
    for plan in plans:
        if str(plan) in names:
            raise Refused(f"{plan} is declared twice.", f"{APART}.")
        names.add(str(plan))
        constants = sorted((taken.column.name, repr(taken.expression)) for taken in plan.constants)
        key = (plan.target.oid, frozenset(plan.key), tuple(constants))
        if not plan.declared.shared and (other := keys.setdefault(key, plan)) is not plan:
            raise Refused(
                f"{other} and {plan} find rows by the same key of {plan.target}.",
                f"{APART}, or say with shared=True that one of them only adds to the other's.",
            )


def refuse_unreadable(plan: ImportPlan) -> None:
    """What Django can't resolve to columns of the source."""
    rows = plan.source_model._base_manager.using(plan.source.alias)
    for taken in plan.taken:
        with readable(plan, taken.field.name):
            read = rows.annotate(rehome=taken.expression).query.annotations["rehome"]
            # A Value(None) has no type.
            kind = getattr(read, "_output_field_or_none", None)
        refuse_part_of_moment(plan, taken, kind.get_internal_type() if kind else "")
    with readable(plan, "where"):
        rows.filter(plan.declared.where or Q())


def refuse_part_of_moment(plan: ImportPlan, taken: Taken, read: str) -> None:
    """PostgreSQL would take the date or the time of it, and nobody would hear of the rest."""
    part = PARTS_OF_MOMENTS.get(taken.field.get_internal_type())
    if read == "DateTimeField" and part and taken.lookup is None:
        name = taken.field.name
        raise Refused(
            f"{plan}: what {name} is read from is a date with a time, of which {name} keeps a part.",
            f"Say so with fields={{{name!r}: {part}(...)}}.",
        )


@contextlib.contextmanager
def readable(plan: ImportPlan, place: str) -> Iterator[None]:
    try:
        yield
    except FieldError as error:
        raise Refused(
            f"{plan}: {place} can't be read from {plan.source_model._meta.label}: {error}.", "Correct the name."
        ) from error


def refuse_left_behind(plan: ImportPlan) -> None:
    """Fields of the source that nothing reads, and that are not said to be left behind. Its key stands for the row."""
    model, left = plan.source_model, plan.declared.discard
    read = {name for node in [*(t.expression for t in plan.taken), plan.declared.where] for name in names(node)}
    read |= {plan.declared.changed.field} if plan.declared.changed else set()
    for name, field in concrete_fields(model).items():
        if not (field.primary_key or field.generated or name in left or {name, field.attname} & read):
            raise Refused(
                f"{plan}: nothing takes {model._meta.label}.{name}.",
                f"Name it in fields, or say with discard=[{name!r}] that it is left behind.",
            )


def names(node: Any) -> Iterator[str]:
    """The first name of each path that an expression or a condition reads."""
    if isinstance(node, F):
        path: str = vars(node)["name"]
        yield path.split(LOOKUP_SEP)[0]
    elif isinstance(node, tuple):
        path, value = node
        yield path.split(LOOKUP_SEP)[0]
        yield from names(value)
    else:
        children = node.children if isinstance(node, Q) else getattr(node, "get_source_expressions", list)()
        for child in children:
            yield from names(child)
