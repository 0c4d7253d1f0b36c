"""A PostgreSQL with PostGIS of Debian's, for the tests alone: on loopback, in a temporary folder."""

import dataclasses
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.servers import starting

ENGINE = "django.contrib.gis.db.backends.postgis"
PLAIN_ENGINE = "django.db.backends.postgresql"
TEMPLATE = "postgis"

# What it holds is thrown away, so nothing waits for the disk.
SETTINGS = {
    "listen_addresses": starting.HOST,
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "64MB",
}


@dataclasses.dataclass(frozen=True)
class PostGIS:
    port: int
    password: str

    @contextmanager
    def database(self, name: str = "legacy", *, engine: str = ENGINE) -> Iterator[starting.Database]:
        """An empty database with the extension, gone afterwards whoever is still connected."""
        names = {"name": sql.Identifier(name), "owner": sql.Identifier(starting.USER)}
        drop = sql.SQL("DROP DATABASE IF EXISTS {name} WITH (FORCE)").format(**names)
        template = sql.Identifier(TEMPLATE)
        self.run(
            drop,
            sql.SQL("CREATE DATABASE {name} OWNER {owner} TEMPLATE {template}").format(**names, template=template),
        )
        try:
            yield starting.Database(engine=engine, name=name, password=self.password, port=self.port)
        finally:
            self.run(drop)

    def connect(self, name: str = "postgres", user: str = "postgres") -> psycopg.Connection[Any]:
        """As the superuser, or as the owner of the databases; each statement commits by itself."""
        return psycopg.connect(
            host=starting.HOST,
            port=self.port,
            user=user,
            password=self.password,
            dbname=name,
            autocommit=True,
        )

    def run(self, *statements: sql.Composable | str, name: str = "postgres", user: str = "postgres") -> None:
        with self.connect(name, user) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[arg-type]

    def connects(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True


def programs() -> Path:
    """Those of the newest PostgreSQL that has PostGIS. Raises NotInstalled."""
    found = [
        int(control.parts[-3])
        for control in Path("/usr/share/postgresql").glob("*/extension/postgis.control")
        if Path(f"/usr/lib/postgresql/{control.parts[-3]}/bin/initdb").exists()
    ]
    if not found:
        raise starting.NotInstalled("postgresql", "postgresql-postgis")
    starting.require_gdal()
    return Path(f"/usr/lib/postgresql/{max(found)}/bin")


@contextmanager
def started() -> Iterator[PostGIS]:
    bin_folder = programs()
    server = PostGIS(port=starting.free_port(), password=secrets.token_urlsafe())
    with starting.folder("postgis") as folder:
        data, password = folder / "data", folder / "password"
        password.write_text(server.password)
        password.chmod(0o644)  # within a folder that is the server's alone
        login = ["--username=postgres", f"--pwfile={password}", "--auth=scram-sha-256"]
        starting.prepare(
            bin_folder / "initdb", "-D", data, *login, "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", cwd=folder
        )
        settings = [f"--{name}={value}" for name, value in (SETTINGS | {"port": server.port}).items()]
        with starting.running(bin_folder / "postgres", "-D", data, *settings, cwd=folder, connects=server.connects):
            _fill(server)
            yield server


def _fill(server: PostGIS) -> None:
    owner, template = sql.Identifier(starting.USER), sql.Identifier(TEMPLATE)
    server.run(
        sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(owner, sql.Literal(server.password)),
        sql.SQL("CREATE DATABASE {}").format(template),
    )
    server.run("CREATE EXTENSION postgis", name=TEMPLATE)
