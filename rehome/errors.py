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
    """No try was granted a table lock; the transaction is rolled back."""


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


class ImportFailed(RehomeError):
    """A server refused a statement of an import, or rows cannot be imported; nothing is committed."""


class DoubtfulRows(ImportFailed):
    """Some row cannot be imported; a second run checks each row and names it."""


def one_line(error: Exception) -> str:
    """What PostgreSQL said, with its detail, as part of a sentence."""
    return " ".join(str(error).split()).rstrip(".")
