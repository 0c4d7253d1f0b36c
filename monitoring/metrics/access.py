"""Who may read `/metrics`: whoever sends the token, and whoever asks from an allowed network without a proxy."""

import hmac
import ipaddress

from django.conf import settings
from django.http import HttpRequest

PASSED_ON = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")
"""Headers of a proxy: the address that a request comes from is the proxy's then, and says nothing of who asks."""


def may_read(request: HttpRequest) -> bool:
    return has_token(request) or is_near(request)


def has_token(request: HttpRequest) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    wanted = settings.METRICS_TOKEN
    same = hmac.compare_digest(given.strip().encode(), wanted.encode())
    return bool(wanted) and scheme.lower() == "bearer" and same


def is_near(request: HttpRequest) -> bool:
    if any(request.META.get(header) for header in PASSED_ON):
        return False
    try:
        address = ipaddress.ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False  # A Unix socket has no address, and a proxy is at its other end.
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in settings.METRICS_NETWORKS)
