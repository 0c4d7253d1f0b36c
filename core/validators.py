import ipaddress
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError


def validate_printer_address(value: str) -> None:
    """Accept an IPv4 or IPv6 address, or an http(s) URL with a host."""
    if not (_is_ip_address(value) or _is_web_address(value)):
        raise ValidationError(
            "“%(value)s” is not a printer's address: enter an IP address such as 192.0.2.7 "
            "or a URL such as https://printer.example.com/octoprint.",
            code="invalid",
            params={"value": value},
        )


def _is_ip_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _is_web_address(value: str) -> bool:
    # urlsplit() drops tabs and line ends before it parses, and lets spaces through.
    if any(character.isspace() for character in value):
        return False
    try:
        parts = urlsplit(value)
        # Reading the port raises for one that is no number or too large.
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
