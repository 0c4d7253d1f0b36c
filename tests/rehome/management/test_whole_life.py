"""The whole life of a move, in every way and order that developers work in: real files and a real `migrate`.

After each step code of both releases writes, a new database is built, Django's checks are clean, and a copy of the
database goes back.
"""

import dataclasses
import itertools
import json
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from tests.farm.databases import WORKER, database
from tests.rehome.support import printers
from tests.rehome.support.disk import DJANGO, Project
from tests.rehome.support.life import CHECKS, OURS, Life, Picture
from tests.rehome.support.printers import COMMAND

# Many steps one after the other: on a busy machine they take minutes.
pytestmark = pytest.mark.timeout(900)


@dataclasses.dataclass(frozen=True)
class Cell:
    way: str
    """In which the rows are moved: default, online, in place."""
    begin: str
    """Whether the class was cut, or kept for a while."""
    keys: str
    """Of other apps: none; or when they are re-pointed, before the move has run, during the overlap, after it."""

    def __str__(self) -> str:
        return f"{self.way}, {self.begin}, {self.keys}"


WAYS = ("default", "online", "in place")
BEGINS = ("cut", "kept")
KEYS = ("none", "before", "during", "after")
CELLS = [Cell(*parts) for parts in itertools.product(WAYS, BEGINS, KEYS)]
ALWAYS = Cell("in place", "cut", "none")
"""Is tried at every run."""
TURN = int(os.environ.get("SEED", "0"))
"""Each takes a minute: a fifth of the cells is tried at a time; see `make long SEED=1`, SEED=2 and so on."""


def turn() -> list[Cell]:
    return [cell for number, cell in enumerate(CELLS, TURN) if number % 5 == 0 or cell == ALWAYS]


