"""Writes down what changed since the last look: states, and temperatures by part. One INSERT each for a batch."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db import connection

from monitoring.history import partitions
from printers.parts import order_of
from printers.signals import Change

STATES = """
INSERT INTO history_statechange (printer_id, at, state)
SELECT * FROM jsonb_to_recordset(%s::jsonb) AS new (printer_id integer, at timestamptz, state text)
ON CONFLICT (printer_id, at) DO UPDATE SET state = excluded.state
"""
TEMPERATURES = """
INSERT INTO history_temperature (printer_id, part, at, actual, target)
SELECT * FROM jsonb_to_recordset(%s::jsonb)
    AS new (printer_id integer, part text, at timestamptz, actual real, target real)
ON CONFLICT (printer_id, part, at) DO UPDATE SET actual = excluded.actual, target = excluded.target
"""
LONGEST = 20
MOST_PARTS = 16
"""A server that names more, or longer ones, is no printer's."""
HOTTEST = 2000.0
"""In degrees, either way; what is beyond is a fault of a sensor, or a joke."""


def record(changes: Sequence[Change], **_: Any) -> None:
    """Receives `printers.signals.kept`, in the transaction that kept what was seen."""
    states = [row for change in changes for row in changed_state(change)]
    temperatures = [row for change in changes for row in changed_temperatures(change)]
    if not states and not temperatures:
        return
    partitions.ensure({datetime.fromisoformat(row["at"]) for row in states + temperatures})
    with connection.cursor() as cursor:
        for statement, rows in ((STATES, states), (TEMPERATURES, temperatures)):
            if rows:
                cursor.execute(statement, [json.dumps(rows)])


def changed_state(change: Change) -> Iterator[dict[str, Any]]:
    if change.before is None or change.before.state != change.after.state:
        yield {"printer_id": change.printer, "at": change.after.at.isoformat(), "state": str(change.after.state)}


def changed_temperatures(change: Change) -> Iterator[dict[str, Any]]:
    """Of the parts that differ; a part that is not there any more has none, which is a gap in its chart."""
    before = change.before.temperatures if change.before else {}
    after = change.after.temperatures
    at = change.after.at.isoformat()
    for part in sorted(before.keys() | after.keys(), key=order_of)[:MOST_PARTS]:
        now = after.get(part) or {}
        if before.get(part, {}) != now and len(part) <= LONGEST:
            values = {name: degrees(now.get(name)) for name in ("actual", "target")}
            yield {"printer_id": change.printer, "part": part, "at": at, **values}


def degrees(value: float | None) -> float | None:
    """What the column can have. One value that it can't would keep a whole batch of printers from being kept."""
    return value if value is not None and abs(value) <= HOTTEST else None
