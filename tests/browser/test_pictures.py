"""The pictures of the documents, taken from the running portal; `make screenshots` writes them."""

import pytest
from pytest_django import Settings

from printers.fleet.models import Machine
from tests.browser import farms
from tests.browser.conftest import Visit
from tests.conftest import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PICTURES = ROOT / "docs" / "pictures"
LOOKS = ROOT / "var" / "looks" / "pictures"
NAMES = ("Kestrel", "Avocet")

pictures = pytest.mark.parametrize(
    ("name", "path", "width", "height", "scheme"),
    [
        ("tiles", "/printers/?view=tiles", 1440, 1240, "light"),
        ("list-dark", "/printers/", 1440, 1240, "dark"),
        ("phone", "/printers/?view=tiles", 390, 844, "light"),
    ],
)


@pictures
def test_a_picture(
    name: str, path: str, width: int, height: int, scheme: str, visit: Visit, settings: Settings,
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    settings.CUTOVER_PERCENT = 100
    farm = farms.build(26)
    for printer, bird in zip(farm.printers, NAMES, strict=False):
        Machine.objects.filter(printer=printer).update(name=bird)
    folder = PICTURES if request.config.getoption("--screenshots") else LOOKS

    page = visit(path, farm.owner, width=width, scheme=scheme)
    page.set_viewport_size({"width": width, "height": height})
    page.screenshot(path=folder / f"{name}.png")

    assert page.locator("article.tile, tbody tr").count() == len(farm.printers)
    assert (folder / f"{name}.png").stat().st_size > 20_000
