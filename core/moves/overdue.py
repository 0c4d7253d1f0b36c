"""Moves that live in two tables and were not compared lately."""

from datetime import timedelta

from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from core.moves.standing import last_runs
from rehome.errors import Refused
from rehome.models import MoveRun
from rehome.plan.phases import LIVE, TWO_TABLES


def overdue_verifications() -> list[str] | None:
    """The moves in both of whose tables rows are written, and that were not verified for VERIFICATION_DUE_HOURS.

    None where the records can't be read.
    """
    try:
        return [run.move for run in last_runs().values() if is_overdue(run)]
    except (DatabaseError, Refused):
        return None


def is_overdue(run: MoveRun) -> bool:
    if run.phase not in LIVE & TWO_TABLES:
        return False
    since = max(filter(None, [run.verified_at, run.changed_at]))
    return timezone.now() - since > timedelta(hours=settings.VERIFICATION_DUE_HOURS)
