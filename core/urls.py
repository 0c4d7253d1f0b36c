from django.contrib import admin
from django.urls import include, path

from core.faults.views import faults
from core.health import health, healthz, readyz
from core.moves.views import moves, verify
from core.sides.views import cutover

urlpatterns = [
    path("", include("monitoring.urls")),
    path("admin/", admin.site.urls),
    path("", include("accounts.urls")),
    path("profile/tokens/", include("api.tokens.urls")),
    path("api/", include("api.urls")),
    path("portal/printers/", include("portal.urls")),
    path("printers/", include("printers.urls")),
    path("printers/", include("monitoring.history.urls")),
    path("printers/<int:pk>/maintenance/", include("monitoring.maintenance.urls")),
    path("alerts/", include("monitoring.alerts.urls")),
    path("staff/cutover/", cutover, name="cutover"),
    path("staff/moves/", moves, name="moves"),
    path("staff/moves/verify/", verify, name="moves-verify"),
    path("staff/faults/", faults, name="faults"),
    path("health/", health, name="health"),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", include("monitoring.metrics.urls")),
]

handler500 = "core.pages.server_error"
