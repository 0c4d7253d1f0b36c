"""A farm with one printer, its owner, people with each right to it, and people with none."""

import dataclasses
from typing import Any

from django.apps import apps
from django.contrib.auth.models import Group, User
from django.utils import timezone

from accounts import profiles
from accounts.models import Profile
from monitoring.maintenance.models import Entry, Task
from monitoring.models import Print
from printers.fleet.models import LastSeen, Machine, Membership, PrinterGroup, Role
from printers.models import Printer
from printers.states import State

KEY = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
PASSWORD = "a password of PrusaLink"
ADDRESS = "192.0.2.77"
NAME = "The heron of hall A"
FILE = "a file of the heron.gcode"
SHOWN = (ADDRESS, NAME, FILE)
"""What only those who may view the printer see."""
SECRET = (KEY, PASSWORD)
"""What nobody sees."""
APPS = (
    "accounts",
    "people",
    "printers",
    "fleet",
    "portal",
    "core",
    "history",
    "api",
    "monitoring",
    "alerts",
    "maintenance",
)


@dataclasses.dataclass(frozen=True)
class Farm:
    printer: Printer
    print: Print
    """One that has ended, and that nobody has signed off."""
    owner: User
    viewer: User
    operator: User
    manager: User
    stranger: User
    staff: User

    def may(self, action: str) -> list[User]:
        return {
            "view": [self.viewer, self.operator, self.manager, self.owner],
            "operate": [self.operator, self.manager, self.owner],
            "manage": [self.manager, self.owner],
        }[action]

    def may_less(self, action: str) -> list[User]:
        """Who may see the printer, and not do this."""
        return [user for user in self.may("view") if user not in self.may(action)]


def build() -> Farm:
    owner = User.objects.create_user("owner")
    profile, _ = Profile.objects.get_or_create(user=owner, defaults={"name": "Owner"})
    printer = Printer.objects.create(profile=profile, ip_address=ADDRESS, api_key=KEY)
    Machine.objects.update_or_create(printer=printer, defaults={"name": NAME, "password": PASSWORD})
    Task.objects.create(pk=printer.pk, printer=printer, what=f"Oil {NAME}", every_days=30)
    Entry.objects.create(printer=printer, what=f"Oiled {NAME}", by_name="Owner")
    hall = PrinterGroup.objects.create(name="Hall A")
    Membership.objects.create(group=hall, printer=printer)
    farm = Farm(
        printer=printer,
        print=ended(printer),
        owner=owner,
        viewer=crew("view", hall),
        operator=crew("operate", hall),
        manager=crew("manage", hall),
        stranger=User.objects.create_user("stranger"),
        staff=User.objects.create_superuser("staff"),
    )
    for user in User.objects.all():
        profiles.ensure(user)  # As after the commit.
    return farm


def ended(printer: Printer) -> Print:
    now = timezone.now()
    LastSeen.objects.create(printer=printer, state=State.READY, since=now, asked_at=now, waits=State.FINISHED)
    return Print.objects.create(printer=printer, file=FILE, started_at=now, ended_at=now, outcome="finished")


def crew(action: str, hall: PrinterGroup) -> User:
    """Somebody with this right by a role of a group."""
    group = Group.objects.create(name=f"may {action}")
    Role.objects.create(user_group=group, printer_group=hall, action=action)
    user = User.objects.create_user(f"may {action}")
    user.groups.add(group)
    return user


def rows() -> dict[str, list[Any]]:
    """Everything that a page could change."""
    models = [model for app in APPS if app in apps.app_configs for model in apps.get_app_config(app).get_models()]
    return {
        model._meta.label: list(model._base_manager.order_by("pk").values_list())
        for model in models
        if model._meta.managed and model._meta.label not in ("core.Fault", "core.FaultCount")
    }
