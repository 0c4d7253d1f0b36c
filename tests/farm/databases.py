"""Databases of the farm's own for a while, and connections that lead to them."""

import dataclasses
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django.contrib.contenttypes.models import ContentType
from django.db import connection

from core.embedded import programs, server
from tests.farm import farm

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")


@contextmanager
def connected_to(name: str, **settings: object) -> Iterator[None]:
    """The default connection leads to another database of the same server, and may be another role's."""
    before = dict(connection.settings_dict)
    connection.close()
    ContentType.objects.clear_cache()
    connection.settings_dict.update(NAME=name, **settings)
    try:
        yield
    finally:
        connection.close()
        ContentType.objects.clear_cache()
        connection.settings_dict.update(before)


@contextmanager
def database(name: str, *, template: str = "template1") -> Iterator[str]:
    """A database that is gone afterwards."""
    farm.on_server(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        yield name
    finally:
        farm.on_server(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def server_of_its_own() -> Iterator[Path]:
    """The default connection leads to a server that nobody else uses, and that may be stopped at once; the folder of
    its data. It writes to its disk in earnest.
    """
    folder = Path(tempfile.mkdtemp(prefix="rehome-stops-"))
    data = folder / "data"
    server.hold(data)
    place = {"HOST": str(server.socket_folder(data)), "PORT": server.PORT, "PASSWORD": "", "USER": server.SUPERUSER}
    with connected_to(server.DATABASE, EMBEDDED_POSTGRES_DIR=data, **place):
        try:
            yield data
        finally:
            connection.close()
            with suppress(programs.ProgramError):  # It may be stopped.
                stop_at_once(data)
            shutil.rmtree(folder)


def stop_at_once(data: Path) -> None:
    """As a crash would; a program that is told of the folder starts it again."""
    programs.run("pg_ctl", "stop", "-D", str(data), "-m", "immediate", cwd=data)


@dataclasses.dataclass(frozen=True)
class Owned:
    """An empty database, the role it belongs to, and another that may do nothing yet; neither is a superuser."""

    name: str
    owner: str
    clerk: str
