from django.urls import path

from monitoring.history import views

app_name = "history"
urlpatterns = [
    path("<int:pk>/history/", views.chart, name="chart"),
    path("<int:pk>/history/file/", views.file, name="file"),
    path("<int:pk>/history.csv", views.csv, name="csv"),
]
