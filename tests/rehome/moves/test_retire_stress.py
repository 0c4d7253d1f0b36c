"""Old and new code write at random while the old table becomes a view and comes back; their logs are the oracle."""

import secrets

import pytest
from django.db import models
from django.db.models import Value
from django.db.models.functions import Concat, Left, Length

from rehome import Move
from tests.rehome.parts.test_stress import STATEMENTS, Farm, Writer, rows_of
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

WRITES = 2500
ROUNDS = 3
TABLES = ["old_thing", "old_thing", "old_thing", "new_thing"]

PLAIN = Move("old.Thing", "new.Thing")
# Both sides say the same, and a trigger of the view has to carry it.
COMPUTED = Move(
    "old.Thing",
    "new.Thing",
    fields={"mark": Concat("token", Value("!"))},
    backwards={"token": Left("mark", Length("mark") - 1)},
)


class Careful(Writer):
    """Knows that the old table may be a view that takes no ON CONFLICT."""

    statements = [
        *(statement for statement in STATEMENTS if "ON CONFLICT" not in statement),
        """INSERT INTO {t} (id, born, version, token) SELECT %(key)s, %(born)s, 0, %(token)s
            WHERE NOT EXISTS (SELECT FROM {t} WHERE id = %(key)s) RETURNING born, version, id""",
    ]


@pytest.mark.long
@pytest.mark.parametrize("computed", [False, True])
def test_what_the_writers_committed_is_there_and_nothing_else(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, *, computed: bool
) -> None:
    # Writers without a pause are in the way of a lock for as long as it takes them to get the processor.
    monkeypatch.setenv("REHOME_LOCK_TRIES", "300")
    for app in ("old", "new"):
        text = "mark" if computed and app == "new" else "token"
        fields = {"born": models.IntegerField(), "version": models.IntegerField(), text: models.TextField()}
        lab.model(f"{app}.Thing", fields)
    move, kind = (COMPUTED, Careful) if computed else (PLAIN, Writer)
    farm = Farm()
    seeds = [secrets.randbelow(10**6) for _ in TABLES]
    print(f"seeds: {seeds}")  # noqa: T201
    tables = [table for table in TABLES if not computed or table == "old_thing"]
    writers = [kind(farm, lab, table, seed) for table, seed in zip(tables, seeds, strict=False)]
    lab.forward(move)
    lab.sql("SELECT setval('new_thing_id_seq', 1000)")
    farm.live.set()
    for writer in writers:
        writer.start()
    try:
        for number in range(ROUNDS):
            farm.await_writes((2 * number + 1) * WRITES // (2 * ROUNDS + 1))
            lab.retire(move)
            farm.await_writes((2 * number + 2) * WRITES // (2 * ROUNDS + 1))
            lab.unretire(move)
        farm.await_writes(WRITES)
    finally:
        farm.stopped.set()
        for writer in writers:
            writer.join()
    print(f"{len(farm.log)} writes, {dict(farm.refusals)}")  # noqa: T201

    assert [writer.error for writer in writers] == [None] * len(writers)
    assert farm.log
    expected = rows_of(farm.log)
    found = lab.sql("SELECT id, born, version, token FROM old_thing")
    assert {key: tuple(row) for key, *row in found} == expected
    assert lab.verify(move).ok
