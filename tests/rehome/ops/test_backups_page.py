"""docs/backups.md: its settings, what cron runs, the encrypted pipe, and restoring."""

import json
import os
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings

from rehome.ops.backups.store import Store
from tests.pages import Block, blocks, checkout, reading
from tests.rehome.support import backups

FOLDER = "/srv/backups"


def setting(block: Block) -> dict[str, Any]:
    """What the block puts into STORAGES."""
    defined: dict[str, Any] = {"STORAGES": {}}
    exec(compile(block.text, str(block), "exec"), defined)  # noqa: S102
    return dict(defined["STORAGES"])


def test_the_storage_of_the_page_keeps_backups_to_itself(small: str, tmp_path: Path, settings: Settings) -> None:
    folder, bucket = (setting(block) for block in blocks("docs/backups.md") if block.language == "python")
    assert folder["backups"]["OPTIONS"]["location"] == FOLDER
    assert bucket["backups"]["OPTIONS"].keys() >= {"bucket_name", "default_acl", "querystring_auth"}

    folder["backups"]["OPTIONS"]["location"] = tmp_path / "backups"
    settings.STORAGES = settings.STORAGES | folder
    settings.REHOME_BACKUP_WORK = str(tmp_path / "work")
    archive = backups.place_of(Store.default(), backups.made(Store.default()))
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    assert stat.S_IMODE(archive.parent.stat().st_mode) == 0o700


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[Path]:
    """A key ring that has the key of ops@example.com."""
    ring = tmp_path / "ring"
    ring.mkdir(mode=0o700)
    made = ["gpg", "--batch", "--passphrase", "", "--quick-generate-key", "ops@example.com"]
    known = os.environ | {"GNUPGHOME": str(ring)}
    subprocess.run(made, env=known, check=True, capture_output=True)
    yield ring
    subprocess.run(["gpgconf", "--kill", "gpg-agent"], env=known, check=True)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_every_command_in_the_order_of_the_page(small: str, store: Store, keys: Path, tmp_path: Path) -> None:
    (tmp_path / "current").mkdir()
    instead = {"/srv/farm/current": str(tmp_path / "current"), "--confirm portal": f"--confirm {small}"}
    given = backups.environment(tmp_path) | {"GNUPGHOME": str(keys)}
    with reading("docs/backups.md", checkout(tmp_path / "current"), instead, **given) as reader:
        nightly = reader.run("15 3 * * *")
        assert re.findall(r"Prove it with|^Proved: |is proved", nightly, re.MULTILINE), nightly
        (name,) = re.findall(r"(\S+\.dump): ", nightly.splitlines()[0])

        piped = reader.run("python manage.py backup --pipe")
        assert "Proved: " in piped
        assert list((tmp_path / "current").glob("farm.gpg"))

        shown = reader.take("$ python manage.py restorebackup\n")
        reader.instead["portal-20260301T031200Z.dump"] = f"{name} --confirm {small}"
        listing, restored = shown.commands.splitlines()
        listed = reader.type(listing)
        assert listed.returncode == 2
        assert listed.stdout.splitlines()[0].split() == shown.text.splitlines()[1].split()
        assert reader.type(restored).returncode == 0

    connection.close()  # Everybody was disconnected.
    assert len(backups.databases(f"{small}_before_")) == 2
    assert json.loads(backups.run("backup", list=True, format="json"))[0]["backup"] == name
    backups.run("restorebackup", undo=True, confirm=small)
    assert len(backups.databases(f"{small}_undone_")) == 1
