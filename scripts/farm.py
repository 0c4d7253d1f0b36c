"""The farm as the benchmarks fill it and move it."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db import connection, connections

from scripts import scratch
from scripts.benching import run

ROOT = Path(__file__).resolve().parent.parent
FIRST = [
    ("portal", "0001"),
    ("accounts", "0001"),
    ("printers", "0001"),
    ("auth", None),
    ("admin", None),
    ("contenttypes", None),
]
MOVES = {"accounts": ("0001", "0002", "profile"), "printers": ("0001", "0002", "printer")}
"""By app: the migration before the move, that of the move, and the name of the Move in it."""

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


@contextmanager
def filled(purpose: str, rows: int) -> Iterator[str]:
    """The monolith with `rows` printers and a tenth as many profiles, and the new apps' empty tables."""
    with scratch.made(purpose) as name:
        scratch.use(name)
        for target in FIRST:
            call_command("migrate", *filter(None, target), verbosity=0)
        with connection.cursor() as cursor:
            for statement in FILL:
                cursor.execute(statement, {"printers": rows, "profiles": rows // 10})
        run("VACUUM ANALYZE")
        connections.close_all()
        yield name


def forward(*apps: str) -> None:
    for app in apps or MOVES:
        call_command("migrate", app, MOVES[app][1], verbosity=0)


def backward() -> None:
    for app in reversed(MOVES):
        call_command("migrate", app, MOVES[app][0], verbosity=0)


def declare(**attributes: Any) -> None:
    """Give the project's own moves other attributes, in this process."""
    for app, (_, number, name) in MOVES.items():
        folder = ROOT / app / "migrations"
        [path] = folder.glob(f"{number}_*.py")
        move = getattr(importlib.import_module(f"{app}.migrations.{path.stem}"), name)
        for attribute, value in attributes.items():
            assert hasattr(move, attribute)  # noqa: S101
            setattr(move, attribute, value)
