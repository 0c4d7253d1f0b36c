import pytest
from django.core.exceptions import ValidationError

from core.validators import validate_name, validate_printer_address


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
        "http://10.20.2.14.",
        "http://printer7.rack3a",
        "http://0xprinter",
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
        "http://10.20.3:5000",
        "http://10.20.3./",
        "http://2130706433",
        "http://0x7f.1",
        "http://0X7F000001/",
        "http://010.020.003.004",
        "http://10.20.2.999",
        "http://1.2.3.4.5",
        "http://printer.7",
        "http://１０.20.3",
        "http://10。20。3",
        "javascript:alert(1)",
    ],
)
def test_anything_else_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="is not a printer's address: enter an IP address"):
        validate_printer_address(address)


@pytest.mark.parametrize(
    "address", ["http://maker:hush@printer/", "maker:hush@10.20.2.14", "https://@printer", "ftp://a:hush@b"]
)
def test_a_password_in_an_address_is_refused_and_not_repeated(address: str) -> None:
    """Whatever is taken for an address is shown."""
    with pytest.raises(ValidationError, match="leave out what stands before the @") as caught:
        validate_printer_address(address)

    assert "hush" not in str(caught.value)


def test_an_at_in_a_path_is_none() -> None:
    validate_printer_address("http://camera/snapshot@2x?user=a@b")


@pytest.mark.parametrize("name", ["Heron", "چاپگر شمارهٔ ۷", "🦆", "2", "می‌خواهم", "\u202eHeron"])
def test_names_of_every_script_are_taken(name: str) -> None:
    validate_name(name)


@pytest.mark.parametrize("name", ["\u200b", "\ufeff \u2060", "a\nb", "a\x07", "\u2028"])
def test_names_that_nobody_could_read_are_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="at least one character that can be seen"):
        validate_name(name)
