from django.apps import AppConfig


class MaintenanceConfig(AppConfig):
    name = "monitoring.maintenance"
    label = "maintenance"

    def ready(self) -> None:
        from monitoring.maintenance import due, pages
        from monitoring.polling import housekeeping
        from printers import additions

        additions.register_due(due.overdue)
        additions.register_section("side", 40, pages.section)
        housekeeping.register(due.count_all)
