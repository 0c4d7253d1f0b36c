"""`migrate` as a process of its own that something happens to, and what must be there when all is over."""

import os
import subprocess

from rehome.errors import LockNotObtained, Refused
from tests.chaos import stage
from tests.chaos.crew import ROOT, Crew
from tests.chaos.journal import Write
from tests.database import url
from tests.farm import farm
from tests.waiting import until

WAYS = {"online": "1", "one transaction": "0"}
RUNNING = """
SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name ~ '^rehome')
"""


def start(way: str, *program: str) -> "subprocess.Popen[bytes]":
    environment = {"DATABASE_URL": url(), "REHOME_ONLINE": WAYS[way], "REHOME_LOCK_TIMEOUT_MS": "50"}
    return subprocess.Popen(
        program, env=os.environ | environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def resume(*target: str) -> None:
    """As a person would: run it again, also while the server has not noticed yet that the process is gone."""

    def is_done() -> bool:
        try:
            farm.migrate(*target)
        except (LockNotObtained, Refused) as error:
            if isinstance(error, Refused) and "Another move is running" not in str(error):
                raise
            return False
        return True

    until(is_done, "It could not be gone on with.")


def await_answer(question: str, process: "subprocess.Popen[bytes]") -> None:
    """Until the database says yes, or the process has ended."""
    until(lambda: process.poll() is not None or farm.sql(question) == [(True,)], question)


def await_end() -> None:
    """Until the server has noticed that nobody is there any more."""
    until(lambda: farm.sql(RUNNING) == [(False,)], "The server still takes the process for alive.")


def check(births: list[Write], crew: Crew) -> None:
    assert crew.operations
    stage.assert_nothing_lost(births + crew.writes, "old", "new")
    farm.assert_in_step()
