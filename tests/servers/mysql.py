"""A MySQL, which Debian stable does not have: `make mysql` unpacks one below var/mysql."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import starting
from tests.servers.mariadb import ROOT, MariaDB

PLACE = Path(__file__).parent.parent.parent / "var" / "mysql"
LIBRARIES = "usr/lib/x86_64-linux-gnu", "usr/lib/mysql/private"
USERS = """\
CREATE USER '{root}'@'%' IDENTIFIED BY '{password}';
GRANT ALL ON *.* TO '{root}'@'%' WITH GRANT OPTION;
CREATE USER '{user}'@'%' IDENTIFIED BY '{password}';
"""
SETTINGS = {
    "bind-address": starting.HOST,
    "innodb-buffer-pool-size": "64M",
    "innodb-doublewrite": "0",
    "innodb-flush-log-at-trx-commit": "0",
    "innodb-flush-method": "nosync",
    "innodb-redo-log-capacity": "64M",
    "performance-schema": "OFF",
    "mysqlx": "OFF",
    "skip-name-resolve": "1",
    "log-bin-trust-function-creators": "1",
    "disable-log-bin": "1",
}


def command(place: Path) -> list[str | Path]:
    """The server with the libraries that came with it, which are newer than this machine's."""
    loader = place / LIBRARIES[0] / "ld-linux-x86-64.so.2"
    return [loader, "--library-path", ":".join(str(place / one) for one in LIBRARIES), place / "usr/sbin/mysqld"]


@contextmanager
def started(place: Path = PLACE) -> Iterator[MariaDB]:
    if not (place / "usr/sbin/mysqld").exists():
        raise starting.NotInstalled("a MySQL (make mysql)")
    server = MariaDB(port=starting.free_port(), password=secrets.token_urlsafe())
    with starting.folder("mysql") as folder:
        data, users = folder / "data", folder / "users.sql"
        messages = {
            "lc-messages-dir": place / "usr/share/mysql",
            "character-sets-dir": place / "usr/share/mysql/charsets",
        }
        shared = [f"--{name}={value}" for name, value in messages.items()] + ["--secure-file-priv=NULL"]
        starting.prepare(
            *command(place), "--no-defaults", "--initialize-insecure", f"--datadir={data}", *shared, cwd=folder
        )
        users.write_text(USERS.format(root=ROOT, user=starting.USER, password=server.password))
        users.chmod(0o644)  # within a folder that is the server's alone
        places = {"datadir": data, "socket": folder / "socket", "pid-file": folder / "pid", "init-file": users}
        settings = [f"--{name}={value}" for name, value in (SETTINGS | places | {"port": server.port}).items()]
        with starting.running(
            *command(place), "--no-defaults", *settings, *shared, cwd=folder, connects=server.connects
        ):
            yield server
