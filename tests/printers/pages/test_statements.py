"""How many statements the pages take that ask, save or do something: the same for ten printers and for a thousand."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from printers import looking
from printers.clients.base import Seen
from printers.models import Printer
from printers.states import State
from tests.printers.pages.conftest import KEY, Serve, octoprint
from tests.printers.pages.test_listing import fill

farms = pytest.mark.parametrize("count", [10, 1000])
Statements = Callable[[int], AbstractContextManager[Any]]


@pytest.fixture
def statements(django_assert_num_queries: Any) -> Statements:
    """Session and user are the first two; a GET asks for the reader's side as well."""
    return django_assert_num_queries  # type: ignore[no-any-return]


@farms
def test_adding_one(count: int, maren: User, page: Client, serve: Serve, statements: Statements) -> None:
    fill(maren, count)
    [address] = serve(octoprint())
    with statements(3):
        page.get("/printers/add/")
    with statements(4):
        found = page.post("/printers/add/", {"address": address, "key": KEY})["Location"]
    with statements(4):
        page.get(found)
    with statements(6):
        page.get(f"{found}name/")
    with statements(29):
        saved = page.post(f"{found}name/", {"name": "Heron", "place": "Hall A"})
    assert Printer.objects.get(machine__name="Heron").state == State.READY
    assert saved.status_code == 302


@farms
def test_starting_a_print(count: int, maren: User, page: Client, serve: Serve, statements: Statements) -> None:
    fill(maren, count)
    [address] = serve(octoprint())
    printer = Printer.objects.create(profile=maren.profile, ip_address=address, api_key=KEY)
    looking.keep([(printer.pk, Seen(State.READY))], looking.timezone.now())
    with statements(4):
        assert "Start this print" in page.get(f"/printers/{printer.pk}/start/").content.decode()


@pytest.mark.parametrize("count", [10, pytest.param(1000, marks=pytest.mark.long)])
def test_an_import(count: int, maren: User, page: Client, statements: Statements) -> None:
    """Half of its rows are new, and half change a printer."""
    fill(maren, count)
    rows = [f"{pk},{address}," for pk, address in Printer.objects.values_list("pk", "ip_address")]
    new = [f",http://198.51.100.7:{n + 1},{KEY}" for n in range(count)]
    content = "\n".join(["id,address,key,place", *(f"{row},Attic" for row in rows + new)])
    with statements(14):
        preview = page.post("/printers/import/", {"file": SimpleUploadedFile("a.csv", content.encode())})["Location"]
    with statements(4):
        assert f"{count:,} new, {count:,} changed" in page.get(preview).content.decode()
    with statements(29 if count == 10 else 58):  # In batches of 500.
        page.post(preview)
    assert Printer.objects.filter(machine__place="Attic").count() == 2 * count


@farms
def test_a_selection(count: int, maren: User, page: Client, statements: Statements) -> None:
    """As many as one page of the list has."""
    fill(maren, count)
    keys = list(Printer.objects.order_by("pk").values_list("pk", flat=True)[:50])

    def do(what: str, **more: str) -> Any:
        return page.post("/printers/selected/", {"do": what, "printer": keys, **more})

    with statements(3):
        assert f"of {len(keys)} printers?" in do("cancel").content.decode()
    # Three more than it needs: a transaction in which the rows are locked.
    with statements(7):
        do("out", confirmed="1", why="Moving.")
    with statements(7):
        do("in")
    with statements(20):
        do("delete", confirmed="1")
    assert Printer.objects.count() == count - len(keys)
