from django.urls import path

from monitoring.alerts import views

app_name = "alerts"
urlpatterns = [
    path("", views.rules, name="list"),
    path("new/", views.new, name="new"),
    path("<int:rule>/", views.edit, name="edit"),
    path("<int:rule>/delete/", views.delete, name="delete"),
    path("<int:rule>/try/", views.try_rule, name="try"),
    path("channels/new/", views.new_channel, name="new-channel"),
    path("channels/<int:channel>/", views.edit_channel, name="edit-channel"),
    path("channels/<int:channel>/delete/", views.delete_channel, name="delete-channel"),
]
