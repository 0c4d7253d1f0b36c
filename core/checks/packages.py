"""Whether what is installed is what the project was tested with."""

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)$")


@register(deploy=True)
def packages(**_: Any) -> list[CheckMessage]:
    wrong = list(compare(settings.BASE_DIR / "requirements"))
    if not wrong:
        return []
    return [
        Error(
            f"Installed packages are not those of requirements/: {'; '.join(wrong)}.",
            hint="Run `pip install -r requirements/base.txt` in the environment that runs the portal.",
            id="farm.E015",
        )
    ]


def compare(folder: Path) -> Iterator[str]:
    """Those of base.txt have to be there. Others need not, but have the version of their file where they are."""
    required = read(folder / "base.txt")
    others = [pinned for file in sorted(folder.glob("*.txt")) for pinned in read(file) if pinned not in required]
    for name, pinned in [*required, *others]:
        installed = installed_version(name)
        if installed is None and (name, pinned) in required:
            yield f"{name} is not installed, and {pinned} is required"
        elif installed not in (None, pinned):
            yield f"{name} is {installed}, and {pinned} is required"


def read(file: Path) -> list[tuple[str, str]]:
    lines = file.read_text(encoding="utf-8").splitlines()
    found = (PINNED.match(line.partition("#")[0].strip()) for line in lines)
    return [(match[1], match[2]) for match in found if match]


def installed_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
