"""Migrate, roll back and migrate again on a scratch database: `make demo`.

Nothing else on the server is touched. The database is named after the project's, with `_demo` at the end, and
is created again each time. Exits with 1 if a write is lost.
"""

import argparse
import contextlib
import io
import json
import os
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ["DJANGO_SETTINGS_MODULE"] = "core.settings"
os.environ["DEBUG"] = "false"  # With it Django keeps the statements.

import django  # noqa: E402
from django.core.exceptions import ImproperlyConfigured  # noqa: E402

try:
    django.setup()
except ImproperlyConfigured as error:
    sys.exit(str(error))

from django.core.management import CommandError, call_command  # noqa: E402
from django.db import DatabaseError, connection, models  # noqa: E402
from psycopg.errors import ObjectNotInPrerequisiteState  # noqa: E402

from scripts import scratch, seeding  # noqa: E402
from scripts.record import Record  # noqa: E402

OLD, NEW = ("portal.Profile", "portal.Printer"), ("accounts.Profile", "printers.Printer")
WRITTEN = range(seeding.BULK + 1, seeding.BULK + 501)
"""Of the ordinary printers, the demo writes to these keys alone; the others must not change."""
WIDTH = 79
INDENT = "    "

Pair = tuple[str, str]

FINDINGS = {
    "rows in the old table": "source_rows",
    "rows in the new table": "target_rows",
    "missing rows": "missing",
    "extra rows": "extra",
    "different rows": "different",
    "foreign keys without a row": "orphans",
    "constraints not validated": "unvalidated",
    "next key is free": "sequence_ok",
    "triggers": "sync",
    "content types and permissions": "identity_ok",
    "seconds": "seconds",
}


class Wrong(Exception):
    """Something is not as the demo left it; the message is one sentence or more."""


class Demo:
    """What was written, what was not touched, and how long each step took."""

    def __init__(self, profiles: int, printers: int) -> None:
        self.profiles = profiles
        self.printers = printers
        self.record = Record()
        self.untouched: list[tuple[int, int]] = []
        self.times: list[tuple[str, float]] = []

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        print(f"\n{len(self.times) + 1}. {name}")
        yield
        self.times.append((name, time.monotonic() - started))

    def run(self) -> None:
        say("Migrate from portal to accounts and printers, roll back, and migrate again.", indent="")
        with self.step("Build the monolith before the split"):
            make_database()
            migrate("portal", "0001")
            for app in ("auth", "contenttypes", "admin", "sessions"):
                migrate(app)
        with self.step("Fill it"):
            self.fill()
        with self.step("Move"):
            migrate()
        with self.step("Verify"):
            verify()
        with self.step("Write as servers of the previous and of the new release do at once"):
            self.write()
        with self.step("Roll back"):
            migrate("printers", "0001")
            print()
            migrate("accounts", "0001")
        with self.step("Check what was written"):
            self.find_everything(OLD)
            self.try_a_straggler()
        with self.step("Move again"):
            migrate()
        with self.step("Verify again"):
            self.find_everything(OLD)
            self.find_everything(NEW)
            moves = verify()
        print(f"\n{tabulate(moves)}\n\n{self.tabulate_times()}\n")
        say("The farm has moved, and every write is there.", indent="")
        say(f"The database {connection.settings_dict['NAME']} stays as it is until the next run.", indent="")

    def fill(self) -> None:
        seeding.fill(connection, profiles=self.profiles, printers=self.printers)
        self.untouched = self.fingerprint(OLD)
        profiles, printers = (model.objects.count() for model in models_of(OLD))
        say(f"{profiles:,} profiles and {printers:,} printers.")
        say(
            "Among them: profiles without a user, users without a profile, printers without a profile, gaps in the "
            "keys and the last key of the type, IPv6, URLs, emoji, right-to-left text, empty strings beside NULLs, "
            "permissions of groups and users, log entries of the admin."
        )

    def write(self) -> None:
        write = self.record
        old_profile, old_printer, profile, printer, user = models_of((*OLD, *NEW, "auth.User"))
        for n, profiles in enumerate((old_profile, profile, old_profile, profile)):
            printers, others = (old_printer, printer) if profiles is old_profile else (printer, old_printer)
            owner = write.insert(profiles, name=f"born {n}", organization="", email=None)
            write.insert(printers, profile_id=owner, ip_address=f"2001:db8::{n}", api_key="born")
            write.insert(others, profile_id=owner, ip_address=f"198.51.100.{n}")
        say("New profiles through both, and new printers for them, of each other's too.")
        write.update(old_profile, 10, name="renamed by old code", email=None)
        write.update(profile, 10, organization="renamed by new code")
        write.update(printer, 10, profile_id=owner)
        write.update(old_printer, 20, profile_id=None)
        write.update(printer, self.some_printers(0), ping=True, printing=True)
        write.update(old_printer, self.some_printers(1), profile_id=owner)
        say("Old code and new code changed the same rows, and printers by the hundred.")
        write.change_key(old_printer, 30, 31)
        write.insert(printer, id=30, ip_address="192.0.2.30", api_key="born again")
        say("A printer got another key, and a new one was inserted under the old key.")
        write.delete(printer, 40)
        write.delete(old_printer, seeding.LARGEST_INT)
        user.objects.get(pk=60).delete()
        write.gone(profile, 60)
        write.gone(printer, 60)
        say("Printers were deleted through both, and a user with all that she owned.")
        self.find_everything(OLD)
        self.find_everything(NEW)

    def some_printers(self, first: int) -> list[int]:
        [_, printers] = models_of(OLD)
        return list(printers.objects.filter(pk__in=WRITTEN).values_list("pk", flat=True)[first::3])

    def find_everything(self, pair: Pair) -> None:
        """Raises Wrong unless both models hold every write of the record, and the other rows as they were filled."""
        if lost := [sentence for model in models_of(pair) for sentence in self.record.lost_from(model)]:
            raise Wrong("\n".join([f"{len(lost)} writes are lost from {names(pair)}.", *lost[:10]]))
        if (now := self.fingerprint(pair)) != self.untouched:
            raise Wrong(f"Rows of {names(pair)} that nobody wrote to are {now}, and were {self.untouched}.")
        written = sum(map(len, self.record.rows.values()))
        others = sum(count for count, _ in self.untouched)
        say(f"In {names(pair)}: {written:,} rows as written, {others:,} others untouched.")

    def fingerprint(self, pair: Pair) -> list[tuple[int, int]]:
        """Of the rows that nobody writes to: for each model their number and one hash over the columns of both."""
        ranges = (seeding.BULK, seeding.last_key(self.profiles)), (WRITTEN[-1], seeding.last_key(self.printers))
        found = []
        for model, old, (after, last) in zip(models_of(pair), models_of(OLD), ranges, strict=True):
            columns = ", ".join(sorted(field.column for field in old._meta.concrete_fields))
            with connection.cursor() as cursor:
                cursor.execute(
                    f"SELECT count(*), bit_xor(hashtextextended(ROW({columns})::text, 0)) "  # noqa: S608
                    f"FROM {model._meta.db_table} WHERE id > %s AND id <= %s",
                    [after, last],
                )
                found.append(cursor.fetchone())
        return found

    def try_a_straggler(self) -> None:
        """After the rollback nobody reads the new tables, so a server that still writes there must get an error."""
        [_, printers] = models_of(NEW)
        try:
            printers.objects.create(ip_address="192.0.2.255", api_key="too late")
        except DatabaseError as error:
            if not isinstance(error.__cause__, ObjectNotInPrerequisiteState):
                raise  # Something else is wrong with the write.
            say("A server of the new release that still runs gets this error:")
            say(str(error).splitlines()[0], indent=INDENT * 2)
        else:
            raise Wrong("The new tables take writes after the rollback, and nobody reads them.")

    def tabulate_times(self) -> str:
        times = [(f"{number}. {name}", seconds) for number, (name, seconds) in enumerate(self.times, start=1)]
        times.append(("All steps", sum(seconds for _, seconds in self.times)))
        return "\n".join(["Time", *(f"{name:<{WIDTH - 9}}{seconds:7.1f} s" for name, seconds in times)])


