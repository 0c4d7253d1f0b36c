"""Reports, where they lie: beside the backups of the same database, and never in a database."""

import contextlib
import dataclasses
import datetime
from collections.abc import Iterator
from urllib.parse import quote

from rehome.errors import RehomeError
from rehome.ops.backups.store import Store
from rehome.ops.rehearsal import page, report
from rehome.ops.rehearsal.report import Report

ENDINGS = {"rehearsal": ".rehearsal.json", "move": ".move.json"}
"""By kind; a page for people lies beside each, with another ending."""
PAGE = ".md"


@dataclasses.dataclass(frozen=True)
class Kept:
    name: str
    report: Report


def save(store: Store, written: Report) -> str:
    """Its name in the storage, by server, database and moment; the migrations are in it. One that began in the same
    second keeps its own, and this one has a later one.
    """
    moment = datetime.datetime.fromisoformat(written.began)
    while store.has(name := named(written, moment)):
        moment += datetime.timedelta(seconds=1)
    store.save_text(name.removesuffix(".json") + PAGE, page.markdown(written))
    store.save_text(name, report.write(written))
    return name


def named(written: Report, moment: datetime.datetime) -> str:
    source = written.source
    start = f"{source.system_identifier}/{quote(source.database, safe='')}"
    return f"{start}-{moment:%Y%m%dT%H%M%S}Z{ENDINGS[written.kind]}"


def of(store: Store, system_identifier: str, database: str, kind: report.Kind) -> Iterator[Kept]:
    """The newest first; what can't be read is left out, as it can't be compared with."""
    start, ending = f"{quote(database, safe='')}-", ENDINGS[kind]
    files = [file for file in store.files(system_identifier) if file.startswith(start) and file.endswith(ending)]
    for file in reversed(files):
        name = f"{system_identifier}/{file}"
        with contextlib.suppress(RehomeError):
            kept = Kept(name, report.read(store.read(name), name))
            if kept.report.source.database == database:
                yield kept


def is_known(store: Store, system_identifier: str, database: str) -> bool:
    """Whether anything of the database is kept: a backup, or a report."""
    return any(file.startswith(f"{quote(database, safe='')}-") for file in store.files(system_identifier))
