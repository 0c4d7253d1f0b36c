from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from api.filters import PrintFilter, RateFilter
from api.problems import conflict
from api.serializers.prints import (
    AllSaidSerializer,
    PrintSerializer,
    RatesSerializer,
    SaidSerializer,
    VerdictSerializer,
    VerdictsSerializer,
)
from api.views.base import Filters, List, View
from monitoring.dashboard import numbers
from monitoring.models import Print
from monitoring.prints import rates, signing, undoing
from monitoring.prints.listing import prints_of
from monitoring.prints.signing import Result
from printers.views.common import find

LARGEST = 500
"""Rates in one answer, the worst first."""


def shown_to(user: Any) -> Any:
    return prints_of(user).select_related("started_by", "signed_off_by")


class Prints(List):
    queryset = Print.objects.none()
    serializer_class = PrintSerializer
    filterset_class = PrintFilter
    orderings = {"id": "pk", "started_at": "started_at"}
    usual = "-started_at"

    def get_queryset(self) -> Any:
        return shown_to(self.request.user)

    @extend_schema(operation_id="prints_list")
    def get(self, request: Request) -> Response:
        """Prints on the printers that you may see."""
        return self.list(request)


class OnePrint(View):
    serializer_class = PrintSerializer

    @extend_schema(operation_id="prints_get")
    def get(self, request: Request, pk: int) -> Response:
        """One print."""
        return Response(PrintSerializer(one_of(request.user, pk)).data)


class SignOff(View):
    serializer_class = SaidSerializer

    @extend_schema(operation_id="prints_sign_off", request=VerdictSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Say how a print went, and that its plate is clear: the machine may start again. Said twice, it is once."""
        given = self.sent(VerdictSerializer).validated_data
        find(request.user, one_of(request.user, pk).printer_id, "operate")
        return self.answer(signing.sign_off(request.user, [pk], **given))

    @extend_schema(operation_id="prints_sign_off_undo", request=None, responses=SaidSerializer)
    def delete(self, request: Request, pk: int) -> Response:
        """Undo your own, for ten minutes and until another print has begun: the machine waits again."""
        find(request.user, one_of(request.user, pk).printer_id, "operate")
        return self.answer(undoing.undo(request.user, [pk]))

    def answer(self, results: list[Result]) -> Response:
        numbers.forget()  # What pages say of how many printers need somebody.
        if not results:
            raise Http404  # Its printer was deleted meanwhile.
        [result] = results
        if not result.done:
            raise conflict(result.sentence, print=result.print.pk, printer=result.printer.pk)
        return Response(SaidSerializer(result).data)


class SignOffMany(View):
    serializer_class = AllSaidSerializer

    @extend_schema(operation_id="prints_sign_off_many", request=VerdictsSerializer)
    def post(self, request: Request) -> Response:
        """The same of many prints: a result for each whose printer you may operate."""
        given = dict(self.sent(VerdictsSerializer).validated_data)
        results = signing.sign_off(request.user, given.pop("prints"), **given)
        numbers.forget()
        return Response(AllSaidSerializer({"results": results}).data)


class Rates(View):
    serializer_class = RatesSerializer
    queryset = Print.objects.none()
    filterset_class = RateFilter

    filter_backends = [Filters]

    def get_queryset(self) -> Any:
        return prints_of(self.request.user)

    @extend_schema(operation_id="prints_rates", filters=True)
    def get(self, request: Request) -> Response:
        """How often prints succeed, by printer or by file, the worst first; and the reasons of those that were bad."""
        found = self.filter_queryset(self.get_queryset())
        counted = rates.rates(found, request.query_params.get("per") or "printer")[:LARGEST]
        return Response(RatesSerializer({"rates": counted, "reasons": rates.reasons(found)[:LARGEST]}).data)


def one_of(user: Any, pk: int) -> Print:
    """Raises Http404 also for one on a printer that `user` may not view."""
    if found := shown_to(user).filter(pk=pk).first():
        return found
    raise Http404
