"""Rows that cannot be imported: how they are named, and the file that a later run reads again."""

import contextlib
import dataclasses
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rehome.errors import ImportFailed, Refused
from rehome.importing.plan import ImportPlan, Key
from rehome.importing.tables import LINE, temporary
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL, Identifier, Statement

FIELDS = {"import", "key", "column", "reason", "value"}
NAME_ONE = "Name a file that --skip-bad has written."


@dataclasses.dataclass(frozen=True)
class Reject:
    """One wrong column of a row that cannot be imported; a row may have several."""

    name: str
    """Of the import."""
    key: Key
    column: str
    """Empty where the whole row was refused."""
    reason: str
    value: str | None

    def __str__(self) -> str:
        key = ", ".join(f"{name}={value}" for name, value in self.key.items())
        where = [self.column, *([repr(self.value)] if self.value is not None else [])] if self.column else ["the row"]
        return f"{self.name}, {key}: {' '.join(where)}: {self.reason}"

    def as_json(self) -> dict[str, Any]:
        shown = dataclasses.asdict(self)
        return {"import": shown.pop("name"), **shown}


def refuse(rows: int, found: Iterator[Reject], named: int | None) -> ImportFailed:
    """The error that names `named` of the reasons, or all of them."""
    lines = [str(reject) for reject in itertools.islice(found, named)]
    if more := sum(1 for _ in found):
        lines.append(f"... and {more:,} more; --verbosity 2 names all.")
    shown = "\n".join(f"  {line}" for line in lines)
    return ImportFailed(
        f"{count(rows)} cannot be imported. Nothing is committed.\n{shown}\nCorrect them at the source, or run again "
        "with --skip-bad FILE, which writes them to a file and imports the others."
    )


def count(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"


def find(plans: Iterable[ImportPlan], session: Session) -> Iterator[Reject]:
    """All of them, in the order of the source; memory does not grow with their number."""
    for plan in plans:
        names = list(plan.declared.key)
        with session.connection.chunked_cursor() as cursor:
            cursor.execute(list_rejects(plan).as_string(), None)
            for *key, column, reason, value in cursor:
                yield Reject(str(plan), dict(zip(names, key, strict=True)), column, reason, value)


def list_rejects(plan: ImportPlan) -> Statement:
    arrived_in = {taken.column.name: taken.arrives_in for taken in plan.taken}
    return SQL(
        'SELECT {keys}, rejected."column", rejected.reason, rejected.value '
        'FROM {rejects} AS rejected JOIN {text} AS given USING ({line}) ORDER BY {line}, rejected."column"'
    ).format(
        keys=SQL(", ").join(Identifier("given", arrived_in[column]) for column in plan.key),
        rejects=temporary(plan, "rejects"),
        text=temporary(plan, "text"),
        line=Identifier(LINE),
    )


# ----- the file


def draft(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def write(path: Path, rejects: Iterable[Reject]) -> None:
    """As JSON lines, in a draft beside the file of an earlier run, which this run may be reading."""
    try:
        with draft(path).open("w", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(reject.as_json(), ensure_ascii=False)}\n" for reject in rejects)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        problem = f"{path} can't be written: {error.strerror}. Nothing is committed; name another file."
        raise ImportFailed(problem) from error


@contextlib.contextmanager
def published(path: Path | None) -> Iterator[None]:
    """When the block ends well, the draft replaces the file; otherwise it is deleted."""
    if path is None:
        yield
        return
    if path.exists() and not path.is_file():
        raise Refused(f"{path} is no file that can be replaced.", "Name another one for the rows to skip.")
    try:
        yield
    except BaseException:
        draft(path).unlink(missing_ok=True)
        raise
    try:
        draft(path).replace(path)
    except OSError as error:
        raise ImportFailed(
            f"The good rows are committed, and the others are in {draft(path)}, but not in {path}: {error.strerror}. "
            "Move the file by hand."
        ) from error


def read_keys(path: Path) -> dict[str, tuple[Key, ...]]:
    """By import, the keys of the rows that a file names. Raises Refused for another file."""
    found: dict[str, dict[str, Key]] = {}
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                name, key = parse(line, f"Line {number} of {path}")
                found.setdefault(name, {})[json.dumps(key, sort_keys=True)] = key
    except OSError as error:
        raise Refused(f"{path} can't be read: {error.strerror}.", NAME_ONE) from error
    except UnicodeDecodeError as error:
        raise Refused(f"{path} is not UTF-8.", NAME_ONE) from error
    return {name: tuple(keys.values()) for name, keys in found.items()}


def parse(line: str, place: str) -> tuple[str, Key]:
    with contextlib.suppress(json.JSONDecodeError):
        given = json.loads(line)
        if isinstance(given, dict) and given.keys() >= FIELDS and isinstance(given["key"], dict):
            return given["import"], given["key"]
    raise Refused(f"{place} names no rejected row: {line.strip()[:80]!r}.", NAME_ONE)


def restrict(plans: Sequence[ImportPlan], keys: dict[str, tuple[Key, ...]]) -> list[ImportPlan]:
    """The imports that `keys` name rows of, reading only these. Raises Refused for one that is not run."""
    known = list(dict.fromkeys(map(str, plans)))
    if others := [name for name in keys if name not in known]:
        raise Refused(
            f"The file has rows of {others[0]}, which this command does not run.",
            f"It runs {', '.join(known)}; use the command that wrote the file.",
        )
    return [dataclasses.replace(plan, only=keys[str(plan)]) for plan in plans if str(plan) in keys]
