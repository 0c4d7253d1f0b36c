import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError

from accounts.models import Profile
from printers.models import Printer


@pytest.mark.django_db
def test_an_address_and_key_belong_to_one_printer() -> None:
    Printer.objects.create(ip_address="192.0.2.7", api_key="one")
    Printer.objects.create(ip_address="192.0.2.7", api_key="two")

    with pytest.raises(IntegrityError):
        Printer.objects.create(ip_address="192.0.2.7", api_key="one")


@pytest.mark.django_db
def test_a_printer_ends_with_its_profile_and_needs_none() -> None:
    profile = Profile.objects.create()
    profile.printers.create(ip_address="192.0.2.7", api_key="one")
    without = Printer.objects.create(ip_address="192.0.2.8", api_key="two")

    profile.delete()

    assert list(Printer.objects.all()) == [without]


def test_an_address_is_validated() -> None:
    with pytest.raises(ValidationError, match="not a printer's address"):
        Printer(ip_address="printer.local", api_key="one").clean_fields()


def test_a_printer_is_shown_by_its_address() -> None:
    assert str(Printer(ip_address="192.0.2.7")) == "192.0.2.7"
