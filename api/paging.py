"""Pages of lists: each begins after the last row of the one before, so that rows that come and go move none twice."""

import json
from typing import Any
from urllib.parse import urlencode

from django.core import signing
from django.db.models import Q, QuerySet
from django.http import Http404
from rest_framework import serializers
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from api.serializers.fields import Integer

LARGEST, USUAL = 200, 50
LONGEST = 2000
"""Of a cursor, in characters: it has the name of a printer in it, up to 200 letters of any script."""
SIGNER = signing.Signer(salt="api.paging")
"""Without the time: an unchanged list has the same links, and so the same ETag."""


class Compact:
    """JSON as signing takes it, with letters as they are: escaped, they would be up to twelve characters each."""

    def dumps(self, place: dict[str, Any]) -> bytes:
        return json.dumps(place, separators=(",", ":"), ensure_ascii=False).encode()

    def loads(self, data: bytes) -> dict[str, Any]:
        place: dict[str, Any] = json.loads(data)
        return place


class PageQuery(serializers.Serializer):
    limit = Integer(min_value=1, max_value=LARGEST, default=USUAL, from_text=True)
    cursor = serializers.CharField(max_length=LONGEST, default="", allow_blank=True)


class Keyset(BasePagination):
    """By any order of a view's `orderings`, however many rows are equal in it; DRF's own skips rows among equals.

    `orderings` has by each word the field that it sorts by, which is NULL nowhere; keys decide among equals.
    """

    def paginate_queryset(self, queryset: QuerySet[Any], request: Request, view: Any = None) -> list[Any]:
        asked = PageQuery(data=request.query_params.dict())
        asked.is_valid(raise_exception=True)
        self.request, self.order, limit = request, view.ordering(request), asked.validated_data["limit"]
        field, down = view.orderings[self.order.lstrip("-")], self.order.startswith("-")
        self.field, place = field, self.read(asked.validated_data["cursor"])
        turned = down != (place is not None and place["back"])
        if place:
            queryset = queryset.filter(beyond(field, place["at"], place["key"], turned))
        sign = "-" if turned else ""
        rows = list(queryset.order_by(f"{sign}{field}", f"{sign}pk")[: limit + 1])
        more, rows = len(rows) > limit, rows[:limit]
        if place and place["back"]:
            rows.reverse()
            self.links(rows, more, True)
        else:
            self.links(rows, place is not None, more)
        return rows

    def links(self, rows: list[Any], before: bool, after: bool) -> None:
        self.previous = self.link(rows[0], back=True) if rows and before else None
        self.next = self.link(rows[-1], back=False) if rows and after else None

    def read(self, cursor: str) -> dict[str, Any] | None:
        """Where the page begins. Http404 for one that this list did not give."""
        if not cursor:
            return None
        try:
            place: dict[str, Any] = SIGNER.unsign_object(cursor, serializer=Compact)
        except signing.BadSignature:
            raise Http404 from None
        if place["of"] != [self.request.path, self.order]:
            raise Http404
        return place

    def link(self, row: Any, *, back: bool) -> str:
        at = getattr(row, self.field)
        at = at.isoformat() if hasattr(at, "isoformat") else at
        place = {"of": [self.request.path, self.order], "at": at, "key": row.pk, "back": back}
        query = self.request.query_params.copy()
        query["cursor"] = SIGNER.sign_object(place, serializer=Compact)
        return self.request.build_absolute_uri(f"{self.request.path}?{urlencode(sorted(query.lists()), doseq=True)}")

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"next": self.next, "previous": self.previous, "results": data})

    def get_paginated_response_schema(self, schema: Any) -> dict[str, Any]:
        link = {"type": "string", "format": "uri", "nullable": True}
        properties = {"next": link, "previous": link, "results": schema}
        return {"type": "object", "required": list(properties), "properties": properties}

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        words = [f"{sign}{word}" for word in view.orderings for sign in ("", "-")]
        return [
            parameter("limit", {"type": "integer", "minimum": 1, "maximum": LARGEST, "default": USUAL}, "Rows a page."),
            parameter("cursor", {"type": "string", "maxLength": LONGEST}, "Of `next` or `previous`."),
            parameter("ordering", {"type": "string", "enum": words, "default": view.usual}, "`-` is downwards."),
        ]  # fmt: skip


def parameter(name: str, schema: dict[str, Any], text: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": text}


def beyond(field: str, at: Any, key: int, down: bool) -> Q:
    word = "lt" if down else "gt"
    if field == "pk":
        return Q(**{f"pk__{word}": key})
    return Q(**{f"{field}__{word}": at}) | Q(**{field: at, f"pk__{word}": key})
