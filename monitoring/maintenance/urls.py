from django.urls import path

from monitoring.maintenance import views

app_name = "maintenance"
urlpatterns = [
    path("", views.log, name="log"),
    path("record/", views.record, name="record"),
    path("plan/", views.plan, name="plan"),
    path("<int:task>/", views.edit, name="edit"),
    path("<int:task>/delete/", views.delete, name="delete"),
]
