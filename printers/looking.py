"""Looks at printers and keeps what was seen: the one place where clients and database meet.

A look takes as long as a network does, so it is no part of a transaction, and the database isn't held meanwhile.
"""

import json
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from printers.changes import ENOUGH, LATE, next_of
from printers.clients import asking
from printers.clients.base import Credentials, Endpoint, Seen
from printers.fleet.models import Kind, LastSeen, Machine
from printers.models import Printer
from printers.signals import Change, Known, kept
from printers.states import State

BATCH = 500
WAITING = threading.BoundedSemaphore(2)
"""Of the four threads that a process of the portal has, see gunicorn.conf.py."""

READ = """
SELECT printer.id, printer.ping, printer.printing, old.state, old.since, old.asked_at, old.misses, old.file,
    old.progress, old.ends_at, old.temperatures::text, old.message
FROM printers_printer AS printer LEFT JOIN fleet_lastseen AS old ON old.printer_id = printer.id
WHERE printer.id = ANY(%s)
"""
LOCK = "SELECT id FROM printers_printer WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
"""In their order, so that two writers never wait for each other."""

WRITE = """
WITH seen AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb) AS seen (printer_id integer, ping boolean, printing boolean,
        state text, since timestamptz, asked_at timestamptz, answered boolean, misses smallint, file text,
        progress float, ends_at timestamptz, temperatures jsonb, message text)
), flags AS (
    UPDATE printers_printer AS printer SET ping = seen.ping, printing = seen.printing FROM seen
    WHERE printer.id = seen.printer_id AND (printer.ping, printer.printing) <> (seen.ping, seen.printing)
)
INSERT INTO fleet_lastseen AS old
    (printer_id, state, since, asked_at, seen_at, misses, file, progress, ends_at, temperatures, message)
SELECT printer_id, state, since, asked_at, CASE WHEN answered THEN asked_at END, misses, file, progress, ends_at,
    temperatures, message
FROM seen
ON CONFLICT (printer_id) DO UPDATE SET
    state = excluded.state,
    since = excluded.since,
    asked_at = excluded.asked_at,
    seen_at = COALESCE(excluded.seen_at, old.seen_at),
    misses = excluded.misses,
    file = excluded.file,
    progress = excluded.progress,
    ends_at = excluded.ends_at,
    temperatures = excluded.temperatures,
    message = excluded.message
"""
"""What was seen, and what the monolith knows of a state, which people on the old side see."""

TOUCH = """
UPDATE fleet_lastseen AS old SET asked_at = seen.asked_at, seen_at = COALESCE(seen.seen_at, old.seen_at)
FROM jsonb_to_recordset(%s::jsonb) AS seen (printer_id integer, asked_at timestamptz, seen_at timestamptz)
WHERE old.printer_id = seen.printer_id
    AND (old.asked_at < seen.asked_at OR old.asked_at >= seen.asked_at + %s * interval '1 second')
"""
"""Also where what is kept is later by more than an answer can be late: it was written by a clock that was wrong."""


@dataclass(frozen=True)
class Look:
    """What was seen of a printer that was asked at this moment."""

    printer: int
    seen: Seen
    asked_at: datetime


def endpoint_of(printer: Printer) -> Endpoint:
    """Select `machine` along with many printers, or each is one query."""
    known = getattr(printer, "machine", None) or Machine()
    values = known.kind, known.user, known.password, known.password_for, known.camera
    return endpoint(printer.ip_address, printer.api_key, *values)


def endpoint(
    address: str,
    key: str,
    kind: str | None = None,
    user: str | None = None,
    password: str | None = None,
    password_for: str | None = None,
    camera: str | None = None,
) -> Endpoint:
    """From columns, None where nobody has said anything of the printer. A password goes to its own address alone."""
    credentials = Credentials(key, user or "", (password or "") if password_for == address else "")
    return Endpoint(address, kind or Kind.OCTOPRINT, credentials, camera or "")


def look(printer: Printer) -> Seen:
    """Ask one printer now, and keep what was seen and that it was asked."""
    asked_at = timezone.now()
    seen = asking.look(endpoint_of(printer))
    keep([(printer.pk, seen)], asked_at)
    return seen


def look_unless_busy(printer: Printer) -> None:
    """The same for a page that asks by itself every few seconds: not where as many of this process wait already.

    Who says nothing takes the whole time of a look. After a fuse has blown, many pages would ask those who say nothing,
    and no other page would be answered.
    """
    if WAITING.acquire(blocking=False):
        try:
            look(printer)
        finally:
            WAITING.release()


