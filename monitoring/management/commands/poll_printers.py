import asyncio
import signal
from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, OperationalError, ProgrammingError

from monitoring.polling import targets
from monitoring.polling.hosts import Hosts
from monitoring.polling.poller import EVERY_S, KINDS, Poller, hold, name, poll_once
from monitoring.polling.writing import Database


class Command(BaseCommand):
    help = "Ask all printers what they do, again and again until it is stopped, and keep what has changed."

    requires_system_checks = ()
    """Checks read every page of the portal, which this process would keep in memory."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="Ask each printer once, and end.")
        parser.add_argument(
            "--kind",
            action="append",
            choices=sorted(KINDS),
            help="Ask printers of this kind alone; may be given several times. All kinds by default.",
        )
        parser.add_argument(
            "--every", type=seconds, default=EVERY_S, help=f"Seconds between two rounds; {EVERY_S:g} by default."
        )

    def handle(self, *, once: bool, kind: list[str] | None, every: float, **options: Any) -> None:
        kinds = frozenset(kind or KINDS)
        try:
            if not once:
                asyncio.run(ask_forever(kinds, every))
            else:
                self.stdout.write(asyncio.run(ask_once(kinds)))
        except KeyboardInterrupt:
            raise CommandError("Interrupted. What was seen until then is kept.", returncode=130) from None
        except (ExceptionGroup, DatabaseError) as error:
            raise in_a_sentence(error) from error


def in_a_sentence(error: Exception) -> Exception:
    """What a person can do something about; else what it was."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    said = " ".join(str(error).split())
    match error:
        case ProgrammingError():
            return CommandError(f"The database is not that of this code ({said}). Run `manage.py migrate`.")
        case OperationalError():
            return CommandError(f"The database is away ({said}). Try again when it answers.")
    return error


def seconds(text: str) -> float:
    """From one to an hour's."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 1 <= number <= 3600:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds from 1 to 3600.")
    return number


async def ask_forever(kinds: frozenset[str], every: float) -> None:
    poller = Poller(kinds, every)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, poller.stop)
    await poller.run()


async def ask_once(kinds: frozenset[str]) -> str:
    """What was seen, in a sentence. Raises CommandError where another process polls."""
    database = Database()
    async with hold(database, name(), kinds) as held:
        if others := kinds - held:
            raise CommandError(
                f"Another process polls {', '.join(sorted(others))} already; end that one first, or choose --kind."
            )
        found = await poll_once(await database.run(targets.read, held), Hosts(EVERY_S), database)
    counted = ", ".join(f"{number} {state.word.lower()}" for state, number in found.most_common())
    return f"{found.total()} printers: {counted or 'none was asked'}"
