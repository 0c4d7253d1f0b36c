"""What somebody has typed or uploaded and not saved yet: found, waited for, and a file of fourteen rows."""

import dataclasses
from typing import Any

from django.contrib.auth.models import User

from printers.clients.base import Seen
from printers.clients.probing import Found
from printers.exchange.preview import Line
from printers.fleet.models import Draft, Kind
from printers.states import State
from tests.browser.farms import LONG, RIGHT_TO_LEFT, WARM

TYPED = {"address": "http://127.20.9.14:9", "key": "", "user": "", "password": ""}
READY = Found(
    "OctoPrint 1.11.8 answers at 127.20.9.14 and takes the key. Its printer is ready.",
    kind=Kind.OCTOPRINT,
    version="1.11.8",
    state=State.READY,
    seen=Seen(State.READY, temperatures=WARM),
)
ROWS = [
    ("Heron", "changed", "OctoPrint 1.11.8, ready", [("place", "Hall A", "Hall A, rack 2")], ""),
    ("Dunlin", "same", "OctoPrint 1.11.8, printing", [], ""),
    ("Wren", "new", "Moonraker 0.11.0, ready", [], ""),
    ("Siskin", "wrong", "OctoPrint 1.11.8, key refused", [], "It needs another key."),
    (RIGHT_TO_LEFT, "new", "not answered", [], "It can be saved, and shows as unreachable."),
    (LONG, "changed", "PrusaLink 2.1, ready", [("notes", "", LONG)], ""),
]


def of(user: User, name: str) -> int:
    """The key of the draft."""
    data: dict[str, dict[str, Any]] = {
        "found": TYPED | {"found": dataclasses.asdict(READY)},
        "key": TYPED | {"token": "token", "dialog": "http://127.20.9.14:9/plugin/appkeys/auth/token"},
        "import": {
            "name": f"{LONG}.csv",
            "heads": ["address"],
            "rows": [],
            "lines": [dataclasses.asdict(line(number, *ROWS[number % len(ROWS)])) for number in range(14)],
        },
    }
    what = Draft.What.IMPORT if name == "import" else Draft.What.ADD
    return Draft.objects.create(user=user, what=what, data=data[name]).pk


def line(number: int, name: str, verdict: str, answer: str, changes: list[tuple[str, str, str]], why: str) -> Line:
    return Line(number + 1, name, f"http://127.20.9.{number}:9", verdict, answer, changes, why)
