"""Whether this process runs, and whether it should get requests: asked by a supervisor and by a load balancer."""

import functools

from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from core.moves.overdue import overdue_verifications

DOWN = {"status": "error", "database": "unreachable"}


@never_cache
@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """The former address: 200 when the database answers, else 503."""
    if not database_answers():
        return JsonResponse(DOWN, status=503)
    return JsonResponse({"status": "ok", "database": "ok"})


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """This process serves. Nothing else is asked: to restart it would not cure a database."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when requests can be answered, else 503 and what is missing.

    A verification that is overdue is a field, and no reason to stop serving.
    """
    if not database_answers():
        return JsonResponse(DOWN, status=503)
    missing = unapplied()
    found = {"database": "ok", "migrations": missing or "ok", "cache": state_of_cache()}
    ready = not missing and found["cache"] != "unreachable"
    facts = {"status": "ok" if ready else "error", **found, "overdue_verifications": overdue_verifications()}
    return JsonResponse(facts, status=200 if ready else 503)


def database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True


def unapplied() -> list[str]:
    """The migrations of this code that the database lacks. Code before them would fail on its first query."""
    applied = MigrationRecorder(connection).applied_migrations()
    return [".".join(key) for key in known_migrations() if key not in applied]


@functools.cache
def known_migrations() -> list[tuple[str, str]]:
    """Read from the files once: those of a running process are the code's that it runs."""
    return sorted(MigrationLoader(None).graph.nodes)


def state_of_cache() -> str:
    """Each process has its own memory where no cache is named, which is always there."""
    if not settings.CACHE_URL:
        return "local memory"
    try:
        cache.set("readyz", 1, timeout=10)
        return "ok" if cache.get("readyz") == 1 else "unreachable"
    except Exception:  # noqa: BLE001  Each client of a cache has its own errors; the answer names it.
        return "unreachable"
