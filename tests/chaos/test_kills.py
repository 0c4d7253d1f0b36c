"""A process that is killed in the middle of a move, while writers go on: the next `migrate` makes up for it."""

import random
import signal
import sys
import time

import pytest

from tests.chaos import stage
from tests.chaos.crew import at_work
from tests.chaos.journal import Write
from tests.chaos.migrating import RUNNING, WAYS, await_answer, await_end, check, resume, start
from tests.manage import command

FORWARD = ["migrate", "printers", "0002"]
BACK = ["migrate", "printers", "0001"]
LONGEST_S = 2.0
"""A move of the stage is over by then, so that every moment of it can be hit."""


# Each process goes on where the one before it was killed.
BOUNDARIES = {
    "online": [
        ("after", 'INSERT INTO "rehome_moverun"'),
        ("before", r'UPDATE "rehome_moverun" .*Phase.COPYING'),
        ("after", r"INSERT INTO \S+printers_printer"),
        ("after", r"INSERT INTO \S+printers_printer. .*ctid OPERATOR\(pg_catalog\.>=\) '\(7,0\)"),
        ("before", r'UPDATE "rehome_moverun" .*Phase.BUILDING'),
        ("after", r'UPDATE "rehome_moverun" .*Phase.BUILDING'),
        ("after", "INDEX CONCURRENTLY"),
        ("after", "ADD CONSTRAINT .* NOT VALID"),
        ("after", "VALIDATE"),
        ("after", r"SELECT pg_catalog\.count\(\*\), "),
        ("before", r'UPDATE "rehome_moverun" .*Phase.LIVE'),
        ("after", r'UPDATE "rehome_moverun" .*Phase.LIVE'),
        ("before", 'INSERT INTO "django_migrations"'),
    ],
    "one transaction": [
        ("after", 'INSERT INTO "rehome_moverun"'),
        ("after", r"INSERT INTO \S+printers_printer"),
        ("after", r"SELECT pg_catalog\.count\(\*\), "),
        ("after", r'UPDATE "rehome_moverun" .*Phase.MOVED'),
        ("before", "VACUUM"),
        ("before", r'UPDATE "rehome_moverun" .*Phase.LIVE'),
        ("before", 'INSERT INTO "django_migrations"'),
    ],
}
BOUNDARIES_BACK = [
    ("after", r"SELECT pg_catalog\.count\(\*\), "),
    ("after", r'UPDATE "rehome_moverun" .*Phase.BACK'),
    ("before", 'DELETE FROM "django_migrations"'),
]


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS)
def test_a_process_is_killed_at_every_boundary_of_a_phase(births: list[Write], way: str) -> None:
    with at_work(stage.conninfo(), seed=1, writers=2) as crew:
        kill_at(way, BOUNDARIES[way], FORWARD)
        resume("printers", "0002")
        kill_at(way, BOUNDARIES_BACK, BACK)
        resume("printers", "0001")
        resume("printers", "0002")
    check(births, crew)


def kill_at(way: str, boundaries: list[tuple[str, str]], migrate: list[str]) -> None:
    for moment, pattern in boundaries:
        ended = 1
        while ended == 1:  # It was not granted a lock, and says so.
            with start(way, sys.executable, "-m", "tests.chaos.doomed", moment, pattern, *migrate) as process:
                ended = process.wait()
        assert ended == -signal.SIGKILL, (moment, pattern)
        await_end()


@pytest.mark.long
def test_a_process_is_killed_at_random_moments(
    births: list[Write], choose: random.Random, request: pytest.FixtureRequest
) -> None:
    killed = 0
    with at_work(stage.conninfo(), seed=choose.randrange(2**32), writers=2) as crew:
        for number in range(request.config.getoption("kills")):
            way = list(WAYS)[number // 2 % 2]
            forward = number % 2 == 0
            with start(way, *command(*(FORWARD if forward else BACK))) as process:
                await_answer(RUNNING, process)
                time.sleep(choose.random() * LONGEST_S)
                process.kill()
            killed += process.returncode == -signal.SIGKILL
            resume("printers", "0002" if forward else "0001")
        resume("printers", "0002")
    print(f"{killed} killed, {crew.operations} operations, {dict(crew.refusals)}")  # noqa: T201
    assert killed
    check(births, crew)
