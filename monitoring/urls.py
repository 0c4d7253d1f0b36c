from django.urls import include, path

urlpatterns = [
    path("", include("monitoring.dashboard.urls")),
    path("prints/", include("monitoring.prints.urls")),
]
