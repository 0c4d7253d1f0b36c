from django.urls import path

from monitoring.prints import views

app_name = "prints"
urlpatterns = [
    path("", views.prints, name="list"),
    path("<int:pk>/", views.one, name="print"),
    path("sign-off/", views.sign_off, name="sign-off"),
    path("undo/", views.undo, name="undo"),
    path("waiting/<int:pk>/", views.waiting, name="waiting"),
]
