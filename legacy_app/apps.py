from django.apps import AppConfig


class LegacyAppConfig(AppConfig):
    name = "legacy_app"
    verbose_name = "Older databases"

    def ready(self) -> None:
        from legacy_app import checks  # noqa: F401
