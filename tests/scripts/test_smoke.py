"""scripts/smoke.py says what does not work, in a line each; tests/deploy/test_services.py runs it where all works."""

import pytest
from django.contrib.auth.models import User

from scripts import smoke
from tests.servers.starting import free_port

pytestmark = pytest.mark.django_db


def test_where_nothing_answers_each_line_says_so_and_nobody_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke.main([f"http://127.0.0.1:{free_port()}"]) == 1

    lines = capsys.readouterr().out.splitlines()
    verdicts = dict(line.split(":")[0].split(maxsplit=1)[::-1] for line in lines)
    asked = ("health", "login page", "static file", "API", "import", "export")
    assert verdicts == dict.fromkeys(asked, "FAILED") | {"cache": "--", "moves": "--"}
    assert not User.objects.filter(username=smoke.NAME).exists()


def test_an_address_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke.main(["farm.example.com"]) == 1
    assert "'farm.example.com' is not an address such as https://farm.example.com." in capsys.readouterr().out


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert [smoke.main([]), smoke.main(["--help"]), smoke.main(["--fast"])] == [2, 0, 2]
    assert capsys.readouterr().out.count("scripts/smoke.py https://farm.example.com") == 3
