"""Charts are drawn by script, under the policy, and follow range, size and theme."""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from monitoring.history.models import Quarter
from printers.fleet.models import Machine
from printers.states import State
from tests.browser import farms
from tests.monitoring.history.rows import become, partitions, rolled_until, warm

if TYPE_CHECKING:
    from playwright.sync_api import Page

Visit = Callable[..., "Page"]

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

QUARTER = timedelta(minutes=15)
FITS = """() => {
    const plot = document.querySelector(".plot");
    return plot.querySelector(".uplot").offsetWidth === plot.clientWidth;
}"""
COLOURS = """plot => {
    const canvas = plot.querySelector("canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const found = new Set();
    for (let at = 0; at < data.length; at += 4) if (data[at + 3] > 250) found.add(data.slice(at, at + 3).join());
    return [...found];
}"""


@pytest.fixture
def farm() -> farms.Farm:
    """Its first printer has printed for a week."""
    farm, now = farms.build(3), timezone.now()
    printer, quarters = farm.printers[0].pk, []
    partitions.ensure(now - timedelta(days=days) for days in range(9))
    for n in range(96, 672):
        for part, hot in (("tool0", 215 if n // 40 % 2 else 30), ("bed", 60)):
            values = {"low": hot, "mean": hot + n % 7, "high": hot + 9, "target": hot}
            quarters.append(Quarter(printer_id=printer, part=part, at=now - n * QUARTER, **values))
    Quarter.objects.bulk_create(quarters)
    rolled_until(now - timedelta(days=1))
    for part, hot in (("tool0", 210), ("bed", 60)):
        warm(*((now - timedelta(minutes=n), hot + n % 5) for n in range(1440)), printer=printer, part=part, target=hot)
    states = (State.READY, State.HEATING, State.PRINTING, State.FINISHED, State.UNREACHABLE)
    become(*((now - timedelta(minutes=25 * n), states[n % 5]) for n in range(400)), printer=printer)
    return farm


def drawn(page: "Page") -> list[str]:
    page.wait_for_selector(".plot canvas")
    colours: list[str] = page.eval_on_selector(".plot", COLOURS)
    return colours


def test_a_chart_is_drawn_and_another_range_without_another_page(visit: Visit, farm: farms.Farm) -> None:
    page = visit(f"/printers/{farm.printers[0].pk}/", farm.owner)
    assert len(drawn(page)) >= 3, "the grid, the nozzle and the bed"
    page.evaluate("window.here = true")

    for word in ("week", "day"):
        page.click(f"#range-{word}")
        page.wait_for_selector(f"#range-{word}[aria-current]")
        assert len(drawn(page)) >= 3
        assert page.url.endswith(f"?range={word}")
        assert page.evaluate("document.activeElement.id") == f"range-{word}"
    assert page.evaluate("window.here") is True


def test_who_points_at_a_chart_reads_what_was_then(visit: Visit, farm: farms.Farm) -> None:
    page = visit(f"/printers/{farm.printers[0].pk}/?range=week", farm.owner)
    drawn(page)
    usual = page.inner_text("#history .legend.c1")
    page.hover(".plot", position={"x": 40, "y": 50})
    page.wait_for_function("() => /^[A-Z][a-z]{2} /.test(document.querySelector('[data-then]').textContent)")
    assert page.inner_text("#history .legend.c1") != usual
    page.hover("h1")
    page.wait_for_function("() => document.querySelector('[data-then]').textContent === 'dashed: the target'")

    assert page.inner_text("#history .legend.c1") == usual


def test_a_chart_follows_the_theme_and_the_screen(visit: Visit, farm: farms.Farm) -> None:
    page = visit(f"/printers/{farm.printers[0].pk}/", farm.owner, width=1280)
    light = drawn(page)
    page.click("[data-set-theme=dark]")
    page.wait_for_function(
        f"before => JSON.stringify(({COLOURS})(document.querySelector('.plot'))) !== before", arg=str(light)
    )
    assert set(drawn(page)) != set(light)

    page.set_viewport_size({"width": 320, "height": 900})
    page.wait_for_function(FITS)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_without_script_a_chart_is_a_sentence_and_its_ranges_are_links(visit: Visit, farm: farms.Farm) -> None:
    page = visit(f"/printers/{farm.printers[0].pk}/", farm.owner, java_script_enabled=False)
    assert "The last hour: nozzle between 210 and 214 °C" in page.inner_text(".chart noscript").replace("\xa0", " ")
    page.click("#range-week")

    assert page.get_attribute("#range-week", "aria-current") == "true"


def test_a_camera_that_sends_no_picture_is_a_sentence(visit: Visit, farm: farms.Farm) -> None:
    printer = farm.printers[0]
    Machine.objects.filter(printer=printer).update(camera="http://127.0.0.1:9/snap")
    page = visit(f"/printers/{printer.pk}/", farm.owner)
    page.wait_for_selector("[aria-labelledby=h-cam] img", state="detached")

    assert "Nothing answers at 127.0.0.1:9." in page.inner_text("[aria-labelledby=h-cam]")


def test_a_chart_keeps_nobody_out(visit: Visit, farm: farms.Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.browser import checks

    monkeypatch.setattr("printers.looking.look", lambda printer: None)
    path = f"/printers/{farm.printers[0].pk}/?range=week"
    page = visit(path, farm.owner)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert checks.barriers(page) == [], scheme
        for width in (320, 768, 1280):
            page.set_viewport_size({"width": width, "height": 900})
            assert checks.overflow(page) == [], f"{width} px, {scheme}"

    for options in ({"width": 390}, {"width": 320, "large": True}):
        touched = visit(path, farm.owner, touch=True, **options)
        drawn(touched)
        assert checks.overflow(touched) == []
        assert checks.small_targets(touched) == []
