from django.apps import AppConfig


class FleetConfig(AppConfig):
    name = "printers.fleet"
    label = "fleet"
