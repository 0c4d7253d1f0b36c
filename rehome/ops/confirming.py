"""Asks before something is destroyed: says which database it is, and wants its name typed."""

import sys
from collections.abc import Callable

from rehome.errors import Refused
from rehome.ops.servers import Where


def refuse_unasked(where: Where, confirm: str | None, *, interactive: bool, needed: bool = True) -> None:
    """Raises Refused where nobody can be asked, or `confirm` is the name of another database; so that it is said before
    anything takes long. A name that was given has to be right where none is `needed`, too.
    """
    if confirm is not None and confirm != where.database:
        raise Refused(
            f"--confirm names {confirm!r}, and this is {where}.",
            f"If that is the one, use --confirm {where.database}. Nothing is changed.",
        )
    if needed and confirm is None and not (interactive and sys.stdin.isatty()):
        why = "there is no terminal to ask on" if interactive else "--noinput alone does not confirm it"
        raise Refused(
            f"This needs the database's name as a confirmation, and {why}: it is {where}.",
            f"Add --confirm {where.database} if that is the one. Nothing is changed.",
        )


def ask(question: str, where: Where, confirm: str | None, *, interactive: bool, say: Callable[[str], object]) -> None:
    """Say what will happen and where; go on only where the name was typed, or given. Raises Refused otherwise."""
    refuse_unasked(where, confirm, interactive=interactive)
    say(f"{question}\n{where.described()}")
    if confirm is None and (typed := answer("Type the name of the database to continue: ")) != where.database:
        raise Refused(f"{typed!r} is not {where.database!r}.", "Nothing is changed.")


def answer(question: str) -> str:
    """What is typed; nothing where the terminal has no more to say."""
    try:
        return input(question).strip()
    except EOFError:
        return ""
