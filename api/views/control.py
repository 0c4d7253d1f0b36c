from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from api.problems import conflict
from api.serializers.printers import (
    FileSerializer,
    ResultSerializer,
    ResultsSerializer,
    SelectionSerializer,
    StartSerializer,
    WhySerializer,
)
from api.views.base import View
from printers import control, looking
from printers.clients import asking
from printers.clients.base import PrinterError
from printers.control import Result
from printers.views.common import find


class Files(View):
    serializer_class = FileSerializer
    pagination_class = None

    @extend_schema(operation_id="printers_files", responses=FileSerializer(many=True))
    def get(self, request: Request, pk: int) -> Response:
        """The files that are on the machine, newest first; it is asked now."""
        printer = find(request.user, pk, "operate")
        try:
            files = asking.files(looking.endpoint_of(printer))
        except PrinterError as error:
            raise conflict(f"{printer.name}: {error.sentence} {error.hint}".strip()) from None
        return Response(FileSerializer(files, many=True).data)


class Action(View):
    """One action on one printer; what its state forbids is a 409 with the sentence."""

    serializer_class = ResultSerializer

    def answer(self, results: list[Result]) -> Response:
        if not results:
            raise Http404  # Somebody has deleted it meanwhile, or taken the right away.
        [result] = results
        if not result.done:
            raise conflict(result.sentence, printer=result.printer.pk, state=result.printer.state.value or None)
        return Response(ResultSerializer(result).data)


class Start(Action):
    @extend_schema(operation_id="printers_start", request=StartSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Print a file that is on the machine. While a print waits to be signed off, nothing starts."""
        given = self.sent(StartSerializer).validated_data
        find(request.user, pk, "operate")
        result = control.start(request.user, pk, given["file"])
        return self.answer([result] if result else [])


class Pause(Action):
    @extend_schema(operation_id="printers_pause", request=None)
    def post(self, request: Request, pk: int) -> Response:
        """Pause the print."""
        find(request.user, pk, "operate")
        return self.answer(control.act(request.user, "pause", [pk]))


class Resume(Action):
    @extend_schema(operation_id="printers_resume", request=None)
    def post(self, request: Request, pk: int) -> Response:
        """Resume a paused print."""
        find(request.user, pk, "operate")
        return self.answer(control.act(request.user, "resume", [pk]))


class Cancel(Action):
    @extend_schema(operation_id="printers_cancel", request=None)
    def post(self, request: Request, pk: int) -> Response:
        """Cancel the print."""
        find(request.user, pk, "operate")
        return self.answer(control.act(request.user, "cancel", [pk]))


class OutOfOrder(Action):
    @extend_schema(operation_id="printers_out_of_order", request=WhySerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Take it out of order, for a reason. Nothing is started on it until it is back in service."""
        why = self.sent(WhySerializer).validated_data["why"]
        find(request.user, pk, "operate")
        return self.answer(control.take_out(request.user, [pk], why))


class InService(Action):
    @extend_schema(operation_id="printers_in_service", request=None)
    def post(self, request: Request, pk: int) -> Response:
        """Put it in service again."""
        printer = find(request.user, pk, "operate")
        if not printer.known.out_of_order_since:
            raise conflict(f"{printer.name} is in service.", printer=pk, state=printer.state.value or None)
        results = control.take_in(request.user, [pk])
        if not results:  # Somebody was quicker.
            find(request.user, pk, "operate")
            raise conflict(f"{printer.name} is in service.", printer=pk)
        return self.answer(results)


class Selection(View):
    serializer_class = ResultsSerializer

    @extend_schema(operation_id="printers_act", request=SelectionSerializer)
    def post(self, request: Request) -> Response:
        """One action on many printers at once: a result for each that you may do it with."""
        given = self.sent(SelectionSerializer).validated_data
        results = do(request.user, given["do"], given["printers"], given.get("why", ""))
        return Response(ResultsSerializer({"results": results}).data)


def do(user: Any, what: str, keys: list[int], why: str) -> list[Result]:
    match what:
        case "out-of-order":
            return control.take_out(user, keys, why)
        case "in-service":
            return control.take_in(user, keys)
        case "delete":
            return control.delete(user, keys)
    return control.act(user, what, keys)
