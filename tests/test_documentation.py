"""`make docs`: the site is built without a warning, has every page, and takes nothing from another server."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
FETCHED = re.compile(r"<(?:script|img|iframe|source)\b[^>]*?\bsrc=\"([^\"]+)\"|<link\b[^>]*?\bhref=\"([^\"]+)\"")


def sphinx(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """As the Makefile calls it."""
    (options,) = re.findall(r"^SPHINX = \$\(BIN\)/python (.*) -d build/doctrees$", MAKEFILE, re.MULTILINE)
    command = [sys.executable, *shlex.split(options), *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def built(folder: Path) -> Path:
    made = sphinx("-b", "html", "-d", folder / "doctrees", ".", folder / "site")
    assert (made.returncode, made.stderr) == (0, "")
    return folder / "site"


def fetched(site: Path) -> set[str]:
    """What a browser asks for by itself when it shows a page."""
    pages = (page.read_text(encoding="utf-8") for page in site.rglob("*.html"))
    return {first or second for page in pages for first, second in FETCHED.findall(page)}


@pytest.mark.long
def test_every_page_is_there_and_nothing_comes_from_another_server(tmp_path: Path) -> None:
    site = built(tmp_path)
    named = {str(page.relative_to(ROOT).with_suffix(".html")) for page in PAGES}
    assert [page for page in named if not (site / page).exists()] == []

    first = (site / "README.html").read_text(encoding="utf-8")
    assert named - {"README.html"} <= set(re.findall(r'href="([\w./-]+\.html)', first)), "what its contents leave out"
    assert 'url=README.html"' in (site / "index.html").read_text(encoding="utf-8")

    assert any(address.startswith("_static/") for address in fetched(site))
    assert [address for address in fetched(site) if re.match(r"https?:|//", address)] == []
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert re.findall(r"@import|url\([\"']?(?:https?:)?//", styles) == []


def test_a_link_that_leads_nowhere_fails_the_build(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# A\n\n[b](b.md), [c](#c)\n")
    (tmp_path / "conf.py").write_text('extensions = ["myst_parser"]\nroot_doc = "README"\nmyst_heading_anchors = 4\n')
    made = sphinx("-b", "html", "-c", tmp_path, "-d", tmp_path / "doctrees", tmp_path, tmp_path / "site")
    assert made.returncode == 1
    assert "b.md" in made.stderr
    assert "'c'" in made.stderr
