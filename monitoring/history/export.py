"""History as CSV. Moments have their distance from UTC, so that no change of clocks makes two of them alike."""

import csv
from collections.abc import Callable, Iterator
from datetime import tzinfo
from typing import Any

from core.spreadsheets import as_text
from monitoring.history import reading
from monitoring.history.ranges import Range

HEADS = {
    "temperatures": ["time", "part", "actual", "lowest", "highest", "target"],
    "states": ["time", "state", "changes"],
}
"""What can be had, and its columns."""
LINES = 500
"""So many lines are sent at once."""


class Echo:
    def write(self, line: str) -> str:
        return line


def written(what: str, printer: int, range: Range, zone: tzinfo) -> Iterator[str]:
    """Texts that make a file together. The database is read as they are taken."""
    write: Callable[[Any], str] = csv.writer(Echo()).writerow
    text = write(HEADS[what])
    for number, (moment, *cells) in enumerate(_rows(what, printer, range)):
        if number % LINES == 0:
            yield text
            text = ""
        text += write([moment.astimezone(zone).isoformat(timespec="milliseconds"), *cells])
    yield text


def _rows(what: str, printer: int, range: Range) -> Iterator[list[Any]]:
    if what == "states":
        for moment, state, times in reading.state_rows(printer, range.start, range.end):
            yield [moment, state.word, times]
        return
    for moment, part, values in reading.temperature_rows(printer, range.start, range.end):
        yield [moment, as_text(part), *("" if value is None else f"{value:.1f}" for value in values)]
