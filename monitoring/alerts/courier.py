"""Delivers one message through Apprise, in a process of its own: `python -m monitoring.alerts.courier`.

Somebody else's address decides what Apprise does, so it happens where there is nothing to take: no database, no
settings, no secrets in the environment. Reads one JSON object from stdin, and writes one to stdout. Every socket that
this process connects, whichever library makes it, is checked for the address that it is connected to; programs are not
started at all.
"""

import ipaddress
import json
import logging
import os
import re
import resource
import sys
from typing import Any
from urllib.parse import parse_qsl, urlencode

from printers.clients.networks import Public

CONNECT_S, READ_S = 5.0, 10.0
LARGEST_MEMORY = 1 << 30
SERVICES = {
    "discord", "form", "gchat", "gotify", "json", "mmost", "ntfy",
    "pbul", "pover", "slack", "tgram", "workflows", "xml",
}  # fmt: skip
"""Of Apprise's, those that send by HTTP what they are given, and nothing else: no mail server, no files, no bus."""
WEBHOOKS = {"form", "json", "xml"}
OWN_SERVERS = {"gotify", "mmost", "ntfy"}
OPTIONS = {
    "channel", "footer", "method", "mode", "priority", "silent", "sound", "thread", "to", "topic",  # What people set.
    "api-version", "key", "sig", "sp", "sv", "token",  # What addresses have that Teams and Google make.
}  # fmt: skip
"""Others are refused: Apprise reads a template from a file and leaves certificates unchecked if an address says so."""
STARTS_PROGRAMS = {"subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system"}
SENDS = {"socket.bind", "socket.sendmsg", "socket.sendto"}


class Guard:
    """What Python asks before it connects a socket, opens a file or starts a program. It can't be taken away again."""

    def __init__(self, networks: Public) -> None:
        self.networks = networks
        self.refused = ""
        self.folders = tuple({sys.prefix, sys.base_prefix, *sys.path} - {"", os.getcwd()})

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect":
            self.check(arguments[1])
        elif event == "open" and isinstance(arguments[0], str) and not arguments[0].startswith(self.folders):
            raise PermissionError(f"{arguments[0]} is no file that a message needs")
        elif event in STARTS_PROGRAMS or event in SENDS:
            raise PermissionError(f"{event} is nothing that a message needs")

    def check(self, address: Any) -> None:
        """A name would be looked up once more after this, and a Unix socket leads to this machine: both are refused."""
        host = str(address[0]) if isinstance(address, tuple) else "a socket of this machine"
        try:
            allowed = self.networks.contain(ipaddress.ip_address(host.partition("%")[0]))
        except ValueError:
            allowed = False
        if not allowed:
            self.refused = host
            raise PermissionError(f"{host} is nowhere that alerts may go")


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (LARGEST_MEMORY, LARGEST_MEMORY))
    print(json.dumps(answer(json.load(sys.stdin))))  # noqa: T201  This is what it is started for.


def answer(order: dict[str, Any]) -> dict[str, Any]:
    """`service` where only that is asked, else `sent` and why not."""
    import apprise

    said = Said()
    logging.getLogger("apprise").addHandler(said)
    guard = Guard(Public(ipaddress.ip_network(network) for network in order["networks"]))
    sys.addaudithook(guard)
    target, problem = service_of(order["address"], apprise)
    if target is None or "text" not in order:
        return {"service": name_of(target) if target else "", "sent": False, "refused": True, "problem": problem}
    if WEBHOOKS & schemas_of(target) and order.get("id"):
        target.payload_extras["alert"] = order["id"]
    sent = bool(target.notify(body=order["text"], title=order["title"], body_format=apprise.NotifyFormat.TEXT))
    if guard.refused:
        return {"sent": False, "refused": True, "problem": f"{guard.refused} is nowhere that alerts may go."}
    return {"sent": sent, "refused": False, "problem": "" if sent else said.problem(name_of(target))}


def service_of(address: str, apprise: Any) -> tuple[Any, str]:
    """What the address means to Apprise, if it is one of SERVICES; else why not."""
    bare = address.partition("?")[0]
    is_page = address.partition("://")[0].lower() in ("http", "https")
    native = not is_page or instance(bare, apprise) or instance(address, apprise)
    if native and (strange := sorted(options_of(address) - OPTIONS)):
        return None, f"The address says {known_option(strange, apprise)}, which alerts don't take."
    found = instance(address if native else webhook(address), apprise)
    if found is None or not SERVICES & schemas_of(found):
        return None, "This is no address that alerts can go to."
    found.socket_connect_timeout, found.socket_read_timeout, found.redirects = CONNECT_S, READ_S, False
    return found, ""


def options_of(address: str) -> set[str]:
    """What stands behind the question mark, save headers and fields of a webhook, which are anybody's."""
    query = parse_qsl(address.partition("?")[2].partition("#")[0], keep_blank_values=True)
    return {name.lower() for name, _ in query if name[:1] not in ("+", " ", ":", "-")}


def known_option(names: list[str], apprise: Any) -> str:
    """One that Apprise knows. Any other may be the secret itself, which is not repeated."""
    known = {name.lower() for plugin in apprise.NotificationManager().plugins() for name in plugin.template_args}
    return next((f"{name}=" for name in names if name in known), "something behind its question mark")


def webhook(address: str) -> str:
    """The address of a page, as Apprise names it: what stands behind its question mark goes along."""
    scheme, _, rest = address.partition("://")
    where, _, query = rest.partition("?")
    pairs = [(f"-{name}", value) for name, value in parse_qsl(query, keep_blank_values=True)]
    return f"json{'s' if scheme.lower() == 'https' else ''}://{where}" + (f"?{urlencode(pairs)}" if pairs else "")


def instance(address: str, apprise: Any) -> Any:
    try:
        return apprise.Apprise.instantiate(address, suppress_exceptions=True) if address else None
    except (TypeError, ValueError):
        return None


def schemas_of(target: Any) -> set[str]:
    found: set[str] = set()
    for protocol in (target.protocol, target.secure_protocol):
        found |= {protocol} if isinstance(protocol, str) else set(protocol or ())
    return found


def name_of(target: Any) -> str:
    """Slack, or Webhook at hooks.example.org. To most services the host is a part of the secret."""
    schemas = schemas_of(target)
    name = "Webhook" if WEBHOOKS & schemas else str(target.service_name)
    return f"{name} at {target.host}" if (WEBHOOKS | OWN_SERVERS) & schemas and target.host else name


class Said(logging.Handler):
    """What Apprise logs of a failure. Only the status is repeated: the rest may have the address in it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def problem(self, name: str) -> str:
        statuses = re.findall(r"error=(\d{3})\b", "\n".join(self.lines))
        return f"{name} answered {statuses[-1]}." if statuses else f"{name} was not reached."


if __name__ == "__main__":
    main()
