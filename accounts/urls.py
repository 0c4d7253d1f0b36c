from django.urls import include, path

from accounts import views

urlpatterns = [
    path("profile/", views.profile, name="profile"),
    path("profile/look/", views.save_look, name="profile-look"),
    path("profile/claim/<str:token>/", views.claim, name="claim"),
    path("accounts/", include("allauth.urls")),
]
