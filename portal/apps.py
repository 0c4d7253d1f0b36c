from django.apps import AppConfig


class PortalConfig(AppConfig):
    """The monolith as it was deployed. Its models only change places; nothing new is added here."""

    name = "portal"
    verbose_name = "Portal (before the move)"
