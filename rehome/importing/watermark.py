"""How far a source was read, by the field that grows with every change, and where the next run begins."""

import datetime
from typing import Any

from django.db import models
from django.db.models import Max, Q
from django.utils import timezone

from rehome.errors import Refused
from rehome.importing.ledger import ImportLedger
from rehome.importing.plan import KNOWN, ImportPlan
from rehome.plan.historical import concrete_fields, refuse_unknown
from rehome.plan.plan import Field

OVERLAPS: dict[type[Field], datetime.timedelta] = {
    models.DateTimeField: datetime.timedelta(minutes=10),
    models.DateField: datetime.timedelta(days=1),
}


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

    Read it before the rows: the next run then reads again what is committed in between.
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


def since(plan: ImportPlan) -> Q | None:
    """Rows that may have changed since the last run; None where none ran by this declaration from this database."""
    field, name, overlap = find_field(plan), changed_name(plan), find_overlap(plan)
    same = {"name": str(plan), "declaration": plan.declared.digest(), "source": plan.source.alias}
    run = ImportLedger(plan.connection.alias).last(**same)
    if run is None or run.watermark is None:
        return None
    try:
        begin = field.to_python(run.watermark)
        # A time without a zone is in the source's.
        if plan.source.timezone is not None and isinstance(begin, datetime.datetime) and timezone.is_naive(begin):
            begin = timezone.make_aware(begin, plan.source.timezone)
        begin -= overlap
    except OverflowError:
        return None
    return Q(**{f"{name}__gte": begin}) | Q(**{f"{name}__isnull": True})
