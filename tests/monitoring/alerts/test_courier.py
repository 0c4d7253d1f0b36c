"""What somebody's own address can't do: reach this machine or the farm's, read a file, hold the poller up."""

import ipaddress
import json
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from pytest_django import Settings

from monitoring.alerts import channels
from monitoring.alerts.courier import Guard
from monitoring.alerts.wording import Letter
from printers.clients.networks import Public
from tests.conftest import ROOT
from tests.monitoring.alerts.sinks import Service

LETTER = Letter("Kestrel has an error", "Nozzle.\n", "<p>Nozzle.</p>")


def send(address: str) -> channels.Outcome:
    return channels.by_service(address, LETTER, "7-1")


def test_a_webhook_gets_words_and_the_number(hook: Service) -> None:
    assert send(f"http://{hook.host}/hook?token=abc") == channels.Outcome(True)

    assert hook.requests == ["POST /hook?token=abc"]
    assert {name: hook.posts[0][name] for name in ("title", "message", "alert")} == {
        "title": LETTER.title, "message": "Nozzle.", "alert": "7-1",
    }  # fmt: skip


@pytest.mark.parametrize("status", [403, 500])
def test_what_a_service_answers_is_told_and_tried_again(hook: Service, status: int) -> None:
    hook.status = status
    outcome = send(f"json://{hook.host}/secret-secret-secret")

    assert (outcome.sent, outcome.final) == (False, False)
    assert f"answered {status}" in outcome.problem
    assert "secret-secret" not in outcome.problem


SCHEMES = ("http", "json", "xml", "form", "gotify", "ntfy", "mmost")
HERE = (
    "127.0.0.1:{port}", "localhost:{port}", "[::1]:{port}", "[::ffff:127.0.0.1]:{port}", "0.0.0.0:{port}", "0:{port}",
    "2130706433:{port}", "0x7f.1:{port}", "017700000001:{port}", "127.1:{port}", "127.0.0.1%2523:{port}",
    "user:password@127.0.0.1:{port}",
)  # fmt: skip


