"""The people of the staff's page: those with errors first, each with the side, the reason and the time."""

import dataclasses
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Q

from core.sides.deciding import Decision
from core.sides.models import Side
from core.sides.reading import kind_of, name_of

Decisions = dict[int, Decision]


@dataclasses.dataclass(frozen=True)
class Person:
    """A row of the table."""

    user: Any
    decision: Decision
    errors: int

    @property
    def name(self) -> str:
        return name_of(self.user)

    @property
    def groups(self) -> str:
        return ", ".join(group.name for group in self.user.groups.all())

    @property
    def side(self) -> Side:
        return self.decision.side

    @property
    def by_name(self) -> bool:
        return kind_of(self.decision) == "user"

    @property
    def because(self) -> str:
        choice = self.decision.because
        if choice is not None and choice.group_id:
            return f"group {choice.group}"
        if choice is not None and choice.user_id:
            by, why = f", by {choice.by}" if choice.by else "", f": “{choice.reason}”" if choice.reason else ""
            return f"name{by}{why}"
        return "percentage" if self.side is Side.NEW else "not chosen yet"

    @property
    def since(self) -> datetime | None:
        return self.decision.since


def find_people(search: str, side: str, decisions: Decisions, errors: dict[int, int]) -> list[int]:
    """Their ids, in the order of the page."""
    people = get_user_model().objects.filter(is_active=True).order_by("username")
    if search:
        words = Q(username__icontains=search) | Q(first_name__icontains=search) | Q(last_name__icontains=search)
        people = people.filter(words | Q(email__icontains=search) | Q(groups__name__icontains=search)).distinct()
    found = [pk for pk in people.values_list("pk", flat=True) if pk in decisions]
    if side in Side.values:
        found = [pk for pk in found if decisions[pk].side == side]
    return sorted(found, key=lambda pk: -errors.get(pk, 0))


def read_people(ids: Sequence[int], decisions: Decisions, errors: dict[int, int]) -> list[Person]:
    users = get_user_model().objects.prefetch_related("groups").in_bulk(list(ids))
    return [Person(users[pk], decisions[pk], errors.get(pk, 0)) for pk in ids if pk in users]
