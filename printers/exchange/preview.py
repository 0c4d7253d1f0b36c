"""What an import would do, row by row: asked of the file, of the database, and of every address at once."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import tablib
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from import_export.results import RowResult

from printers import looking
from printers.clients import asking
from printers.clients.base import Credentials, Seen
from printers.clients.probing import Found
from printers.exchange.resource import SECRET, PrinterResource
from printers.models import Printer
from printers.states import State

LARGEST = 5000
DEADLINE_S = 6.0
"""For all addresses of a file together."""
WRONG_STATES = {State.REFUSED, State.ATTENTION}
"""Of a server that is no printer's, or that says no: a row like that makes a printer that nobody can use."""


class Verdict(StrEnum):
    NEW = "new"
    CHANGED = "changed"
    SAME = "same"
    WRONG = "wrong"


VERDICTS = {
    RowResult.IMPORT_TYPE_NEW: Verdict.NEW,
    RowResult.IMPORT_TYPE_UPDATE: Verdict.CHANGED,
    RowResult.IMPORT_TYPE_SKIP: Verdict.SAME,
}


@dataclasses.dataclass
class Line:
    """One row of a file, as people read it: no secret is in it."""

    number: int
    name: str
    address: str
    verdict: str
    answer: str = "not asked"
    changes: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)
    """Column, before and after."""
    why: str = ""
    """What is wrong, or what to know."""
    kind: str = ""
    """Of what answers."""
    seen: dict[str, Any] | None = None

    @property
    def saved(self) -> bool:
        return self.verdict in (Verdict.NEW, Verdict.CHANGED)


def make(dataset: tablib.Dataset, user: Any) -> list[Line]:
    """Nothing is saved."""
    resource = PrinterResource(reader=user)
    results = resource.import_data(dataset, dry_run=True, use_transactions=False).rows
    lines = [
        line_of(number, row, result, resource)
        for number, (row, result) in enumerate(zip(dataset.dict, results, strict=True), 1)
    ]
    good = [
        (line, result.instance) for line, result in zip(lines, results, strict=True) if line.verdict != Verdict.WRONG
    ]
    for line, printer, found in ask(good):
        tell(line, printer, found)
    return lines


def line_of(number: int, row: Mapping[str, str], result: RowResult, resource: PrinterResource) -> Line:
    # Before an @ there may be a password, with which no row is right.
    name, address = row.get("name", "").strip()[:200], row.get("address", "").strip().rpartition("@")[2][:255]
    if result.import_type not in VERDICTS:
        return Line(number, name, address, Verdict.WRONG, why=" ".join(problems(result)))
    printer = result.instance
    changes = resource.changes(printer)
    return Line(number, printer.machine.name or name, printer.ip_address, VERDICTS[result.import_type], changes=changes)


def problems(result: RowResult) -> Iterable[str]:
    if isinstance(result.validation_error, ValidationError):
        return result.validation_error.messages
    return ["The row can't be read."]


def ask(lines: Sequence[tuple[Line, Printer]]) -> Iterable[tuple[Line, Printer, Found]]:
    """All addresses at once, until one deadline."""
    credentials = [(p.ip_address, Credentials(p.api_key, p.machine.user, p.machine.password)) for _, p in lines]
    found = asking.find_kinds(credentials, deadline_s=DEADLINE_S)
    return ((line, printer, answer) for (line, printer), answer in zip(lines, found, strict=True))


def tell(line: Line, printer: Printer, found: Found) -> None:
    """What answers, in few words, and what that makes of the row."""
    line.kind = found.kind
    line.answer = f"{found.title}, {found.state.word.lower()}" if found.kind else found.sentence.rstrip(".")
    if found.seen:
        line.seen = dataclasses.asdict(found.seen)
    elif found.state in WRONG_STATES and line.verdict != Verdict.SAME:
        line.verdict = Verdict.WRONG
        line.why = f"{found.sentence} {found.hint}".strip()
    else:
        line.answer = "not answered"
        line.seen = {"state": State.UNREACHABLE, "message": found.sentence, "answered": False}
        line.why = "Can be saved; it will show as unreachable." if line.saved else ""


def save(dataset: tablib.Dataset, lines: list[Line], user: Any) -> list[Line]:
    """Save what is new or changed, in one transaction, and what answered; the lines, with what has gone wrong since.

    Raises Taken where somebody has saved the same printer at the same moment.
    """
    chosen = [line for line in lines if line.saved]
    rows = tablib.Dataset(*(dataset[line.number - 1] for line in chosen), headers=[*dataset.headers])
    with_kinds(rows, chosen)
    resource = PrinterResource(reader=user)
    with transaction.atomic():
        results = resource.import_data(rows, use_transactions=False).rows
    saved = []
    for line, result in zip(chosen, results, strict=True):
        if result.import_type in VERDICTS:
            saved.append((line, result.instance))
        else:
            line.verdict, line.why = Verdict.WRONG, " ".join(problems(result))
    looking.keep([(p.pk, seen_of(line.seen)) for line, p in saved if line.seen], timezone.now())
    return lines


def with_kinds(rows: tablib.Dataset, lines: Sequence[Line]) -> None:
    """Where a row says no kind, it is what has answered."""
    given = rows["kind"] if "kind" in rows.headers else [""] * len(lines)
    if "kind" in rows.headers:
        del rows["kind"]
    rows.append_col([kind or line.kind for kind, line in zip(given, lines, strict=True)], header="kind")


def seen_of(kept: Mapping[str, Any]) -> Seen:
    ends = kept.get("ends_at")
    moment = datetime.fromisoformat(ends) if isinstance(ends, str) else ends
    return Seen(**{**kept, "state": State(kept["state"]), "ends_at": moment})


def wrong_rows(dataset: tablib.Dataset, lines: list[Line]) -> tablib.Dataset:
    """Rows that are left out, with a column that says why; without keys, which no file gets out of here."""
    heads = [head for head in dataset.headers if head not in SECRET]
    wrong = [line for line in lines if line.verdict == Verdict.WRONG]
    columns = [dataset.headers.index(head) for head in heads]
    rows = ([*(dataset[line.number - 1][column] for column in columns), line.why] for line in wrong)
    return tablib.Dataset(*rows, headers=[*heads, "why"])
