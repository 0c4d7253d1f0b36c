"""How often prints succeed, by machine, by file and by reason."""

from typing import Any, Literal

from django.db.models import Count, F, FloatField, Func, Q, QuerySet, TextField, Value
from django.db.models.functions import Cast, Coalesce, NullIf

from monitoring.models import Print

By = Literal["printer", "file"]
GOOD = Q(verdict=Print.Verdict.GOOD)
BAD = Q(verdict=Print.Verdict.BAD) | Q(verdict="", outcome__in=[Print.Outcome.FAILED, Print.Outcome.LOST])
"""What a person said counts; where nobody has, a print that failed is bad, and one that finished not yet known."""


def rates(prints: QuerySet[Print], by: By) -> QuerySet[Print, dict[str, Any]]:
    """Rows of `by`, with `good`, `bad`, `unknown` and `rate` in per cent, None where nothing is known; worst first."""
    counted = prints.filter(ended_at__isnull=False).order_by().values(by)
    return (
        counted.annotate(
            good=Count("pk", filter=GOOD), bad=Count("pk", filter=BAD), unknown=Count("pk", filter=~(GOOD | BAD))
        )
        .annotate(rate=rate())
        .order_by("rate", by)
    )


def rate() -> Any:
    known = NullIf(F("good") + F("bad"), 0)
    return Cast(F("good") * 100, FloatField()) / Cast(known, FloatField())


def reasons(prints: QuerySet[Print]) -> QuerySet[Print, dict[str, Any]]:
    """What people and machines gave for a reason where a print was bad: `why` and `number`, the most frequent first."""
    counted = prints.filter(BAD, ended_at__isnull=False).annotate(why=why()).order_by().values("why")
    return counted.annotate(number=Count("pk")).order_by("-number", "why")


def why() -> Any:
    """What people said, without what they added to it behind a colon; else what the machine said."""
    said = Func(F("bad_reason"), Value(": "), Value(1), function="split_part", output_field=TextField())
    return Coalesce(NullIf(said, Value("")), NullIf(F("reason"), Value("")), Value(""), output_field=TextField())
