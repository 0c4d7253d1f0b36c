"""Sphinx: how `make docs` makes a site of the pages, which are the ones that one reads in the checkout.

The folder that it reads is the project's, so that a link is the same in the checkout and in the site.
"""

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "rehome"
author = "rehome contributors"
copyright = author  # noqa: A001  The name is Sphinx's.
version = release = PROJECT["version"]

extensions = ["myst_parser"]
root_doc = "README"
include_patterns = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/*.md", "docs/**/*.md"]
exclude_patterns = [path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "docs"]
# As deep as the deepest heading that a page links to; the names are those that GitHub gives.
myst_heading_anchors = 4
# No page has footnotes or roles, and messages.md has patterns such as [^a-z], and values before commands.
myst_disable_syntax = ["footnote_def", "footnote_ref", "myst_role"]
# The pages have options such as --undo, and quote messages letter by letter.
smartquotes = False

html_theme = "furo"
html_title = f"rehome {version}"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_additional_pages = {"index": "home.html"}
templates_path = ["_templates"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_last_updated_fmt = None

GUIDE = """
README which-way the-migration fields foreign-keys what-follows before in-one-transaction online in-place both-live
content-types triggers migrations new-features back retire-and-end views tests-and-ci troubleshooting reference glossary
"""
CONTENTS = {
    "Begin": ["docs/tutorial", "docs/why", "docs/user-model"],
    "Guide": [f"docs/guide/{name}" for name in GUIDE.split()],
    "Commands": ["docs/commands", "docs/messages", "docs/security", "docs/benchmarks"],
    "Running it": ["docs/running", "docs/docker", "docs/systemd", "docs/managed-postgresql"],
    "Older databases": ["docs/imports", "docs/mysql", "docs/legacy", "docs/takeover"],
    "The project": ["docs/README", "docs/architecture", "docs/decisions/README", "CHANGELOG", "CONTRIBUTING"],
}
"""What stands beside each page, in this order; other pages follow."""
named = {page for pages in CONTENTS.values() for page in pages}
CONTENTS["The project"] += sorted({f"docs/{page.stem}" for page in (ROOT / "docs").glob("*.md")} - named)


def toctree(title: str, pages: list[str]) -> str:
    return "\n".join(["```{toctree}", ":hidden:", f":caption: {title}", "", *(f"/{page}" for page in pages), "```", ""])


def add_contents(app: Any, docname: str, source: list[str]) -> None:
    """Sphinx wants the contents inside a page; in the checkout, where they are linked, they would be in the way."""
    if docname == root_doc:
        source[0] += "\n" + "\n".join(toctree(title, pages) for title, pages in CONTENTS.items())
    if docname == "docs/decisions/README":
        pages = sorted(path.stem for path in (ROOT / "docs" / "decisions").glob("[0-9]*.md"))
        source[0] += "\n```{toctree}\n:hidden:\n\n" + "\n".join(pages) + "\n```\n"


def setup(app: Any) -> None:
    app.connect("source-read", add_contents)
