"""A thread beside whoever polls: it decides and delivers every few seconds, for as long as chores are run.

A chore comes once a minute and must be quick; alerts are wanted sooner, and somebody else's server takes its time.
"""

import logging
import os
import threading
import time

from django.db import connections

from monitoring.alerts import rounds

logger = logging.getLogger(__name__)
EVERY_S = 5.0
OUTLIVES_S = 90.0
"""Without a chore for so long, another process does it, or nobody."""
NAP_S = 0.25


class Pulse:
    """One thread for each process that polls. The process ends once the round that goes on has ended."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.pid = 0
        self.until = 0.0
        self.thread: threading.Thread | None = None

    def beat(self) -> None:
        """The chore."""
        with self.lock:
            self.until = time.monotonic() + OUTLIVES_S
            if self.pid != os.getpid() or self.thread is None or not self.thread.is_alive():
                self.pid, self.thread = os.getpid(), threading.Thread(target=self.run, name="alerts")
                self.thread.start()

    def run(self) -> None:
        try:
            while self.goes_on():
                one_round()
                # A process that polls once begins, in its only minute, no other round.
                self.rest()
        finally:
            connections.close_all()

    def goes_on(self) -> bool:
        with self.lock:
            if time.monotonic() < self.until and threading.main_thread().is_alive():
                return True
            self.thread = None  # Under the lock, so that a beat in this moment begins another.
            return False

    def rest(self) -> None:
        next_at = time.monotonic() + EVERY_S
        while time.monotonic() < next_at and threading.main_thread().is_alive():
            time.sleep(NAP_S)  # Nothing tells a thread that the main one ends, and it must not outlive it.


def one_round() -> None:
    """One that fails is logged, and the next one catches up with it."""
    try:
        rounds.work()
    except Exception:  # Whatever it was is logged; a thread that ended would tell nobody anything any more.
        logger.exception("A round of alerts has failed; the next one catches up.")
        connections.close_all()


pulse = Pulse()


def chore() -> None:
    pulse.beat()
