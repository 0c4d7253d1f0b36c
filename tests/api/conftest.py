"""A farm as in tests/url_map/people.py, and programs that ask its API with a token."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client

from api.tokens import making
from monitoring.models import Print
from printers.fleet.models import LastSeen
from tests.url_map import people
from tests.url_map.people import Farm

WEEK = timedelta(days=7)


@pytest.fixture(autouse=True)
def _counted_anew() -> None:
    cache.clear()


@pytest.fixture
def farm(db: None, settings: Any) -> Farm:
    """Nobody has looked at its printer yet."""
    settings.CUTOVER_PERCENT = 100
    built = people.build()
    Print.objects.all().delete()
    LastSeen.objects.all().delete()
    return built


def text_of_token(user: User, *, writes: bool = True, name: str = "program", lasts: timedelta = WEEK) -> str:
    return making.make(user, name, writes=writes, lasts=lasts)[1]


def program(user: User, **options: Any) -> Client:
    """It sends JSON, and a fault of the portal is an answer to it."""
    headers = {"Authorization": f"Bearer {text_of_token(user, **options)}"}
    return Client(headers=headers, raise_request_exception=False)


def send(client: Client, method: str, path: str, data: Any = None, **options: Any) -> HttpResponse:
    return client.generic(method, path, "" if data is None else json.dumps(data), "application/json", **options)


def pages(client: Client, path: str) -> list[Any]:
    """The rows of a list, page by page until there is none."""
    rows: list[Any] = []
    while path:
        answer = client.get(path).json()
        rows += answer["results"]
        path = answer["next"] and answer["next"].removeprefix("http://testserver")
    return rows
