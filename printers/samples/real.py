"""Starts real servers of printers, from the environments that `make printers` makes: OctoPrint and Moonraker."""

import secrets
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
ENVIRONMENTS = ROOT / "var" / "printers"
OCTOPRINT, NEXT_OCTOPRINT, MOONRAKER = "octoprint-1.11", "octoprint-2.0", "moonraker"
HOST, PERSON = "127.0.0.1", "farm"
"""The person's name is the password as well."""
STOP_S = 30

OCTOPRINT_CONFIG = """
accessControl:
  salt: {salt}
api:
  key: {key}
plugins:
  _disabled: [announcements, tracking, softwareupdate]
  virtual_printer:
    enabled: true
serial:
  autoconnect: true
  port: VIRTUAL
server:
  firstRun: false
  onlineCheck: {{enabled: false}}
  pluginBlacklist: {{enabled: false}}
"""
MOONRAKER_CONFIG = """
[server]
host: {host}
port: {port}
klippy_uds_address: {socket}
[machine]
provider: none
validate_service: False
[authorization]
force_logins: True
[octoprint_compat]
"""


class NotInstalled(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not installed; run `make printers`.")


@dataclass(frozen=True)
class Real:
    """A server that runs, or will in a moment."""

    address: str
    key: str = field(repr=False)
    process: subprocess.Popen[bytes] = field(repr=False)
    log: Path


def free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


@contextmanager
def octoprint(folder: Path, name: str = OCTOPRINT) -> Iterator[Real]:
    """With its virtual printer connected, a key, and a person who may do everything. Keeps its data in the folder."""
    program, port, config = _program(name, "octoprint"), free_port(), folder / "config.yaml"
    command = [str(program), "--basedir", str(folder)]
    key = secrets.token_urlsafe(32)
    folder.mkdir(parents=True, exist_ok=True)
    config.write_text(OCTOPRINT_CONFIG.format(key=key, salt=secrets.token_hex(16)), encoding="utf-8")
    if not (folder / "users.yaml").exists():
        person = ["user", "add", PERSON, "--password", PERSON, "--admin"]
        subprocess.run([*command, *person], check=True, capture_output=True)  # noqa: S603
    serve = ["serve", "--host", HOST, "--port", str(port), "--iknowwhatimdoing"]
    with _running([*command, *serve], folder / "output") as process:
        yield Real(f"http://{HOST}:{port}", key, process, folder / "output")


@contextmanager
def moonraker(folder: Path) -> Iterator[tuple[Real, Path]]:
    """With forced logins, its emulation of OctoPrint, and the path of the socket at which it looks for Klipper.

    It makes its key when it starts: `key_of_moonraker`.
    """
    program, port, klippy = _program(MOONRAKER, "moonraker"), free_port(), folder / "klippy.sock"
    (folder / "config").mkdir(parents=True)
    config = MOONRAKER_CONFIG.format(host=HOST, port=port, socket=klippy)
    (folder / "config" / "moonraker.conf").write_text(config, encoding="utf-8")
    with _running([str(program), "-d", str(folder), "-n"], folder / "output") as process:
        yield Real(f"http://{HOST}:{port}", "", process, folder / "output"), klippy


def key_of_moonraker(folder: Path) -> str:
    """From its database, and empty until it is there: it tells its key only to those who have one."""
    try:
        with closing(sqlite3.connect(f"file:{folder}/database/moonraker-sql.db?mode=ro", uri=True)) as database:
            row = database.execute("SELECT password FROM authorized_users").fetchone()
    except sqlite3.OperationalError:
        return ""
    return row[0] if row else ""


def _program(name: str, program: str) -> Path:
    path = ENVIRONMENTS / name / "bin" / program
    if not path.exists():
        raise NotInstalled(name)
    return path


@contextmanager
def _running(command: list[str], output: Path) -> Iterator[subprocess.Popen[bytes]]:
    with output.open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
