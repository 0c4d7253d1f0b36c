"""Verifying a move on a button: beside the request, for millions of rows take longer than a browser waits.

The thread holds an advisory lock as long as it compares. So one comparison of a move runs at a time, whichever process
was asked, and a process that dies leaves nothing behind that says it still runs.
"""

import io
import logging
import threading
import zlib

from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from core.moves.models import Check

logger = logging.getLogger(__name__)

LOCKS = 1_936_024_434
"""The first key of this project's advisory locks for verifications; any number that nobody else uses."""
QUICK_S = 1.0
"""Most comparisons have ended by then, and the next page has the result at once."""
HELD = """
SELECT true FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted AND classid::bigint = %s
   AND objid::bigint = %s AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def verify_beside(move: str, by: str) -> None:
    """Begin, and wait a moment for the end. Does nothing where this move is being compared."""
    thread = threading.Thread(target=verify_apart, args=[move, by], name=f"verify {move}", daemon=True)
    thread.start()
    thread.join(QUICK_S)


def verify_apart(move: str, by: str) -> None:
    """In a thread, with a connection of its own, which is closed afterwards."""
    try:
        verify(move, by)
    finally:
        connection.close()


def verify(move: str, by: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [LOCKS, key_of(move)])
        if not cursor.fetchone()[0]:
            return
        try:
            begun = {"by": by, "started_at": timezone.now(), "ended_at": None, "said": ""}
            Check.objects.update_or_create(move=move, defaults=begun)
            said = compare(move)
            Check.objects.filter(move=move).update(ended_at=timezone.now(), said=said)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCKS, key_of(move)])


def compare(move: str) -> str:
    """What is wrong, in the words of verifymoves; the ledger keeps the rest. Empty when the tables are equal."""
    try:
        call_command("verifymoves", move, format="json", verbosity=0, stdout=io.StringIO(), stderr=io.StringIO())
    except CommandError as error:
        return str(error)
    except Exception as error:
        logger.exception("The verification of %s has failed.", move)
        return f"The verification has failed: {type(error).__name__}. The page of errors has more."
    return ""


def is_running(move: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(HELD, [LOCKS, key_of(move)])
        return cursor.fetchone() is not None


def key_of(move: str) -> int:
    """A positive number, which pg_locks shows as it is."""
    return zlib.crc32(move.encode()) & 0x7FFF_FFFF
