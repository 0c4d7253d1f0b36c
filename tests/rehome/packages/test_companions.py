"""History, events and translations go along: django-simple-history, django-pghistory, -parler and -modeltranslation."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from tests.rehome.support.releases import Releases, releases

# Many processes one after the other: on a busy machine they take minutes.
pytestmark = pytest.mark.timeout(900)

PACKAGES = [
    "modeltranslation", "django.contrib.auth", "django.contrib.postgres", "simple_history", "pgtrigger", "pghistory",
    "parler",
]  # fmt: skip
SETTINGS = """
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "German")]
"""
MODELS = """
import pghistory
from django.db import models
from parler.models import TranslatableModel, TranslatedFields
from simple_history.models import HistoricalRecords


class Book(models.Model):
    title = models.CharField(max_length=50)
    history = HistoricalRecords()


@pghistory.track()
class Loan(models.Model):
    days = models.IntegerField(default=1)


class Genre(TranslatableModel):
    translations = TranslatedFields(name=models.CharField(max_length=50))


class Place(models.Model):
    name = models.CharField(max_length=50)
"""
TRANSLATED = """
from modeltranslation.translator import TranslationOptions, register
from {app}.models import Place


@register(Place)
class PlaceOptions(TranslationOptions):
    fields = ("name",)
"""
MOVED = ("Book", "HistoricalBook", "Loan", "LoanEvent", "Genre", "GenreTranslation", "Place")
COMMAND = "makemove " + " ".join(f"lending.{name} press.{name}" for name in MOVED)
WRITE = """
from django.db.models import F
from django.utils.translation import override
from {app}.models import Book, Genre, Loan, Place

book = Book.objects.create(title="{title}")
book.title = "{title}!"
book.save()
Loan.objects.create(days=2)
Loan.objects.update(days=F("days") + 1)
genre = Genre.objects.create(name="{title}")
genre.create_translation("de", name="{title} auf deutsch")
place = Place(name="{title}")
with override("de"):
    place.name = "{title} auf deutsch"
place.save()
"""
SEE = """
from {app}.models import Book, Genre, Loan, LoanEvent, Place

print(dict(
    history=list(Book.history.order_by("history_id").values_list("title", flat=True)),
    events=list(LoanEvent.objects.filter(pgh_obj=1).order_by("pk").values_list("pgh_label", "days")),
    genres=[[t.name for t in g.translations.order_by("-language_code")] for g in Genre.objects.order_by("pk")],
    places=list(Place.objects.order_by("pk").values_list("name_en", "name_de")),
))
"""


@pytest.fixture
def lending(tmp_path: Path, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Releases]:
    files = {"lending/models.py": MODELS, "lending/translation.py": TRANSLATED.format(app="lending")}
    with django_db_blocker.unblock(), releases(tmp_path, PACKAGES, SETTINGS, files) as made:
        yield made


def see(lending: Releases, app: str, *, after: str = "") -> dict[str, object]:
    """What that side's code finds, when it has written rows under this title."""
    written = WRITE.format(app=app, title=after) if after else ""
    seen = ast.literal_eval(lending.release(app).python(written + SEE.format(app=app)))
    assert isinstance(seen, dict)
    return seen


def wanted(*titles: str) -> dict[str, object]:
    """Each write once."""
    return {
        "history": [text for title in titles for text in (title, f"{title}!")],
        "events": [("insert", 2), *(("update", 3 + later) for later in range(len(titles)))],
        "genres": [[title, f"{title} auf deutsch"] for title in titles],
        "places": [(title, f"{title} auf deutsch") for title in titles],
    }


def refused(lending: Releases, command: str) -> str:
    """What is said where nothing is written."""
    before = sorted(lending.new.folder.glob("*/migrations/*.py"))
    said = lending.new.manage(*command.split())
    assert said.code == 1
    assert "Traceback" not in said
    assert sorted(lending.new.folder.glob("*/migrations/*.py")) == before
    return said.text


@pytest.mark.long
def test_what_both_sides_write_is_in_every_history_and_translation_once(lending: Releases) -> None:
    assert see(lending, "lending", after="before") == wanted("before")
    lending.upgrade({"press/models.py": MODELS, "lending/translation.py": ""})
    said = refused(lending, "makemove lending.Book press.Book lending.Place press.Place")
    assert all(f"lending.{name} press.{name}" in said for name in MOVED), said
    said = refused(lending, COMMAND)
    assert "press.Place lacks name_de, name_en" in said
    (lending.new.folder / "press/translation.py").write_text(TRANSLATED.format(app="press"))

    lending.done(COMMAND, "makemigrations --check", "check", "migrate -v0", "verifymoves")

    assert see(lending, "press") == wanted("before")
    assert see(lending, "lending", after="old") == wanted("before", "old")
    assert see(lending, "press", after="new") == wanted("before", "old", "new")
    assert see(lending, "lending") == wanted("before", "old", "new")
    lending.done("verifymoves", "migrate press 0001 -v0")
    assert see(lending, "lending", after="last") == wanted("before", "old", "new", "last")


@pytest.mark.long
def test_they_are_retired_with_their_model(lending: Releases) -> None:
    """Here `makemigrations` has run before, and its files are replaced."""
    assert see(lending, "lending", after="before") == wanted("before")
    translated = {"lending/translation.py": "", "press/translation.py": TRANSLATED.format(app="press")}
    lending.upgrade({"press/models.py": MODELS, **translated})
    lending.done("makemigrations -v0", COMMAND, "makemigrations --check", "check", "migrate -v0")
    lending.done("retiremoves --noinput", "verifymoves")
    assert see(lending, "lending", after="old") == wanted("before", "old")
    assert see(lending, "press", after="new") == wanted("before", "old", "new")
    lending.done("migrate -v0", "verifymoves", "migrate press 0001 -v0")
    assert see(lending, "lending", after="last") == wanted("before", "old", "new", "last")