def answers(*addresses: str, networks: Sequence[str] = ()) -> list[dict[str, Any]]:
    """What the courier says of each message; in one process of its own, for it takes a second to begin."""
    orders = [{"address": each, "title": "t", "text": "x", "id": "1", "networks": networks} for each in addresses]
    run = (
        "import json, sys; from monitoring.alerts import courier as c; "
        "print(json.dumps([c.answer(o) for o in json.load(sys.stdin)]))"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", run],
        input=json.dumps(orders),
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return json.loads(done.stdout)


def test_nothing_reaches_this_machine() -> None:
    """However it is written, and by whichever service."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        hosts = [(scheme, HERE[0]) for scheme in SCHEMES] + [("http", host) for host in HERE]
        addresses = [f"{scheme}://{host.format(port=port)}/abcdefghijklmnop/topic" for scheme, host in hosts]

        found = answers(*addresses)

        assert [each["sent"] for each in found] == [False] * len(addresses)
        assert found[0]["problem"] == "127.0.0.1 is nowhere that alerts may go."
        with pytest.raises(BlockingIOError):
            server.accept()


def test_neither_the_farms_networks_nor_a_clouds_metadata() -> None:
    hosts = ["10.20.2.14", "192.168.1.1", "100.64.0.1", "169.254.169.254", "168.63.129.16", "224.0.0.1"]
    metadata = answers("json://169.254.169.254/", networks=["0.0.0.0/0", "::/0"])
    found = answers(*[f"json://{host}/" for host in hosts])

    assert found[0]["problem"] == "10.20.2.14 is nowhere that alerts may go."
    assert metadata[0]["problem"] == "169.254.169.254 is nowhere that alerts may go."
    assert [each["sent"] for each in found] == [False] * len(hosts)


@pytest.mark.parametrize(
    ("ip", "allowed"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("10.20.0.1", True),
        ("10.21.0.1", False),
        ("::1", False),
        ("::ffff:10.21.0.1", False),
        ("64:ff9b::a15:1", False),
        ("64:ff9b::5db8:d70e", True),
        ("2002:a15:1::", False),
        ("fd00:ec2::254", False),
        ("fe80::1", False),
    ],
)
def test_the_internet_and_what_the_setting_names(ip: str, allowed: bool) -> None:
    networks = Public([ipaddress.ip_network("10.20.0.0/16")])

    assert networks.contain(ipaddress.ip_address(ip)) is allowed


@pytest.mark.parametrize(
    "address", ["/run/postgresql/.s.PGSQL.5432", b"\0abstract", ("localhost", 80), ("example.org", 80)]
)
def test_a_socket_of_this_machine_and_a_name_are_no_addresses(address: Any) -> None:
    with pytest.raises(PermissionError):
        Guard(Public([]))("socket.connect", (None, address))


@pytest.mark.parametrize(
    ("event", "arguments"),
    [
        ("subprocess.Popen", ("id", [], None, None)),
        ("os.system", (b"id",)),
        ("socket.sendto", (None, ("93.184.215.14", 53))),
        ("open", ("/etc/passwd", "r", 0)),
        ("open", (".env", "r", 0)),
        ("open", (f"{ROOT}/.env", "r", 0)),
    ],
)
def test_no_program_no_datagram_no_file(event: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(PermissionError):
        Guard(Public([]))(event, arguments)


def test_a_redirect_leads_no_further_than_an_address(hook: Service, settings: Settings) -> None:
    hook.status, hook.location = 307, "http://127.0.0.2:1/inner"
    settings.ALERT_NETWORKS = ["127.0.0.1/32"]
    outcome = send(f"json://{hook.host}/hook")

    assert outcome.problem in ("127.0.0.2 is nowhere that alerts may go.",) or "answered 307" in outcome.problem
    assert not outcome.sent


OTHERS = [
    "mailto://user:password@example.org", "mailtos://example.org", "file:///etc/passwd", "syslog://", "dbus://",
    "mqtt://127.0.0.1/topic", "rsyslog://127.0.0.1", "windows://", "exec://id", "apprise://127.0.0.1/token",
    "redis://127.0.0.1", "gopher://127.0.0.1/", "smb://127.0.0.1/", "127.0.0.1", "hello", "", "json://", "http://", "irc://127.0.0.1/x",
]  # fmt: skip
TEAMS = (
    "https://prod-12.westus.logic.azure.com:443/workflows/643e69f83c8944438d68119179a10a64/triggers/manual/paths/invoke"
    "?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=KODuebWbDGYFr0z0eu8zvRk2ohw8lGEuYXXkqTkvzGs"
)
STRANGE = [
    "workflow://example.org/abcdefghij/klmnopqrst?template=/etc/hostname",
    f"{TEAMS}&template=/etc/hostname",
    "jsons://example.org/?verify=no",
    "jsons://example.org/?redirect=yes",
    "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/?cto=100000",
    "https://discord.com/api/webhooks/4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js?template=/etc/hostname",
]
SERVICES = {
    "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ": "Slack",
    "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#farm": "Slack",
    "https://discord.com/api/webhooks/4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js": "Discord",
    "tgram://123456789:abcdefghijklmnopqrstuvwxyz012345678/12315544/": "Telegram",
    "ntfys://ntfy.example.org/farm": "ntfy at ntfy.example.org",
    "gotifys://push.example.org/abcdefghijklmno": "Gotify at push.example.org",
    "https://example.org/hook?token=abc&template=x": "Webhook at example.org",
    "https://user:password@example.org/hook": "Webhook at example.org",
    TEAMS: "Power Automate / Workflows (for MSTeams)",
}


def test_which_addresses_are_taken_and_how_they_are_called_without_their_secret() -> None:
    run = (
        "import apprise, json, sys; from monitoring.alerts import courier as c; "
        "found = [c.service_of(a, apprise) for a in json.load(sys.stdin)]; "
        "print(json.dumps([c.name_of(t) if t else p for t, p in found]))"
    )
    addresses = [*OTHERS, *STRANGE, *SERVICES]
    done = subprocess.run(
        [sys.executable, "-B", "-c", run],
        input=json.dumps(addresses),
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    found = dict(zip(addresses, json.loads(done.stdout), strict=True))

    assert {address: found[address] for address in OTHERS} == dict.fromkeys(
        OTHERS, "This is no address that alerts can go to."
    )
    assert [address for address in STRANGE if not found[address].endswith("=, which alerts don't take.")] == []
    assert {address: found[address] for address in SERVICES} == SERVICES


@pytest.mark.parametrize(
    "address",
    [
        "jsons://example.org/?Rosebud1",
        "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXr?rosebud=1",
    ],
)
def test_an_option_that_may_be_the_secret_is_not_repeated(address: str) -> None:
    service, problem = channels.service_at(address)

    assert (service, "rosebud" in problem.lower()) == ("", False)
    assert problem.endswith(", which alerts don't take.")


def test_an_address_that_breaks_off_is_none() -> None:
    assert channels.service_at("json://[::1") == ("", "This is no address that alerts can go to.")


def test_an_address_is_looked_at_without_calling_anybody(hook: Service) -> None:
    assert channels.service_at(f"json://{hook.host}/secret") == ("Webhook at 127.0.0.1", "")
    assert channels.service_at("mailto://a:b@example.org") == ("", "This is no address that alerts can go to.")
    assert hook.requests == []


def test_a_server_that_never_answers_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(channels, "COURIER_S", 2)
        outcome = send(f"json://127.0.0.1:{server.getsockname()[1]}/")

    assert outcome == channels.Outcome(False, "Nothing answered within 2 s.")


def test_the_courier_knows_no_secrets(monkeypatch: pytest.MonkeyPatch, hook: Service) -> None:
    """Neither the database nor a proxy that would connect for it."""
    given: dict[str, Any] = {}
    run = channels.subprocess.run

    def watched(*arguments: Any, **options: Any) -> Any:
        given.update(options)
        return run(*arguments, **options)

    monkeypatch.setattr(channels.subprocess, "run", watched)
    monkeypatch.setenv("SECRET_KEY", "a secret")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    assert send(f"json://{hook.host}/").sent
    assert given["env"].keys() <= set(channels.PASSED_ON)
