from django.apps import AppConfig


class AlertsConfig(AppConfig):
    name = "monitoring.alerts"
    label = "alerts"

    def ready(self) -> None:
        from monitoring.alerts import events, pages, pulse, sending
        from monitoring.metrics import farm
        from monitoring.polling import housekeeping
        from printers import additions
        from printers.signals import kept

        kept.connect(events.follow_changes, dispatch_uid="alerts.events")
        housekeeping.register(pulse.chore)
        additions.register_section("side", 50, pages.section)
        farm.register_number(
            "farm_alert_deliveries_failed",
            "Messages of alerts that were not delivered, or wait after a try has failed.",
            sending.failures,
        )
