"""How often somebody may ask: requests of each user are counted by the minute, in the cache."""

import logging
import time
from typing import Any

from django.conf import settings
from django.core.cache import cache
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

logger = logging.getLogger(__name__)

MINUTE = 60


class Throttle(BaseThrottle):
    """One number a user and minute. DRF's own keeps the moment of every request, and reads all of them each time."""

    scope = "API_PER_MINUTE"

    def allow_request(self, request: Request, view: Any) -> bool:
        try:
            return self.count(request.user.pk) <= getattr(settings, self.scope)
        except RedisError:
            # The limit is against a program that runs wild; without a cache the farm is worked with all the same.
            logger.warning("The cache does not answer; requests to the API are not counted.")
            return True

    def count(self, user: int) -> int:
        key = f"{self.scope}:{user}:{int(time.time() // MINUTE)}"
        cache.add(key, 0, 2 * MINUTE)
        try:
            return int(cache.incr(key))
        except ValueError:  # It was evicted between the two.
            return 1

    def wait(self) -> float:
        return MINUTE - time.time() % MINUTE + 1


class ReportThrottle(Throttle):
    """An agent tells of many printers, each every few seconds."""

    scope = "API_REPORTS_PER_MINUTE"
