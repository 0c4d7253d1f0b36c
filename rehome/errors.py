"""Every exception of rehome; each says what is wrong, the value and the cure in one sentence."""

from django.core.management.base import CommandError
from django.db.migrations.exceptions import IrreversibleError


class RehomeError(CommandError):
    """A move or an import was refused or failed; `manage.py` prints its message and exits with 1."""


class Refused(RehomeError):
    """A condition of the move does not hold; nothing has been written."""

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(f"{problem} {hint}")
        self.problem = problem
        self.hint = hint


class Irreversible(Refused, IrreversibleError):
    """The move has no expression that computes some column of the source from the target."""


class LockNotObtained(RehomeError):
    """Other sessions stopped every try, by a lock, a deadlock or a change; the transaction is rolled back."""


class Stopped(RehomeError):
    """A signal interrupted the move between two of its transactions; what is committed stays, and the move resumes."""

    def __init__(self, move: object, signal: int) -> None:
        super().__init__(
            f"{move} was interrupted. Copied rows are kept. Run `migrate` to resume, or migrate to the previous "
            "migration to cancel.",
            returncode=128 + signal,
        )


class MoveFailed(RehomeError):
    """PostgreSQL refused a statement of the move, or the comparison found differences; the transaction is undone."""


class BackupFailed(RehomeError):
    """A backup could not be made, read or restored; the database and its other backups are as they were."""


class Damaged(BackupFailed):
    """An archive has other bytes than its manifest says."""


class ImportFailed(RehomeError):
    """A server refused a statement of an import, or rows cannot be imported; nothing is committed."""


class DoubtfulRows(ImportFailed):
    """Some row cannot be imported; a second run checks each row and names it."""


LONGEST = 2_000
JOINERS = "\u200c\u200d"
"""Of no width, and part of words in Persian and other scripts: no terminal obeys them."""


def one_line(error: Exception) -> str:
    """What PostgreSQL said, with its detail, as part of a sentence."""
    return visible(" ".join(str(error).split()).rstrip("."))


def visible(text: str) -> str:
    """The same text, with an escape for each character that a terminal would obey or nobody would see; of a very long
    one the beginning.
    """
    shown = "".join(character if is_visible(character) else ascii(character)[1:-1] for character in text[:LONGEST])
    return shown if len(text) <= LONGEST else f"{shown}... ({len(text):,} characters)"


def is_visible(character: str) -> bool:
    return character.isprintable() or character in JOINERS
