from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from api import etags
from api.serializers.prints import HistoryQuery, HistorySerializer
from api.views.base import View
from core import times
from monitoring.history import ranges, reading
from printers.views.common import find


class History(View):
    serializer_class = HistorySerializer

    @extend_schema(operation_id="printers_history", parameters=[HistoryQuery])
    def get(self, request: Request, pk: int) -> Response:
        """Temperatures and states of an hour, a day or a week."""
        asked = HistoryQuery(data=request.query_params.dict())
        asked.is_valid(raise_exception=True)
        printer = find(request.user, pk, "view")
        now = timezone.now()
        until = min(max(asked.validated_data.get("until", now), times.FIRST), now)
        chosen = ranges.last(asked.validated_data["range"], until)
        between = chosen.start, chosen.end
        found = {
            "start": chosen.start, "end": chosen.end,
            "temperatures": reading.temperatures(printer.pk, *between), "states": reading.states(printer.pk, *between),
        }  # fmt: skip
        response = Response(HistorySerializer(found).data)
        etags.answer_if_changed(request, response)
        return response
