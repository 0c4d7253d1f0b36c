"""Who is on which side: the numbers and the people of the staff's page and of the command."""

import dataclasses
from collections import Counter
from typing import Any

from django.contrib.auth import get_user_model

from core.sides.deciding import Decision, decide_all
from core.sides.models import Side


@dataclasses.dataclass(frozen=True)
class Counted:
    """Active people by side, and how they came there: a choice by `user`, `group` or `percent`."""

    old: int
    new: int
    by: Counter[tuple[str, Side]]

    @property
    def total(self) -> int:
        return self.old + self.new

    @property
    def by_percentage(self) -> int:
        return self.by["percent", Side.NEW]

    @property
    def by_group(self) -> int:
        return self.by["group", Side.NEW]

    @property
    def by_name(self) -> int:
        return self.by["user", Side.NEW]

    @property
    def kept(self) -> int:
        """On the old side by name or by group."""
        return self.by["user", Side.OLD] + self.by["group", Side.OLD]


def everybody() -> dict[int, Decision]:
    """Who can log in."""
    ids = get_user_model().objects.filter(is_active=True).values_list("pk", flat=True)
    return decide_all(ids)


def count_sides(decisions: dict[int, Decision] | None = None) -> Counted:
    decisions = everybody() if decisions is None else decisions
    by = Counter((kind_of(decision), decision.side) for decision in decisions.values())
    new = sum(decision.side is Side.NEW for decision in decisions.values())
    return Counted(old=len(decisions) - new, new=new, by=by)


def kind_of(decision: Decision) -> str:
    choice = decision.because
    if choice is not None and choice.user_id:
        return "user"
    return "group" if choice is not None and choice.group_id else "percent"


def name_of(user: Any) -> str:
    return user.get_full_name() or user.get_username()
