"""A project on disk, as a developer has it: apps, migration files, and `manage.py` in a process of its own."""

import dataclasses
import json
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
from django.db import connection

from tests.rehome.support.manage import Said, manage

SETTINGS = """
import json, os
SECRET_KEY = "only for this test"
INSTALLED_APPS = json.loads(os.environ["APPS"])
DATABASES = {"default": json.loads(os.environ["DATABASE"])}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
"""
INSTALLED = """
import sys
sys.path.append(os.path.join(os.path.dirname(__file__), "site-packages"))
INSTALLED_APPS += ["{app}"]
"""
ADDRESS = ("host", "port", "user", "password", "dbname")
DJANGO = ("django.contrib.contenttypes", "django.contrib.auth", "django.contrib.postgres", "rehome")


@dataclasses.dataclass
class Project:
    folder: Path
    database: str
    """The name of its database, on the server of the tests."""
    apps: tuple[str, ...]
    settings: str = ""
    """Lines that are added to its settings."""

    def build(self, files: dict[str, str]) -> None:
        for app in self.apps:
            self.write(f"{app}/__init__.py", "")
            self.write(f"{app}/models.py", "")
            self.write(f"{app}/migrations/__init__.py", "")
        self.write("settings.py", SETTINGS + self.settings)
        self.edit(files)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(textwrap.dedent(text), encoding="utf-8")

    def edit(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            self.write(name, text)

    def install(self, app: str, models: str) -> None:
        """As pip does: where the project's own migrations are not."""
        files = {"__init__.py": "", "migrations/__init__.py": "", "models.py": models}
        self.edit({f"site-packages/{app}/{name}": text for name, text in files.items()})
        self.write("settings.py", self.read("settings.py") + INSTALLED.format(app=app))

    def read(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")

    def replace(self, name: str, before: str, after: str) -> None:
        text = self.read(name)
        assert before in text, (before, text)
        self.write(name, text.replace(before, after))

    def migrations(self) -> dict[str, str]:
        """Every file of a migration, by its path."""
        paths = [path for path in sorted(self.folder.glob("*/migrations/0*.py")) if path.is_file()]
        return {str(path.relative_to(self.folder)): path.read_text(encoding="utf-8") for path in paths}

    def copy(self, folder: Path, database: str) -> "Project":
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns("__pycache__"))
        return dataclasses.replace(self, folder=folder, database=database)

    # ----- commands

    def run(self, *commands: str, code: int = 0, **environment: str) -> str:
        """One after the other, to the first that fails, in a process of their own; what they have printed."""
        said = self.tell(*map(str.split, commands), strict=True, **environment)
        text = "".join(one.text for one in said)
        assert said[-1].code == code, text
        assert "Traceback" not in text, text
        return text

    def tell(self, *commands: Sequence[str], strict: bool = False, **environment: str) -> list[Said]:
        """What each says, whatever becomes of it."""
        known = self.environment | environment
        return manage(self.folder, known, [confirmed(command, known) for command in commands], strict=strict)

    def python(self, code: str) -> None:
        """Run code after django.setup()."""
        (said,) = self.tell(["shell", "-v0", "-c", code], strict=True)
        assert said.code == 0, said.text

    def refused(self, command: str, **environment: str) -> str:
        """What is said where nothing is written."""
        before = self.migrations()
        said = self.run(command, code=1, **environment)
        assert self.migrations() == before
        return said

    @property
    def environment(self) -> dict[str, str]:
        parameters = connection.get_connection_params()
        names = {"USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
        settings: dict[str, Any] = {key: str(parameters.get(name) or "") for key, name in names.items()}
        settings["ENGINE"] = "django.db.backends.postgresql"
        return {
            "APPS": json.dumps([*DJANGO, *self.apps]),
            "DATABASE": json.dumps(settings | {"NAME": self.database}),
            "DJANGO_SETTINGS_MODULE": "settings",
        }

    @property
    def unreachable(self) -> str:
        """Settings of a database that no server has."""
        known = json.loads(self.environment["DATABASE"])
        return json.dumps(known | {"NAME": f"{self.database}_nowhere"})

    # ----- its database

    @property
    def address(self) -> dict[str, Any]:
        parameters = connection.get_connection_params() | {"dbname": self.database}
        return {name: parameters[name] for name in ADDRESS if parameters.get(name)}

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(**self.address, autocommit=True) as opened:
            cursor = opened.execute(statement)
            return cursor.fetchall() if cursor.description else []


def confirmed(command: Sequence[str], environment: Mapping[str, str]) -> Sequence[str]:
    """With the database's name, where an ending would ask for it: a test that means to be asked says --noinput."""
    if command[0] != "migrate" or "--noinput" in command or "rehome" not in json.loads(environment["APPS"]):
        return command
    return [*command, "--confirm", json.loads(environment["DATABASE"])["NAME"]]
