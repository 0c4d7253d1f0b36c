from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from api.permissions import MayWrite, SignedIn, Staff
from api.serializers.people import CutoverSerializer, PersonSerializer, SendSerializer, SentSerializer
from api.views.base import List, View
from api.views.printers import checked
from core.faults.reading import errors_by_user
from core.sides import deciding
from core.sides.forms import SendForm
from core.sides.people import read_people
from core.sides.reading import count_sides, name_of
from core.sides.views import CHANGE

FOR_STAFF = [SignedIn, Staff, MayWrite]


class Cutover(View):
    permission_classes = FOR_STAFF
    serializer_class = CutoverSerializer

    @extend_schema(operation_id="cutover_get")
    def get(self, request: Request) -> Response:
        """Staff: how many people are on which side, and because of what."""
        return Response(numbers())

    @extend_schema(operation_id="cutover_send", request=SendSerializer, responses=SentSerializer)
    def post(self, request: Request) -> Response:
        """Staff: send a user, a group or a percentage of everybody over or back."""
        if not request.user.has_perm(CHANGE):
            raise PermissionDenied
        form = checked(SendForm(self.sent(SendSerializer).validated_data))
        sentence = form.send(by=name_of(request.user))
        return Response(numbers() | {"sentence": sentence})


class People(List):
    permission_classes = FOR_STAFF
    queryset = get_user_model().objects.none()
    serializer_class = PersonSerializer
    orderings = {"id": "pk", "username": "username"}

    def get_queryset(self) -> Any:
        return get_user_model().objects.filter(is_active=True)

    def paginate_queryset(self, queryset: Any) -> list[Any]:
        ids = [user.pk for user in super().paginate_queryset(queryset)]
        return read_people(ids, deciding.decide_all(ids), errors_by_user())

    @extend_schema(operation_id="cutover_people")
    def get(self, request: Request) -> Response:
        """Staff: each person with the side, the reason, the time, and how many errors they met."""
        return self.list(request)


def numbers() -> dict[str, Any]:
    return dict(CutoverSerializer(count_sides()).data)
