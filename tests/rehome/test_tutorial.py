"""docs/tutorial.md, block by block, on a real project whose old servers work beside it."""

import dataclasses
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from tests.conftest import ROOT
from tests.rehome.support.site import Site, site

PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
PART = re.compile(r"^```(\w+)\n(.*?)^```|^#+ ([^\n]*)$", re.DOTALL | re.MULTILINE)
"""A block with its language, or a heading."""
# What the admin asks for, as `startproject` writes it.
ADMIN = """
DJANGO = "django.contrib"
MIDDLEWARE = [
    f"{DJANGO}.sessions.middleware.SessionMiddleware",
    f"{DJANGO}.auth.middleware.AuthenticationMiddleware",
    f"{DJANGO}.messages.middleware.MessageMiddleware",
]
CONTEXT = ["django.template.context_processors.request"]
CONTEXT += [f"{DJANGO}.auth.context_processors.auth", f"{DJANGO}.messages.context_processors.messages"]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": CONTEXT},
    }
]
"""
ROWS = """
INSERT INTO lending_author (name) VALUES ('Ada'), ('Grace');
INSERT INTO lending_tag (name) VALUES ('novel'), ('essay');
INSERT INTO lending_book (title, author_id) SELECT 'book ' || n, 1 + n % 2 FROM generate_series(1, 10) n;
INSERT INTO lending_book_tags (book_id, tag_id) SELECT n, 1 + n % 2 FROM generate_series(1, 10) n;
INSERT INTO loans_loan (book_id, reader) SELECT n, 'a reader' FROM generate_series(1, 5) n;
INSERT INTO reviews_review (book_id, stars) SELECT n, 3 FROM generate_series(3, 8) n;
"""
LEADS = """
SELECT DISTINCT confrelid::regclass::text FROM pg_constraint
 WHERE contype = 'f' AND conrelid IN ('loans_loan'::regclass, 'reviews_review'::regclass)
"""

TRACES = """
SELECT relname FROM pg_class WHERE relname ~ '^(rehome|lending_book)'
UNION ALL SELECT proname FROM pg_proc WHERE proname ~ '^rehome'
UNION ALL SELECT tgname FROM pg_trigger WHERE tgname ~ '^rehome'
"""


END = "Command 6: deploy the end"
"""Where the database's name is wanted."""


@dataclasses.dataclass
class Reader:
    """Does what the page says, part by part."""

    made: Site
    done: list[str] = dataclasses.field(default_factory=list)
    """The commands that it needed."""
    blocks: int = 0
    """How many it has read."""
    typed: tuple[str, ...] = ()
    """Written behind the commands, for nobody is there to type it."""

    def read(self, heading: str) -> None:
        said = ""
        for kind, block in blocks(heading):
            self.blocks += 1
            match kind:
                case "sh":
                    self.done += block.splitlines()
                    self.typed = ("--confirm", self.made.name) if heading == END else ()
                    said = "".join(map(self.run, block.splitlines()))
                    self.typed = ()
                case "text":
                    assert_said(block, said)
                case "console":
                    for look in block.removeprefix("$ ").split("\n$ "):
                        command, _, shown = look.partition("\n")
                        assert_said(shown, self.run(command))
                case "python":
                    self.edit(*block.split("\n", 1))
                case _:
                    raise AssertionError(f"{kind} under {heading}: the test does nothing with it")

    def run(self, command: str) -> str:
        words = command.split()
        assert words[:2] == ["python", "manage.py"]
        (said,) = self.made.done([*words[2:], *self.typed])
        return said.text

    def edit(self, first: str, body: str) -> None:
        """A file of the project; a migration is shown, and there already."""
        name = first.removeprefix("# ")
        app = name.partition("/")[0]
        path = self.made.folder / name
        if name == "settings.py":
            self.made.settings += body
            return
        if "/migrations/" in name:
            assert path.read_text() == body
            return
        if not path.parent.exists():
            self.made.models(app, "")
            if f'"{app}"' in self.made.settings:
                self.made.apps.remove(app)  # The page itself installs it.
        path.write_text(body)


def blocks(heading: str) -> list[tuple[str, str]]:
    parts = list(PART.finditer(PAGE))
    (begin,) = [place for place, part in enumerate(parts) if part[3] == heading]
    found = []
    for part in parts[begin + 1 :]:
        if part[3]:
            break
        found.append((part[1], part[2]))
    return found


