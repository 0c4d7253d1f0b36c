#!/usr/bin/env python
"""Measures moves, online, in place and back, against plain SQL and an ORM loop, on one server, in one run.

Each way starts from its own copy of one filled database, so none finds what another left behind. Figures are
ratios within the run; absolute seconds say something about the machine only.
"""

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path

from django.core.management import call_command
from django.db import transaction

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import benching, by_hand, farm, scratch  # noqa: E402
from scripts.benching import Figures, Line, copied, run  # noqa: E402

ORM_SAMPLE = 2_000
FEW = 10_000
"""Printers of the small database that an in-place move must not be much faster on."""


# ----- the ways


def online() -> None:
    os.environ["REHOME_ONLINE"] = "1"
    farm.forward()


def in_place(app: str) -> None:
    farm.declare(in_place=True)
    farm.forward(app)


def by_plain_insert() -> None:
    """One INSERT ... SELECT for each table, into the tables as `migrate` made them."""
    run(
        f"INSERT INTO accounts_profile ({by_hand.PROFILE}) SELECT {by_hand.PROFILE} FROM portal_profile",  # noqa: S608
        f"INSERT INTO printers_printer ({by_hand.PRINTER}) SELECT {by_hand.PRINTER} FROM portal_printer",  # noqa: S608
    )


def by_orm_loop() -> None:
    """What a RunPython that knows nothing better does, on a sample of the printers and their profiles."""
    models = scratch.models()
    old_printers = models.get_model("portal.Printer").objects
    profiles, printers = models.get_model("accounts.Profile").objects, models.get_model("printers.Printer").objects
    with transaction.atomic():
        for old in old_printers.order_by("pk")[:ORM_SAMPLE]:
            profile, _ = profiles.get_or_create(
                user=old.profile.user,
                defaults={"name": old.profile.name, "username": old.profile.username, "email": old.profile.email},
            )
            printers.create(
                profile=profile,
                ip_address=old.ip_address,
                api_key=old.api_key,
                ping=old.ping,
                printing=old.printing,
            )


def by_verification() -> None:
    with open(os.devnull, "w") as nowhere:
        call_command("verifymoves", stdout=nowhere)


def by_counting() -> None:
    """Two counts for each move, as a person would check it."""
    for table in ("portal_profile", "accounts_profile", "portal_printer", "printers_printer"):
        run(f"SELECT count(*) FROM {table}")  # noqa: S608


WAYS: dict[str, Callable[[], None]] = {
    "move": farm.forward,
    "back": farm.backward,
    "online": online,
    "profiles in place": functools.partial(in_place, "accounts"),
    "printers in place": functools.partial(in_place, "printers"),
    "by hand": by_hand.move,
    "plain insert": by_plain_insert,
    "orm loop": by_orm_loop,
    "verification": by_verification,
    "counting": by_counting,
}


# ----- measuring


TABLE = (
    Line(
        "time of the move / of the same steps by hand",
        "<= 1.25",
        lambda of: of["move"].seconds / of["by hand"].seconds,
    ),
    Line(
        "time of plain INSERT ... SELECT / of the move",
        ">= 4",
        lambda of: of["plain insert"].seconds / of["move"].seconds,
    ),
    Line(
        "rows a second of the move / of the ORM loop",
        ">= 100",
        lambda of: of["move"].rate / of["orm loop"].rate,
    ),
    Line(
        "time of the verification / of two counts a move",
        "<= 4",
        lambda of: of["verification"].seconds / of["counting"].seconds,
    ),
    Line("peak memory of the process, MB", "<= 120", lambda of: of["move"].peak_mb),
    Line("rate of the online move / of the move", ">= 0.4", lambda of: of["online"].rate / of["move"].rate),
    Line("time of the way back / of the move", "<= 0.2", lambda of: of["back"].seconds / of["move"].seconds),
    Line(
        f"time in place / with {FEW:,} rows",
        "<= 2",
        lambda of: of["in place"].seconds / of["few in place"].seconds,
    ),
    Line("time in place, s", "< 1", lambda of: of["in place"].seconds),
)


def main(rows: int) -> None:
    benching.introduce(rows)
    print(f"Filling {rows:,} printers and {rows // 10:,} profiles ...", flush=True)
    with farm.filled("bench_base", rows) as base:
        print("Measuring, each way on its own copy:", flush=True)
        figures = measure_ways(base, rows) | measure_in_place(base, rows)
    benching.report(TABLE, figures)


def measure_ways(base: str, rows: int) -> dict[str, Figures]:
    both = rows + rows // 10
    measure = functools.partial(benching.measure, __file__)
    figures = {}
    with copied("bench_move", base) as name:
        figures["move"] = measure("move", name, both)
        for again in ("counting", "verification"):
            for _ in range(1 if rows < benching.ENOUGH else 2):  # the first warms the cache for both alike
                figures[again] = measure(again, name, both)
        figures["back"] = measure("back", name, both)
    for way, number in (
        ("online", both),
        ("by hand", both),
        ("plain insert", both),
        ("orm loop", min(rows, ORM_SAMPLE)),
    ):
        with copied(f"bench_{way.replace(' ', '_')}", base) as name:
            figures[way] = measure(way, name, number)
    return figures


def measure_in_place(base: str, rows: int) -> dict[str, Figures]:
    """The printers, with few rows and with all; the profiles that they point at have moved before."""
    found = {}
    with farm.filled("bench_few", FEW) as few:
        for label, template, number in (("few in place", few, FEW), ("in place", base, rows)):
            with copied("bench_in_place", template) as name:
                benching.measure(__file__, "profiles in place", name, number // 10)
                found[label] = benching.measure(__file__, "printers in place", name, number)
    return found


if __name__ == "__main__":
    options = benching.parser(__doc__, WAYS, rows=5_000_000, of="printers; a tenth as many profiles").parse_args()
    with benching.one_sentence():
        if options.child:
            benching.child(WAYS[options.child], options.database)
        else:
            main(options.rows)
