from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api import reports
from api.problems import as_problem, conflict
from api.serializers.printers import KeptSerializer, ReportSerializer
from api.throttling import ReportThrottle
from api.views.base import View
from printers.views.common import find

HEADER = "Idempotency-Key"
MISSING = f"Send the header {HEADER}: a new text for each report, and the same one where you send it again."
KEY = OpenApiParameter(
    HEADER, {"type": "string", "minLength": 1, "maxLength": 100, "pattern": "^[!-~]+$"}, OpenApiParameter.HEADER,
    required=True, description="A new text for each report; the same one where it is sent again.",
)  # fmt: skip


class Status(View):
    throttle_classes = [ReportThrottle]
    serializer_class = KeptSerializer

    @extend_schema(operation_id="printers_report", request=ReportSerializer, parameters=[KEY])
    def post(self, request: Request, pk: int) -> Response:
        """What an agent has seen of a printer. Needs the right to operate it; the same key is kept once."""
        given = self.sent(ReportSerializer)
        key = key_of(request)
        find(request.user, pk, "operate")
        at = given.validated_data.get("at")
        try:
            report, made = reports.keep(request.user, pk, key, given.seen(), at, request.data)
        except reports.AnotherBody:
            raise conflict(f"This {HEADER} came with another report before. Send a new one.") from None
        except reports.Ahead:
            raise conflict("“at” has not been yet: set the agent's clock.") from None
        answer = {"printer": pk, "kept_at": report.at, "repeated": not made}
        return Response(KeptSerializer(answer).data)


def key_of(request: Request) -> str:
    key = request.headers.get(HEADER, "")
    if not (0 < len(key) <= 100 and key.isascii() and key.isprintable() and " " not in key):
        raise serializers.ValidationError({HEADER: MISSING})
    return key


@csrf_exempt
def gone(request: HttpRequest, pk: int) -> HttpResponse:
    """The monolith's address, at which nobody had to say who they are."""
    new = f"/api/v1/printers/{pk}/status/"
    sentence = f"This address is gone, and nothing was kept. Send reports with a token to {new}, as /api/v1/docs/ says."
    response = as_problem(410, sentence, new=new)
    response["Link"] = f'<{new}>; rel="successor-version"'
    return response
