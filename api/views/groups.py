from typing import Any

from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Coalesce, Lower
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from api.serializers.people import GroupSerializer
from api.views.base import List, View
from core.rights import ACTIONS
from printers.fleet.models import Membership, PrinterGroup
from printers.models import Printer
from printers.rights import groups_for


def groups_of(user: Any) -> Any:
    """With how many printers `user` sees of each."""
    seen = Membership.objects.filter(group=OuterRef("pk"), printer__in=Printer.objects.for_user(user, "view"))
    count = Subquery(seen.order_by().values("group").annotate(number=Count("pk")).values("number"))
    return groups_for(user, "view").annotate(counted=Coalesce(count, 0), by_name=Lower("name"))


def described(user: Any, groups: list[PrinterGroup]) -> list[PrinterGroup]:
    may = {action: set(groups_for(user, action).values_list("pk", flat=True)) for action in ACTIONS}
    for group in groups:
        group.may = [action for action in ACTIONS if group.pk in may[action]]
    return groups


class Groups(List):
    """In the admin, under Printer groups, staff make them and give roles."""

    queryset = PrinterGroup.objects.none()
    serializer_class = GroupSerializer
    orderings = {"id": "pk", "name": "by_name"}

    def get_queryset(self) -> Any:
        return groups_of(self.request.user)

    def paginate_queryset(self, queryset: Any) -> list[PrinterGroup]:
        return described(self.request.user, super().paginate_queryset(queryset))

    @extend_schema(operation_id="groups_list")
    def get(self, request: Request) -> Response:
        """Groups of printers in which you have a role."""
        return self.list(request)


class OneGroup(View):
    serializer_class = GroupSerializer

    @extend_schema(operation_id="groups_get")
    def get(self, request: Request, pk: int) -> Response:
        """One group of printers. `GET /api/v1/printers/?group=` lists them."""
        group = get_object_or_404(groups_of(request.user), pk=pk)
        return Response(GroupSerializer(described(request.user, [group])[0]).data)
