import dataclasses
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Coalesce, Lower
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from api import etags
from api.filters import PrinterFilter
from api.problems import conflict, refused
from api.schema import IF_MATCH
from api.serializers.printers import (
    NewPrinterSerializer,
    PrinterChangeSerializer,
    PrinterSerializer,
    PrinterStateSerializer,
)
from api.views.base import List, View
from core.rights import ACTIONS
from printers import control, editing, looking
from printers.clients import asking
from printers.clients.base import Credentials
from printers.fleet.models import Kind, Membership
from printers.forms import EditForm, MachineForm, ServerForm
from printers.listing import keys_for
from printers.managers import PrinterQuerySet
from printers.models import Printer
from printers.rights import groups_for
from printers.saving import Taken, find_same
from printers.views.common import find


class PrinterList(List):
    """Those that somebody may view."""

    queryset = Printer.objects.none()
    filterset_class = PrinterFilter
    orderings = {"id": "pk", "name": "by_name", "place": "by_place", "kind": "by_kind", "state": "urgency"}

    def get_queryset(self) -> PrinterQuerySet:
        """With what it is sorted by, and no more: the database makes it for every printer of the farm."""
        found = Printer.objects.for_user(self.request.user, "view").whole()
        match self.ordering(self.request).removeprefix("-"):
            case "state":
                return found.by_urgency()
            case "name":
                return found.with_name().annotate(by_name=Lower("called"))
            case "place":
                return found.annotate(by_place=Coalesce("machine__place", Value("")))
            case "kind":
                return found.annotate(by_kind=Coalesce("machine__kind", Value(Kind.OCTOPRINT.value)))
        return found


class Printers(PrinterList):
    serializer_class = PrinterSerializer

    @extend_schema(operation_id="printers_list")
    def get(self, request: Request) -> Response:
        """The printers that you may see."""
        return self.list(request)

    def paginate_queryset(self, queryset: PrinterQuerySet) -> list[Printer]:
        return described(self.request.user, super().paginate_queryset(queryset))

    @extend_schema(operation_id="printers_add", request=NewPrinterSerializer, responses={201: PrinterSerializer})
    def post(self, request: Request) -> Response:
        """Add a printer. Its server is asked first: what is no printer's, or refuses the key, is not saved."""
        printer = add(request.user, self.sent(NewPrinterSerializer).validated_data)
        return Response(shown(request.user, printer), 201)


class OnePrinter(View):
    serializer_class = PrinterSerializer

    @extend_schema(operation_id="printers_get")
    def get(self, request: Request, pk: int) -> Response:
        """One printer. Its ETag is that of what people decide of it, not of what it does."""
        return self.answer(find(request.user, pk, "view"))

    @extend_schema(operation_id="printers_change", request=PrinterChangeSerializer, parameters=[IF_MATCH])
    def patch(self, request: Request, pk: int) -> Response:
        """Change what people decide of it. With another address or key it is asked at once."""
        given = self.sent(PrinterChangeSerializer).validated_data
        find(request.user, pk, "manage")
        with transaction.atomic():
            printer = self.hold(pk)
            server_changed = change(request.user, printer, given)
        if server_changed:
            looking.look(printer)
        return self.answer(find(request.user, pk, "manage"))

    @extend_schema(operation_id="printers_delete", parameters=[IF_MATCH], responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Delete it from the farm. The machine does what it did."""
        find(request.user, pk, "manage")
        with transaction.atomic():
            self.hold(pk)
            control.delete(request.user, [pk])
        return Response(status=204)

    def hold(self, pk: int) -> Printer:
        """As it was read, until the transaction ends. Raises Problem 412."""
        Printer.objects.select_for_update(no_key=True).filter(pk=pk).first()
        printer = find(self.request.user, pk, "manage")
        etags.refuse_if_changed(self.request, etag_of(described(self.request.user, [printer])[0]))
        return printer

    def answer(self, printer: Printer) -> Response:
        body = shown(self.request.user, printer)
        return Response(body, headers={"ETag": etag_of(printer)})


class States(PrinterList):
    """What was last seen, and nothing else: for programs that ask often."""

    serializer_class = PrinterStateSerializer

    @extend_schema(operation_id="states_list")
    def get(self, request: Request) -> Response:
        """What was last seen of the printers that you may see."""
        return self.list(request)


class OneState(View):
    serializer_class = PrinterStateSerializer

    @extend_schema(operation_id="states_get")
    def get(self, request: Request, pk: int) -> Response:
        """What was last seen of one printer."""
        return Response(self.get_serializer(find(request.user, pk, "view")).data)


def described(user: Any, printers: Sequence[Printer]) -> list[Printer]:
    """With what `user` may do with each, and the groups of each that they see."""
    keys = [printer.pk for printer in printers]
    may = {action: keys_for(user, action, list(printers)) for action in ACTIONS[1:]}
    groups: dict[int, list[int]] = {key: [] for key in keys}
    members = Membership.objects.filter(printer__in=keys, group__in=groups_for(user, "view"))
    for printer, group in members.values_list("printer", "group").order_by("group"):
        groups[printer].append(group)
    for printer in printers:
        printer.may = ["view", *(action for action in may if printer.pk in may[action])]
        printer.groups = groups[printer.pk]
    return list(printers)


def shown(user: Any, printer: Printer) -> dict[str, Any]:
    return dict(PrinterSerializer(described(user, [printer])[0]).data)


def etag_of(printer: Printer) -> str:
    """Of a described printer. No key or password counts: from a hash of a short one it could be guessed."""
    known = printer.known
    said = (known.name, known.kind, known.place, known.tags, known.notes, known.model, known.user, known.camera)
    return etags.of_values(
        printer.pk, printer.ip_address, printer.groups, said, known.out_of_order_since, known.out_of_order_why
    )


def add(user: Any, given: dict[str, Any]) -> Printer:
    """Through the forms of the pages, and with their sentences. Raises Problem."""
    server = checked(ServerForm(given))
    if same := find_same(user, server.cleaned_data["address"]):
        raise conflict(f"{same.name} is at this address already.", printer=same.pk)
    form = checked(MachineForm(given, user=user))
    typed = server.cleaned_data
    found = asking.find_kind(typed["address"], Credentials(typed["key"], typed["user"], typed["password"]))
    if not found.can_be_added:
        raise conflict(f"{found.sentence} {found.hint}".strip())
    try:
        return editing.add(user, typed, dataclasses.asdict(found), form)
    except Taken as error:
        raise conflict(error.sentence) from None


def change(user: Any, printer: Printer, given: dict[str, Any]) -> bool:
    """Whether somebody should look at it now."""
    form = EditForm(as_it_is(user, printer) | given, printer=printer, user=user)
    try:
        return editing.change(checked(form))
    except Taken as error:
        raise conflict(error.sentence) from None


def as_it_is(user: Any, printer: Printer) -> dict[str, Any]:
    """What the form of the page would be filled with."""
    form = EditForm(printer=printer, user=user)
    values = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    groups = values.get("groups") or []
    return values | {"groups": [group.pk for group in groups if group in form.fields["groups"].queryset]}


def checked(form: Any) -> Any:
    """The form, if it is right. Raises Problem 409 with the sentences that a page would show."""
    if form.is_valid():
        return form
    raise refused({name: [str(error) for error in errors] for name, errors in form.errors.items()})
