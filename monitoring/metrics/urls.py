from django.urls import path

from monitoring.metrics.views import metrics

urlpatterns = [path("", metrics, name="metrics")]
