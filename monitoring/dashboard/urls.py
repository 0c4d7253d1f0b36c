from django.urls import path

from monitoring.dashboard import views

urlpatterns = [
    path("", views.farm, name="farm"),
    path("live/", views.farm_live, name="farm-live"),
    path("wall/", views.wall, name="wall"),
    path("wall/live/", views.wall_live, name="wall-live"),
]