class Templates:
    """The project before anything moves, with rows; with and without apps that point at the models."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.made: dict[bool, tuple[Project, Picture]] = {}
        self.empty = stack.enter_context(database(f"test_empty_{WORKER}"))
        project = Project(folder / "empty", self.empty, ())
        project.build({})
        project.run("migrate -v0")

    def get(self, *, pointing: bool) -> tuple[Project, Picture]:
        if pointing not in self.made:
            name = self.stack.enter_context(database(f"test_begun_{'pointing' if pointing else 'alone'}_{WORKER}"))
            apps = printers.APPS if pointing else printers.APPS[:2]
            project = Project(self.folder / name, name, apps)
            project.build(of_apps(printers.BEFORE, apps))
            project.run("makemigrations -v0", "migrate -v0")
            for statement in printers.ROWS.split(";"):
                if pointing or not re.search("INTO (billing|jobs)_", statement):
                    project.sql(statement)
            self.made[pointing] = project, Picture.of(project)
        return self.made[pointing]


def of_apps(files: dict[str, str], apps: tuple[str, ...]) -> dict[str, str]:
    return {name: text for name, text in files.items() if name.partition("/")[0] in apps}


@pytest.fixture(scope="module")
def templates(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[Templates]:
    with django_db_blocker.unblock(), ExitStack() as stack:
        yield Templates(tmp_path_factory.mktemp("begun"), stack)


@pytest.mark.long
@pytest.mark.parametrize("cell", turn(), ids=str)
def test_the_whole_life(cell: Cell, templates: Templates, tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> None:
    project, begun = templates.get(pointing=cell.keys != "none")
    with django_db_blocker.unblock(), database(f"test_life_{WORKER}", template=project.database) as name:
        old, new = (project.copy(tmp_path / release, name) for release in ("old", "new"))
        environment = {"REHOME_ONLINE": str(int(cell.way == "online"))}
        life = Life(old, new, begun, templates.empty, environment, {f"serial {n}" for n in range(1, 9)})
        for phase in Story(cell, life).steps():
            life.look(phase)


class Story:
    """What the developer does; each step says in which phase the moves are after it."""

    def __init__(self, cell: Cell, life: Life) -> None:
        self.cell = cell
        self.life = life
        self.new = life.new

    def steps(self) -> Iterator[str]:
        getattr(self, self.cell.begin)()
        if self.cell.keys == "before":
            self.refuse_too_early()
        yield "planned"
        self.interrupt()
        standing = "in place" if self.cell.way == "in place" else "live"
        # The migrations that re-point are there as soon as the class is cut; they may be applied later.
        self.life.run("migrate printers -v0" if self.later else "migrate -v0")
        yield standing
        if self.cell.begin == "kept" and not self.later:
            yield from self.let_go(standing)
        if standing == "live":
            self.life.run("retiremoves --noinput")
            yield "retired"
        if self.later:
            yield from self.let_go(standing if standing == "in place" else "retired")
        if standing == "live":
            self.life.run(f"retiremoves --drop --confirm {self.new.database}")
            said = self.life.run("migrate printers 0001 -v0", code=1)
            assert "was dropped for good" in said
            self.life.see("retired")
        self.end()

    @property
    def later(self) -> bool:
        return self.cell.keys == "after"

    # ----- the first edit

    def cut(self) -> None:
        self.edit(printers.CUT)
        self.makemove()

    def kept(self) -> None:
        text = printers.CUT["printers/models.py"].replace("printers.Tag", "portal.Tag").replace(printers.FAST, "")
        self.edit({"printers/models.py": text})
        for line in self.new.refused(COMMAND).splitlines():
            if line.startswith("  - "):
                self.write(line)
        if self.cell.keys == "during":
            self.edit({"billing/models.py": printers.BILLING.replace("portal.Printer", "printers.Printer")})
        self.makemove()

    def makemove(self) -> None:
        self.life.run(COMMAND)
        if self.cell.way == "in place":
            for path, text in self.new.migrations().items():
                if "RunPython" in text:
                    self.new.write(
                        path, re.sub(r'(Move\("portal\.\w+", "printers\.\w+")\)', r"\1, in_place=True)", text)
                    )

    def edit(self, files: dict[str, str]) -> None:
        self.new.edit(of_apps(files, self.new.apps))

    def write(self, line: str) -> None:
        """What a person does with `path:line: what to write there`."""
        place, _, text = line.removeprefix("  - ").partition(": ")
        path, _, number = place.partition(":")
        lines = self.new.read(path).splitlines()
        kept = lines[int(number) - 1]
        comma = "," if kept.endswith(",") else ""
        indent = kept[: len(kept) - len(kept.lstrip())]
        begin = "indexes = [" if kept.strip().startswith("indexes") else ""
        lines[int(number) - 1] = f"{indent}{begin}{text}{']' if begin else comma}"
        self.new.write(path, "\n".join(lines) + "\n")

    # ----- re-pointing

    def refuse_too_early(self) -> None:
        """What a colleague wrote on a branch that does not know of the move; it goes on with what the check says."""
        if self.cell.begin == "kept":
            self.edit({"billing/models.py": printers.BILLING.replace("portal.Printer", "printers.Printer")})
            self.life.run("makemigrations billing -v0")
        (path,) = (path for path in self.new.migrations() if path.startswith("billing/migrations/0002"))
        text = self.new.read(path).replace("'", '"')
        known = re.findall(r'\("printers", "\w+"\)', text)
        assert known
        for one in known[1:]:
            text = re.sub(rf"\s*{re.escape(one)},?", "", text)
        self.new.write(path, text.replace(known[0], '("printers", "0001_initial")'))
        applied = self.new.sql("SELECT app, name FROM django_migrations")

        checked = self.life.run("check", code=1)
        refused = self.life.run("migrate -v0", code=1)

        needed = sorted(set(re.findall(r'\("printers", "\w+"\)', checked)))
        assert "rehome.E007" in checked
        assert needed
        assert all(one in refused for one in needed)
        assert self.new.sql("SELECT app, name FROM django_migrations") == applied
        self.new.replace(path, '("printers", "0001_initial")', ", ".join(['("printers", "0001_initial")', *needed]))

    def let_go(self, phase: str) -> Iterator[str]:
        """What points at the old models points at the new ones, and the old classes go."""
        if self.cell.begin == "cut":
            self.life.run("migrate -v0")
            yield phase
            return
        if self.cell.keys == "during":
            # Plain Django writes this one.
            self.edit({"jobs/models.py": printers.JOBS.replace("ForeignKey(Printer", 'ForeignKey("printers.Printer"')})
            self.life.run("makemigrations -v0", "migrate -v0")
            yield phase
        slow = "from printers.models import Printer\n" + self.new.read("portal/models.py")
        for name in (*printers.MOVED, "FastPrinter"):
            slow = re.sub(rf"\n\n\nclass {name}\(.*?(?=\n\n\nclass |\Z)", "", slow, flags=re.DOTALL)
        self.edit({**printers.POINTING, "portal/models.py": slow})
        self.new.write("printers/models.py", self.new.read("printers/models.py") + printers.FAST)
        self.makemove()
        self.life.run("migrate -v0")
        yield phase

    # ----- the end

    def end(self) -> None:
        """Nothing is left of the old name nor of rehome, which can go."""
        self.life.run("endmoves", *CHECKS, "migrate -v0", "verifymoves")
        assert not re.search(r"(?m)^(from|import) rehome", "\n".join(self.new.migrations().values()))
        assert self.new.sql(f"{OURS} UNION ALL SELECT to_regclass('portal_printer')::text") == [(None,)]
        self.life.write("printers")
        self.life.run("migrate printers 0001 -v0", code=1)
        self.life.environment["APPS"] = json.dumps([*DJANGO[:-1], *self.new.apps])
        self.life.run(*CHECKS, "migrate --check")
        self.life.build_anew("printers")

    # ----- an interrupted run

    def interrupt(self) -> None:
        """Somebody reads the old table for hours; the move stops; a copy goes back, and the next run resumes."""
        self.life.environment |= {"REHOME_LOCK_TRIES": "1", "REHOME_LOCK_TIMEOUT_MS": "20"}
        with self.life.read("portal_printer"):
            assert "portal_printer" in self.life.run("migrate -v0", code=1)
        del self.life.environment["REHOME_LOCK_TRIES"], self.life.environment["REHOME_LOCK_TIMEOUT_MS"]
        self.life.write("portal")
        self.life.go_back(again=False)
