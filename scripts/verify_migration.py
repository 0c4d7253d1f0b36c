"""Prove that the farm's moves lost nothing: `manage.py verifymoves` with the same options, from any folder.

    .venv/bin/python scripts/verify_migration.py [move] [--database D] [--format json] [--limit N]

Exits with 0 when all is equal, 1 for a difference or when nothing was compared, 2 for wrong usage.
"""

import os
import sys
from pathlib import Path


def main() -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "core.settings")
    try:
        import django
    except ImportError:
        sys.exit("This Python has no Django. Run `make setup`, then .venv/bin/python scripts/verify_migration.py.")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import load_command_class

    try:
        django.setup()
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    load_command_class("rehome", "verifymoves").run_from_argv(["python", *sys.argv])


if __name__ == "__main__":
    main()
