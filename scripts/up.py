"""Runs the farm on this machine: `make up`. Web, sample printers and the embedded database, until Ctrl-C.

PORT=8000 is where, the next free one if that is taken. OCTOPRINT=1 adds a real OctoPrint with its virtual printer, and
CELERY=1 has the printers polled by workers on Redis instead of one process.
"""

import fcntl
import ipaddress
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "core.settings",
    # Whatever .env says: samples have nothing to do with a farm that somebody works with.
    "DJANGO_ENV": "development",
    "DATABASE_URL": "",
    "DEBUG": "true",
    "ALLOWED_HOSTS": "",
    "DJANGO_RUNSERVER_HIDE_WARNING": "true",
}

from django.conf import settings  # noqa: E402
from django.core.exceptions import ImproperlyConfigured  # noqa: E402

from core.embedded import server  # noqa: E402

HOST = "127.0.0.1"
USER = "farm"
STOP_S = 60
Process = subprocess.Popen[bytes]


class Failed(Exception):
    """What did not start or ended by itself."""


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        folder = settings.DATABASES["default"]["EMBEDDED_POSTGRES_DIR"].parent / "up"
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            stack.enter_context(alone(folder))
            run(stack, folder)
    except KeyboardInterrupt:
        say("Ended.")
    except (Failed, ImproperlyConfigured, server.ServerError) as error:
        say(str(error))
        return 1
    return 0


def run(stack: ExitStack, folder: Path) -> None:
    """Until one of them ends or somebody says so; then `stack` ends them all, the last first."""
    if not any(ipaddress.ip_address(HOST) in network for network in settings.PRINTER_NETWORKS):
        raise Failed(f"PRINTER_NETWORKS leaves out {HOST}, where the sample printers are; add 127.0.0.0/8 to it.")
    say("Starting the database …")
    # As long as this process lives, so the others neither start nor stop it.
    server.hold(settings.DATABASES["default"]["EMBEDDED_POSTGRES_DIR"])
    say("Applying migrations …")
    manage("migrate", "--verbosity", "0")
    say("Starting sample printers …" if not os.environ.get("OCTOPRINT") else "Starting OctoPrint and samples …")
    samples = stack.enter_context(running(*samples_command(folder), stdout=subprocess.PIPE))
    listed = samples.stdout.readline() if samples.stdout else b""
    if not listed:
        raise Failed("The sample printers did not start.")
    password = password_in(folder)
    found = manage("sample_farm", f"--user={USER}", f"--password={password}", listed=listed)
    port = free_port(int(os.environ.get("PORT") or 8000))
    web = stack.enter_context(leashed("runserver", "--noreload", "--skip-checks", f"{HOST}:{port}"))
    until_answers(web, port)
    polling = workers(stack) if os.environ.get("CELERY") else {"The poller": poller(stack)}
    say(f"\n{found}\n\nPrint farm:  http://{HOST}:{port}/\nLog in as:   {USER}\nPassword:    {password}\n")
    say("Ctrl-C ends everything.\n")
    watch({"The web server": web, **polling, "The sample printers": samples})


def poller(stack: ExitStack) -> Process:
    return stack.enter_context(leashed("poll_printers", "--every", "5"))


def workers(stack: ExitStack) -> dict[str, Process]:
    """Celery's, on a Redis of their own."""
    program = shutil.which("redis-server")
    if program is None:
        raise Failed("CELERY=1 needs Redis, which is not installed; run `make servers`, or leave CELERY=1 out.")
    # A socket's path may have a hundred characters; the checkout's may have more.
    made = stack.enter_context(tempfile.TemporaryDirectory(prefix="farm-redis-"))
    place = f"{made}/redis"
    redis = stack.enter_context(
        leashed("--", program, "--port", "0", "--unixsocket", place, "--save", "", "--dir", made)
    )
    os.environ["CELERY_BROKER_URL"] = f"redis+socket://{place}"
    celery = (sys.executable, "-m", "celery", "-A", "core", "worker", "--beat", "--concurrency", "2", "-l", "WARNING")
    return {"Redis": redis, "Celery": stack.enter_context(leashed("--", *celery))}


def samples_command(folder: Path) -> list[str]:
    octoprint = ["--octoprint", str(folder / "octoprint")] if os.environ.get("OCTOPRINT") else []
    return ["printers.samples", *octoprint]


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Two farms on one database would take each other's printers."""
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed(f"`make up` runs already, on {folder.parent}; end that one first.") from None
        yield


@contextmanager
def running(*module: str, stdout: Any = None) -> Iterator[Process]:
    """A process that ends when its input does. Ctrl-C of the terminal doesn't reach it."""
    command = [sys.executable, "-m", *module]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=stdout, start_new_session=True)
    try:
        yield process
    finally:
        stop(process)


def leashed(*command: str) -> Any:
    return running("scripts.leashed", *command)


def stop(process: Process) -> None:
    """By closing its input; whoever doesn't care is killed."""
    for pipe in (process.stdin, process.stdout):
        if pipe:
            with suppress(OSError):
                pipe.close()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def manage(*command: str, listed: bytes = b"") -> str:
    """What it prints. Raises Failed when it fails; its reasons are on the terminal then."""
    done = subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, input=listed, stdout=subprocess.PIPE)
    if done.returncode:
        raise Failed(f"manage.py {command[0]} failed.")
    return done.stdout.decode(errors="replace").strip()


def password_in(folder: Path) -> str:
    """The same each time, and nobody else's."""
    path = folder / "password"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(9))
    return path.read_text().strip()


def free_port(first: int) -> int:
    for port in range(first, first + 100):
        with socket.socket() as found:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                found.bind((HOST, port))
                return port
    raise Failed(f"No port from {first} to {first + 99} is free; choose another: make up PORT=9000.")


def until_answers(web: Process, port: int) -> None:
    while web.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/health/", timeout=10):
                return
        except (OSError, HTTPException):
            time.sleep(0.1)  # Its answer alone says that it is ready.
    raise Failed("The web server did not start.")


def watch(processes: dict[str, Process]) -> None:
    while True:
        for name, process in processes.items():
            if process.poll() is not None:
                raise Failed(f"{name} ended by itself, with exit code {process.returncode}.")
        time.sleep(0.2)  # Any of them may be the first to end, and none is waited for elsewhere.


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
