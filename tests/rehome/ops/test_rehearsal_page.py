"""docs/rehearsal.md: its commands, from the farm's server to another one."""

from pathlib import Path
from urllib.parse import quote

import pytest
from django.db import connections

from tests.apart import server_apart
from tests.database import url
from tests.pages import blocks, checkout, reading


@pytest.mark.long
@pytest.mark.timeout(600)
def test_every_command_of_the_page(planned: str, tmp_path: Path) -> None:
    with server_apart("elsewhere") as data:
        settings = connections["elsewhere"].settings_dict
        place = f"postgres://{settings['USER']}@/postgres?host={quote(str(data), safe='')}&port={settings['PORT']}"
        instead = {"postgres://postgres@rehearsal.example.com": f"'{place}'"}
        given = {"DATABASE_URL": url(), "BACKUP_DIR": str(tmp_path / "backups")}
        (tmp_path / "checkout").mkdir()
        with reading("docs/rehearsal.md", checkout(tmp_path / "checkout"), instead, **given) as reader:
            said = reader.run("python manage.py backup")

    for name in ("Window to announce", "Way back", "Steps of the way forward", "Who waits for the move"):
        assert name in said
    for stage in ("forward", "verify", "writes", "back", "verify back", "forward again"):
        assert f"| {stage} " in said
    assert [block.language for block in blocks("docs/rehearsal.md")] == ["sh", "text"]
