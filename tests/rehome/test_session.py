"""What holds in each transaction of a move, whatever the project's own settings say."""

import pytest
from django.db import ProgrammingError, models

from rehome.session import Session
from tests.rehome.lab import Lab


def test_rows_committed_before_a_lock_is_granted_are_seen_under_any_isolation_level(lab: Lab) -> None:
    lab.sql("SET default_transaction_isolation = 'serializable'")
    with Session(lab.connection).transaction():
        assert lab.sql("SHOW transaction_isolation") == [("read committed",)]
    with Session(lab.connection).snapshot():
        assert lab.sql("SHOW transaction_isolation") == [("repeatable read",)]
    lab.connection.close()


def test_a_policy_that_would_hide_rows_is_an_error(lab: Lab) -> None:
    lab.model("old.Thing", {"name": models.TextField()})
    lab.sql("ALTER TABLE old_thing ENABLE ROW LEVEL SECURITY")
    lab.sql("GRANT SELECT ON old_thing TO pg_monitor")
    lab.sql("SET ROLE pg_monitor")
    for opened in (Session(lab.connection).transaction, Session(lab.connection).snapshot):
        with pytest.raises(ProgrammingError, match="row-level security policy"), opened():
            lab.sql("SELECT FROM old_thing")
    lab.sql("RESET ROLE")


def test_timeouts_of_the_connection_do_not_end_a_move(lab: Lab) -> None:
    lab.sql("SET statement_timeout = '1min'")
    for opened in (Session(lab.connection).transaction, Session(lab.connection).snapshot):
        with opened():
            assert lab.sql("SHOW statement_timeout") == [("0",)]
    lab.connection.close()