def make_database() -> None:
    """Raises CommandError when the name is taken by a database that no script made."""
    name = scratch.make("demo")
    scratch.use(name)
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        (version,) = cursor.fetchone()
    say(f"On the database {name}, PostgreSQL {version.split()[0]}.")


def models_of(labels: Iterable[str]) -> list[type[models.Model]]:
    """As this step's database has them."""
    apps = scratch.models()
    return [apps.get_model(label) for label in labels]


def migrate(*target: str) -> None:
    command(" ".join(["migrate", *target]))
    # The steps of a move are told on stderr; Django's own lines would say the same once more.
    call_command("migrate", *target, stdout=io.StringIO())


def verify() -> list[dict[str, Any]]:
    """What `verifymoves` reports of each move; raises CommandError when it finds anything wrong."""
    command("verifymoves")
    report = io.StringIO()
    call_command("verifymoves", format="json", verbosity=0, stdout=report)
    moves: list[dict[str, Any]] = json.loads(report.getvalue())["moves"]
    for move in moves:
        say(f"{move['move']}: {move['target_rows']:,} rows are equal.")
    return moves


def command(arguments: str) -> None:
    print(f"{INDENT}$ python manage.py {arguments}")


def say(text: str, indent: str = INDENT) -> None:
    print(textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False))


def names(pair: Pair) -> str:
    return " and ".join(dict.fromkeys(label.partition(".")[0] for label in pair))


def tabulate(moves: list[dict[str, Any]]) -> str:
    """The verification, with a column for each move."""
    lines = [
        ("Verification", *(f"{move['move'].split()[0]} ->" for move in moves)),
        ("", *(move["move"].split()[-1] for move in moves)),
    ]
    for name, key in FINDINGS.items():
        found = [move[key] for move in moves]
        lines.append((name, *(show(value) for value in found)))
    return "\n".join(f"{name:<{WIDTH - 2 * 22}}{first:>22}{second:>22}" for name, first, second in lines)


def show(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, list):
        return f"{len(value):,}"
    if isinstance(value, float):
        return f"{value:.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--profiles", type=int, default=20_000, help="ordinary ones; default: %(default)s")
    parser.add_argument("--printers", type=int, default=200_000, help="ordinary ones; default: %(default)s")
    options = parser.parse_args()
    if min(options.profiles, options.printers) < 1:
        parser.error("give one profile and one printer at least")
    # In a pipe, in the order of what the moves print on stderr.
    sys.stdout.reconfigure(line_buffering=True)
    try:
        Demo(options.profiles, options.printers).run()
    except (Wrong, CommandError, DatabaseError) as error:
        sys.exit(f"\nThe demo failed: {error}")
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
