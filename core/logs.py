"""Logs: lines of JSON in production, plain ones in development; each with its request's id, none with a secret."""

import logging
import re
import time
import uuid
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import structlog
from django.http import HttpRequest, HttpResponse

from core.scrubbing import scrub

logger = logging.getLogger(__name__)

current_request: ContextVar[HttpRequest | None] = ContextVar("current_request", default=None)
"""The request that this code serves."""
ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
HEADER = "X-Request-ID"


def logging_config(*, production: bool) -> dict[str, Any]:
    """The value for LOGGING. Errors with an exception also go to core.faults."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": structlog.stdlib.ProcessorFormatter, **_formatter(production=production)}},
        "handlers": {
            "lines": {"class": "logging.StreamHandler", "formatter": "lines"},
            "faults": {"class": "core.faults.handler.FaultHandler", "level": "ERROR"},
        },
        "root": {"handlers": ["lines", "faults"], "level": "WARNING"},
        "loggers": {
            # Without Django's own handlers: one of them would mail whole requests to ADMINS.
            "django": {"handlers": [], "level": "WARNING", "propagate": True},
            "core": {"level": "INFO"},
        },
    }


def _shared() -> list[Any]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _formatter(*, production: bool) -> dict[str, Any]:
    renderer = structlog.processors.JSONRenderer() if production else structlog.dev.ConsoleRenderer(colors=False)
    return {
        "foreign_pre_chain": _shared(),
        "processors": [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            without_secrets,
            renderer,
        ],
    }


def without_secrets(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """The last processor before the line is made: every text passes through it, an exception's too."""
    return {name: scrub(value) if isinstance(value, str) and name != "request_id" else value
            for name, value in event.items()}  # fmt: skip


class RequestLog:
    """Gives each request an id, and logs one line when it is answered.

    The line has the address as the URL map writes it, for in what was asked for there may be a token; and the user's
    id where somebody has looked it up, for a line is no reason to ask the database.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get(HEADER, "")
        request.id = given if ACCEPTABLE_ID.fullmatch(given) else uuid.uuid4().hex[:16]
        started = time.monotonic()
        token = current_request.set(request)
        try:
            with structlog.contextvars.bound_contextvars(request_id=request.id):
                response = self.get_response(request)
                log_answer(request, response, time.monotonic() - started)
        finally:
            current_request.reset(token)
        response[HEADER] = request.id
        return response


def log_answer(request: HttpRequest, response: HttpResponse, seconds: float) -> None:
    facts = {
        "method": request.method,
        "route": route_of(request),
        "status": response.status_code,
        "ms": round(seconds * 1000),
        "user": user_id_of(request),
        "side": getattr(request, "side", None),
    }
    structlog.get_logger(__name__).info("request", **facts)


def route_of(request: HttpRequest) -> str:
    """Such as `printers/<int:pk>/`; empty where no address of the map fits."""
    match = getattr(request, "resolver_match", None)
    return str(match.route) if match else ""


def user_id_of(request: HttpRequest) -> int | None:
    """Of who is logged in, where that was looked up already: asks nobody."""
    user = getattr(request, "_cached_user", None)
    return user.pk if user is not None and user.is_authenticated else None
