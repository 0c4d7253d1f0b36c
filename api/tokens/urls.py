from django.urls import path

from api.tokens import views

urlpatterns = [
    path("", views.tokens, name="tokens"),
    path("revoke/", views.revoke, name="tokens-revoke"),
]
