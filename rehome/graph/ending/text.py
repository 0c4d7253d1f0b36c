"""The file of an ending, and the files on the disk: all of them are written, or none."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from rehome.errors import one_line
from rehome.graph.drafting.layout import quoted, text_of
from rehome.graph.drafting.writing import all_or_none
from rehome.graph.ending.source import Source

NAME = "END"
"""Under which the file has its SQL."""
# Of the class, and not an operation: it comes before any is undone, and a squash has nothing to import.
NO_WAY_BACK = """
    def unapply(self, *args, **kwargs):
        raise CommandError(
            {said}
        )
"""


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


def ending_text(migration: Any, move: str = "") -> str:
    """Plain Django. Of a `move`, it says in a sentence that nothing undoes it, whether rehome is still there or not."""
    (operation,) = migration.operations
    sql = f"\n{operation.sql}\n"
    plain = '"""' not in sql and not sql.rstrip().endswith("\\")
    text = text_of(
        migration,
        before=f'{NAME} = r"""{sql}"""' if plain else f"{NAME} = {sql!r}",
        operations=f"[migrations.RunSQL({NAME}{', migrations.RunSQL.noop' if operation.reversible else ''})]",
    )
    if not move:
        return text
    sentences = (
        f"{migration.app_label}.{migration.name} has ended {move}, and nothing undoes that. ",
        "Restore a backup from before it, or make a new database. ",
        "`manage.py migrate` applies again what came after it.",
    )
    said = f"\n{' ' * 12}".join(map(quoted, sentences))
    return f"from django.core.management import CommandError\n{text}{NO_WAY_BACK.format(said=said)}"


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
