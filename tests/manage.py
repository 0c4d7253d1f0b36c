"""Runs manage.py as a person would, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "manage.py"), *arguments]


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end; `environment` comes on top of this process's."""
    return subprocess.run(
        command(*arguments),
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
