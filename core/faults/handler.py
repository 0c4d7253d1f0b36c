"""The ways by which an exception becomes a fault: whatever is logged as an error with it, and what ends a program."""

import logging
import sys
import threading
from types import TracebackType
from typing import Any

from django.apps import apps
from django.http import HttpRequest

from core.logs import current_request

logger = logging.getLogger(__name__)


class FaultHandler(logging.Handler):
    """Django logs each exception of a request, asyncio each of a task; apps log those that they live on with."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        # A request that Django refuses, for its host for instance, is the sender's fault.
        if error is None or record.name.startswith("django.security") or not apps.ready:
            return
        request = getattr(record, "request", None)
        submit(error, request if isinstance(request, HttpRequest) else current_request.get())


def submit(error: BaseException, request: HttpRequest | None) -> None:
    """Never raises: an error while one is reported must not hide it."""
    from core.faults.reporting import reporter
    from core.faults.seeing import see

    try:
        reporter.submit(see(error, request))
    except Exception as wrong:  # noqa: BLE001
        logger.warning("A fault could not be seen: %s.", type(wrong).__name__)


def watch_program() -> None:
    """Report what ends a command or a thread, too. For entry points: it changes the interpreter's hooks."""
    before, before_thread = sys.excepthook, threading.excepthook

    def excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, Exception) and apps.ready:
            submit(error, None)
        before(kind, error, trace)

    def thread_excepthook(args: Any) -> None:
        if args.exc_value is not None and issubclass(args.exc_type, Exception) and apps.ready:
            submit(args.exc_value, None)
        before_thread(args)

    sys.excepthook, threading.excepthook = excepthook, thread_excepthook
