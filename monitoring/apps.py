from django.apps import AppConfig

from core import navigation


class MonitoringConfig(AppConfig):
    name = "monitoring"

    def ready(self) -> None:
        from monitoring import version
        from monitoring.dashboard import numbers
        from monitoring.polling import housekeeping, sweeping
        from monitoring.prints import recording, sections
        from printers import additions, drafts, signals

        navigation.register_number(numbers.needs)
        additions.register_section("main", 50, sections.last_prints)
        signals.kept.connect(recording.record, dispatch_uid="monitoring.prints")
        signals.started.connect(recording.name_who_started, dispatch_uid="monitoring.prints")
        housekeeping.register(sweeping.sweep)
        housekeeping.register(recording.end_what_never_began)
        housekeeping.register(version.fold)
        housekeeping.register(drafts.forget)
