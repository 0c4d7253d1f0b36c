"""One move of the same tables in each phase that a run can be in, so that a row of the ledger is of each kind."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import models

from rehome import Move
from rehome.errors import RehomeError
from rehome.moves import resume, runner
from rehome.moves.transactional import Transactional
from tests.rehome.support import stopping
from tests.rehome.support.lab import Lab

MOVE = Move("old.Thing", "new.Thing")
ONLINE = Move("old.Thing", "new.Thing", online=True)
IN_PLACE = Move("old.Thing", "new.Thing", in_place=True)
CODES = ("anna", "bert", "carl")


def make(lab: Lab) -> Lab:
    """`old.Thing` with three rows, the empty `new.Thing`, and what points at the one; the source has grants, a comment
    and a default of its own.
    """
    lab.model("tags.Tag", {"name": models.CharField(max_length=20)})
    for app in ("old", "new"):
        lab.model(
            f"{app}.Thing",
            stopping.fields(app),
            indexes=[models.Index(fields=["-size", "code"], name=f"{app}_size_code")],
            constraints=[
                models.UniqueConstraint(fields=["place"], name=f"{app}_place", deferrable=models.Deferrable.DEFERRED),
                models.UniqueConstraint(fields=["size", "code"], name=f"{app}_both", nulls_distinct=False),
                models.CheckConstraint(condition=models.Q(size__gte=0), name=f"{app}_size"),
            ],
        )
    lab.model("other.Child", {"thing": models.ForeignKey("old.Thing", models.CASCADE)})
    lab.sql("ALTER TABLE old_thing ALTER size SET DEFAULT 7; COMMENT ON COLUMN old_thing.size IS 'in mm'")
    lab.sql("GRANT SELECT, INSERT, UPDATE, DELETE ON old_thing TO pg_monitor")
    lab.sql("GRANT UPDATE (size) ON old_thing TO pg_monitor")
    for n, code in enumerate(CODES):
        lab.sql("INSERT INTO old_thing (code, size, place) VALUES (%s, %s, %s)", [code, n, n])
    lab.sql("INSERT INTO tags_tag (name) VALUES ('a'); INSERT INTO old_thing_tags (thing_id, tag_id) VALUES (1, 1)")
    lab.sql("INSERT INTO other_child (thing_id) VALUES (2)")
    return lab


def interrupted(module: Any, name: str) -> Callable[[Lab], None]:
    """A move in one transaction whose process dies there, before it can undo anything."""

    def run(lab: Lab) -> None:
        def die(*args: Any) -> None:
            raise RehomeError("The process has died.")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, name, die)
            patch.setattr(resume, "cancel", die)
            with pytest.raises(RehomeError, match="has died"):
                lab.forward(MOVE)

    return run


def stopped(point: str) -> Callable[[Lab], None]:
    return lambda lab: stopping.stop_at(lab, point, move=ONLINE)


def drop(lab: Lab) -> None:
    runner.drop(MOVE, lab.apps, lab.connection)


PHASES: dict[str, tuple[Move, tuple[Callable[[Lab], Any], ...]]] = {
    "prepared": (MOVE, (interrupted(Transactional, "copy"),)),
    "copying": (ONLINE, (stopped("before the first batch"),)),
    "building": (ONLINE, (stopped("before the first index"),)),
    "moved": (MOVE, (interrupted(Transactional, "settled"),)),
    "live": (MOVE, (lambda lab: lab.forward(MOVE),)),
    "live, online": (ONLINE, (lambda lab: lab.forward(ONLINE),)),
    "in place": (IN_PLACE, (lambda lab: lab.forward(IN_PLACE),)),
    "retired": (MOVE, (lambda lab: lab.forward(MOVE), lambda lab: lab.retire(MOVE))),
    "retired, dropped": (MOVE, (lambda lab: lab.forward(MOVE), lambda lab: lab.retire(MOVE), drop)),
    "back": (MOVE, (lambda lab: lab.forward(MOVE), lambda lab: lab.back(MOVE))),
    "back, in place": (IN_PLACE, (lambda lab: lab.forward(IN_PLACE), lambda lab: lab.back(IN_PLACE))),
}
"""By name: the move, and what brings it into the phase."""


def reach(lab: Lab, name: str) -> Move:
    move, acts = PHASES[name]
    make(lab)
    for act in acts:
        act(lab)
    return move
