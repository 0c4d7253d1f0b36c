"""docs/runbook.md: every block is run, in the order of the page, on the monolith's database; nginx reads its lines."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT
from tests.database import url
from tests.waiting import until

NOT_READY = "CommandError: Not ready: keys, settings.\n"
"""This farm has a row with the last key, and the tests' server writes nothing to the disk before it says so."""
PAGE = ROOT / "docs" / "runbook.md"


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def answer(address: str) -> str:
    """What is wrong; empty when it answers well."""
    try:
        found = httpx.get(address)
    except httpx.TransportError as error:
        return repr(error)
    return "" if found.status_code == 200 else found.text


def wait_for(address: str) -> None:
    said = [""]

    def well() -> bool:
        said[0] = answer(address)
        return not said[0]

    try:
        until(well, "")
    except AssertionError:
        pytest.fail(f"{address} does not answer well: {said[0]}")


@contextmanager
def running(command: list[str], address: str, **options: object) -> Iterator[None]:
    """A server, while the block runs."""
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
    ) as process:  # type: ignore[call-overload]
        try:
            wait_for(address)
            yield
        finally:
            process.terminate()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_every_command_in_the_order_of_the_page(monolith: None, tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {
        "PATH": path,
        "DATABASE_URL": url(),
        "BACKUP_DIR": str(tmp_path / "backups"),
        "WWW": str(tmp_path),
        "DEBUG": "true",
        "URL": f"http://127.0.0.1:{free_port()}",
    }
    said = {}
    for block in blocks("sh"):
        command = ["bash", "-e", "-c", block]
        serve = [sys.executable, "manage.py", "runserver", "--noreload", environment["URL"].removeprefix("http://")]
        if '"$URL"' in block:
            with running(serve, f"{environment['URL']}/readyz", env=environment):
                done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        else:
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or done.stderr.endswith(NOT_READY), f"{block}\n{done.stdout}\n{done.stderr}"
        said[block] = done.stdout + done.stderr

    everything = "\n".join(said.values())
    assert "Comparing with the rehearsal" in everything
    assert "14:30" in (tmp_path / "maintenance.html").read_text()


@pytest.mark.skipif(
    shutil.which("nginx") is None and os.environ.get("REQUIRE_LEGACY_SERVERS") != "1",
    reason="nginx is not installed: make servers installs it",
)
def test_nginx_shows_the_page_while_it_is_there_and_the_portal_otherwise(tmp_path: Path) -> None:
    (lines,) = blocks("nginx")
    port, behind = free_port(), free_port()
    lines = lines.replace("/srv/farm/www", str(tmp_path)).replace("127.0.0.1:8000", f"127.0.0.1:{behind}")
    config = tmp_path / "nginx.conf"
    kinds = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config.write_text(
        f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/errors; user root; events {{}}\n"
        f"http {{ access_log off; {kinds} server {{ listen 127.0.0.1:{port};\n{lines}\n}} }}"
    )
    (tmp_path / "portal").mkdir()
    (tmp_path / "portal" / "index.html").write_text("the portal")
    serve = [
        sys.executable,
        "-m",
        "http.server",
        "--bind",
        "127.0.0.1",
        "--directory",
        str(tmp_path / "portal"),
        str(behind),
    ]
    address = f"http://127.0.0.1:{port}/"

    with running(serve, f"http://127.0.0.1:{behind}/"), running(["nginx", "-c", str(config)], address):
        assert httpx.get(address).text == "the portal"
        shutil.copy(ROOT / "deploy" / "maintenance.html", tmp_path / "maintenance.html")
        shown = httpx.get(address)
        assert (shown.status_code, shown.headers["Retry-After"]) == (503, "900")
        assert "The farm is back at UNTIL" in shown.text
