from django.apps import AppConfig

from core import rights


class PrintersConfig(AppConfig):
    name = "printers"

    def ready(self) -> None:
        from printers.rights import keys_for_user

        rights.register(keys_for_user)
