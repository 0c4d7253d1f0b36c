"""What every page is made of, rendered without a browser; tests/browser looks at the pages themselves."""

import re
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django import forms
from django.core.paginator import Paginator
from django.template import engines
from django.test import Client, RequestFactory
from django.urls import get_resolver
from django.utils import timezone

from core.faults.seeing import fingerprint_of, number_of

PRINTING = SimpleNamespace(value="printing", word="Printing", icon="printing")
HOSTILE = "<script>alert(1)</script>"


def write(source: str, path: str = "/printers/?q=a&page=2", **values: Any) -> str:
    request = RequestFactory().get(path)
    return engines["django"].from_string("{% load farm %}" + source).render(values, request)


def test_a_state_is_word_colour_and_icon() -> None:
    written = write("{% state s '81 %' %}", s=PRINTING)

    assert 'data-state="printing"' in written
    assert "#i-printing" in written
    assert "Printing 81 %" in written


def test_an_end_that_nobody_knows_is_a_word() -> None:
    assert "<b>end unknown</b>" in write("{% when moment %}", moment=None)


def test_a_moment_is_left_and_when() -> None:
    moment = timezone.now() + timedelta(minutes=9, seconds=5)

    written = write("{% when moment %}", moment=moment)

    assert "<b>9\N{NO-BREAK SPACE}min</b>" in written
    assert f'datetime="{moment.isoformat(timespec="minutes")}"' in written


@pytest.mark.parametrize(
    "source",
    [
        '{% include "core/_tile.html" with name=bad state=s href="/" say=bad due=bad extra=bad %}',
        '{% include "core/_tile_run.html" with name=bad state=s href="/" file=bad progress=1 %}',
        '{% include "core/_tile_call.html" with name=bad state=s href="/" file=bad say=bad %}',
        '{% include "core/_note.html" with state="error" head=bad body=bad %}',
        '{% note "error" %}{{ bad }}{% endnote %}',
        "{% icon bad %}{% sort bad bad bad %}",
        '{% include "core/_pages.html" with what=bad %}',
    ],
)
def test_nothing_that_people_typed_becomes_markup(source: str) -> None:
    page = Paginator(range(30), 25).page(1)

    assert "<script" not in write(source, bad=HOSTILE, s=PRINTING, page=page)


def test_pages_keep_the_query() -> None:
    written = write('{% include "core/_pages.html" %}', page=Paginator(range(1060), 25).page(2))

    assert "26 to 50 of 1,060" in written
    assert 'rel="prev" href="?q=a&amp;page=1"' in written
    assert 'rel="next" href="?q=a&amp;page=3"' in written


def test_a_head_sorts_and_begins_again() -> None:
    first = write("{% sort 'name' 'Name' %}")
    again = write("{% sort 'name' 'Name' %}", path="/printers/?sort=name&page=4")

    assert 'href="?q=a&amp;sort=name"' in first
    assert 'aria-sort="ascending"' in again
    assert 'href="?sort=-name"' in again


class Form(forms.Form):
    name = forms.CharField(help_text="As on its label.")
    roles = forms.MultipleChoiceField(widget=forms.CheckboxSelectMultiple, choices=[("view", HOSTILE)])
    clear = forms.BooleanField(required=False)


def test_every_control_has_a_label_its_help_and_what_is_wrong() -> None:
    written = write("{{ form }}", form=Form({"name": ""}))

    controls = re.findall(r'<(?:input|select|textarea)[^>]* id="(\w+)"', written)
    assert set(controls) == set(re.findall(r'<label[^>]* for="(\w+)"', written))
    for ids in re.findall(r'aria-describedby="([^"]+)"', written):
        assert all(f'id="{each}"' in written for each in ids.split())
    assert 'aria-invalid="true"' in written
    assert "<script" not in written


def test_names_run_in_their_own_direction() -> None:
    assert 'dir="auto"' in write("{{ form.name }}", form=Form())


def test_a_form_keeps_what_was_typed() -> None:
    assert 'value="Heron"' in write("{{ form }}", form=Form({"name": "Heron"}))


def test_the_page_of_what_is_not_there(client: Client, db: None) -> None:
    response = client.get("/nowhere/")

    assert response.status_code == 404
    assert "There is nothing here for you" in response.content.decode()


def test_the_page_of_our_fault_needs_no_database() -> None:
    """This test has none: asking it would raise."""
    request = RequestFactory().get("/")
    try:
        raise RuntimeError
    except RuntimeError as error:
        number = number_of(fingerprint_of(error))
        response = get_resolver().resolve_error_handler(500)(request)

    assert response.status_code == 500
    assert f"<code>{number}</code>" in response.content.decode()


def test_a_form_without_its_token_says_that_nothing_was_saved(db: None) -> None:
    response = Client(enforce_csrf_checks=True).post("/admin/login/", {"username": "maren"})

    assert response.status_code == 403
    assert "Nothing was saved" in response.content.decode()


@pytest.mark.parametrize("path", ["/nowhere/", "/admin/login/"])
def test_every_answer_has_the_strict_policy(path: str, client: Client, db: None) -> None:
    policy = client.get(path).headers["Content-Security-Policy"]

    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
