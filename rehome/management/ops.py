"""What the commands about backups have in common."""

import argparse
import contextlib
import sys
from typing import Any

from django.core.management.base import CommandParser
from psycopg import sql

from rehome.management.base import DatabaseCommand, as_table
from rehome.ops import confirming, scratch
from rehome.ops.backups.store import Backup
from rehome.ops.servers import Server, elapsed, sized

MOST_HOURS, MOST_SECONDS = 1_000_000, 86_400
"""More has no date, and no sense."""
COLUMNS = ["backup", "taken", "age", "size", "rows", "server", "proved", "moves"]


class OpsCommand(DatabaseCommand):
    """Makes databases or files of its own, which are gone when it is interrupted."""

    def offer_leftovers(self, server: Server, *, interactive: bool) -> None:
        """Name what a killed process has left, and drop it where somebody says so."""
        for found in scratch.leftovers(server):
            self.say(f"A killed process has left the database {found}, {sized(found.size)}.")
            if interactive and sys.stdin.isatty():
                if confirming.answer("Drop it? Type 'yes' to drop it, or anything else to keep it: ") == "yes":
                    scratch.drop(server, found)
            else:
                self.say(f"Drop it with: DROP DATABASE {sql.Identifier(found.name).as_string()};")


def add_noinput(parser: CommandParser) -> None:
    told = "Ask no questions."
    parser.add_argument("--noinput", "--no-input", action="store_false", dest="interactive", help=told)


def add_confirm(parser: CommandParser) -> None:
    told = "The name of the database that is meant, instead of typing it on a terminal."
    parser.add_argument("--confirm", metavar="NAME", help=told)


def positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on.")
    return int(text)


def hours(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= float(text) <= MOST_HOURS:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number of hours; give one such as 24.")


def seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= float(text) <= MOST_SECONDS:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds up to {MOST_SECONDS}; give one such as 5.")


def row_of(backup: Backup) -> dict[str, Any]:
    one = backup.manifest
    return {
        "backup": one.name,
        "taken": f"{one.taken_at:%Y-%m-%d %H:%M:%S} UTC",
        "age": elapsed(backup.age),
        "size": sized(one.size),
        "rows": one.fingerprint.rows,
        "server": f"{one.database} on {one.host}",
        "proved": "yes" if backup.proved else "FAILED" if backup.proof else "no",
        "moves": ", ".join(sorted(set(one.moves.values()))) or "none",
    }


def as_rows(backups: list[Backup]) -> str:
    return as_table(COLUMNS, [row_of(one) for one in backups])
