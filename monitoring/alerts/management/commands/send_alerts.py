from typing import Any

from django.core.management.base import BaseCommand

from monitoring.alerts import rounds


class Command(BaseCommand):
    help = "Decide which alerts are due and deliver them, once; poll_printers does the same with each round."

    def handle(self, *arguments: Any, **options: Any) -> None:
        made, tried = rounds.work()
        self.stdout.write(f"{made} messages made, {tried} tried.")
