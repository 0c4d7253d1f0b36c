"""How far a source was read, by the field that grows with every change, and where the next run begins."""

import datetime
from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import Max, Q, Value
from django.utils import timezone

from rehome.errors import Refused
from rehome.importing import fingerprint, local_times
from rehome.importing.ledger import ImportLedger
from rehome.importing.plan import KNOWN, ImportPlan
from rehome.plan.historical import concrete_fields, refuse_unknown
from rehome.plan.plan import Field

OVERLAPS: dict[type[Field], datetime.timedelta] = {
    models.DateTimeField: datetime.timedelta(minutes=10),
    models.DateField: datetime.timedelta(days=1),
}

FIRST = "1000-01-01"
"""MySQL has no date before, but for those of zeros."""


def find_field(plan: ImportPlan) -> Any:
    name, fields = changed_name(plan), concrete_fields(plan.source_model)
    refuse_unknown([name], fields, plan.source_model, "changed of the import names", KNOWN)
    return fields[name]


def changed_name(plan: ImportPlan) -> str:
    """Raises Refused where the declaration names none."""
    if plan.declared.changed is None:
        raise Refused(
            f"{plan} names no field that grows with every change of a row.",
            "Name it with changed=..., or run without --since-last.",
        )
    return plan.declared.changed.field


def find_overlap(plan: ImportPlan) -> Any:
    field = find_field(plan)
    overlap = plan.declared.changed.overlap if plan.declared.changed else None
    if overlap is None:
        overlap = next((OVERLAPS[kind] for kind in type(field).__mro__ if kind in OVERLAPS), None)
    if overlap is None:
        raise Refused(
            f"{plan}: {changed_name(plan)} is no date or time, so it has no usual overlap for rows committed late.",
            f"Give it with changed=Changed({changed_name(plan)!r}, overlap=...).",
        )
    return overlap


def read(plan: ImportPlan) -> str | None:
    """The largest value so far, without times in the future, before which later runs would miss every change.

    Read it in the snapshot of the rows, or before: the next run reads again what is committed later.
    """
    if plan.declared.changed is None:
        return None
    field, name = find_field(plan), changed_name(plan)
    rows = plan.source_model._base_manager.using(plan.source.alias).order_by().filter(plan.declared.where or Q())
    if isinstance(field, models.DateField):
        today = timezone.now() if isinstance(field, models.DateTimeField) else datetime.date.today()  # noqa: DTZ011
        rows = rows.filter(**{f"{name}__lte": today})
    largest = rows.aggregate(largest=Max(name))["largest"]
    return None if largest is None else str(largest)


def recorded(plan: ImportPlan) -> str | None:
    """The largest value of the last run; None where none ran by this declaration from this database."""
    same = {"name": str(plan), "declaration": fingerprint.take(plan), "source": plan.source.alias}
    run = ImportLedger(plan.connection.alias).last(**same)
    return run.watermark if run else None


def value(plan: ImportPlan, text: str) -> Any:
    found = find_field(plan).to_python(text)
    # A time without a zone is in the source's.
    if plan.source.timezone is not None and isinstance(found, datetime.datetime) and timezone.is_naive(found):
        return timezone.make_aware(found, plan.source.timezone)
    return found


def went_back(plan: ImportPlan, before: str | None, now: str | None) -> bool:
    """Whether the source's largest value is smaller than at the last run, as after a backup was restored there."""
    return before is not None and (now is None or value(plan, now) < earliest(plan, before))


def earliest(plan: ImportPlan, text: str) -> Any:
    """What the clocks show twice is not larger the second time."""
    found = value(plan, text)
    is_time = isinstance(found, datetime.datetime)
    return local_times.before_twice(found, plan.source.timezone_name) if is_time else found


def describe_fall(plan: ImportPlan, before: str, now: str | None) -> str:
    return (
        f"the largest {changed_name(plan)} of the source is {now or 'missing'}, and was {before} at the last run: its "
        "last rows were deleted, or a backup was restored there. A run without --since-last finds what else went back."
    )


def since(plan: ImportPlan, before: str | None) -> Q | None:
    """Rows that may have changed since the largest value was `before`; None, for all rows, where there was none."""
    name, overlap = changed_name(plan), find_overlap(plan)
    if before is None:
        return None
    try:
        begin = earliest(plan, before) - overlap
        if isinstance(begin, datetime.datetime):
            begin = local_times.before_twice(begin, plan.source.timezone_name)
    except OverflowError:
        return None
    # As a Value, which Django finds none of its own limits for: the column may have larger numbers than the model.
    known = Value(begin) if isinstance(begin, int | Decimal) else begin
    return Q(**{f"{name}__gte": known}) | Q(**{f"{name}__isnull": True}) | is_zero(plan)


def is_zero(plan: ImportPlan) -> Q:
    """Whether a date of MySQL's is one of zeros, which is null to Django."""
    if plan.source.vendor != "mysql" or not isinstance(find_field(plan), models.DateField):
        return Q()
    return Q(**{f"{changed_name(plan)}__lt": value(plan, FIRST)})
