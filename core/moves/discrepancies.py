"""What verifications find is kept, whoever asks for them: a timer, a button, or somebody at a terminal.

The ledger of rehome has a move's last verification alone, so a difference that somebody corrects in the night would
be gone in the morning.
"""

import functools
import logging
from typing import Any

from django.db import connections, transaction
from django.utils import timezone

from core.moves.models import Discrepancy
from rehome.models import MoveRun

logger = logging.getLogger(__name__)

COUNTS = ("missing", "extra", "different", "orphans")


def keep(sender: type[MoveRun], instance: MoveRun, using: str, update_fields: Any = None, **signal: Any) -> None:
    """After a verification was recorded, which stands whether this can be kept or not."""
    if "verification" in (update_fields or ()) and instance.verification:
        # Until then the session looks for names where rehome's own statements do.
        transaction.on_commit(functools.partial(settle, instance, using), using=using, robust=True)


def settle(run: MoveRun, using: str) -> None:
    """Begin a discrepancy, write down that the open one is still there, or end it."""
    if Discrepancy._meta.db_table not in connections[using].introspection.table_names():
        return
    report, now = run.verification or {}, run.verified_at or timezone.now()
    still_open = Discrepancy.objects.using(using).filter(move=run.move, ended_at=None)
    if report.get("ok"):
        still_open.update(ended_at=now)
        return
    found = {"seen_at": now, "rows": report.get("differences", [])} | {name: report.get(name) or 0 for name in COUNTS}
    if not still_open.update(**found):
        Discrepancy.objects.using(using).create(move=run.move, found_at=now, **found)
        logger.error("A verification of %s has found a discrepancy. The page of moves shows it.", run.move)
