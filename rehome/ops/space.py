"""Free disk of a server: SQL knows none, so it is known only where the server's folder is on this machine."""

import os

from rehome.ops.servers import Session

LOCAL = {"", "localhost", "127.0.0.1", "::1"}
DATA = "SELECT setting FROM pg_settings WHERE name = 'data_directory'"
"""Roles without pg_read_all_settings see no such row."""


def free(session: Session) -> int | None:
    """Bytes in the file system with the least room that the server uses; None where that is not known."""
    host, major = session.info.host, session.info.server_version // 10_000
    if not (host.startswith("/") or host in LOCAL):
        return None
    row = session.execute(DATA).fetchone()
    if row is None or not row[0]:
        return None
    try:
        with open(os.path.join(row[0], "PG_VERSION"), encoding="ascii") as file:
            if int(file.read()) != major:
                return None
        places = [os.statvfs(os.path.join(row[0], part)) for part in ("base", "pg_wal")]
    except (OSError, ValueError):
        return None
    return min(place.f_bavail * place.f_frsize for place in places)
