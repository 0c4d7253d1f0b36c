"""Processes that poll a test's database, and a farm of fakes in it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from printers.fleet.models import LastSeen, Machine
from printers.models import Printer
from tests.database import url
from tests.manage import ROOT, command
from tests.waiting import until

KINDS = ("octoprint", "moonraker", "prusalink")


def make(urls: Iterable[str]) -> list[int]:
    """Printers of every kind, in turn."""
    printers = Printer.objects.bulk_create(Printer(ip_address=url, api_key="k") for url in urls)
    Machine.objects.bulk_create(Machine(printer=one, kind=KINDS[n % 3]) for n, one in enumerate(printers))
    return [one.pk for one in printers]


def seen(keys: Iterable[int], state: str = "ready") -> int:
    return LastSeen.objects.filter(pk__in=list(keys), state=state).count()


def until_seen(keys: list[int], state: str = "ready") -> None:
    until(lambda: seen(keys, state) == len(keys), f"Of {len(keys)} no more than {seen(keys, state)} were {state}.")


def forget(keys: Iterable[int]) -> None:
    """As if nobody had asked: whoever polls on has to."""
    LastSeen.objects.filter(pk__in=list(keys)).delete()


@contextmanager
def running(*arguments: str, alias: str = "default", **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Ended with everything it has started, however it stands then."""
    process = subprocess.Popen(
        arguments, env=os.environ | {"DATABASE_URL": url(alias)} | environment, cwd=ROOT, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def poller(*arguments: str, alias: str = "default") -> Iterator[subprocess.Popen[bytes]]:
    with running(*command("poll_printers", "--every", "1", *arguments), alias=alias) as process:
        yield process


@contextmanager
def worker(broker: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Two processes that work, and one that sends them round after round."""
    started = [sys.executable, "-m", "celery", "-A", "core", "worker", "--beat", "-c", "2", "-l", "WARNING", *arguments]
    with running(*started, CELERY_BROKER_URL=broker) as process:
        yield process
