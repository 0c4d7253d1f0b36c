#!/usr/bin/env python
"""Measures what each move of this project costs in a new database, as every test run makes one.

Prints the statements and the median seconds of its migration, beside all migrations of that database.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management import call_command

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from django.db import connection  # noqa: E402
from django.db.migrations.loader import MigrationLoader  # noqa: E402

from rehome.graph.discovery import before, find_moves  # noqa: E402
from scripts import benching, scratch  # noqa: E402, F401  The first sets Django up.

RUNS = 3


class Counter:
    """Wraps what runs statements."""

    statements = 0

    def __call__(self, execute: Callable[..., Any], *statement: Any) -> Any:
        self.statements += 1
        return execute(*statement)


def main() -> None:
    seconds: dict[str, list[float]] = {}
    statements: dict[str, int] = {}
    for _ in range(RUNS):
        with scratch.made("new") as name:
            scratch.use(name)
            began = time.monotonic()
            for declared in find_moves(MigrationLoader(None)):
                call_command("migrate", *before(declared.key, declared.loader), verbosity=0)
                counter = Counter()
                with connection.execute_wrapper(counter):
                    started = time.monotonic()
                    call_command("migrate", *declared.key, verbosity=0)
                seconds.setdefault(str(declared), []).append(time.monotonic() - started)
                statements[str(declared)] = counter.statements
            call_command("migrate", verbosity=0)
            seconds.setdefault("all migrations", []).append(time.monotonic() - began)
    for what, measured in seconds.items():
        count = f"{statements[what]:,} statements, " if what in statements else ""
        sys.stdout.write(f"{what}: {count}{statistics.median(measured):.2f} s\n")


if __name__ == "__main__":
    main()
