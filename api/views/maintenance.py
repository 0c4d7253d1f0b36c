from decimal import Decimal
from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from api.filters import EntryFilter, TaskFilter
from api.serializers.maintenance import DoneSerializer, EntrySerializer, TaskSerializer
from api.views.base import List, View
from monitoring.maintenance import actions
from monitoring.maintenance.models import Entry, Task
from printers.models import Printer
from printers.views.common import find


def of_printers_of(user: Any, model: Any) -> Any:
    return model.objects.filter(printer__in=Printer.objects.for_user(user, "view").values("pk"))


class Tasks(List):
    queryset = Task.objects.none()
    serializer_class = TaskSerializer
    filterset_class = TaskFilter

    def get_queryset(self) -> Any:
        return of_printers_of(self.request.user, Task)

    @extend_schema(operation_id="maintenance_tasks_list")
    def get(self, request: Request) -> Response:
        """Planned work on the printers that you may see."""
        return self.list(request)


class TaskDone(View):
    serializer_class = EntrySerializer

    @extend_schema(operation_id="maintenance_task_done", request=DoneSerializer, responses={201: EntrySerializer})
    def post(self, request: Request, pk: int) -> Response:
        """Planned work was done: it is in the log, and is counted anew from then on."""
        given = self.sent(DoneSerializer).validated_data
        task = get_object_or_404(of_printers_of(request.user, Task), pk=pk)
        printer = find(request.user, task.printer_id, "operate")
        cost = None if given["cost"] is None else Decimal(given["cost"])
        entry = actions.record(
            request.user, printer, given["what"] or task.what, given["done_at"], tasks=[task], parts=given["parts"],
            cost=cost,
        )  # fmt: skip
        return Response(EntrySerializer(entry).data, 201)


class Entries(List):
    queryset = Entry.objects.none()
    serializer_class = EntrySerializer
    filterset_class = EntryFilter
    orderings = {"id": "pk", "done_at": "done_at"}
    usual = "-done_at"

    def get_queryset(self) -> Any:
        return of_printers_of(self.request.user, Entry)

    @extend_schema(operation_id="maintenance_entries_list")
    def get(self, request: Request) -> Response:
        """What was done to the printers that you may see."""
        return self.list(request)
