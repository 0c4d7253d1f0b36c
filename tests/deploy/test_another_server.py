"""docs/another-server.md, block by block: PostgreSQL 15 to 17.4 while a move is live, beside writers, the link cut."""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.conftest import ROOT
from tests.deploy.link import Link
from tests.manage import manage
from tests.waiting import until

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        shutil.which("npm") is None and os.environ.get("REQUIRE_LEGACY_SERVERS") != "1",
        reason="PostgreSQL 15 and 17.4 come from npm, which is not there",
    ),
]

PAGE = ROOT / "docs" / "another-server.md"
FILL = """
INSERT INTO auth_user (password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined)
SELECT '!', false, 'user' || n, '', '', '', false, true, now() FROM generate_series(1, 200) n;
INSERT INTO portal_profile (user_id, name) SELECT id, username FROM auth_user ON CONFLICT DO NOTHING;
INSERT INTO portal_printer (profile_id, ip_address, api_key, ping, printing)
SELECT id, '192.0.2.1', id || ' ' || n, false, false FROM portal_profile, generate_series(1, 20) n;
"""
INSERT = """
INSERT INTO {} (profile_id, ip_address, api_key, ping, printing)
VALUES ((SELECT min(id) FROM portal_profile), '', left(gen_random_uuid()::text, 32), false, false) RETURNING id
"""


def blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


@contextmanager
def server(major: int) -> Iterator[str]:
    """Its address for a superuser, while the block runs."""
    command = ["scripts/postgres.sh", str(major), "sh", "-c", 'echo "$DATABASE_URL"; cat >/dev/null']
    settings = os.environ | {"POSTGRES_SETTINGS": "-c wal_level=logical -c wal_receiver_timeout=5s"}
    with subprocess.Popen(
        command, cwd=ROOT, env=settings, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


def made(url: str, statements: list[str]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def as_role(url: str, role: str, database: str) -> str:
    found = urlsplit(url)
    return f"postgres://{role}:{role}@{found.hostname}:{found.port}/{database}"


class Writer(threading.Thread):
    """Writes through one of the names until it is put out; `keys` is what it was told is committed."""

    def __init__(self, url: str, statement: str) -> None:
        super().__init__()
        self.url, self.statement = url, statement
        self.keys: list[int] = []

    def run(self) -> None:
        with suppress(psycopg.OperationalError), psycopg.connect(self.url, autocommit=True) as connection:
            while True:
                ((key,),) = connection.execute(self.statement).fetchall()  # type: ignore[arg-type]
                self.keys.append(key)


def test_the_page() -> None:
    with server(15) as old, server(17) as new:
        made(old, ["CREATE ROLE farm LOGIN PASSWORD 'farm'", "CREATE DATABASE farm OWNER farm"])
        made(new, ["CREATE DATABASE farm"])
        app = as_role(old, "farm", "farm")
        assert manage("migrate", "--verbosity=0", DATABASE_URL=app).returncode == 0
        made(app, [FILL])
        link = Link(urlsplit(old).port or 0)
        shell = Shell(re.sub("/postgres$", "/farm", old), re.sub("/postgres$", "/farm", new), link)
        writers = [Writer(app, INSERT.format(table)) for table in ("portal_printer", "printers_printer")]
        for writer in writers:
            writer.start()

        lacking, schema, follow, copied, behind, stop, numbers, same, verified, let_in, dropped = blocks()
        assert shell.run(lacking) == ""
        shell.run(schema)
        shell.run(follow)
        shell.run(copied)
        link.cut()
        written = [len(writer.keys) for writer in writers]
        until(lambda: all(len(w.keys) > n + 50 for w, n in zip(writers, written, strict=True)), "no writes meanwhile")
        link.mend()
        assert "moving" in shell.run(behind)
        shell.run(stop)
        for writer in writers:
            writer.join()
        left_behind = manage("verifymoves", DATABASE_URL=shell.new)
        assert "The sequence is behind the largest key" in left_behind.stdout
        shell.run(numbers)
        assert "printers" not in shell.run(same)
        shell.run(verified)
        shell.run(let_in)
        shell.run(dropped)
        link.close()

        arrived = as_role(new, "farm", "farm")
        with psycopg.connect(arrived, autocommit=True) as connection:
            for table in ("portal_printer", "printers_printer"):
                found = {key for (key,) in connection.execute(f"SELECT id FROM {table}")}  # type: ignore[arg-type]
                assert found.issuperset(writers[0].keys + writers[1].keys)
            ((key,),) = connection.execute(INSERT.format("portal_printer")).fetchall()  # type: ignore[arg-type]
            assert key > max(writers[0].keys + writers[1].keys)
            assert connection.execute("SELECT id FROM printers_printer WHERE id = %s", [key]).fetchone() == (key,)


class Shell:
    """Runs a block of the page as a person would."""

    def __init__(self, old: str, new: str, link: Link) -> None:
        self.old, self.new = old, new
        place = urlsplit(old)
        conninfo = f"host=127.0.0.1 port={link.port} dbname=farm user={place.username} password={place.password}"
        self.environment = os.environ | {"OLD": old, "NEW": new, "LINK": conninfo, "APP": "farm"}

    def run(self, block: str) -> str:
        """What it prints."""
        path = os.pathsep.join([str(Path(sys.executable).parent), self.environment["PATH"]])
        environment = self.environment | {"PATH": path}
        done = subprocess.run(
            ["bash", "-c", block],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout
