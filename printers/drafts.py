"""What somebody has typed or uploaded and not saved yet; whose it is alone sees it, for a day."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from printers.fleet.models import Draft

KEPT = timedelta(days=1)


def forget() -> None:
    """Those that are too old, with the keys in them, whoever they were of."""
    Draft.objects.filter(made_at__lt=timezone.now() - KEPT).delete()


def keep(user: Any, what: Draft.What, data: dict[str, Any]) -> Draft:
    return Draft.objects.create(user=user, what=what, data=data)


def find(user: Any, pk: int, what: Draft.What, *, lock: bool = False) -> Draft | None:
    """With `lock`, in a transaction: who comes second waits."""
    drafts = Draft.objects.select_for_update() if lock else Draft.objects
    return drafts.filter(user=user, pk=pk, what=what, made_at__gte=timezone.now() - KEPT).first()
