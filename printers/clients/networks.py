"""Networks that may be called, as plain values: no client, no settings."""

import ipaddress
from collections.abc import Iterable

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NEVER = [
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "169.254.0.0/16",  # Link-local, and where clouds keep their metadata.
        "224.0.0.0/3",  # Multicast, reserved and broadcast.
        "100.100.100.200/32",  # Alibaba's metadata.
        "168.63.129.16/32",  # Azure's.
        "192.0.0.192/32",  # Oracle's.
        "::/128",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
        "fd00:ec2::254/128",  # Amazon's metadata.
        "fd20:ce::254/128",  # Google's.
    )
]
"""Refused whatever the setting says."""
NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Allowed:
    """Some networks, and none of NEVER."""

    def __init__(self, allowed: Iterable[Network]) -> None:
        self.allowed = list(allowed)

    def contain(self, ip: Ip) -> bool:
        """Whether the portal may call there. An address that carries an IPv4 one needs both to be allowed."""
        inner = embedded(ip)
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
            return self.contain(ip.ipv4_mapped)
        if any(ip in network for network in NEVER) or not self.allow(ip):
            return False
        return inner is None or self.contain(inner)

    def allow(self, ip: Ip) -> bool:
        return any(ip in network for network in self.allowed)


class Public(Allowed):
    """Whatever is on the internet, and some networks besides."""

    def allow(self, ip: Ip) -> bool:
        return ip.is_global or super().allow(ip)


def embedded(ip: Ip) -> ipaddress.IPv4Address | None:
    """The IPv4 address to which a gateway passes packets for this IPv6 one on."""
    if isinstance(ip, ipaddress.IPv4Address):
        return None
    if ip in NAT64 or (not any(ip.packed[:12]) and int(ip) > 1):
        return ipaddress.IPv4Address(ip.packed[12:])
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
