import io
import json
import logging
import logging.config
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from core.logs import logging_config

SECRET = "Zm9vYmFyMTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3A"


@pytest.fixture
def lines() -> Iterator[Any]:
    """A handler as production has it; what it has written, when it is called."""
    config = logging_config(production=True)
    formatter = config["formatters"]["lines"].copy()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter.pop("()")(**formatter))
    root = logging.getLogger()
    root.addHandler(handler)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.removeHandler(handler)


@pytest.mark.django_db
def test_a_request_is_a_line_of_json_with_its_id_and_no_query_string(client: Client, lines: Any) -> None:
    response = client.get("/healthz?api_key=hunter2")

    [line] = lines()
    assert line["event"] == "request"
    assert line["route"] == "healthz"
    assert (line["method"], line["status"], line["user"]) == ("GET", 200, None)
    assert line["request_id"] == response["X-Request-ID"]
    assert "hunter2" not in json.dumps(line)


def test_an_id_from_the_proxy_is_kept_and_a_strange_one_is_not(client: Client) -> None:
    assert client.get("/healthz", headers={"X-Request-ID": "abc-12345678"})["X-Request-ID"] == "abc-12345678"
    assert client.get("/healthz", headers={"X-Request-ID": 'a"b\n'})["X-Request-ID"] != 'a"b\n'


@pytest.mark.django_db
def test_the_line_names_the_user_where_somebody_has_asked(client: Client, lines: Any) -> None:
    ada = User.objects.create_user("ada")
    client.force_login(ada)

    client.get("/portal/printers/")

    assert lines()[-1]["user"] == ada.pk


@pytest.mark.django_db
def test_no_secret_is_written_in_messages_arguments_or_exceptions(lines: Any) -> None:
    try:
        raise ValueError(f"key refused: {SECRET}")
    except ValueError:
        logging.getLogger("core.test").exception("with api_key=%s", "hunter2")

    [line] = lines()
    assert SECRET not in json.dumps(line)
    assert "hunter2" not in json.dumps(line)
    assert "ValueError" in line["exception"]
    assert line["level"] == "error"


@pytest.mark.django_db
def test_values_of_variables_are_not_written(lines: Any) -> None:
    password = "correct horse"
    try:
        raise RuntimeError(len(password))
    except RuntimeError:
        logging.getLogger("core.test").exception("failed")

    assert "correct horse" not in json.dumps(lines())


def test_django_has_no_handler_that_mails_whole_requests() -> None:
    assert logging.getLogger("django").handlers == []
