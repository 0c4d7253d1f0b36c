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

from django.core.management import CommandError, call_command
from django.db import connection, transaction

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import benching, farm, scratch  # noqa: E402
from scripts.benching import Figures, Line, copied, run  # noqa: E402

ORM_SAMPLE = 2_000
FEW = 10_000
"""Printers of the small database that an in-place move must not be much faster on."""
PROFILE = "id, name, username, email, organization, user_id"
PRINTER = "id, ip_address, api_key, ping, printing, profile_id"


# ----- the ways


def online() -> None:
    os.environ["REHOME_ONLINE"] = "1"
    farm.forward()


def in_place(app: str) -> None:
    farm.declare(in_place=True)
    farm.forward(app)


def by_hand() -> None:
    """The steps of a move as an expert would type them for these two tables."""
    for source, target, columns, key, unique, plain_index, referenced in (
        ("portal_profile", "accounts_profile", PROFILE, "user_id", "(user_id)", None, "auth_user"),
        (
            "portal_printer",
            "printers_printer",
            PRINTER,
            "profile_id",
            "(ip_address, api_key)",
            "profile_id",
            "accounts_profile",
        ),
    ):
        names = constraint_names(target)
        # The printers' empty table points at the profiles' primary key, which therefore stays.
        primary_key = names["p"] if target == "printers_printer" else []
        run(*(f'ALTER TABLE {target} DROP CONSTRAINT "{name}"' for name in names["f"] + names["u"] + primary_key))
        run(*(f'DROP INDEX "{name}"' for name in names["i"]))
        hashed = f"SELECT count(*), bit_xor(hash_record_extended(ROW({columns}), 0)) FROM"
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(f"LOCK TABLE {source} IN SHARE MODE")
            cursor.execute(f"INSERT INTO {target} ({columns}) SELECT {columns} FROM {source}")  # noqa: S608
            if primary_key:
                cursor.execute(f"ALTER TABLE {target} ADD PRIMARY KEY (id)")
            cursor.execute(f"ALTER TABLE {target} ADD UNIQUE {unique}")
            if plain_index:
                cursor.execute(f"CREATE INDEX ON {target} ({plain_index})")
            cursor.execute(f"{hashed} {source}")
            before = cursor.fetchone()
            cursor.execute(f"{hashed} {target}")
            if cursor.fetchone() != before:
                raise CommandError("The copy made by hand differs.")
            cursor.execute(
                f"SELECT count(*) FROM {target} c WHERE {key} IS NOT NULL"  # noqa: S608
                f" AND NOT EXISTS (SELECT FROM {referenced} p WHERE p.id = c.{key})"
            )
            cursor.execute(f"SELECT setval(pg_get_serial_sequence('{target}', 'id'), max(id)) FROM {target}")  # noqa: S608
            cursor.execute(sync_by_hand(source, target, columns))
            cursor.execute(sync_by_hand(target, source, columns))
            cursor.execute(
                f"ALTER TABLE {target} ADD CONSTRAINT {target}_by_hand FOREIGN KEY ({key}) REFERENCES {referenced}"
                " DEFERRABLE INITIALLY DEFERRED NOT VALID"
            )
            cursor.execute("COMMIT")
        run(f"VACUUM (ANALYZE) {target}", f"ALTER TABLE {target} VALIDATE CONSTRAINT {target}_by_hand")


def sync_by_hand(origin: str, destination: str, columns: str) -> str:
    names = columns.split(", ")
    news = ", ".join(f"new.{name}" for name in names)
    changes = ", ".join(f"{name} = excluded.{name}" for name in names)
    return f"""
        CREATE FUNCTION {origin}_by_hand() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          IF TG_OP = 'DELETE' THEN DELETE FROM {destination} WHERE id = old.id; RETURN NULL; END IF;
          INSERT INTO {destination} AS t ({columns}) VALUES ({news}) ON CONFLICT (id) DO UPDATE SET {changes}
          WHERE ROW(t.*) IS DISTINCT FROM ROW(excluded.*);
          RETURN NULL; END $$;
        CREATE TRIGGER by_hand AFTER INSERT OR UPDATE OR DELETE ON {origin}
          FOR EACH ROW EXECUTE FUNCTION {origin}_by_hand()"""  # noqa: S608


def constraint_names(table: str) -> dict[str, list[str]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT contype::text, conname FROM pg_constraint WHERE conrelid = %s::regclass", [table])
        constraints = cursor.fetchall()
        cursor.execute(
            "SELECT i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = %s::regclass"
            " AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = x.indexrelid)",
            [table],
        )
        indexes = [name for (name,) in cursor.fetchall()]
    return {kind: [name for k, name in constraints if k == kind] for kind in "fup"} | {"i": indexes}


def by_plain_insert() -> None:
    """One INSERT ... SELECT for each table, into the tables as `migrate` made them."""
    run(
        f"INSERT INTO accounts_profile ({PROFILE}) SELECT {PROFILE} FROM portal_profile",  # noqa: S608
        f"INSERT INTO printers_printer ({PRINTER}) SELECT {PRINTER} FROM portal_printer",  # noqa: S608
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
    "by hand": by_hand,
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
        print("Measuring, each way on its own copy:")
        figures = measure_ways(base, rows) | measure_in_place(base, rows)
    benching.report(TABLE, figures)


def measure_ways(base: str, rows: int) -> dict[str, Figures]:
    both = rows + rows // 10
    measure = functools.partial(benching.measure, __file__)
    figures = {}
    with copied("bench_move", base) as name:
        figures["move"] = measure("move", name, both)
        for again in ("counting", "verification"):
            measure(again, name, both)  # warms the cache for both alike
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
