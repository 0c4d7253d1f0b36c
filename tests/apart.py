"""A server that one test has for itself, for what would disturb the others."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connections

from core.embedded import programs, server


@contextmanager
def server_apart(alias: str, **settings: str) -> Iterator[Path]:
    """Django knows its database by `alias`; this is the folder of its data, gone afterwards.

    `settings` are in force from the server's second start on, which follows at once.
    """
    with tempfile.TemporaryDirectory(prefix="rehome-") as folder:
        data = Path(folder) / "data"
        server.hold(data)
        connections.databases[alias] = connections.databases["default"] | {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": server.DATABASE,
            "HOST": str(server.socket_folder(data)),
            "PORT": server.PORT,
            "USER": server.SUPERUSER,
            "PASSWORD": "",
        }
        try:
            if settings:
                with connections[alias].cursor() as cursor:
                    for name, value in settings.items():
                        cursor.execute(f"ALTER SYSTEM SET {name} = '{value}'")
                connections[alias].close()
                programs.run("pg_ctl", "restart", "-D", str(data), "-m", "fast", "-l", str(data / "log"), cwd=data)
            yield data
        finally:
            connections[alias].close()
            del connections[alias], connections.databases[alias]
            programs.run("pg_ctl", "stop", "-D", str(data), "-m", "immediate", cwd=data)
