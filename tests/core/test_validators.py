import pytest
from django.core.exceptions import ValidationError

from core.validators import validate_printer_address


@pytest.mark.parametrize(
    "address",
    [
        "192.0.2.7",
        "2001:db8::7",
        "::1",
        "http://printer",
        "https://printer.example.com",
        "http://192.0.2.7:5000/octoprint/",
        "https://[2001:db8::7]:8443/",
        "HTTP://Printer.Example.com",
        "https://drucker.münchen.example/",
    ],
)
def test_addresses_are_accepted(address: str) -> None:
    validate_printer_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "printer.example.com",
        "192.0.2",
        "192.0.2.256",
        "192.0.2.7:5000",
        "2001:db8::7::1",
        "ftp://printer.example.com",
        "http://",
        "https:///path",
        "http://:5000",
        "http://printer:port",
        "http://printer:99999",
        "http://printer:0",
        "http://[2001:db8::7",
        "http://two words",
        "http://printer\n",
        "javascript:alert(1)",
    ],
)
def test_anything_else_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="is not a printer's address: enter an IP address"):
        validate_printer_address(address)
