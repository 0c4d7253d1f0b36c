from django.apps import AppConfig


class RehomeConfig(AppConfig):
    name = "rehome"
    verbose_name = "Moves of models between apps"
    default_auto_field = "django.db.models.BigAutoField"
