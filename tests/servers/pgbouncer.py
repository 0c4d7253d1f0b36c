"""Debian's PgBouncer in front of the tests' PostgreSQL, on loopback, in a temporary folder."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg

from core.embedded import programs
from tests.servers import starting

PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])
"""Debian's own folder for it is not on everybody's."""
CONFIG = """\
[databases]
* = {server}
[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
{settings}
"""


def program() -> str:
    """Raises NotInstalled."""
    found = shutil.which("pgbouncer", path=PATH)
    if found is None:
        raise starting.NotInstalled("pgbouncer")
    return found


@contextmanager
def started(behind: Mapping[str, Any], mode: str, **settings: object) -> Iterator[dict[str, str]]:
    """In front of the server to which parameters of a connection lead; anybody is let in as its user. Yields what the
    settings of a connection have that goes through it. Raises NotInstalled.
    """
    server = " ".join(f"{name}={behind[name]}" for name in ("host", "port", "user", "password") if behind.get(name))
    port, lines = starting.free_port(), "\n".join(f"{name} = {value}" for name, value in settings.items())

    def connects() -> bool:
        try:
            psycopg.connect(host=starting.HOST, port=port, dbname=behind["dbname"], user="anybody").close()
        except psycopg.OperationalError:
            return False
        return True

    with starting.folder("pgbouncer") as folder:
        config = folder / "pgbouncer.ini"
        config.write_text(CONFIG.format(server=server, host=starting.HOST, port=port, mode=mode, settings=lines))
        config.chmod(0o600)  # It may have a password.
        shutil.chown(config, programs.server_uid())
        with starting.running(program(), config, cwd=folder, connects=connects):
            yield {"HOST": starting.HOST, "PORT": str(port)}
