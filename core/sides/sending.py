"""Sending people over, or back: the same actions for the page, the admin and the command.

Both sides work on the same rows, so nobody loses anything either way, and each action can be undone by its opposite.
"""

from typing import Any

from django.contrib.auth.models import Group
from django.db import transaction
from django.utils import timezone

from core.sides.deciding import BUCKETS
from core.sides.models import Choice, Side


def send_user(user: Any, side: Side, *, by: str = "", reason: str = "") -> Choice:
    return _choose({"user": user}, side, by, reason)


def send_group(group: Group, side: Side, *, by: str = "", reason: str = "") -> Choice:
    return _choose({"group": group}, side, by, reason)


def send_percentage(percent: int, *, by: str = "") -> Choice:
    """Who was chosen by name or group stays where they are."""
    if not 0 <= percent <= BUCKETS:
        raise ValueError(f"{percent} is not a percentage; give a number from 0 to 100.")
    return Choice.objects.create(percent=percent, by=by)


@transaction.atomic
def send_everybody_back(*, by: str = "") -> None:
    """Without exception: who was sent over by name or group too. Who was kept on the old side stays kept."""
    Choice.objects.filter(percent__isnull=True, side=Side.NEW).delete()
    send_percentage(0, by=by)


def let_percentage_decide(user: Any) -> bool:
    """Forget what was chosen for a user by name; False where nothing was."""
    deleted, _ = Choice.objects.filter(user=user).delete()
    return bool(deleted)


def _choose(who: dict[str, Any], side: Side, by: str, reason: str) -> Choice:
    """`since` stays where nothing changes: who is sent over twice is over since the first time."""
    chosen = {"side": side, "by": by, "reason": reason, "since": timezone.now()}
    choice, made = Choice.objects.get_or_create(**who, defaults=chosen)
    if not made and choice.side != side:
        Choice.objects.filter(pk=choice.pk).update(**chosen)
        choice.refresh_from_db()
    return choice
