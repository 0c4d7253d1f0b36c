#!/usr/bin/env python
"""Measures a forward move against plain SQL and an ORM loop, on one server, in one run.

Each way starts from its own copy of one filled database, so none finds what another left behind. Figures are
ratios within the run; absolute seconds say something about the machine only.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "core.settings")

import django  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, connections  # noqa: E402

BASE = "bench_base"
ORM_SAMPLE = 2_000
FIRST = [("accounts", "0001"), ("printers", "0001"), ("auth", None), ("admin", None), ("contenttypes", None)]

FILL = (
    """
    INSERT INTO auth_user (password, is_superuser, username, first_name, last_name, email,
                           is_staff, is_active, date_joined)
    SELECT '', false, 'user' || n, '', '', '', false, true, now() FROM generate_series(1, %(profiles)s) n
    """,
    """
    INSERT INTO portal_profile (user_id, name, username, email, organization)
    SELECT id, 'Name ' || id, username, username || '@example.com', 'Farm ' || id %% 500 FROM auth_user
    """,
    """
    INSERT INTO portal_printer (profile_id, ip_address, api_key, ping, printing)
    SELECT 1 + n::bigint * 7919 %% %(profiles)s,
           '10.' || n %% 250 || '.' || n / 250 %% 250 || '.' || n %% 254,
           md5(n::text), n %% 3 = 0, n %% 5 = 0
      FROM generate_series(1, %(printers)s) n
    """,
)
PROFILE = "id, name, username, email, organization, user_id"
PRINTER = "id, ip_address, api_key, ping, printing, profile_id"


# ----- databases


def use(name: str) -> None:
    connections.close_all()
    connection.settings_dict["NAME"] = name


def on_server(statement: str) -> None:
    use("postgres")
    with connection.cursor() as cursor:
        cursor.execute(statement)
    connections.close_all()


def run(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def make_base(rows: int) -> None:
    """The monolith with `rows` printers and a tenth as many profiles, and the new apps' empty tables."""
    on_server(f"DROP DATABASE IF EXISTS {BASE} WITH (FORCE)")
    on_server(f"CREATE DATABASE {BASE}")
    use(BASE)
    for app, name in [("portal", None), *FIRST]:
        call_command("migrate", app, *filter(None, [name]), verbosity=0)
    sizes = {"printers": rows, "profiles": max(rows // 10, 1)}
    with connection.cursor() as cursor:
        for statement in FILL:
            cursor.execute(statement, sizes)
    run("VACUUM ANALYZE")
    connections.close_all()


def fresh_copy(name: str) -> None:
    on_server(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    on_server(f"CREATE DATABASE {name} TEMPLATE {BASE}")
    # What the copy left to write would be charged to whoever comes next.
    use(name)
    run("CHECKPOINT")


# ----- the ways


def by_rehome() -> None:
    call_command("migrate", "accounts", "0002", verbosity=0)
    call_command("migrate", "printers", "0002", verbosity=0)


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
                sys.exit("The copy made by hand differs.")
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
    from django.db import transaction

    from accounts.models import Profile
    from portal.models import Printer as OldPrinter
    from printers.models import Printer

    with transaction.atomic():
        for old in OldPrinter.objects.order_by("pk")[:ORM_SAMPLE]:
            profile, _ = Profile.objects.get_or_create(
                user=old.profile.user,
                defaults={"name": old.profile.name, "username": old.profile.username, "email": old.profile.email},
            )
            Printer.objects.create(
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
    "rehome": by_rehome,
    "by hand": by_hand,
    "plain insert": by_plain_insert,
    "orm loop": by_orm_loop,
    "verification": by_verification,
    "counting": by_counting,
}


# ----- measuring


def child(way: str, database: str) -> None:
    """Run one way in this process, which has done nothing else, and print what it took as JSON."""
    use(database)
    run("SELECT 1")
    started = time.perf_counter()
    WAYS[way]()
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "peak_mb": peak / (1024 * 1024 if sys.platform == "darwin" else 1024)}))


def measure(way: str, database: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", way, "--database", database]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{way} failed:\n{done.stdout}{done.stderr}")
    figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"  {way:13} {figures['seconds']:9.2f} s   peak {figures['peak_mb']:5.0f} MB", flush=True)
    return figures


def main(rows: int, keep: bool) -> None:
    print(f"Filling {rows:,} printers and {rows // 10:,} profiles ...", flush=True)
    make_base(rows)
    print("Measuring, each way on its own copy:")
    figures = {}
    for way in ("rehome", "by hand", "plain insert", "orm loop"):
        name = f"bench_{way.replace(' ', '_')}"
        fresh_copy(name)
        figures[way] = measure(way, name)
        if way == "rehome":
            for again in ("counting", "verification"):
                measure(again, name)  # warms the cache for both alike
                figures[again] = measure(again, name)
        if not keep:
            on_server(f"DROP DATABASE {name} WITH (FORCE)")
    if not keep:
        on_server(f"DROP DATABASE {BASE} WITH (FORCE)")
    report(rows, figures)


def report(rows: int, figures: dict[str, dict[str, float]]) -> None:
    seconds = {way: figure["seconds"] for way, figure in figures.items()}
    total = rows + rows // 10
    loop_rate = ORM_SAMPLE / seconds["orm loop"]
    lines = [
        ("move / the same steps by hand", seconds["rehome"] / seconds["by hand"], "<= 1.25"),
        ("plain INSERT ... SELECT / move", seconds["plain insert"] / seconds["rehome"], ">= 4"),
        ("rows/s of move / of ORM loop", total / seconds["rehome"] / loop_rate, ">= 100"),
        ("verification / two counts a move", seconds["verification"] / seconds["counting"], "<= 4"),
        ("peak memory of the process, MB", figures["rehome"]["peak_mb"], "<= 120"),
    ]
    print()
    for name, value, goal in lines:
        print(f"{name:34} {value:9.2f}   (goal {goal})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rows", type=int, default=5_000_000, help="printers; a tenth as many profiles (default 5000000)"
    )
    parser.add_argument("--keep", action="store_true", help="keep the databases bench_*")
    parser.add_argument("--child", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--database", help=argparse.SUPPRESS)
    options = parser.parse_args()
    django.setup()
    if options.child:
        child(options.child, options.database)
    else:
        main(options.rows, options.keep)
