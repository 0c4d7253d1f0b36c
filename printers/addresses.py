"""Addresses of printers as people type them, and which of them mean the same server."""

import ipaddress
import re
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError

from core.scrubbing import HIDDEN
from core.validators import validate_printer_address

USER = r"^((?:[A-Za-z][A-Za-z0-9+.-]*:)?//)?[^/?#]*@"
"""To Python and to PostgreSQL, what an address has before its host."""
WITHOUT = rf"\1{HIDDEN}@"
HOST = re.compile(r"[\w.-]+(:\d+)?(/\S*)?|\[[0-9a-fA-F:.]+\](:\d+)?(/\S*)?")
PORTS = {"http": 80, "https": 443}


def as_written(typed: str) -> str:
    """`octopi.local` is http://octopi.local; what is an address already, or none, stays as it is."""
    typed = typed.strip()
    try:
        validate_printer_address(typed)
    except ValidationError:
        # Four numbers are an IP address, or a mistake in one.
        if HOST.fullmatch(typed) and not re.fullmatch(r"[\d.]+", typed):
            return f"http://{typed}"
    return typed


def without_password(address: str) -> str:
    """As it is shown: the monolith took addresses with a user and a password in them."""
    return re.sub(USER, WITHOUT, address)


def same_address(one: str, other: str) -> bool:
    return normal(one) == normal(other)


def normal(address: str) -> str:
    """Scheme, host, port and path, as far as they tell servers apart; what is no address, as it is."""
    try:
        address = f"http://[{ipaddress.IPv6Address(address).compressed}]"
    except ValueError:
        address = address if "://" in address else f"http://{address}"
    try:
        parts = urlsplit(address)
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        return address
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}{parts.path.rstrip('/')}"
