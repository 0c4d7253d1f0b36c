"""A role's timeouts are for its pages, not for moves: a large table takes as long as it takes."""

from typing import Any

from django.db import models

from rehome import Move
from tests.rehome.lab import Lab

MOVE = Move("old.Thing", "new.Thing")
TIMEOUTS = {"statement_timeout": "1h", "idle_in_transaction_session_timeout": "2h"}
IN_FORCE = "SELECT name, current_setting(name) FROM pg_settings WHERE name IN ('{}') AND setting <> '0'"


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
