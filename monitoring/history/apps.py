from django.apps import AppConfig


class HistoryConfig(AppConfig):
    name = "monitoring.history"
    label = "history"

    def ready(self) -> None:
        from monitoring.history import recording, upkeep, views
        from monitoring.polling import housekeeping
        from printers import additions, signals

        signals.kept.connect(recording.record, dispatch_uid="monitoring.history")
        housekeeping.register(upkeep.tidy)
        additions.register_section("main", 10, views.section)
