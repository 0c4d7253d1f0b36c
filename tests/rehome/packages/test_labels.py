"""docs/guide/content-types.md: django-taggit, django-guardian, django-polymorphic, django-reversion."""

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from tests.conftest import ROOT
from tests.rehome.support.releases import Releases, releases

# Many processes one after the other: on a busy machine they take minutes.
pytestmark = pytest.mark.timeout(900)
SETTINGS = """
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend", "guardian.backends.ObjectPermissionBackend"]
"""
PACKAGES = ["django.contrib.auth", "guardian", "polymorphic", "reversion", "taggit"]
MODELS = """
from django.db import models
import reversion
from polymorphic.models import PolymorphicModel
from taggit.managers import TaggableManager


@reversion.register(fields=["title"])
class Work(PolymorphicModel):
    title = models.CharField(max_length=50)
    tags = TaggableManager()


@reversion.register(fields=["pages"], follow=["work_ptr"])
class Book(Work):
    pages = models.IntegerField(default=1)
"""
WRITE = """
import reversion
from django.contrib.auth.models import User
from guardian.shortcuts import assign_perm
from {app}.models import Book, Work

ann, _ = User.objects.get_or_create(username="ann")
with reversion.create_revision():
    Book.objects.create(title="{title}")
for work in Work.objects.non_polymorphic().filter(title__in=("{title}", "shared")):
    work.tags.add("read", "{app}")
    assign_perm("{app}.view_work", ann, work)
"""
"""A book with its version, a tag and a right; tag and right for a book as well that either side writes such for."""
SEE = """
from django.contrib.auth.models import User
from guardian.shortcuts import get_objects_for_user
from reversion.models import Version
from {app}.models import Book, Work

ann = User.objects.get(username="ann")
works = Work.objects.non_polymorphic().exclude(title="shared")
versions = [version.object_id for version in Version.objects.get_for_model(Book)]
print(dict(
    tagged=sorted(work.title for work in works if work.tags.exists()),
    found_by_tag=sorted(work.title for work in works.filter(tags__name="read")),
    allowed=sorted(work.title for work in works if ann.has_perm("{app}.view_work", work)),
    listed=sorted(work.title for work in get_objects_for_user(ann, "{app}.view_work", works)),
    versions=sorted(work.title for work in works.filter(pk__in=versions)),
    works=sorted(work.title for work in Work.objects.exclude(title="shared") if type(work) is Book),
    books=sorted(book.title for book in Book.objects.exclude(title="shared")),
))
"""
"""The titles of those books that one side's code finds by each package."""


@pytest.fixture
def lending(tmp_path: Path, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Releases]:
    files = {"lending/models.py": MODELS}
    with django_db_blocker.unblock(), releases(tmp_path, PACKAGES, SETTINGS, files) as made:
        made.old.python("from lending.models import Book; Book.objects.create(title='shared')")
        assert see(made, "lending", after="before") == ["before"]
        yield made


def see(lending: Releases, app: str, *, after: str = "") -> list[str]:
    """What all packages find alike, when that side's code has written a book of this title."""
    written = WRITE.format(app=app, title=after) if after else ""
    seen = ast.literal_eval(lending.release(app).python(written + SEE.format(app=app)))
    assert len({*map(tuple, seen.values())}) == 1, seen
    return list(seen["works"])


def begin(lending: Releases, identity: str) -> None:
    lending.upgrade({"press/models.py": MODELS})
    lending.done("makemove lending.Work press.Work lending.Book press.Book -v0")
    for path in lending.new.folder.glob("press/migrations/*_data.py"):
        path.write_text(re.sub(r"(Move\([^)]+)\)", rf'\1, identity="{identity}")', path.read_text()))
    lending.done("check", "makemigrations --check", "migrate -v0")


def stranded(lending: Releases) -> dict[str, int]:
    """What showmoves counts by table, of both moves together; verifymoves says it too."""
    shown, verified = lending.done("showmoves --format json", "verifymoves")
    found: Counter[str] = Counter()
    for move in json.loads(shown.text):
        found.update(move["stranded"])
    for table, rows in found.items():
        assert re.search(rf"rows? of {table} ", verified.text), (table, rows, verified.text)
    return dict(found)


SHARED = """
SELECT count(*), count(DISTINCT t.name), count(DISTINCT content_type_id)
  FROM taggit_taggeditem i JOIN taggit_tag t ON t.id = tag_id WHERE object_id = 1
 UNION ALL
SELECT count(*), count(DISTINCT permission_id), count(DISTINCT content_type_id)
  FROM guardian_userobjectpermission WHERE object_pk = '1'
"""
ONCE = [(3, 3, 1), (1, 1, 1)]
"""Three tags and one right, each once, whoever wrote them."""


