"""The decision: a choice for the user, else for a group of theirs, else the percentage by a stable hash of the id."""

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet

from core.sides.models import Choice, Side

BUCKETS = 100


@dataclasses.dataclass(frozen=True)
class Decision:
    """Where somebody is, and because of what."""

    side: Side
    because: Choice | None
    """None where it was the percentage in force before anybody chose one, and where that left them behind."""
    since: datetime | None
    """None for always."""


def bucket(user_id: int) -> int:
    """A number below 100, for a user always the same: on any machine, and in any version of Python."""
    digest = hashlib.sha256(f"side of user {user_id}".encode()).digest()
    return int.from_bytes(digest[:8]) % BUCKETS


def decide(user: Any) -> Decision:
    """One query."""
    return _decide(user.pk, list(concerning(user).select_related("group").order_by("since", "pk")))


def concerning(user: Any) -> QuerySet[Choice]:
    """The choices that decide about this user."""
    mine = Q(user=user.pk) | Q(group__in=user.groups.all()) | Q(percent__isnull=False)
    return Choice.objects.filter(mine)


def side_of(user: Any) -> Side:
    return decide(user).side


def decide_all(user_ids: Iterable[int]) -> dict[int, Decision]:
    """The same of many users, in two queries whatever their number."""
    choices = list(Choice.objects.select_related("group").order_by("since", "pk"))
    percents = [choice for choice in choices if choice.percent is not None]
    by_user = {choice.user_id: choice for choice in choices if choice.user_id}
    by_group = {choice.group_id: choice for choice in choices if choice.group_id}
    membership = get_user_model().groups.through.objects.filter(group__in=by_group)
    groups: dict[int, list[Choice]] = {}
    for user_id, group_id in membership.values_list("user_id", "group_id"):
        groups.setdefault(user_id, []).append(by_group[group_id])
    return {
        user_id: _decide(
            user_id, [*filter(None, [by_user.get(user_id)]), *groups.get(user_id, ()), *percents]
        )
        for user_id in user_ids
    }  # fmt: skip


def _decide(user_id: int, choices: Sequence[Choice]) -> Decision:
    """From the choices that concern this user, and all percentages from the first to the last."""
    if own := [choice for choice in choices if choice.user_id]:
        return _chosen(own[0])
    if groups := [choice for choice in choices if choice.group_id]:
        # Who is in two groups is on the old side while one of them is: it is the safety net.
        return _chosen(min(groups, key=lambda choice: (choice.side != Side.OLD, choice.since)))
    return _by_percentage(user_id, [choice for choice in choices if choice.percent is not None])


def _chosen(choice: Choice) -> Decision:
    return Decision(Side(choice.side), choice, choice.since)


def _by_percentage(user_id: int, percents: Sequence[Choice]) -> Decision:
    """Since the first of the percentages in a row, up to the last, that put this user where they are."""
    number = bucket(user_id)
    side = Side.NEW if number < settings.CUTOVER_PERCENT else Side.OLD
    because: Choice | None = None
    for choice in percents:
        sent = Side.NEW if number < (choice.percent or 0) else Side.OLD
        if sent is not side:
            side, because = sent, choice
    return Decision(side, because, because.since if because else None)


def percent_in_force() -> int:
    last = Choice.objects.filter(percent__isnull=False).order_by("-since", "-pk").first()
    return last.percent if last else settings.CUTOVER_PERCENT


def is_everybody_over() -> bool:
    """Whether nobody can be on the old side: a percentage of 100, and nobody kept back by name or group."""
    return percent_in_force() == BUCKETS and not Choice.objects.filter(side=Side.OLD).exists()


def effect_of(percent: int, decisions: dict[int, Decision]) -> tuple[int, int]:
    """How many people this percentage would send over, and back: those whom nobody has chosen by name or group."""
    free = {pk: one for pk, one in decisions.items() if one.because is None or one.because.percent is not None}
    over = sum(one.side is Side.OLD and bucket(pk) < percent for pk, one in free.items())
    back = sum(one.side is Side.NEW and bucket(pk) >= percent for pk, one in free.items())
    return over, back
