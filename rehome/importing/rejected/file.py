"""The file of rows that cannot be imported, as JSON lines, and the keys in it that a later run reads again."""

import contextlib
import dataclasses
import errno
import json
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from rehome.errors import ImportFailed, Refused, is_visible, visible
from rehome.importing.plan import ImportPlan, Key
from rehome.importing.sources import keys
from rehome.importing.tables import key_columns, temporary
from rehome.postgres import sql
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL

FIELDS = {"import", "key", "column", "reason", "value"}
NAME_ONE = "Name a file that --skip-bad has written."
Line = dict[str, Any]
Found = dict[str, set[keys.Parts]]
"""By import, the keys that were found at the source, as `source_key` gives them."""


# ----- writing


def same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def draft(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


class Draft:
    """What is to replace the file, beside which it is written: this run may be reading that of an earlier one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written = False

    def write(self, lines: Iterable[Line]) -> None:
        try:
            with create(draft(self.path)) as file:
                self.written = True
                file.writelines(f"{as_text(line)}\n" for line in lines)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            problem = f"{self.path} can't be written: {error.strerror}. Nothing is committed; name another file."
            raise ImportFailed(problem) from error

    def delete(self) -> None:
        """Unless a run that was killed has left it."""
        if self.written:
            draft(self.path).unlink(missing_ok=True)

    def publish(self) -> None:
        try:
            draft(self.path).replace(self.path)
        except OSError as error:
            raise ImportFailed(
                f"The good rows are committed, and the others are in {draft(self.path)}, but not in {self.path}: "
                f"{error.strerror}. Move the file by hand."
            ) from error


def as_text(line: Line) -> str:
    """JSON, in which nothing is left that a terminal would obey."""
    text = json.dumps(line, ensure_ascii=False)
    return "".join(character if is_visible(character) else json.dumps(character)[1:-1] for character in text)


def create(path: Path) -> TextIO:
    """A new file for its owner alone. What stood under the name is deleted, never written to: it may be a link."""
    path.unlink(missing_ok=True)
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w", encoding="utf-8")


@contextlib.contextmanager
def published(path: Path | None) -> Iterator[Draft | None]:
    """When the block ends well, the draft replaces the file; otherwise it is deleted."""
    if path is None:
        yield None
        return
    refuse_irreplaceable(path)
    absorb_draft(path)
    file = Draft(path)
    try:
        yield file
    except BaseException:
        file.delete()
        raise
    file.publish()


def refuse_irreplaceable(path: Path) -> None:
    """A link would be replaced by a file, and whoever reads where it leads would wait for rows in vain."""
    for one, can_be in ((path, stat.S_ISREG), (draft(path), lambda mode: not stat.S_ISDIR(mode))):
        with contextlib.suppress(OSError):  # Of what is not there.
            if not can_be(one.lstat().st_mode):
                raise Refused(
                    f"{one} is no regular file that can be replaced.", "Name another one for the rows to skip."
                )
    if path.parent.is_dir() and not os.access(path.parent, os.W_OK | os.X_OK):
        raise Refused(f"No file can be written in {path.parent}.", "Name one in another folder for the rows to skip.")


def refuse_lost(path: Path, again: Path | None, plans: Iterable[ImportPlan], *, dry_run: bool) -> None:
    """Raises Refused where a line of the file that a run replaces would be lost: its row is not read by a run of these
    plans, or of what the file `again` names, or does not come in.
    """
    if again and same(again, path):
        return
    there = set[str]()
    with contextlib.suppress(Refused):  # Of a file that is not there, or has something else.
        there = {str(line["import"]) for line in read(path)}
    if there and again:
        raise Refused(
            f"{path} has rows that this run does not read, and it would replace them.",
            f"Name {again} with --skip-bad as well, or a new file.",
        )
    if others := sorted(there - set(map(str, plans))):
        raise Refused(
            f"{path} has rows of {visible(others[0])}, which this command does not run, and it would replace them.",
            "Name another file with --skip-bad.",
        )
    if there and dry_run:
        raise Refused(
            f"{path} has rows, which a dry run would replace although it commits nothing.",
            "Name another file with --skip-bad, or run without --dry-run.",
        )


def absorb_draft(path: Path) -> None:
    """What a run has left that was killed before it replaced the file becomes a part of that, for this run's own draft
    takes its place, and may come to nothing.
    """
    if not has_left(path):
        return
    whole = path.with_name(f"{path.name}.both")
    try:
        with create(whole) as file:
            file.writelines(f"{as_text(line)}\n" for line in read(path))
            file.flush()
            os.fsync(file.fileno())
        whole.replace(path)
        draft(path).unlink()
    except OSError as error:
        raise ImportFailed(f"{path} can't be written: {error.strerror}. Nothing is done; name another file.") from error
    finally:
        whole.unlink(missing_ok=True)


# ----- reading


def open_regular(path: Path) -> TextIO:
    """To read. Raises Refused for a link, and for what is no file and might never end; OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return open(descriptor, encoding="utf-8")
    os.close(descriptor)
    raise Refused(f"{path} is no regular file.", NAME_ONE)


def read(path: Path) -> Iterator[Line]:
    """Raises Refused for another file. What a run has left that was killed between its commit and its end follows."""
    try:
        if path.exists() or not has_left(path):
            yield from read_lines(path)
    except OSError as error:
        reason = "a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise Refused(f"{path} can't be read: {reason}.", NAME_ONE) from error
    except UnicodeDecodeError as error:
        raise Refused(f"{path} is not UTF-8.", NAME_ONE) from error
    yield from left(path)


def left(path: Path) -> Iterator[Line]:
    with contextlib.suppress(OSError, UnicodeDecodeError, Refused):
        yield from read_lines(draft(path))


def has_left(path: Path) -> bool:
    return next(left(path), None) is not None


def read_lines(path: Path) -> Iterator[Line]:
    with open_regular(path) as file:
        for number, line in enumerate(file, 1):
            yield parse(line, f"Line {number} of {path}")


def parse(line: str, place: str) -> Line:
    with contextlib.suppress(json.JSONDecodeError, RecursionError):
        given = json.loads(line)
        if isinstance(given, dict) and given.keys() >= FIELDS and isinstance(given["import"], str):
            key = given["key"]
            if isinstance(key, dict) and all(isinstance(part, str | None) for part in key.values()):
                return given
    raise Refused(f"{place} names no rejected row: '{visible(line.strip()[:80])}'.", NAME_ONE)


def read_keys(path: Path) -> dict[str, tuple[Key, ...]]:
    """By import, the keys of the rows that a file names."""
    found: dict[str, dict[str, Key]] = {}
    for line in read(path):
        found.setdefault(line["import"], {})[json.dumps(line["key"], sort_keys=True)] = line["key"]
    return {name: tuple(known.values()) for name, known in found.items()}


def restrict(plans: Sequence[ImportPlan], known: dict[str, tuple[Key, ...]]) -> list[ImportPlan]:
    """The imports that `known` names rows of, reading only these. Raises Refused for one that is not run."""
    names = list(dict.fromkeys(map(str, plans)))
    if others := [name for name in known if name not in names]:
        raise Refused(
            f"The file has rows of {visible(others[0])}, which this command does not run.",
            f"It runs {', '.join(names)}; use the command that wrote the file.",
        )
    chosen = [plan for plan in plans if str(plan) in known]
    for plan in chosen:
        for key in known[str(plan)]:
            if key.keys() != plan.declared.key.keys():
                raise Refused(
                    f"The file has a key of {plan} with {visible(', '.join(key)) or 'no field'}, and that has "
                    f"{', '.join(plan.declared.key)}.",
                    "Write the file anew: run the import with --skip-bad.",
                )
    return [dataclasses.replace(plan, only=known[str(plan)]) for plan in chosen]


# ----- what of it was read again


def source_key(plan: ImportPlan, key: Key) -> keys.Parts:
    """The parts that the source has."""
    names = list(plan.declared.key)
    return tuple(key[names[number]] for number in keys.asked(plan))


def find(plans: Iterable[ImportPlan], session: Session) -> Found:
    """Which keys the rows have that were read."""
    found: Found = {}
    for plan in plans:
        columns = [key_columns(plan)[number] for number in keys.asked(plan)]
        statement = SQL("SELECT {} FROM {}").format(sql.columns(columns), temporary(plan, "text"))
        found[str(plan)] = set(session.rows(statement))
    return found


def missing(plan: ImportPlan, found: Found) -> int:
    """How many keys of the file are not at the source."""
    return sum(source_key(plan, key) not in found[str(plan)] for key in plan.only or ())


def kept(path: Path, plans: Iterable[ImportPlan], found: Found, *, into: Path | None) -> Iterator[Line]:
    """Lines whose rows were not read: they are no less to be imported."""
    named = {str(plan): plan for plan in plans}
    # Beside it there may be what this run is writing.
    for line in read_lines(path) if into and same(path, into) else read(path):
        plan = named[line["import"]]
        if source_key(plan, line["key"]) not in found[str(plan)]:
            yield line
