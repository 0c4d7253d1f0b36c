"""What no page may do, asked of the page as the browser has laid it out. Each check answers with what it found."""

import json
from pathlib import Path

from playwright.sync_api import Page

FOLDER = Path(__file__).parent
CHECKS = (FOLDER / "checks.js").read_text(encoding="utf-8")
AXE = (FOLDER / "vendor" / "axe-core-4.14.1.min.js").read_text(encoding="utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]


def overflow(page: Page) -> list[str]:
    """What makes the page scroll sideways."""
    return _checks(page).evaluate("checks.overflow()")


def small_targets(page: Page) -> list[str]:
    """What is narrower or lower than 44 px for a finger."""
    return _checks(page).evaluate("checks.smallTargets()")


def without_keyboard(page: Page, presses: int = 60) -> list[str]:
    """What goes wrong when Tab is pressed through the page: nothing to skip by, no ring, hidden behind something."""
    wrong = []
    _checks(page).evaluate("document.activeElement.blur(), scrollTo(0, 0)")
    for press in range(presses):
        page.keyboard.press("Tab")
        focus = page.evaluate("checks.focus()")
        if focus is None:
            break
        if press == 0 and not focus["skips"]:
            wrong.append(f"The first is no way to skip to the page: {focus['name']}")
        if not focus["ringed"]:
            wrong.append(f"It does not show that it has the focus: {focus['name']}")
        if focus["covered"]:
            wrong.append(f"It has the focus behind something: {focus['name']}")
    return wrong


def barriers(page: Page) -> list[str]:
    """The serious and critical findings of axe-core."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(AXE)
    # A bar that sticks to the screen's edge lies over a table that is further down, where nobody sees either.
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    found = page.evaluate("rules => axe.run(document, {resultTypes: ['violations'], runOnly: rules})", RULES)
    return [
        f"{each['id']}: {each['help']}: {json.dumps([node['html'][:200] for node in each['nodes'][:3]])}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]


def _checks(page: Page) -> Page:
    # Evaluated as the debugger's, since the page's policy lets in no script but the portal's own.
    page.evaluate(CHECKS)
    return page
