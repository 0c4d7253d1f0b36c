"""Writes the files, and deletes those that they replace: all of it or nothing."""

import contextlib
import dataclasses
import errno
import importlib
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from django.core.management.base import CommandError

from rehome.errors import one_line
from rehome.terminal import interruptible


@dataclasses.dataclass(frozen=True)
class File:
    path: Path
    text: str


def write(files: Sequence[File], replaced: Sequence[Path]) -> None:
    """Raises CommandError, with every file as it was, where one can't be written, or by Ctrl-C and SIGTERM.

    Each appears whole, after those that it depends on: where the process is killed, the same command writes the rest.
    """
    paths = [*replaced, *(path for file in files for path in (file.path, staged(file)))]
    try:
        with interruptible("Interrupted. Every file is as it was."), all_or_none(paths):
            for file in files:
                staged(file).write_text(file.text, encoding="utf-8")
            for path in replaced:
                path.unlink()
            for file in files:
                put(file)
    except OSError as error:
        raise CommandError(
            f"The migrations can't be written: {one_line(error)}. Every file is as it was. Correct that, or run with "
            "--dry-run and save what is printed."
        ) from error
    forget_modules({*replaced, *(file.path for file in files)})


def staged(file: File) -> Path:
    """Where its text is, whole, before it appears; no module has such a name."""
    return file.path.with_name(f".{file.path.name}.new")


def put(file: File) -> None:
    """What is there, or a link, is left alone."""
    if os.path.lexists(file.path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(file.path))
    staged(file).rename(file.path)


def forget_modules(paths: Collection[Path]) -> None:
    """Lets the next import read the files, for one of another text may have been imported under the same name."""
    for name, module in list(sys.modules.items()):
        if (file := getattr(module, "__file__", None)) and Path(file) in paths:
            del sys.modules[name]
    importlib.invalidate_caches()


@contextlib.contextmanager
def all_or_none(paths: Sequence[Path]) -> Iterator[None]:
    before = {path: (path.read_bytes(), path.stat()) for path in paths if path.is_file()}
    others = {path for path in paths if path not in before and (path.exists() or path.is_symlink())}
    try:
        yield
    except BaseException:
        for path in paths:
            if path not in before and path not in others:
                path.unlink(missing_ok=True)
        for path, (content, facts) in before.items():
            if not path.exists() or path.read_bytes() != content:
                path.write_bytes(content)
                path.chmod(facts.st_mode)
                os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        raise
