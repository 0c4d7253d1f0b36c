"""Workers of one gunicorn count together, by `gunicorn.conf.py`, and promtool has no complaints of what they say."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator

import psutil
import pytest
from django.db import connection
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import ROOT
from tests.database import url_of
from tests.waiting import until

REQUESTS = "django_http_requests_total_by_view_transport_method_total"


@pytest.mark.promtool
@pytest.mark.django_db(transaction=True)
def test_workers_of_gunicorn_count_together_also_those_that_are_gone() -> None:
    with gunicorn(workers=2) as (master, ask):
        for _ in range(30):
            ask("/healthz")
        assert counted(ask("/metrics"), "healthz") == 30
        workers = pids_of(master)
        victim = min(workers)
        os.kill(victim, signal.SIGKILL)
        until(lambda: pids_of(master) - workers and victim not in pids_of(master), "No worker came for the one killed.")
        for _ in range(10):
            ask("/healthz")
        text = ask("/metrics")
        assert counted(text, "healthz") == 40
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def pids_of(master: psutil.Process) -> set[int]:
    return {worker.pid for worker in master.children()}


def counted(text: str, view: str) -> float:
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name == REQUESTS and sample.labels["view"] == view)


@contextlib.contextmanager
def gunicorn(workers: int) -> Iterator[tuple[psutil.Process, Callable[[str], str]]]:
    """Its first process, and who asks it for a page on a connection of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    environment = {
        "DATABASE_URL": url_of(connection.settings_dict["NAME"]),
        "METRICS_NETWORKS": "127.0.0.0/8",
        "ALLOWED_HOSTS": "127.0.0.1",
    }
    command = [sys.executable, "-m", "gunicorn", "core.wsgi", "--workers", str(workers), "--bind", f"127.0.0.1:{port}"]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stderr=subprocess.DEVNULL)

    def ask(path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
            return answer.read().decode()

    def answers() -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return True
        return False

    try:
        until(answers, "gunicorn does not listen.")
        yield psutil.Process(process.pid), ask
    finally:
        process.terminate()
        process.wait()
