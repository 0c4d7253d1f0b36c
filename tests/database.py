"""A whole database as text, so that two moments of it can be compared."""

import os
import re
import subprocess

from core.embedded import programs
from django.db import connections


def dump(alias: str = "default") -> str:
    """Everything that pg_dump knows: tables, rows, sequences, constraints, triggers, functions, grants."""
    parameters = connections[alias].get_connection_params()
    environment = {
        "PGHOST": str(parameters.get("host", "")),
        "PGPORT": str(parameters.get("port", "")),
        "PGUSER": str(parameters.get("user", "")),
        "PGPASSWORD": str(parameters.get("password", "")),
        "PGDATABASE": str(parameters["dbname"]),
    }
    done = subprocess.run(
        [programs.installation() / "bin" / "pg_dump", "--restrict-key=same"],
        env=os.environ | {name: value for name, value in environment.items() if value},
        check=True,
        capture_output=True,
        text=True,
    )
    # Sequences of Django's own tables count on where content types are made again.
    return re.sub(r"(?m)^-- (Dumped|Started|Completed).*\n", "", done.stdout)
