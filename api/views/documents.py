"""The schema, as it is checked in, and a page on which it is read and tried."""

from pathlib import Path

from django.contrib.auth.decorators import login_required
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

SCHEMA = Path(__file__).parent.parent / "openapi.yaml"


@require_safe
def schema(request: HttpRequest) -> FileResponse:
    """The same to everybody: nothing of a farm is in it."""
    return FileResponse(SCHEMA.open("rb"), content_type="application/yaml; charset=utf-8")


@require_safe
@never_cache
@login_required
@ensure_csrf_cookie
def documentation(request: HttpRequest) -> HttpResponse:
    return render(request, "api/documentation.html")
