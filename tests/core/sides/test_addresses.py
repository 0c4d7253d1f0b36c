import pytest
from django.urls import Resolver404, resolve

from core.sides.addresses import counterpart, side_of_page
from core.sides.models import Side

PAIRS = ["", "add/", "export/", "7/", "7/edit/", "7/delete/"]


@pytest.mark.parametrize("tail", PAIRS)
def test_pages_that_both_sides_have_lead_to_each_other(tail: str) -> None:
    assert counterpart(f"/portal/printers/{tail}") == f"/printers/{tail}"
    assert counterpart(f"/printers/{tail}") == f"/portal/printers/{tail}"


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ("/", "/portal/printers/"),
        ("/printers/import/", "/portal/printers/"),
        ("/printers/7/start/", "/portal/printers/7/"),
        ("/printers/7/camera", "/portal/printers/7/"),
        ("/printers/bulk/pause/", "/portal/printers/"),
    ],
)
def test_what_the_old_side_lacks_leads_to_the_printer_or_to_the_list(new: str, old: str) -> None:
    assert counterpart(new) == old


@pytest.mark.parametrize("tail", PAIRS)
def test_every_old_address_of_the_map_is_there(tail: str) -> None:
    try:
        assert resolve(f"/portal/printers/{tail}").namespace == "portal"
    except Resolver404:
        pytest.fail(f"/portal/printers/{tail} is in the map of both sides, and the URL map has no such page")


@pytest.mark.parametrize(
    ("path", "side"),
    [
        ("/", Side.NEW),
        ("/printers/", Side.NEW),
        ("/portal/printers/7/", Side.OLD),
        ("/staff/cutover/", None),
        ("/accounts/login/", None),
        ("/admin/printers/printer/", None),
        ("/printersandmore/", None),
    ],
)
def test_pages_have_a_side_or_are_common(path: str, side: Side | None) -> None:
    assert side_of_page(path) is side


@pytest.mark.parametrize("path", ["/printers//evil.example.com/", "/printers/\\evil.example.com", "//printers/"])
def test_no_address_leads_to_another_host(path: str) -> None:
    assert counterpart(path).startswith("/portal/printers/")
