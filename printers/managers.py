from collections.abc import Iterable
from typing import Any

from django.db import models
from django.db.models import Case, F, Func, Q, Value, When
from django.db.models.functions import Coalesce, NullIf

from core.rights import Action
from printers.addresses import USER, WITHOUT
from printers.rights import allowed
from printers.states import ENDED, FAULTY, RUNNING, Group, State

Way = tuple[Q, Any, Group]


def ways() -> list[Way]:
    """As `states.shown` goes: where this is so, that is shown, and counts under this group. The first one counts."""
    running = [
        (Q(last_seen__state__in=values(RUNNING | FAULTY, group)), F("last_seen__state"), group)
        for group in (Group.PRINTING, Group.ATTENTION)
    ]
    lost = Q(last_seen__state=State.UNREACHABLE.value, last_seen__progress__isnull=False)
    return [
        (Q(machine__out_of_order_since__isnull=False), Value(State.OUTOFORDER.value), Group.OFF),
        *running,
        (lost, Value(State.ATTENTION.value), Group.ATTENTION),
        (Q(last_seen__waits__gt=""), F("last_seen__waits"), Group.WAITING),
        (Q(last_seen__state__in=values(ENDED | {State.READY})), Value(State.READY.value), Group.READY),
    ]


def values(states: Iterable[State], group: Group | None = None) -> list[str]:
    return sorted(state.value for state in states if group in (None, state.group))


EFFECTIVE = Case(
    *(When(condition, then=shown) for condition, shown, _ in ways()),
    default=Coalesce("last_seen__state", Value("")),
    output_field=models.CharField(),
)
"""The value of `Printer.state`, by the database."""
URGENCY = Case(
    *(When(condition, then=Value(list(Group).index(group))) for condition, _, group in ways()),
    default=Value(list(Group).index(Group.OFF)),
    output_field=models.IntegerField(),
)
"""The rank of its group, from the same columns: asked of the state, each of its cases would be asked for each group."""


class PrinterQuerySet(models.QuerySet[Any]):
    def for_user(self, user: Any, action: Action) -> "PrinterQuerySet":
        """Those that `user` may `view`, `operate` or `manage`; none for somebody who is not logged in."""
        return self.filter(allowed(user, action))

    def whole(self) -> "PrinterQuerySet":
        """With what people know of each and what was last seen, in the one query."""
        return self.select_related("machine", "last_seen")

    def with_state(self) -> "PrinterQuerySet":
        """With `state_value`, the value of the state or "" for a printer that nobody has asked yet."""
        return self.annotate(state_value=EFFECTIVE)

    def in_group(self, group: Group) -> "PrinterQuerySet":
        found = values(group.states) + ([""] if group == Group.OFF else [])
        return self.with_state().filter(state_value__in=found)

    def by_urgency(self) -> "PrinterQuerySet":
        """Waiting for you first, oldest first; then attention; printing, next to end first; ready; off."""
        return self.with_state().annotate(urgency=URGENCY)

    def with_name(self) -> "PrinterQuerySet":
        """With `called`, the value of `Printer.name`."""
        return self.annotate(called=Coalesce(NullIf("machine__name", Value("")), SHOWN_ADDRESS))

    def with_address(self) -> "PrinterQuerySet":
        """With `address`, the value of `Printer.address`."""
        return self.alias(address=SHOWN_ADDRESS)


SHOWN_ADDRESS = Case(
    When(
        ip_address__contains="@",
        then=Func(F("ip_address"), Value(USER), Value(WITHOUT), function="regexp_replace"),
    ),
    default=F("ip_address"),
    output_field=models.CharField(),
)
MATCHED = ("called", "last_seen__file", "address", "machine__model", "words")


def matching(words: str) -> Q:
    """Printers, of a query `with_name()`, `with_address()` and with `words` from their tags, that have this in a name,
    file, address, model or tag.
    """
    return Q(*((f"{field}__icontains", words) for field in MATCHED), _connector=Q.OR)
