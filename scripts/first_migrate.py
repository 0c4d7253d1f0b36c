"""Migrates a database that is empty, and leaves any other as it is: exit code 1 where migrations are missing there.

For containers, which start by themselves. A release that moves rows is migrated by somebody who has prepared it.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "core.settings")

import django  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402


def main() -> int:
    django.setup()
    if not connection.introspection.table_names():
        print("The database is empty: applying migrations …", flush=True)
        call_command("migrate", interactive=False, verbosity=0)
        print("The database is ready.")
        return 0
    from core.health import unapplied

    if missing := unapplied():
        print(
            f"The database lacks migrations of this release: {len(missing)}, the first of them {missing[0]}. "
            "Run `make migrate DOCKER=1` when you have prepared it: docs/docker.md, A new release."
        )
        return 1
    print("The database has every migration of this release.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
