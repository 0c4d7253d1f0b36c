"""What the list shows: which printers, in which order, and the numbers at its head. All of it stands in the address."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.paginator import Page, Paginator
from django.db.models import Count, F, Func, OrderBy, Q, TextField, Value
from django.db.models.functions import Lower, NullIf

from core.rights import Action
from printers.fleet.models import Kind
from printers.managers import PrinterQuerySet, matching
from printers.models import Printer
from printers.states import Group, State

PER_PAGE = 50
SORTS: dict[str, tuple[Any, ...]] = {
    "state": ("urgency", OrderBy(F("last_seen__ends_at"), nulls_last=True), "last_seen__since", "called", "pk"),
    "name": (Lower("called"), "pk"),
    "file": (OrderBy(F("last_seen__file"), nulls_last=True), "called", "pk"),
    "ends": (OrderBy(F("last_seen__ends_at"), nulls_last=True), "called", "pk"),
    "place": (OrderBy(NullIf("machine__place", Value("")), nulls_last=True), "called", "pk"),
    "kind": ("machine__kind", "called", "pk"),
}
WORDS = {
    "state": "Needs you first", "name": "Name", "ends": "End time", "place": "Place", "kind": "Kind", "file": "File",
}  # fmt: skip


class Filters(forms.Form):
    """The address of a list. What is wrong in it is left out: an old bookmark still shows something."""

    q = forms.CharField(required=False, max_length=200)
    state = forms.ChoiceField(required=False, choices=Group.choices)
    place = forms.CharField(required=False, max_length=200)
    kind = forms.ChoiceField(required=False, choices=Kind.choices)
    tag = forms.CharField(required=False, max_length=50)
    sort = forms.ChoiceField(required=False, choices=[(f"{sign}{key}", key) for key in SORTS for sign in ("", "-")])
    view = forms.ChoiceField(required=False, choices=[("table", "Table"), ("tiles", "Tiles")])
    page = forms.IntegerField(required=False, min_value=1, max_value=1_000_000)

    @classmethod
    def read(cls, address: Mapping[str, Any]) -> dict[str, Any]:
        form = cls(address)
        form.is_valid()
        return {name: form.cleaned_data.get(name) or "" for name in form.fields}


@dataclasses.dataclass
class Listing:
    """One page of a list, as `user` may see it."""

    user: Any
    chosen: dict[str, Any]

    def __post_init__(self) -> None:
        self.all = Printer.objects.for_user(self.user, "view")
        self.numbers = self.count()
        self.total = sum(self.numbers.values())

    @property
    def tiles(self) -> bool:
        return self.chosen["view"] == "tiles"

    @property
    def sort(self) -> str:
        return self.chosen["sort"] or "state"

    @property
    def filtered(self) -> bool:
        return any(self.chosen[name] for name in ("q", "place", "kind", "tag", "state"))

    def found(self) -> PrinterQuerySet:
        """Whatever their state is."""
        return narrowed(self.all.with_state(), self.chosen)

    def count(self) -> dict[Group, int]:
        """By group, in one query."""
        numbers = dict.fromkeys(Group, 0)
        by_state = self.found().order_by().values("state_value").annotate(number=Count("pk"))
        for row in by_state:
            numbers[group_of(row["state_value"])] += row["number"]
        return numbers

    def chosen_ones(self) -> PrinterQuerySet:
        """Of the chosen group, or all."""
        return self.found().in_group(Group(self.chosen["state"])) if self.chosen["state"] else self.found()

    def page(self) -> Page:
        """The numbers at the head have counted already how many there are."""
        found = self.chosen_ones().whole().by_urgency().with_name().order_by(*self.order())
        count = self.numbers[Group(self.chosen["state"])] if self.chosen["state"] else self.total
        return Counted(found, PER_PAGE, count).get_page(self.chosen["page"] or 1)

    def order(self) -> list[Any]:
        """Tiles stand in sections, one for each place."""
        key, backwards = self.sort.removeprefix("-"), self.sort.startswith("-")
        order = [turned(one) if backwards else one for one in SORTS[key]]
        return [*SORTS["place"][:1], *order] if self.tiles and key != "place" else order

    def choices(self) -> tuple[list[str], list[str]]:
        """Places and tags that there are, in one query."""
        known = self.all.filter(machine__isnull=False).order_by()
        found = list(known.values_list("machine__place", "machine__tags").distinct())
        places, tags = {place for place, _ in found if place}, {tag for _, tags in found for tag in tags}
        return sorted(places, key=str.casefold), sorted(tags, key=str.casefold)


def narrowed(found: PrinterQuerySet, chosen: Mapping[str, Any]) -> PrinterQuerySet:
    """Those that have the words `q`, and this place, kind and tag, where they are given."""
    if chosen["q"]:
        found = found.with_name().with_address().alias(words=words_of_tags()).filter(matching(chosen["q"]))
    if chosen["place"]:
        found = found.filter(machine__place=chosen["place"])
    if chosen["kind"]:
        found = found.filter(of_kind(chosen["kind"]))
    if chosen["tag"]:
        found = found.filter(machine__tags__contains=[chosen["tag"]])
    return found


class Counted(Paginator):
    """One that need not ask how many there are."""

    def __init__(self, found: PrinterQuerySet, per_page: int, count: int) -> None:
        super().__init__(found, per_page)
        self.count = count  # type: ignore[misc]


def group_of(value: str) -> Group:
    return State(value).group if value else Group.OFF


def words_of_tags() -> Func:
    return Func(F("machine__tags"), Value(" "), function="array_to_string", output_field=TextField())


def of_kind(kind: str) -> Q:
    """A printer of which nobody has said anything is taken for an OctoPrint, as the monolith did."""
    there = Q(machine__kind=kind)
    return there | Q(machine__isnull=True) if kind == Kind.OCTOPRINT else there


def turned(one: Any) -> OrderBy:
    """The other way round; what has no value stays last."""
    if isinstance(one, OrderBy):
        return OrderBy(one.expression, descending=not one.descending, nulls_last=True)
    return (F(one) if isinstance(one, str) else one).desc()


def keys_for(user: Any, action: Action, printers: list[Printer]) -> set[int]:
    """Which of these `user` may do more with; without a query for those who may do everything."""
    keys = [printer.pk for printer in printers]
    if user.is_staff or user.is_superuser or not keys:
        return set(keys)
    return set(Printer.objects.for_user(user, action).filter(pk__in=keys).values_list("pk", flat=True))
