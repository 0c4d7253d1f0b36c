from django.urls import path

from portal import views

app_name = "portal"
urlpatterns = [
    path("", views.printers, name="list"),
    path("add/", views.add, name="add"),
    path("export/", views.export, name="export"),
    path("<int:pk>/", views.detail, name="detail"),
    path("<int:pk>/edit/", views.edit, name="edit"),
    path("<int:pk>/delete/", views.delete, name="delete"),
]
