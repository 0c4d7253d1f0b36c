"""The same polling by many workers: every round is cut into shards, each of which a worker asks.

A round's shards are forgotten when the next one begins, so a queue never grows, and a worker that is killed costs its
printers one round.
"""

import logging
from datetime import datetime

from celery import shared_task
from django.conf import settings
from django.db import connection
from django.db.models import Count, Min
from django.utils import timezone

from monitoring.models import Shard
from monitoring.polling import housekeeping, lease, targets
from monitoring.polling.poller import EVERY_S, KINDS
from monitoring.polling.resident import resident

logger = logging.getLogger(__name__)

HOLDER = "celery"
"""All workers together are one holder of the lease: `poll_printers` waits while they run, and takes over afterwards."""


@shared_task(ignore_result=True)
def poll() -> None:
    """Cut a round into shards."""
    held = sorted(lease.take(HOLDER, KINDS))
    if not held:
        logger.info("Another process polls; the workers wait for it to end.")
        return
    of = settings.POLL_SHARDS
    for shard in range(of):
        poll_shard.apply_async([held, shard, of], expires=EVERY_S)
    if asked_at := all_asked_at(of):
        lease.asked(HOLDER, held, asked_at)


def all_asked_at(of: int) -> datetime | None:
    """When the shard was asked that was asked longest ago; None until each of them has been."""
    asked = Shard.objects.filter(number__lt=of).aggregate(first=Min("polled_at"), number=Count("pk"))
    return asked["first"] if asked["number"] == of else None


@shared_task(ignore_result=True, acks_late=True, reject_on_worker_lost=True)
def poll_shard(kinds: list[str], shard: int, of: int) -> None:
    """Ask those printers whose key, divided by the number of shards, leaves this one."""
    at = timezone.now()
    wanted = targets.read(kinds, shard, of)
    connection.close()  # None is held while the network is waited for.
    resident().ask(wanted)
    Shard.objects.update_or_create(number=shard, defaults={"polled_at": at})


@shared_task(ignore_result=True)
def tidy() -> None:
    """The chores that the single process does once a minute."""
    if lease.take(HOLDER, KINDS):
        housekeeping.run()
