import json
import sys
from collections import Counter
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from accounts.models import Profile
from printers import looking
from printers.fleet.models import Machine
from printers.models import Printer
from printers.states import State

TAG = "sample"
"""By which a printer of the sample farm is known again."""


class Command(BaseCommand):
    help = (
        "Keep the sample printers that are listed on standard input, with a login that owns them, and look at each. "
        "`make up` runs it; it is for development alone."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--user", default="farm", help="Who logs in; farm by default.")
        parser.add_argument("--password", required=True, help="With what.")

    def handle(self, *, user: str, password: str, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError("DJANGO_ENV is production, where nobody wants sample printers; run it in development.")
        samples = json.load(sys.stdin)
        with transaction.atomic():
            owner = own(user, password)
            printers = [keep(sample, owner) for sample in samples]
            gone = Printer.objects.filter(machine__tags__contains=[TAG]).exclude(pk__in=[one.pk for one in printers])
            gone.delete()
        seen = looking.look_at(printers)
        count = Counter(State(one.state).word.lower() for one in seen)
        self.stdout.write(f"{len(printers)} printers: {', '.join(f'{n} {word}' for word, n in count.items())}")


def own(name: str, password: str) -> Profile:
    """The login, which may do everything, and its profile."""
    user, _ = get_user_model().objects.get_or_create(username=name, defaults={"email": f"{name}@example.com"})
    user.is_staff = user.is_superuser = user.is_active = True
    # Whoever is logged in stays so when the farm starts anew.
    if not user.check_password(password):
        user.set_password(password)
    user.save()
    profile, _ = Profile.objects.get_or_create(user=user, defaults={"name": "Farm", "username": name})
    return profile


def keep(sample: dict[str, Any], owner: Profile) -> Printer:
    """The same printer as last time, at the address that it has now."""
    machine = Machine.objects.filter(name=sample["name"], tags__contains=[TAG]).select_related("printer").first()
    printer = machine.printer if machine else Printer(profile=owner)
    printer.ip_address, printer.api_key = sample["address"], sample["key"]
    printer.save()
    known = {name: sample.get(name, "") for name in ("name", "kind", "place", "model", "user", "password", "camera")}
    known |= {"password_for": sample["address"] if known["password"] else ""}
    Machine.objects.update_or_create(printer=printer, defaults=known | {"tags": [*sample["tags"], TAG]})
    printer.refresh_from_db()
    return printer
