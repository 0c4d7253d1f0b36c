"""Two processes that migrate at the same time: one works, the other says which one it is, and touches nothing."""

import os
import subprocess

import pytest

from tests.chaos.migrating import await_answer
from tests.database import url
from tests.farm import farm
from tests.farm.test_locks import other_session
from tests.manage import command, manage

WAITING = """
SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
                WHERE a.datname = current_database() AND a.application_name ~ '^rehome' AND NOT l.granted)
"""
HOLDER = """
SELECT pid, application_name, to_char(backend_start, 'YYYY-MM-DD HH24:MI:SS') FROM pg_stat_activity
 WHERE datname = current_database() AND application_name ~ '^rehome'
"""


def picture() -> list[object]:
    """What can be read beside the first one's locks: the catalog, and what is on record."""
    return [
        farm.sql("SELECT * FROM rehome_moverun ORDER BY id"),
        farm.sql("SELECT app, name FROM django_migrations ORDER BY id"),
        farm.sql("SELECT oid, relname, relfilenode FROM pg_class ORDER BY oid"),
        farm.sql("SELECT oid, tgname FROM pg_trigger ORDER BY oid"),
    ]


@pytest.mark.long
def test_the_second_process_names_the_first_and_touches_nothing(planned: str) -> None:
    with other_session() as session:
        # The move wants this table for a moment before its first row, and has to wait.
        session.execute("BEGIN")
        session.execute("LOCK TABLE portal_profile IN ROW EXCLUSIVE MODE")
        first = subprocess.Popen(
            command("migrate", "--verbosity", "0"),
            env=os.environ | {"DATABASE_URL": url(), "REHOME_LOCK_TIMEOUT_MS": "60000"},
            stderr=subprocess.DEVNULL,
        )
        try:
            await_answer(WAITING, first)
            ((pid, name, since),) = farm.sql(HOLDER)
            before = picture()
            for online in ("0", "1"):
                second = manage("migrate", DATABASE_URL=url(), REHOME_ONLINE=online)

                assert second.returncode == 1
                assert f"Another move is running in this database: pid {pid} ({name}, user" in second.stderr
                assert f"connected since {since}). Wait until it has ended" in second.stderr
                assert picture() == before
            session.execute("COMMIT")
            assert first.wait() == 0
        finally:
            first.kill()
            first.wait()

    farm.assert_in_step()
