"""The commands about backups, as a test calls them, and storages that do harm."""

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.core.management import call_command
from django.db import connection

from rehome.ops.backups.store import Backup, Store
from tests.database import url_of
from tests.manage import ROOT


def run(*arguments: str, **options: Any) -> str:
    """What a command prints to stdout."""
    stdout = StringIO()
    call_command(*arguments, stdout=stdout, stderr=StringIO(), **options)
    return stdout.getvalue()


def made(store: Store) -> Backup:
    """A backup of the default connection's database."""
    name = json.loads(run("backup", format="json"))["backup"]
    (found,) = [one for one in store.all() if one.manifest.name == name]
    return found


def place_of(store: Store, backup: Backup) -> Path:
    """Of its archive on the disk."""
    return Path(store.storage.path(backup.manifest.name))


def environment(folder: Path) -> dict[str, str]:
    """Of a program whose database is the default connection's, and whose backups are the test's."""
    return {
        "DATABASE_URL": url_of(connection.settings_dict["NAME"]),
        "BACKUP_DIR": str(folder / "backups"),
        "REHOME_BACKUP_WORK": str(folder / "work"),
    }


def doomed(moment: str, name: str, *command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A command that is killed before or after it calls a function."""
    return subprocess.run(
        [sys.executable, "-m", "tests.rehome.support.doomed", moment, name, *command],
        cwd=ROOT, env=os.environ | environment(folder), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def rows(statement: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def databases(start: str) -> list[str]:
    """Those of the server whose name begins so."""
    found = rows("SELECT datname FROM pg_database ORDER BY datname")
    return [name for (name,) in found if name.startswith(start)]


class Flipping(FileSystemStorage):
    """Stores one bit otherwise."""

    def _save(self, name: str, content: Any) -> str:
        data = bytearray(content.read())
        data[len(data) // 2] ^= 1
        return super()._save(name, ContentFile(bytes(data)))


class Renaming(FileSystemStorage):
    """Stores everything under another name."""

    def _save(self, name: str, content: Any) -> str:
        return super()._save(f"{name}.new", content)


class Recording(FileSystemStorage):
    """Remembers what was stored, in order, and refuses what it is told to."""

    def __init__(self, location: Path, refused: str = "nothing") -> None:
        super().__init__(location)
        self.refused = refused
        self.saved: list[str] = []

    def _save(self, name: str, content: Any) -> str:
        if name.endswith(self.refused):
            raise RuntimeError("An error occurred (AccessDenied)\nwhen calling PutObject.")
        self.saved.append(name)
        return super()._save(name, content)
