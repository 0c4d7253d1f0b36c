"""A project in a folder: apps with real migration files, a database, and manage.py in a process of its own."""

import dataclasses
import json
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import connection

from tests.database import environment
from tests.farm.databases import WORKER, connected_to, database
from tests.rehome.support.manage import Said, manage

SETTINGS = """\
import json, os
SECRET_KEY = "x"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        **{key: os.environ.get(f"PG{key}", "") for key in ("HOST", "PORT", "USER", "PASSWORD")},
        "NAME": os.environ["PGDATABASE"],
    }
}
INSTALLED_APPS = ["django.contrib.contenttypes", *json.loads(os.environ["SITE_APPS"])]
"""


@dataclasses.dataclass
class Site:
    """`apps` are installed in their order; each is a folder of this one."""

    folder: Path
    name: str
    apps: list[str] = dataclasses.field(default_factory=list)
    others: list[str] = dataclasses.field(default_factory=lambda: ["rehome"])
    """Installed before them."""
    settings: str = ""

    def models(self, app: str, text: str) -> None:
        """Write an app's models, with the app where it is new."""
        folder = self.folder / app
        (folder / "migrations").mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").touch()
        (folder / "migrations" / "__init__.py").touch()
        (folder / "models.py").write_text(f"from django.db import models\n\n\n{textwrap.dedent(text)}")
        if app not in self.apps:
            self.apps.append(app)

    def migration(self, app: str, number: str) -> Path:
        """The file of a migration, by how its name begins."""
        (path,) = (self.folder / app / "migrations").glob(f"{number}*.py")
        return path

    def write(
        self, app: str, name: str, *, dependencies: list[tuple[str, str]], operations: str, extra: str = ""
    ) -> Path:
        path = self.folder / app / "migrations" / f"{name}.py"
        path.write_text(
            "from django.db import migrations, models\n\nfrom rehome import Move\n\n\n"
            f"class Migration(migrations.Migration):\n{textwrap.indent(extra, '    ')}"
            f"    dependencies = {dependencies!r}\n    operations = [{operations}]\n"
        )
        return path

    def run(self, *commands: Sequence[str]) -> list[Said]:
        """What each of several commands says, in one process."""
        (self.folder / "settings.py").write_text(SETTINGS + self.settings)
        named = {"PGDATABASE": self.name, "DJANGO_SETTINGS_MODULE": "settings"}
        values = environment("default") | named | {"SITE_APPS": json.dumps([*self.others, *self.apps])}
        return manage(self.folder, values, commands)

    def manage(self, *arguments: str) -> Said:
        """What one command says, whether it succeeds or not."""
        return self.run(arguments)[0]

    def done(self, *commands: Sequence[str]) -> list[Said]:
        """The same of commands that have to succeed."""
        said = self.run(*commands)
        for command, one in zip(commands, said, strict=True):
            assert one.code == 0, f"{' '.join(command)}\n{one.text}"
        return said

    def python(self, code: str) -> str:
        """Run code after django.setup()."""
        return self.done(["shell", "-v0", "-c", textwrap.dedent(code)])[0].text.strip()

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with connected_to(self.name), connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def fresh(self) -> Iterator["Site"]:
        """The same project on a new database."""
        with database(f"{self.name}_fresh") as name:
            yield dataclasses.replace(self, name=name)


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    with database(f"test_site_{WORKER}") as name:
        yield Site(folder, name)
