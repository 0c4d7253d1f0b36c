"""Reads rehome's settings: from Django's settings where they stand there, otherwise from the environment."""

import os
from typing import Any

from django.conf import settings

from rehome.errors import Refused

LOCK_TIMEOUT_MS = 200
"""How long one try waits: a session that queues behind it waits no longer than this."""
LOCK_TRIES = 30
YES = {"1", "true", "yes", "on"}
NO = {"", "0", "false", "no", "off"}


def online() -> bool:
    """REHOME_ONLINE: whether moves go online that do not say it themselves."""
    value = read("REHOME_ONLINE", "")
    text = str(value).lower()
    if text not in YES | NO:
        raise Refused(f"REHOME_ONLINE is {value!r}, which says neither yes nor no.", "Set it to 1 or to 0.")
    return text in YES


def lock_timeout_ms() -> int:
    return number("REHOME_LOCK_TIMEOUT_MS", LOCK_TIMEOUT_MS)


def lock_tries() -> int:
    return max(1, number("REHOME_LOCK_TRIES", LOCK_TRIES))


def max_sessions() -> int | None:
    """REHOME_MAX_SESSIONS: how many other sessions of the database may be active; None for any number."""
    return None if read("REHOME_MAX_SESSIONS", "") in ("", None) else number("REHOME_MAX_SESSIONS", 0)


def max_lag() -> str | None:
    """REHOME_MAX_LAG: how much log the slowest replica may have to replay, as PostgreSQL writes sizes, such as 64MB."""
    value = read("REHOME_MAX_LAG", "")
    return None if value in ("", None) else str(value)


def number(name: str, default: int) -> int:
    value = read(name, default)
    try:
        found = int(value)
    except (TypeError, ValueError):
        found = -1
    if found < 0:
        raise Refused(f"{name} is {value!r}, which is no whole number.", f"Set it to one, such as {default or 10}.")
    return found


def read(name: str, default: Any) -> Any:
    return getattr(settings, name, os.environ.get(name, default))
