from typing import Any

from django.core.exceptions import BadRequest
from django.http import HttpRequest, UnreadablePostError
from django_filters.rest_framework import CharFilter, DjangoFilterBackend
from rest_framework import generics, mixins, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api import etags
from api.paging import Keyset
from api.problems import Problem
from core.moves import standing

ELSEWHERE = "Printers are in the former tables just now, which the API does not know. Try again later."


class Filters(DjangoFilterBackend):
    """What is in the address without a value is wrong, save in a text."""

    def filter_queryset(self, request: Request, queryset: Any, view: Any) -> Any:
        filterset = self.get_filterset_class(view, queryset)
        for name, one in (filterset.base_filters if filterset else {}).items():
            if type(one) is not CharFilter and "" in request.query_params.getlist(name):
                raise serializers.ValidationError({name: "It has no value."})
        return super().filter_queryset(request, queryset, view)


class View(generics.GenericAPIView):
    """For whoever is signed in or has a token. No cache keeps an answer for anybody else."""

    serializer_class = serializers.Serializer
    http_method_names = ["get", "post", "patch", "delete", "head"]

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        # Whole, within Django's limit; what was sent is then known where errors are cleaned of secrets.
        try:
            _ = request.body
        except UnreadablePostError:
            raise BadRequest("The request broke off.") from None  # No fault of the portal's.
        return super().initialize_request(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if standing.uses_of(standing.PRINTERS) == "source":
            raise Problem(503, ELSEWHERE)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        response.setdefault("Cache-Control", "private, no-cache")
        response.setdefault("Vary", "Accept, Authorization, Cookie")
        return response

    def sent(self, serializer: type[serializers.Serializer]) -> serializers.Serializer:
        """What was sent, checked. Raises ValidationError."""
        given = serializer(data=self.request.data)
        given.is_valid(raise_exception=True)
        return given


class List(mixins.ListModelMixin, View):
    """Filtered, in order, page by page, and 304 where nothing has changed."""

    pagination_class = Keyset
    filter_backends = [Filters]
    orderings: dict[str, str] = {"id": "pk"}
    usual = "id"

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.list(request, *args, **kwargs)

    def ordering(self, request: Request) -> str:
        word = request.query_params.get("ordering", self.usual)
        if word.removeprefix("-") not in self.orderings:
            known = ", ".join(self.orderings)
            raise serializers.ValidationError({"ordering": f"“{word[:50]}” is no order; use one of {known}."})
        return word

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        if request.method in ("GET", "HEAD") and response.status_code == 200:
            etags.answer_if_changed(request, response)
        return response
