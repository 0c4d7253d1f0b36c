"""`dbshell --database=legacy` opens a shell that reads and can't write."""

import os

import pytest
from django.core.management import call_command
from django.db.backends.base.client import BaseDatabaseClient

from legacy_app.management.commands.dbshell import Command
from tests.legacy_app.ostans import TABLE, Ostans
from tests.manage import manage
from tests.servers.mariadb import MariaDB
from tests.servers.starting import Database


@pytest.mark.long
def test_psql(older: Ostans) -> None:
    def shell(statement: str, **environment: str) -> tuple[int, str]:
        done = manage(
            "dbshell", "--database=legacy", "--", "-Atc", statement, **older.database.environment, **environment
        )
        return done.returncode, done.stdout + done.stderr

    assert shell(f"SELECT count(*) FROM {TABLE}") == (0, "31\n")
    for environment in ({}, {"PGOPTIONS": "-c default_transaction_read_only=off -c work_mem=1MB"}):
        status, said = shell(f"DELETE FROM {TABLE}", **environment)
        assert status != 0
        assert "cannot execute DELETE in a read-only transaction" in said
    assert shell("SHOW work_mem", PGOPTIONS="-c work_mem=1MB") == (0, "1MB\n")


@pytest.mark.long
def test_mysql(maria: Database, mariadb: MariaDB) -> None:
    def shell(statement: str) -> tuple[int, str]:
        done = manage("dbshell", "--database=legacy", "--", "-Ne", statement, **maria.environment)
        return done.returncode, done.stdout + done.stderr

    assert shell(f"SELECT count(*) FROM {TABLE}") == (0, "0\n")
    status, said = shell(f"INSERT INTO {TABLE} (id) VALUES (1)")
    assert status != 0
    assert "Cannot execute statement in a READ ONLY transaction" in said


def test_dbshell_of_the_project_s_own_database_is_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[str, list[str], str | None]] = []
    monkeypatch.delenv("PGOPTIONS", raising=False)
    monkeypatch.setattr(
        BaseDatabaseClient,
        "runshell",
        lambda client, parameters: opened.append((client.connection.alias, parameters, os.environ.get("PGOPTIONS"))),
    )
    call_command(Command(), "--", "-c", "SELECT 1", database="default")
    assert opened == [("default", ["-c", "SELECT 1"], None)]
