"""Every exception of rehome; each says what is wrong, the value and the cure in one sentence."""

from django.core.management.base import CommandError
from django.db.migrations.exceptions import IrreversibleError


class RehomeError(CommandError):
    """A move was refused or failed; `manage.py` prints its message and exits with 1."""


class Refused(RehomeError):
    """A condition of the move does not hold; nothing has been written."""

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(f"{problem} {hint}")
        self.problem = problem
        self.hint = hint


class Irreversible(Refused, IrreversibleError):
    """The move gives no way to compute some column of the source from the target."""


class LockNotObtained(RehomeError):
    """A table lock was not granted in any of the tries; whatever the transaction did is rolled back."""


class Stopped(RehomeError):
    """A signal ended the move between two of its transactions; what was committed is whole and can be gone on with."""

    def __init__(self, move: object, signal: int) -> None:
        super().__init__(
            f"{move} is not done. What is copied stays: run the migration again to go on, or migrate to the one before "
            "it to give the move up.",
            returncode=128 + signal,
        )


class MoveFailed(RehomeError):
    """PostgreSQL refused a statement of the move, or the comparison found differences; all is rolled back."""


class ImportFailed(RehomeError):
    """A server refused a statement of an import, or rows can't go in; nothing is committed."""


class DoubtfulRows(ImportFailed):
    """Some row can't go in; which ones, and why, is found by asking each of them."""


def one_line(error: Exception) -> str:
    """What PostgreSQL said, with its detail, as part of a sentence."""
    return " ".join(str(error).split()).rstrip(".")
