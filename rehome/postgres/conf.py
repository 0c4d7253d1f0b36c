"""Reads rehome's settings: from Django's settings where they stand there, otherwise from the environment."""

import os
from typing import Any

from django.conf import settings

from rehome.errors import Refused

LOCK_TIMEOUT_MS = 200
"""How long one try waits: a session that queues behind it waits no longer than this."""
LOCK_TRIES = 30
SOURCE_TIMEOUT_S = 600
"""Longer than an older server sorts or counts before its first row."""
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


def patience_ms() -> int:
    """How long a statement waits for a lock that keeps nobody else waiting, such as a reader's."""
    return lock_timeout_ms() * lock_tries()


def max_sessions() -> int | None:
    """REHOME_MAX_SESSIONS: how many other sessions of the database may be active; None for any number."""
    return None if read("REHOME_MAX_SESSIONS", "") in ("", None) else number("REHOME_MAX_SESSIONS", 0)


def max_lag() -> str | None:
    """REHOME_MAX_LAG: how much log the slowest replica may have to replay, as PostgreSQL writes sizes, such as 64MB."""
    value = read("REHOME_MAX_LAG", "")
    return None if value in ("", None) else str(value)


def pg_bin() -> str:
    """REHOME_PG_BIN: the folder of pg_dump and pg_restore; empty to look in the usual ones."""
    return str(read("REHOME_PG_BIN", "") or "")


def backup_storage() -> str:
    """REHOME_BACKUP_STORAGE: the alias in STORAGES of where backups lie."""
    return str(read("REHOME_BACKUP_STORAGE", "") or "backups")


def backup_work() -> str:
    """REHOME_BACKUP_WORK: the folder in which an archive is written before it is stored; empty for a temporary one."""
    return str(read("REHOME_BACKUP_WORK", "") or "")


def backup_keep() -> int:
    """REHOME_BACKUP_KEEP: how many backups of a database `backup` keeps; 0 for all."""
    return number("REHOME_BACKUP_KEEP", 0)


def require_backup() -> int:
    """REHOME_REQUIRE_BACKUP: how many hours old a proved backup may be for a move to begin; 0 for none needed."""
    return number("REHOME_REQUIRE_BACKUP", 0)


def writers() -> tuple[str, ...]:
    """REHOME_WRITERS: programs or roles that are known to write to what moves; a list, or names with commas."""
    value = read("REHOME_WRITERS", "")
    names = value.split(",") if isinstance(value, str) else value
    return tuple(name.strip() for name in names if name.strip())


def source_timeout_s() -> int:
    """REHOME_SOURCE_TIMEOUT_S: how long the source of an import may say nothing; 0 for any time."""
    return number("REHOME_SOURCE_TIMEOUT_S", SOURCE_TIMEOUT_S)


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
