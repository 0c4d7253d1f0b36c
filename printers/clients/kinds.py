"""The three clients, by the kind of their server."""

from printers.clients.base import Client, Endpoint
from printers.clients.moonraker import Moonraker
from printers.clients.octoprint import OctoPrint
from printers.clients.prusalink import PrusaLink
from printers.clients.server import Server
from printers.clients.web import Web

CLIENTS: dict[str, type[Server]] = {client.kind: client for client in (OctoPrint, Moonraker, PrusaLink)}


def client_for(web: Web, endpoint: Endpoint) -> Client:
    """Raises AddressRefused for an address that is none; asks nobody."""
    return CLIENTS[endpoint.kind](web, endpoint)
