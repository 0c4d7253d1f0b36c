"""Conditional requests: a list that has not changed is a 304, and a change is made to what somebody has seen."""

import hashlib
from typing import Any

from django.http import HttpResponse
from django.utils.cache import get_conditional_response
from django.utils.crypto import salted_hmac
from rest_framework.request import Request
from rest_framework.response import Response

from api.problems import SENTENCES, Problem


def of(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def answer_if_changed(request: Request, response: Response) -> None:
    """Once it is rendered: 304 with no content for who has that content. What it reads is not spared, but its way."""

    def conditional(rendered: Response) -> HttpResponse | None:
        etag = of(rendered.content)
        rendered["ETag"] = etag
        answer = get_conditional_response(request._request, etag=etag, response=rendered)
        return None if answer is rendered else answer

    response.add_post_render_callback(conditional)


def refuse_if_changed(request: Request, etag: str) -> None:
    """Raises Problem 412 where If-Match names another version."""
    given = request.headers.get("If-Match", "").strip()
    if given and given != "*" and etag not in [one.strip() for one in given.split(",")]:
        raise Problem(412, SENTENCES[412])


def of_values(*values: Any) -> str:
    """With the portal's own secret: what else it is made of could be guessed from it."""
    return f'"{salted_hmac("api.etags", repr(values), algorithm="sha256").hexdigest()[:32]}"'
