"""CSV as spreadsheets write and read it, and JSON."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Collection
from typing import Any

import tablib
from import_export.formats import base_formats

from core.spreadsheets import as_text, from_text


class Unreadable(Exception):
    """The file is none of both; the text is a sentence for people."""


class CSV(base_formats.CSV):
    """No cell of it is a formula."""

    def export_data(self, dataset: tablib.Dataset, **options: Any) -> str:
        safe = tablib.Dataset(*([as_text(cell) for cell in row] for row in dataset), headers=dataset.headers)
        return str(safe.export("csv", **options))


class JSON(base_formats.JSON):
    pass


FORMATS = {"csv": CSV, "json": JSON}
COLUMNS = 100
UNKEPT = re.compile("[\0\ud800-\udfff]")
"""Neither a column of PostgreSQL nor its JSON takes these."""


def read(content: bytes, *, largest: int) -> tablib.Dataset:
    """Rows of texts, under heads in small letters. Raises Unreadable."""
    if not content.strip():
        raise Unreadable("The file is empty.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable("The file is no text in UTF-8. Save it as “CSV UTF-8” or as JSON.") from None
    rows = read_json(text) if text.lstrip()[:1] in "[{" else read_csv(text)
    if not rows:
        raise Unreadable("The file has no printer in it, only heads of columns or nothing.")
    refuse_what_no_database_keeps(rows)
    if len(rows) > largest:
        raise Unreadable(f"The file has {len(rows):,} rows; {largest:,} can be imported at once.")
    heads = list(dict.fromkeys(head for row in rows for head in row))
    return tablib.Dataset(*([row.get(head, "") for head in heads] for row in rows), headers=heads)


def refuse_what_no_database_keeps(rows: list[dict[str, str]]) -> None:
    for number, row in enumerate(rows, 1):
        for text in (text for pair in row.items() for text in pair):
            if found := UNKEPT.search(text):
                raise Unreadable(f"Row {number} has a character that can't be kept, U+{ord(found[0]):04X}: remove it.")


def read_json(text: str) -> list[dict[str, str]]:
    """Without objects that say nothing, as CSV is read without empty lines."""
    try:
        rows = json.loads(text, object_pairs_hook=printer_of)
    except (ValueError, RecursionError):
        raise Unreadable("The file begins like JSON, and is none.") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Unreadable("The JSON is no list of objects, each a printer.")
    refuse_many({key for row in rows for key in row})
    read = [{head: text_of(value) for head, value in row.items()} for row in rows]
    return [row for row in read if any(map(str.strip, row.values()))]


def printer_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of what stands twice in an object of JSON, Python's parser keeps the last."""
    heads = [head_of(key) for key, _ in pairs]
    if twice := twice_in(heads):
        raise Unreadable(f"A printer of the JSON has “{twice}” twice; leave one of them out.")
    return dict(zip(heads, (value for _, value in pairs), strict=True))


def text_of(value: Any) -> str:
    """Of a cell, or of a list of them, as tags are."""
    if isinstance(value, list) and not any(isinstance(one, list | dict) for one in value):
        return ", ".join(map(text_of, value))
    if isinstance(value, list | dict):
        raise Unreadable("The JSON has an object or a list within a printer; a value is a text, or a list of texts.")
    return "" if value is None else str(value)


def read_csv(text: str) -> list[dict[str, str]]:
    """Separated by commas, semicolons or tabs, whichever its first line has most of."""
    first = text.lstrip().partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    try:
        lines = [
            line for line in csv.reader(io.StringIO(text.lstrip()), delimiter=delimiter) if any(map(str.strip, line))
        ]
    except csv.Error as error:
        raise Unreadable(f"The file can't be read as CSV: {error}.") from None
    if not lines:
        raise Unreadable("The file has empty cells alone.")
    heads = [head_of(cell) for cell in lines[0]]
    refuse_many(heads)
    refuse_twice(heads)
    for number, line in enumerate(lines[1:], 1):
        refuse_long(number, line, heads, delimiter)
    return [{head: from_text(cell) for head, cell in zip(heads, line, strict=False)} for line in lines[1:]]


def refuse_many(heads: Collection[str]) -> None:
    """Each row has a cell for each: many rows with as many columns would fill the memory."""
    if len(heads) > COLUMNS:
        raise Unreadable(f"The file has {len(heads):,} columns; {COLUMNS} can be read.")


def refuse_long(number: int, line: list[str], heads: list[str], delimiter: str) -> None:
    """A name that has the delimiter in it would move what follows by a cell: an address would be taken for a key."""
    if any(cell.strip() for cell in line[len(heads) :]):
        raise Unreadable(
            f"Row {number} has {len(line)} cells, and the first line {len(heads)}. "
            f"Put what has a “{'tab' if delimiter == chr(9) else delimiter}” in it between quotation marks."
        )


def refuse_twice(heads: list[str]) -> None:
    if twice := twice_in(heads):
        raise Unreadable(f"Two columns are “{twice}”; leave one of them out.")


def twice_in(heads: list[str]) -> str | None:
    return next((head for head, times in Counter(heads).items() if head and times > 1), None)


OTHER_HEADS = {"ip_address": "address", "ip address": "address", "api_key": "key", "api key": "key", "url": "address"}


def head_of(cell: Any) -> str:
    head = str(cell).strip().lower()
    return OTHER_HEADS.get(head, head)