STRANDED = {
    # A row that both sides have written is one of them.
    "public.guardian_userobjectpermission": 4,
    # Both tables of the parent have the row.
    "public.lending_work": 1,
    "public.press_work": 1,
    "public.reversion_version": 2,
    "public.taggit_taggeditem": 4,
}


@pytest.mark.long
def test_the_label_moves_at_once(lending: Releases) -> None:
    begin(lending, "move")
    assert (see(lending, "lending"), see(lending, "press")) == ([], ["before"])
    assert see(lending, "lending", after="old") == ["old"]
    assert see(lending, "press", after="new") == ["before", "new"]
    assert stranded(lending) == STRANDED

    lending.done("migrate -v0")

    assert (see(lending, "lending"), see(lending, "press")) == ([], ["before", "new", "old"])
    assert stranded(lending) == {}
    assert lending.new.sql(SHARED) == ONCE
    assert see(lending, "lending", after="late") == ["late"]
    lending.done("migrate press 0001 -v0")
    assert see(lending, "lending") == ["before", "late", "new", "old"]
    assert lending.new.sql(SHARED) == ONCE


@pytest.mark.long
def test_a_retirement_and_its_undo_bring_over_what_old_code_wrote(lending: Releases) -> None:
    begin(lending, "move")
    assert see(lending, "lending", after="old") == ["old"]

    lending.done("retiremoves --noinput")

    assert (see(lending, "lending"), see(lending, "press")) == ([], ["before", "old"])
    assert see(lending, "lending", after="through the view") == ["through the view"]
    lending.done("migrate -v0")
    assert see(lending, "press") == ["before", "old", "through the view"]
    assert see(lending, "lending", after="late") == ["late"]
    lending.done("retiremoves --undo --noinput")
    assert (see(lending, "lending"), see(lending, "press")) == ([], ["before", "late", "old", "through the view"])
    lending.done("migrate press 0001 -v0")
    assert see(lending, "lending") == ["before", "late", "old", "through the view"]


@pytest.mark.long
def test_the_label_stays_until_the_retirement(lending: Releases) -> None:
    begin(lending, "retire")
    assert (see(lending, "lending"), see(lending, "press")) == (["before"], [])
    assert see(lending, "lending", after="old") == ["before", "old"]
    assert see(lending, "press", after="new") == ["new"]
    assert stranded(lending) == STRANDED
    lending.done("migrate -v0")
    assert (see(lending, "lending"), see(lending, "press")) == (["before", "old"], ["new"])

    lending.done("retiremoves --noinput")

    assert (see(lending, "lending"), see(lending, "press")) == ([], ["before", "new", "old"])
    assert lending.new.sql(SHARED) == ONCE
    assert see(lending, "lending", after="late") == ["late"]
    lending.done("migrate -v0")
    everything = ["before", "late", "new", "old"]
    assert (see(lending, "lending"), see(lending, "press")) == ([], everything)
    lending.done("retiremoves --undo --noinput")
    assert (see(lending, "lending"), see(lending, "press")) == (everything, [])
    assert see(lending, "press", after="last") == ["last"]
    lending.done("migrate press 0001 -v0")
    assert see(lending, "lending") == ["before", "last", "late", "new", "old"]
    assert lending.new.sql(SHARED) == ONCE


READ = """
from reversion.models import Version
from {app}.models import Work

print(sorted(version.field_dict["title"] for version in Version.objects.get_for_model(Work)))
"""


@pytest.mark.long
def test_versions_are_read_when_their_text_has_the_new_label(lending: Releases) -> None:
    page = (ROOT / "docs/guide/content-types.md").read_text(encoding="utf-8")
    (migration,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    begin(lending, "move")
    assert "list index out of range" in lending.new.manage("shell", "-c", READ.format(app="press"))

    (lending.new.folder / "press/migrations/0004_versions.py").write_text(migration)
    lending.done("migrate -v0")

    assert ast.literal_eval(lending.new.python(READ.format(app="press"))) == ["before"]
    lending.done("migrate press 0001 -v0")
    assert ast.literal_eval(lending.old.python(READ.format(app="lending"))) == ["before"]


@pytest.mark.long
def test_polymorphic_models_are_cut_and_not_kept(lending: Releases) -> None:
    """What the page says of code that has both classes."""
    begin(lending, "move")
    assert see(lending, "lending", after="old") == ["old"]
    listing = "from press.models import Work; print(len(Work.objects.all()), len(Work.objects.non_polymorphic()))"
    assert lending.new.python(listing) == "2 3"
    (lending.new.folder / "lending/models.py").write_text(MODELS)
    assert "PolymorphicTypeInvalid" in lending.new.manage("shell", "-c", listing)
