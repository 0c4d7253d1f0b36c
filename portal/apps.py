from django.apps import AppConfig


class PortalConfig(AppConfig):
    """The monolith as it was deployed: its models, which only change places, and the pages of its printers."""

    name = "portal"
    verbose_name = "Portal (before the move)"
