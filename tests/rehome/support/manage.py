"""`manage.py` of a project in a folder: each call in a process of its own, a fork of one that has imported Django."""

import dataclasses
import functools
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.conftest import ROOT


@dataclasses.dataclass(frozen=True)
class Said:
    code: int
    text: str

    def __contains__(self, text: str) -> bool:
        return text in self.text


def manage(
    folder: Path, environment: Mapping[str, str], commands: Sequence[Sequence[str]], *, strict: bool = False
) -> list[Said]:
    """What each of several commands says, in one process; where `strict`, to the first that fails or warns."""
    request = {
        "folder": str(folder),
        "environment": dict(environment),
        "commands": list(map(list, commands)),
        "strict": strict,
    }
    process = zygote()
    assert process.stdin
    assert process.stdout
    print(json.dumps(request), file=process.stdin, flush=True)
    return [Said(code, text) for code, text in json.loads(process.stdout.readline())]


@functools.cache
def zygote() -> subprocess.Popen[str]:
    """One for all tests of this process; it ends with its standard input."""
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", str(Path(__file__).with_name("zygote.py"))],
        # Settings are those of the folder of each request.
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "DJANGO_SETTINGS_MODULE": ""},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
