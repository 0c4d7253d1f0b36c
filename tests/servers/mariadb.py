"""A MariaDB of Debian's, for the tests alone: on loopback, in a temporary folder."""

import dataclasses
import secrets
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

from tests.servers import starting

ENGINE = "django.db.backends.mysql"
GIS_ENGINE = "django.contrib.gis.db.backends.mysql"

ROOT = "admin"
USERS = """\
CREATE USER '{root}'@'%' IDENTIFIED BY '{password}';
GRANT ALL ON *.* TO '{root}'@'%' WITH GRANT OPTION;
CREATE USER '{user}'@'%' IDENTIFIED BY '{password}';
DELETE FROM mysql.global_priv WHERE User NOT IN ('{root}', '{user}');
FLUSH PRIVILEGES;
"""
"""Run before anybody is let in. The users that come with the installation have no password."""

# What it holds is thrown away, so nothing waits for the disk.
SETTINGS = {
    "bind-address": starting.HOST,
    "innodb-buffer-pool-size": "64M",
    "innodb-doublewrite": "0",
    "innodb-flush-log-at-trx-commit": "0",
    "innodb-flush-method": "nosync",
    "innodb-log-file-size": "32M",
    "performance-schema": "OFF",
    "skip-log-bin": "1",
    "skip-name-resolve": "1",
}


@dataclasses.dataclass(frozen=True)
class MariaDB:
    port: int
    password: str

    @contextmanager
    def database(self, name: str = "legacy", *, engine: str = ENGINE) -> Iterator[starting.Database]:
        """An empty database in utf8mb4, gone afterwards whoever is still connected."""
        self.drop(name)
        self.run(
            f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4",
            f"GRANT ALL ON `{name}`.* TO '{starting.USER}'@'%'",
        )
        try:
            yield starting.Database(engine=engine, name=name, password=self.password, port=self.port)
        finally:
            self.drop(name)

    def drop(self, name: str) -> None:
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            # A transaction that somebody left open would be waited for.
            cursor.execute("SELECT id FROM information_schema.processlist WHERE db = %s", [name])
            for (thread,) in cursor.fetchall():
                with suppress(connection.OperationalError):  # It may have gone meanwhile.
                    cursor.execute("KILL %s", [thread])
            cursor.execute(f"DROP DATABASE IF EXISTS `{name}`")

    def connect(self, name: str = "mysql", user: str = ROOT, **options: Any) -> Any:
        """As root, or as the user of the databases; each statement commits by itself."""
        import MySQLdb

        place = {"host": starting.HOST, "port": self.port, "user": user, "passwd": self.password}
        return MySQLdb.connect(db=name, autocommit=True, **place, **{"charset": "utf8mb4"} | options)

    def run(self, *statements: str, name: str = "mysql", user: str = ROOT) -> None:
        with closing(self.connect(name, user)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def connects(self) -> bool:
        from MySQLdb import OperationalError

        try:
            self.connect().close()
        except OperationalError:
            return False
        return True


def programs() -> tuple[str, str]:
    """The server and what makes its system tables. Raises NotInstalled."""
    try:
        import MySQLdb  # noqa: F401
    except ImportError as error:
        raise starting.NotInstalled("mysqlclient") from error
    server, install = (
        shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/bin") for name in ("mariadbd", "mariadb-install-db")
    )
    if not (server and install):
        raise starting.NotInstalled("mariadb-server")
    starting.require_gdal()
    return server, install


@contextmanager
def started() -> Iterator[MariaDB]:
    daemon, install = programs()
    server = MariaDB(port=starting.free_port(), password=secrets.token_urlsafe())
    with starting.folder("mariadb") as folder:
        data, users = folder / "data", folder / "users.sql"
        starting.prepare(
            install,
            "--no-defaults",
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            cwd=folder,
        )
        users.write_text(USERS.format(root=ROOT, user=starting.USER, password=server.password))
        users.chmod(0o644)  # within a folder that is the server's alone
        places = {"datadir": data, "socket": folder / "socket", "pid-file": folder / "pid", "init-file": users}
        settings = [f"--{name}={value}" for name, value in (SETTINGS | places | {"port": server.port}).items()]
        with starting.running(daemon, "--no-defaults", *settings, cwd=folder, connects=server.connects):
            yield server
