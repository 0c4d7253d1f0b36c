"""The file of an ending, and the files on the disk: all of them are written, or none."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from rehome.errors import one_line
from rehome.graph.drafting.layout import text_of
from rehome.graph.drafting.writing import all_or_none
from rehome.graph.ending.source import Source

NAME = "END"
"""Under which the file has its SQL."""


@dataclasses.dataclass(frozen=True)
class Written:
    """A file as it is to be."""

    path: Path
    content: bytes
    new: bool
    """Whether there is no such file yet."""

    @property
    def text(self) -> str:
        return Source(self.path, self.content).text


def ending_text(migration: Any) -> str:
    (operation,) = migration.operations
    sql = f"\n{operation.sql}\n"
    plain = '"""' not in sql and not sql.rstrip().endswith("\\")
    return text_of(
        migration,
        before=f'{NAME} = r"""{sql}"""' if plain else f"{NAME} = {sql!r}",
        operations=f"[migrations.RunSQL({NAME}{', migrations.RunSQL.noop' if operation.reversible else ''})]",
    )


def write(files: Sequence[Written]) -> None:
    """Raises CommandError, with every file as it was, where one can't be written."""
    try:
        with all_or_none([file.path for file in files]):
            for file in files:
                if file.new:
                    # What is there, or a link, is left alone.
                    with file.path.open("xb") as opened:
                        opened.write(file.content)
                else:
                    file.path.write_bytes(file.content)
    except OSError as error:
        raise CommandError(
            f"The migrations can't be written: {one_line(error)}. Every file is as it was. Correct that, or run with "
            "--dry-run and save what is printed."
        ) from error
