"""README.md: its commands, on the monolith's database and on another server, in the order of the page."""

import re
from pathlib import Path

import pytest
from django.db import connections

from core.embedded import programs
from tests.apart import server_apart
from tests.conftest import ROOT
from tests.database import url
from tests.deploy.link import Link
from tests.manage import manage
from tests.pages import blocks, checkout, reading

TABLE = "move                                source rows"


def columns(text: str) -> list[str]:
    (heading,) = re.findall(rf"(?m)^{TABLE}.*$", text)
    return re.split(r"  +", heading)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_every_command_in_the_order_of_the_page(monolith: None, tmp_path: Path) -> None:
    with server_apart("elsewhere") as data:
        settings = connections["elsewhere"].settings_dict
        link = Link(f"{data}/.s.PGSQL.{settings['PORT']}")
        server = f"postgres://{settings['USER']}@127.0.0.1:{link.port}"
        path = f"{programs.installation() / 'bin'}"
        given = {"PATH": path, "VENV": "installed", "PRODUCTION_URL": url(), "SERVER_URL": server}
        with reading("README.md", checkout(tmp_path), **given) as reader:
            # Both are run as they stand there by CI, and the demo, small, by tests/scripts/test_demo.py.
            reader.take("make demo")
            reader.take("make test")

            said = reader.run("pg_dump")
            copy = f"{server}/farm_copy"
            assert re.search(r"portal\n +\[X\] 0001_initial\n", said)
            assert "INSERT INTO" in said
            assert "\nEqual.\n" in said
            (shown,) = (block.text for block in blocks("README.md") if block.text.startswith(TABLE))
            assert columns(said) == columns(shown)

            for target in ("printers", "accounts"):
                assert manage("migrate", target, "0001", "-v0", DATABASE_URL=copy).returncode == 0
            assert "switch: sequences, triggers, permissions" in reader.run("REHOME_ONLINE=1", DATABASE_URL=copy)
            rolled_back = reader.run(".venv/bin/python manage.py migrate printers 0001", DATABASE_URL=copy)
            assert rolled_back.count("moving back") == 2
        link.close()
    assert not (ROOT / "farm.dump").exists()
