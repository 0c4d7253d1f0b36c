"""Addresses of printers as people type them, and which of them mean the same server."""

import ipaddress
import re
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError

from core.validators import validate_printer_address

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


def same_address(one: str, other: str) -> bool:
    return normal(one) == normal(other)


def normal(address: str) -> str:
    """Scheme, host, port and path, as far as they tell servers apart."""
    try:
        address = f"http://[{ipaddress.IPv6Address(address).compressed}]"
    except ValueError:
        address = address if "://" in address else f"http://{address}"
    parts = urlsplit(address)
    port = parts.port or PORTS.get(parts.scheme, 0)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}{parts.path.rstrip('/')}"
