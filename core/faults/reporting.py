"""Reporting a fault beside the work: the answer to a request waits for no database, no mail and no Slack."""

import atexit
import logging
import os
import queue
import threading

from django.db import connections

from core.faults.seeing import Seen

logger = logging.getLogger(__name__)

WAITING = 100
"""More at once are one trouble, which the first hundred tell."""
LAST_WORDS_S = 5
"""A process that ends waits so long for what it has not reported yet."""


class Reporter:
    """One thread for each process, begun with its first fault: a server's workers are forked after the start."""

    def __init__(self) -> None:
        self.queue: queue.Queue[Seen] = queue.Queue(WAITING)
        self.pid = 0
        self.lock = threading.Lock()

    def submit(self, seen: Seen) -> None:
        """At once, and without raising."""
        with self.lock:
            if self.pid != os.getpid():
                self.begin()
        try:
            self.queue.put_nowait(seen)
        except queue.Full:
            logger.warning("A fault is not reported: %s others wait.", WAITING)

    def begin(self) -> None:
        self.pid, self.queue = os.getpid(), queue.Queue(WAITING)
        threading.Thread(target=self.work, args=[self.queue], name="faults", daemon=True).start()
        atexit.register(self.flush)

    def work(self, waiting: "queue.Queue[Seen]") -> None:
        while True:
            seen = waiting.get()
            try:
                report(seen)
            finally:
                if waiting.empty():
                    connections.close_all()
                waiting.task_done()

    def flush(self, timeout: float = LAST_WORDS_S) -> bool:
        """Whether everything is reported; waits for it no longer than `timeout` seconds."""
        done = self.queue.all_tasks_done
        with done:
            return done.wait_for(lambda: not self.queue.unfinished_tasks, timeout)


def report(seen: Seen) -> None:
    """Count it, and tell people where it is time to. Never raises."""
    from core.faults import keeping, telling  # Models are not loaded yet when logging is configured.

    try:
        if keeping.keep(seen):
            told, reached = telling.tell(seen)
            keeping.keep_telling(seen, told, reached=reached)
    except Exception as error:  # noqa: BLE001  Its own fault must not end what reports the others'.
        logger.warning("Fault %s could not be reported: %s.", seen.fingerprint[:8], type(error).__name__)


reporter = Reporter()
