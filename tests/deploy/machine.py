"""A machine of somebody's own, in a folder: the programs of root and of Docker that a test can't have.

Each is a script that stands before the real ones in PATH, and writes down what it was asked.
"""

import json
import stat
import sys
from pathlib import Path

from tests.conftest import ROOT

HEAD = """\
#!{python}
import json, os, pathlib, shutil, subprocess, sys, time
sys.path.insert(0, {root!r})
here, words = pathlib.Path(__file__).parent, sys.argv[1:]
with (here / "asked").open("a") as file:
    file.write(json.dumps([pathlib.Path(__file__).name, *words]) + "\\n")
"""


class Machine:
    def __init__(self, folder: Path, **programs: str) -> None:
        """Of each program, what it does besides: Python that has `here`, this folder, and `words`, its arguments."""
        self.folder = folder
        folder.mkdir()
        for name, body in programs.items():
            program = folder / name.replace("_", "-")
            program.write_text(HEAD.format(python=sys.executable, root=str(ROOT)) + body)
            program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def asked(self, name: str) -> list[str]:
        """The arguments with which a program was called, a line for each call."""
        lines = map(json.loads, (self.folder / "asked").read_text().splitlines())
        return [" ".join(words) for program, *words in lines if program == name]
