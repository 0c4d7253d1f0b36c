"""Every page of the portal at every width, light and dark, with no, three and two hundred printers."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pytest_django import Settings

from core.sides.models import Side
from printers.clients.appkeys import Answer, Decision
from printers.clients.base import File
from tests.browser import farms, site
from tests.browser.conftest import Visit
from tests.conftest import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

WIDTHS = (320, 390, 768, 1440)
SCHEMES = ("light", "dark")
LOOKS = ROOT / "var" / "looks"

every_page = pytest.mark.parametrize("place", site.pages(), ids=str)
every_page_with_its_farms = pytest.mark.parametrize(
    ("place", "size"),
    [pytest.param(place, size, id=f"{place}-{size}") for place in site.pages() for size in place.sizes],
)


@pytest.fixture(autouse=True)
def _where_everybody_is(settings: Settings, request: pytest.FixtureRequest) -> None:
    settings.ROOT_URLCONF = site.URLS
    settings.CUTOVER_PERCENT = 0 if request.getfixturevalue("place").side is Side.OLD else 100


@pytest.fixture(autouse=True)
def _no_printer_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was last seen is what is shown; the machines have two files."""
    files = [File(name, name, 12_400_000) for name in farms.FILES]
    monkeypatch.setattr("printers.looking.look", lambda printer: None)
    monkeypatch.setattr("printers.clients.asking.files", lambda endpoint: files)
    monkeypatch.setattr("printers.clients.asking.key_of", lambda address, token: Decision(Answer.WAITING))


@every_page_with_its_farms
def test_a_page(place: site.Place, size: str, visit: Visit, request: pytest.FixtureRequest) -> None:
    from tests.browser import checks

    farm = farms.build(farms.SIZES[size])
    path, who = place.path(farm), farm.owner if place.signed_in else None
    shoot = request.config.getoption("--screenshots")

    page = visit(path, who)
    assert page.evaluate("performance.getEntriesByType('navigation')[0].responseStatus") == place.status
    assert page.url.endswith(path), f"{path} leads to {page.url}."
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        assert checks.barriers(page) == [], f"axe-core, {scheme}"
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert checks.overflow(page) == [], f"{width} px, {scheme}"
            if shoot:
                keep(page, LOOKS / str(place) / f"{size}-{width}-{scheme}.png")

    touched = visit(path, who, width=390, touch=True)
    assert touched.evaluate("matchMedia('(pointer: coarse)').matches")
    assert checks.small_targets(touched) == []

    large = visit(path, who, width=320, touch=True, large=True)
    assert large.evaluate("parseFloat(getComputedStyle(document.documentElement).fontSize)") == 32
    assert checks.overflow(large) == [], "320 px, type at 200 %"
    assert checks.small_targets(large) == [], "320 px, type at 200 %"
    if shoot:
        keep(large, LOOKS / str(place) / f"{size}-320-type-200.png")


@every_page
def test_a_page_by_keyboard(place: site.Place, visit: Visit) -> None:
    from tests.browser import checks

    farm = farms.build(3)
    page = visit(place.path(farm), farm.owner if place.signed_in else None)

    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert checks.without_keyboard(page) == [], f"{width} px"


def keep(page: "Page", path: Path) -> None:
    """A picture of the whole page, or of the beginning of a very long one. What is fixed to an edge is at its end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = page.viewport_size["width"], page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": width, "height": min(height, 4000)})
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=path)
    page.set_viewport_size({"width": width, "height": 900})
