import os

from django.db import Error
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from monitoring.metrics.access import may_read
from monitoring.metrics.farm import Farm

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Where processes of one server write what they count, so that each can tell the sum; gunicorn.conf.py sets it."""


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For Prometheus. 401 to whoever may not read it, 503 while the database does not answer."""
    if not may_read(request):
        refused = "Send the token of METRICS_TOKEN, or ask from a network of METRICS_NETWORKS.\n"
        headers = {"WWW-Authenticate": 'Bearer realm="metrics"'}
        return HttpResponse(refused, status=401, content_type="text/plain; charset=utf-8", headers=headers)
    farm = CollectorRegistry()
    farm.register(Farm())
    try:
        text = generate_latest(counted()) + generate_latest(farm)
    except Error:
        return HttpResponse("The database does not answer.\n", status=503, content_type="text/plain; charset=utf-8")
    return HttpResponse(text, content_type=CONTENT_TYPE_PLAIN_0_0_4)


def counted() -> CollectorRegistry:
    """What this process has counted, or all of its server's processes."""
    if not os.environ.get(FOLDER):
        return REGISTRY
    together = CollectorRegistry()
    MultiProcessCollector(together)
    return together