def look_at(printers: Iterable[Printer], *, deadline_s: float = asking.DEADLINE_S) -> list[Seen]:
    """Ask all of them at once until one deadline, and keep what was seen; in their order."""
    printers = list(printers)
    asked_at = timezone.now()
    found = asking.look_many([endpoint_of(printer) for printer in printers], deadline_s=deadline_s)
    keep([(printer.pk, seen) for printer, seen in zip(printers, found, strict=True)], asked_at)
    return found


def keep(found: Sequence[tuple[int, Seen]], asked_at: datetime) -> None:
    """What people wanted to know: that they asked is written where nothing has changed, too."""
    looks = [Look(key, seen, asked_at) for key, seen in found]
    keep_changes(looks)
    rows = [
        {
            "printer_id": look.printer,
            "asked_at": asked_at.isoformat(),
            "seen_at": asked_at.isoformat() if look.seen.answered else None,
        }
        for look in looks
    ]
    with connection.cursor() as cursor:
        cursor.execute(TOUCH, [json.dumps(rows), LATE.total_seconds()])


def keep_changes(looks: Sequence[Look]) -> list[Change]:
    """Write what has changed, and nothing else: a batch in which nothing has is read, in one statement.

    Each batch is a transaction, in which `kept` tells others of its changes.
    """
    return [change for start in range(0, len(looks), BATCH) for change in _keep(looks[start : start + BATCH])]


def _keep(batch: Sequence[Look]) -> list[Change]:
    looks = _newest(batch)
    rows, _ = _compare(looks, _read(looks))
    if not rows:
        return []
    with transaction.atomic(), connection.cursor() as cursor:
        # Others may have looked meanwhile: what is compared now stays so until the end.
        cursor.execute(LOCK, [sorted(row["printer_id"] for row in rows)])
        looks = {key: looks[key] for (key,) in cursor.fetchall()}
        rows, changes = _compare(looks, _read(looks))
        cursor.execute(WRITE, [json.dumps(rows)])
        if changes:
            kept.send(sender=LastSeen, changes=changes)
    return changes


def _newest(batch: Sequence[Look]) -> dict[int, Look]:
    return {look.printer: look for look in sorted(batch, key=lambda look: look.asked_at)}


def _read(looks: Collection[int]) -> dict[int, tuple[Known | None, tuple[bool, bool]]]:
    """What is kept of each printer that is there, and what the monolith knows."""
    with connection.cursor() as cursor:
        cursor.execute(READ, [list(looks)])
        return {key: (_known(values), (ping, printing)) for key, ping, printing, *values in cursor.fetchall()}


def _known(values: Sequence[Any]) -> Known | None:
    state, since, at, misses, file, progress, ends_at, temperatures, message = values
    if state is None:
        return None
    return Known(
        State(state), since, at, misses == 0, misses, file, progress, ends_at, json.loads(temperatures), message
    )


def _compare(
    looks: Mapping[int, Look], there: Mapping[int, tuple[Known | None, tuple[bool, bool]]]
) -> tuple[list[dict[str, Any]], list[Change]]:
    """The rows to write, and what of them is a change; the others have flags that somebody else has set."""
    rows, changes = [], []
    for key, (before, flags) in there.items():
        after = changes_of(before, looks[key])
        if after:
            changes.append(Change(key, before, after))
        if (known := after or before) and (after or flags != flags_of(known)):
            rows.append(_row(key, known))
    return rows, changes


def changes_of(before: Known | None, look: Look) -> Known | None:
    """Texts are as long as their columns at most."""
    seen = look.seen
    file, message = (getattr(seen, name)[: LastSeen._meta.get_field(name).max_length] for name in ("file", "message"))
    return next_of(before, replace(seen, file=file, message=message), look.asked_at)


def flags_of(known: Known) -> tuple[bool, bool]:
    """`ping` and `printing` of the monolith."""
    return known.misses < ENOUGH, known.state.runs


def _row(key: int, known: Known) -> dict[str, Any]:
    ping, printing = flags_of(known)
    return {
        "printer_id": key,
        "ping": ping,
        "printing": printing,
        "state": known.state,
        "since": known.since.isoformat(),
        "asked_at": known.at.isoformat(),
        "answered": known.answered,
        "misses": known.misses,
        "file": known.file,
        "progress": known.progress,
        "ends_at": known.ends_at and known.ends_at.isoformat(),
        "temperatures": known.temperatures,
        "message": known.message,
    }
