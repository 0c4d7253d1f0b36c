"""What holds in each transaction of a move, whatever the project's own settings say."""

from contextlib import suppress
from typing import Any

import pytest
from django.db import ProgrammingError, models, transaction
from pytest_django.fixtures import Settings

from rehome import Move
from rehome.errors import LockNotObtained
from rehome.postgres.session import STOPPED, Session
from rehome.postgres.states import RETRIED, TOO_LONG
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
            lab.sql("SELECT FROM public.old_thing")
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

    for what in ("SELECT EXISTS", "INSERT INTO", "VALIDATE", "SELECT pg_catalog.count(*)", "TRUNCATE"):
        assert any(what in text for text, _ in seen), what
    # The trial of writes, for which others wait, has a short one of its own.
    assert [(text, found) for text, found in seen if set(found) & timeouts.items()] == []
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


@pytest.mark.parametrize(
    ("causes", "told"),
    [
        (
            "55P03 55P03 40001",
            "A lock was not granted in 2 tries of 9 ms: the session that held it has gone",
        ),
        ("40P01 40P01 40P01", "In 3 tries, this transaction and another waited for locks of each other: "),
        ("40001 55P03 40001", "In 2 tries, another session changed a row that this transaction had read and was to "),
    ],
)
def test_each_cause_that_stops_every_try_has_a_sentence_of_its_own(
    lab: Lab, settings: Settings, causes: str, told: str
) -> None:
    settings.REHOME_LOCK_TRIES, states = 3, iter(causes.split())

    def stopped() -> None:
        with transaction.atomic():
            lab.sql(f"DO $$ BEGIN RAISE SQLSTATE '{next(states)}'; END $$")

    with pytest.raises(LockNotObtained) as raised:
        Session(lab.connection).retry(stopped, lock_timeout_ms=9)
    assert str(raised.value).startswith(told)
    assert ("lock was not granted" in str(raised.value)) == told.startswith("A lock")


def test_whatever_may_stop_every_try_has_a_sentence() -> None:
    assert STOPPED.keys() == {*RETRIED.values(), *TOO_LONG.values()}
