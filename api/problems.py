"""Errors as problem details (RFC 9457): a status, a sentence that says what helps, and which fields are wrong."""

import json
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from rest_framework import exceptions
from rest_framework.response import Response

from core.faults.seeing import fingerprint_of, number_of

MEDIA_TYPE = "application/problem+json"
HERE = "/api/"
SENTENCES = {
    400: "The request can't be understood.",
    401: "Sign in, or send a token of yours: Authorization: Bearer pf_…",
    403: "You may not do this.",
    404: "There is nothing here, or nothing that you may see.",
    406: "The API answers in application/json.",
    411: "Say in Content-Length how long it is: what is sent in chunks is not read.",
    412: "It has changed since you read it. Read it again, and then decide.",
    415: "Send application/json.",
    500: "The portal failed. The people who run it are told.",
}
NO_SLASH = "Addresses of the API end with a slash: "
"""A redirect would lose what was sent."""
OF_CONTENT = ("content-type", "content-length", "content-encoding", "etag", "last-modified")


class Problem(exceptions.APIException):
    """Raise it with a status, a sentence, and members that a program may read."""

    def __init__(self, status: int, sentence: str, *, wait: int = 0, **members: Any) -> None:
        """`wait` is how many seconds somebody has to, for Retry-After."""
        super().__init__(sentence)
        self.status_code, self.wait, self.members = status, wait, members


TOLD = (Problem, exceptions.ParseError, exceptions.MethodNotAllowed, exceptions.Throttled)
"""Whose own sentence says more; so does one that is raised with the code "sentence"."""


def conflict(sentence: str, **members: Any) -> Problem:
    """For what is as the schema says, and is refused as things are."""
    return Problem(409, sentence, **members)


def refused(errors: dict[str, list[str]]) -> Problem:
    """The same by fields, with their sentences: a name that is taken, a group that is another's."""
    told = of_fields(exceptions.ValidationError(errors))
    return conflict(told["detail"], errors=told["errors"])


def body_of(status: int, sentence: str = "", **members: Any) -> dict[str, Any]:
    title = HTTPStatus(status).phrase
    return {"type": "about:blank", "title": title, "status": status, "detail": sentence or title, **members}


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """EXCEPTION_HANDLER: None for what is no refusal but a fault, which Django logs and the middleware answers."""
    if isinstance(error, Http404):
        error = exceptions.NotFound(SENTENCES[404])
    if isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied(SENTENCES[403])
    if not isinstance(error, exceptions.APIException):
        return None
    body = of_fields(error) if isinstance(error, exceptions.ValidationError) else of_whole(error)
    return Response(body, status=error.status_code, headers=headers_of(error), content_type=MEDIA_TYPE)


def of_whole(error: exceptions.APIException) -> dict[str, Any]:
    """In words of the portal, where DRF has some of its own."""
    told = isinstance(error, TOLD) or error.detail.code == "sentence"
    sentence = str(error.detail) if told else SENTENCES.get(error.status_code, "")
    return body_of(error.status_code, sentence, **getattr(error, "members", {}))


def of_fields(error: exceptions.ValidationError) -> dict[str, Any]:
    errors = [{"pointer": pointer, "detail": sentence} for pointer, sentence in flat(error.detail)]
    first = errors[0]
    name = first["pointer"].removeprefix("#/")
    return body_of(error.status_code, f"{name}: {first['detail']}" if name else first["detail"], errors=errors)


def flat(detail: Any, pointer: str = "#") -> Iterator[tuple[str, str]]:
    """Each sentence with the JSON Pointer of its field; `#/` is all of it."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            own = "" if name in ("non_field_errors", "__all__") else f"/{escaped(str(name))}"
            yield from flat(inner, pointer + own)
    elif isinstance(detail, list) and any(isinstance(inner, (dict, list)) for inner in detail):
        for number, inner in enumerate(detail):
            if inner:
                yield from flat(inner, f"{pointer}/{number}")
    else:
        sentences = detail if isinstance(detail, list) else [detail]
        yield from ((pointer if pointer != "#" else "#/", str(inner)) for inner in (sentences or ["It is wrong."]))


def escaped(name: str) -> str:
    """As RFC 6901 wants it in a fragment: a slash in a name begins no other one."""
    return quote(name.replace("~", "~0").replace("/", "~1"), safe="")


def headers_of(error: exceptions.APIException) -> dict[str, str]:
    headers = {}
    if getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = error.auth_header
    if getattr(error, "wait", None):
        headers["Retry-After"] = str(int(error.wait))
    return headers


class ProblemsMiddleware:
    """Whatever goes wrong under /api/ is a problem, also where Django answers before or instead of a view."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(HERE):
            return self.get_response(request)
        if not request.path_info.endswith("/") and request.method not in ("GET", "HEAD"):
            return as_problem(404, f"{NO_SLASH}{request.path_info}/")
        if "Transfer-Encoding" in request.headers and not request.headers.get("Content-Length"):
            # Django would take it for nothing, and a change of nothing is a 200.
            return as_problem(411, SENTENCES[411])
        response = self.get_response(request)
        if response.status_code < 400 or response.get("Content-Type") == MEDIA_TYPE:
            return response
        return in_its_place(request, response)

    def process_exception(self, request: HttpRequest, error: Exception) -> None:
        """The number by which people who run the portal find the fault."""
        request.fault = number_of(fingerprint_of(error))


def in_its_place(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    status = response.status_code
    members = {"fault": request.fault} if status >= 500 and hasattr(request, "fault") else {}
    problem = as_problem(status, SENTENCES.get(status, ""), **members)
    for name, value in response.items():
        if name.lower() not in OF_CONTENT:
            problem[name] = value
    return problem


def as_problem(status: int, sentence: str = "", **members: Any) -> HttpResponse:
    body = json.dumps(body_of(status, sentence, **members), ensure_ascii=False)
    return HttpResponse(body, status=status, content_type=MEDIA_TYPE)
