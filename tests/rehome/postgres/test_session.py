"""What holds in each transaction of a move, whatever the project's own settings say."""

from contextlib import suppress
from typing import Any

import pytest
from django.db import ProgrammingError, models

from rehome import Move
from rehome.postgres.session import Session
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Thing")
TIMEOUTS = {"statement_timeout": "1h", "idle_in_transaction_session_timeout": "2h"}
IN_FORCE = "SELECT name, current_setting(name) FROM pg_settings WHERE name IN ('{}') AND setting <> '0'"


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


def test_no_timeout_of_the_role_is_in_force_while_rows_are_read(lab: Lab) -> None:
    lab.twins(lambda app: {"owner": models.ForeignKey("auth.User", models.CASCADE, null=True)})
    lab.get("old.Thing").objects.create()
    timeouts = dict(TIMEOUTS)
    if lab.sql("SELECT FROM pg_settings WHERE name = 'transaction_timeout'"):
        timeouts["transaction_timeout"] = "3h"
    question = IN_FORCE.format("', '".join(timeouts))
    seen: list[tuple[str, Any]] = []

    def watch(execute: Any, text: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(text, params, many, context)
        if '_thing"' in text:
            # Asked of the connection itself, past this wrapper.
            seen.append((text, lab.connection.connection.execute(question).fetchall()))
        return result

    for name, value in timeouts.items():
        lab.sql(f"SET {name} = '{value}'")
    with lab.connection.execute_wrapper(watch):
        lab.forward(MOVE)
        lab.verify(MOVE)
        lab.back(MOVE)

    for what in ("SELECT EXISTS", "INSERT INTO", "VALIDATE", "SELECT count(*)", "TRUNCATE"):
        assert any(what in text for text, _ in seen), what
    assert [(text, found) for text, found in seen if found] == []
    assert dict(lab.sql(question)) == timeouts
    lab.connection.close()


def test_settings_are_what_they_were_whatever_happens_and_unknown_ones_are_left_out(lab: Lab) -> None:
    names = ("application_name", "work_mem", "default_transaction_read_only")

    def now() -> list[str]:
        return [lab.sql(f"SHOW {name}")[0][0] for name in names]

    before, wanted = now(), ["somebody's", "3MB", "on"]
    assert all(value != was for value, was in zip(wanted, before, strict=True))
    settings = dict(zip(names, wanted, strict=True))
    with suppress(ZeroDivisionError), Session(lab.connection).settings(no_such_setting="1", **settings):
        seen = now()
        raise ZeroDivisionError
    assert (seen, now()) == (wanted, before)
