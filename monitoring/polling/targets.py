"""Whom to ask: printers with what opens them, read in one query."""

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Q
from django.db.models.functions import Mod

from printers import looking
from printers.clients.addresses import base_url
from printers.clients.base import AddressRefused, Endpoint
from printers.listing import of_kind
from printers.models import Printer

COLUMNS = [
    "ip_address", "api_key", "machine__kind", "machine__user", "machine__password", "machine__password_for",
    "last_seen__misses",
]  # fmt: skip


@dataclass(frozen=True)
class Target:
    """A printer's server: its address as far as it tells servers apart, and whether it answered the last time."""

    printer: int
    endpoint: Endpoint = field(repr=False)
    origin: str
    host: str
    answered: bool


def read(kinds: Collection[str], shard: int = 0, of: int = 1) -> list[Target]:
    """All printers of these kinds, or the part of them that one of many workers has."""
    wanted = reduce(or_, (of_kind(kind) for kind in kinds), Q(pk__in=[]))
    printers = Printer.objects.annotate(part=Mod("pk", of)).filter(wanted, part=shard)
    return [target(key, *values) for key, *values in printers.order_by("pk").values_list("pk", *COLUMNS)]


def count() -> int:
    return Printer.objects.count()


def target(key: int, address: str, api_key: str, *machine: Any) -> Target:
    *known, misses = machine
    endpoint = looking.endpoint(address, api_key, *known)
    origin, host = where(address)
    return Target(key, endpoint, origin, host, answered=misses == 0)


def where(address: str) -> tuple[str, str]:
    """Server and host. An address that is none stands for itself, and whoever asks it is told so."""
    try:
        url = base_url(address)
    except AddressRefused:
        return address, address
    return str(url.origin()), str(url.host)