def assert_said(shown: str, said: str) -> None:
    """Each line that is shown was printed, in this order; times are what they are."""
    printed = iter(comparable(said).splitlines())
    for line in comparable(shown).splitlines():
        assert line in printed, f"{line!r} is not in {said}"


def comparable(text: str) -> str:
    return re.sub(r"\d+\.\d+", "0.0", text)


@pytest.fixture
def lending(tmp_path: Path, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Site]:
    with django_db_blocker.unblock(), site(tmp_path / "lending") as made:
        made.others = [f"django.contrib.{name}" for name in ("auth", "messages", "sessions", "admin")]
        made.settings = ADMIN
        yield made


def in_production(made: Site, folder: Path) -> Site:
    """What runs on the old servers: a copy of the files, on the same database, with rows."""
    made.done(["makemigrations", "lending", "loans", "reviews", "-v0"], ["migrate", "-v0"])
    made.sql(ROWS)
    shutil.copytree(made.folder, folder)
    return dataclasses.replace(made, folder=folder, apps=list(made.apps))


OLD = "from lending.models import Book; from loans.models import Loan; from reviews.models import Review\n"
NEW = OLD.replace("lending", "catalog")
ADD = """
book = Book.objects.create(title="{0}", author_id=1)
book.tags.add(1)
Loan.objects.create(book=book, reader="{0}")
Review.objects.create(book=Book.objects.get(title="book 9"), stars=5)
print(Book.objects.filter(title="{0}", tags__name="novel", loans__reader="{0}").count())
"""
LOOK = """print(Book.objects.filter(title="{0}", tags__name="novel", loans__reader="{0}").count())"""


def write_on_both(old: Site, new: Site, step: str) -> None:
    """A server of each release adds a book, and sees what the other has added."""
    assert old.python(OLD + ADD.format(f"old {step}")) == "1"
    assert new.python(NEW + LOOK.format(f"old {step}")) == "1"
    assert new.python(NEW + ADD.format(f"new {step}")) == "1"
    assert old.python(OLD + LOOK.format(f"new {step}")) == "1"


def leads(made: Site) -> str:
    """Where the foreign keys of the two other apps lead."""
    ((table,),) = made.sql(LEADS)
    return str(table)


@pytest.mark.timeout(600)
@pytest.mark.long
def test_the_page(lending: Site, tmp_path: Path) -> None:
    reader = Reader(lending)
    reader.read("The project")
    old = in_production(lending, tmp_path / "old")
    reader.read("The edit")
    reader.read("Command 1: write the migrations")
    reader.read("Command 2: deploy")
    assert leads(lending) == "catalog_book"
    write_on_both(old, lending, "live")

    reader.read("If something is wrong")
    assert leads(lending) == "lending_book"
    assert old.python(OLD + LOOK.format("new live")) == "1"
    assert old.python(OLD + ADD.format("back")) == "1"
    reader.run("python manage.py migrate")
    assert lending.python(NEW + LOOK.format("back")) == "1"

    reader.read("Command 3: verify")
    reader.read("Command 4: retire")
    write_on_both(old, lending, "retired")
    reader.run("python manage.py verifymoves")

    reader.read("Command 5: write the end")
    reader.read(END)
    assert old.manage("shell", "-v0", "-c", f"{OLD}Book.objects.count()").code != 0, "the old name is gone"
    reader.read("The last trace")
    assert reader.blocks == len(re.findall(r"(?m)^```\w", PAGE))
    assert reader.done == [f"python manage.py {command}" for command in counted()]
    assert lending.sql(TRACES) == []
    written = "".join(path.read_text() for path in lending.folder.glob("*/migrations/*.py"))
    assert not re.search(r"(import|from) rehome", written)
    assert lending.python(NEW + LOOK.format("old live")) == "1"


def counted() -> list[str]:
    """The commands in the last table."""
    return re.findall(r"(?m)^\| \d \| `(.*?)` \|", PAGE)


def test_six_commands_are_enough_and_none_is_sql() -> None:
    assert len(counted()) == PAGE.count("\n## Command ") == 6
    written = [(part[1], part[2]) for part in PART.finditer(PAGE) if part[1]]
    assert {kind for kind, _ in written} == {"python", "sh", "text", "console"}
    assert [block for kind, block in written if kind == "python" and "SQL" in block] == []
