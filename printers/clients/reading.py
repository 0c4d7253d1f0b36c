"""Reads what servers send without trusting it: any value may be missing, of another type, or too long."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from core.times import FIRST, LAST
from printers.clients.base import Temperatures

LONGEST = 1000
COLD_BY = 10.0
"""A nozzle this far below its target lays no plastic. Temperature towers and draughts stay within."""
BEGINNING = 1.0
"""Per cent of a print in which a cold bed means that it has not begun."""

# What is beyond these is a fault of a machine, or a joke. Kept, it would break the pages of everybody who sees it.
YEAR_S = 366 * 24 * 3600.0
HOTTEST = 2000.0
LONGEST_FILAMENT_MM = 1e9
LARGEST_FILE = 1e15


def dig(data: Any, *keys: str) -> Any:
    """What stands below these keys; None where one is missing or no object has it."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def items(data: Any) -> dict[str, Any]:
    return data if isinstance(data, dict) else {}


def rows(data: Any) -> list[dict[str, Any]]:
    """The objects of a list; what else is in it is passed over."""
    return [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []


def text(value: Any, longest: int = LONGEST) -> str:
    """One line that PostgreSQL takes: no NUL, no half of a surrogate pair."""
    if not isinstance(value, str):
        return ""
    line = " ".join(value.replace("\0", " ").split())
    return line.encode("utf-8", "replace").decode("utf-8")[:longest]


def number(value: Any) -> float | None:
    """A finite number; None for anything else, booleans among it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def percent(value: Any) -> float | None:
    found = number(value)
    return None if found is None else round(min(max(found, 0.0), 100.0), 1)


def amount(value: Any, most: float) -> float | None:
    """A number from 0 to `most`."""
    found = number(value)
    return found if found is not None and 0 <= found <= most else None


def seconds(value: Any) -> float | None:
    """How long a print takes: no year."""
    return amount(value, YEAR_S)


def filament(value: Any) -> float | None:
    """A length in millimetres."""
    return amount(value, LONGEST_FILAMENT_MM)


def size(value: Any) -> int | None:
    """Of a file, in bytes."""
    found = amount(value, LARGEST_FILE)
    return None if found is None else int(found)


def moment(value: Any) -> datetime | None:
    """A moment, from seconds since 1970."""
    found = amount(value, LAST.timestamp())
    at = None if found is None else datetime.fromtimestamp(found, UTC)
    return at if at is not None and at >= FIRST else None


def ends_at(now: datetime, left: Any) -> datetime | None:
    found = seconds(left)
    return None if found is None else (now + timedelta(seconds=found)).replace(microsecond=0)


def temperature(actual: Any, target: Any) -> dict[str, float | None]:
    return {"actual": _rounded(actual), "target": _rounded(target)}


def _rounded(value: Any) -> float | None:
    found = number(value)
    return round(found, 1) if found is not None and abs(found) <= HOTTEST else None


def is_heating(temperatures: Temperatures, progress: float | None) -> bool:
    """Whether a print that was started lays no plastic yet: no nozzle is warm, or the bed is cold at the beginning."""
    nozzles = [part for name, part in temperatures.items() if name.startswith("tool") and part["target"]]
    if nozzles and all(_is_cold(part) for part in nozzles):
        return True
    bed = temperatures.get("bed")
    return bed is not None and _is_cold(bed) and (progress or 0.0) < BEGINNING


def _is_cold(part: dict[str, float | None]) -> bool:
    actual, target = part["actual"], part["target"]
    return actual is not None and bool(target) and actual < (target or 0.0) - COLD_BY


def path_on_machine(path: str) -> list[str]:
    """The segments of a file's path. Raises ValueError for one that leads out of the folder of files."""
    segments = path.strip("/").split("/")
    if any(segment in ("", ".", "..") or not segment.isprintable() for segment in segments):
        raise ValueError(path)
    return segments
