"""A server of the test's own, which writes to its disk in earnest, is stopped at once while a move and writers run."""

import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

from scripts import seeding
from tests.chaos import stage
from tests.chaos.crew import at_work
from tests.chaos.migrating import RUNNING, WAYS, await_answer, check, resume
from tests.farm import farm
from tests.farm.databases import server_of_its_own, stop_at_once
from tests.manage import command, manage

LONGEST_S = 2.0


@pytest.fixture
def data(django_db_blocker: DjangoDbBlocker) -> Iterator[Path]:
    """The default connection leads to a farm on a server that only this test uses; the folder of its data."""
    with django_db_blocker.unblock(), server_of_its_own() as data:
        farm.build_monolith()
        seeding.fill(connection, profiles=5, printers=5)
        farm.prepare_targets()
        yield data


def migrate_on(data: Path, way: str, *target: str) -> "subprocess.Popen[bytes]":
    environment = {"DATABASE_URL": "", "EMBEDDED_POSTGRES_DIR": str(data), "REHOME_ONLINE": WAYS[way]}
    return subprocess.Popen(
        command("migrate", *target, "--verbosity", "0"), env=os.environ | environment, stderr=subprocess.DEVNULL
    )


@pytest.mark.long
def test_what_was_committed_outlives_a_server_that_is_stopped_at_once(
    data: Path, choose: random.Random, request: pytest.FixtureRequest
) -> None:
    births = stage.prepare()
    assert farm.sql("SHOW fsync") == [("on",)]
    farm.migrate("accounts", "0002")
    with at_work(stage.conninfo(), seed=choose.randrange(2**32), writers=2, marked=True) as crew:
        for number in range(request.config.getoption("stops")):
            target = ("printers", "0002" if number % 2 == 0 else "0001")
            with migrate_on(data, list(WAYS)[number // 2 % 2], *target) as process:
                await_answer(RUNNING, process)
                connection.close()
                time.sleep(choose.random() * LONGEST_S)
                stop_at_once(data)
            # As a person would: the same again, which starts the server and waits until it has recovered.
            for _ in range(50):
                done = manage("migrate", *target, DATABASE_URL="", EMBEDDED_POSTGRES_DIR=str(data))
                if done.returncode == 0:
                    break
                assert "Run the migration again" in done.stderr or "run the command again" in done.stderr, done.stderr
            assert done.returncode == 0, done.stderr
        resume("printers", "0002")
    print(f"{crew.operations} operations, {dict(crew.refusals)}")  # noqa: T201

    assert crew.refusals["connection lost"]
    check(births, crew)
