"""Two releases of a project on one database, both of which run: models of the app `lending` have gone to `press`."""

import dataclasses
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.rehome.support.site import Said, Site, site

OLD, NEW = "lending", "press"


@dataclasses.dataclass
class Releases:
    old: Site
    new: Site

    def release(self, app: str) -> Site:
        """The one in which the models are those of this app."""
        return {OLD: self.old, NEW: self.new}[app]

    def upgrade(self, files: dict[str, str]) -> None:
        """Edit the code of the new release, as a person does who cuts a class."""
        shutil.copytree(
            self.old.folder, self.new.folder, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
        )
        self.new.models(NEW, "")
        for name, text in {f"{OLD}/models.py": "", **files}.items():
            (self.new.folder / name).write_text(text)

    def done(self, *commands: str) -> list[Said]:
        """The commands of the new release, each of which has to succeed."""
        return self.new.done(*(command.split() for command in commands))


@contextmanager
def releases(folder: Path, packages: Sequence[str], settings: str, files: dict[str, str]) -> Iterator[Releases]:
    """The old release is migrated, and the new one has no files yet."""
    with site(folder / "old") as old:
        old.others, old.settings = [*packages, "rehome"], settings
        old.models(OLD, "")
        for name, text in files.items():
            (old.folder / name).write_text(text)
        old.done(["makemigrations", OLD, "-v0"], ["migrate", "-v0"])
        yield Releases(old, dataclasses.replace(old, folder=folder / "new", apps=[OLD]))
