import re
import runpy
from typing import Any

import environ
import pytest
from django.core.exceptions import ImproperlyConfigured

from tests.conftest import ROOT
from tests.manage import manage

PRODUCTION = {
    "DJANGO_ENV": "production",
    "SECRET_KEY": "f84b9a1c0d6e7f2a3b5c8d9e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c",
    "ALLOWED_HOSTS": "farm.example.com",
    "DATABASE_URL": "postgres://farm:secret@db.example.com:5432/farm",
    "DEBUG": "false",
}


def settings(monkeypatch: pytest.MonkeyPatch, **environment: str) -> dict[str, Any]:
    """Run the settings as a process with this environment would."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(ROOT / "core" / "settings.py"))


def test_development_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEBUG")
    monkeypatch.setattr(environ.Env, "read_env", lambda *args, **options: None)

    values = settings(monkeypatch, DATABASE_URL="")

    assert values["DEBUG"] is True
    assert values["SECURE_SSL_REDIRECT"] is False
    assert values["DATABASES"]["default"]["ENGINE"] == "core.embedded"


def test_production_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEBUG")
    monkeypatch.setattr(environ.Env, "read_env", lambda *args, **options: None)

    values = settings(monkeypatch, **{name: value for name, value in PRODUCTION.items() if name != "DEBUG"})

    assert values["DEBUG"] is False
    assert values["ALLOWED_HOSTS"] == ["farm.example.com"]
    assert values["DATABASES"]["default"]["HOST"] == "db.example.com"


@pytest.mark.parametrize("name", ["SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL"])
def test_production_refuses_to_start_without(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImproperlyConfigured, match=rf"^{name} is .*; (set|give) it .*\.$"):
        settings(monkeypatch, **PRODUCTION | {name: ""})


def test_an_unknown_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"DJANGO_ENV is 'prod'.*set it to development or production\."):
        settings(monkeypatch, DJANGO_ENV="prod")


def test_a_refusal_reaches_the_person_who_started_it() -> None:
    done = manage("check", **PRODUCTION | {"SECRET_KEY": ""})

    assert done.returncode == 1
    assert (
        done.stderr.strip()
        .splitlines()[-1]
        .startswith("django.core.exceptions.ImproperlyConfigured: SECRET_KEY is not set")
    )


def test_production_passes_the_deployment_check() -> None:
    done = manage("check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)

    assert (done.returncode, done.stderr) == (0, "")
    assert "no issues" in done.stdout


def test_a_proxy_is_trusted_only_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "SECURE_PROXY_SSL_HEADER" not in settings(monkeypatch, BEHIND_TLS_PROXY="false")
    assert "SECURE_PROXY_SSL_HEADER" in settings(monkeypatch, BEHIND_TLS_PROXY="true")


def test_env_example_names_every_variable_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    read: set[str] = set()
    get_value = environ.Env.get_value

    def record(self: environ.Env, var: str, *args: Any, **options: Any) -> Any:
        read.add(var)
        return get_value(self, var, *args, **options)

    monkeypatch.setattr(environ.Env, "get_value", record)
    settings(monkeypatch, **PRODUCTION)
    settings(monkeypatch, DJANGO_ENV="development", DATABASE_URL="")
    # rehome reads the environment itself; how long a lock is waited for is no matter of deployment.
    read |= {"REHOME_ONLINE", "REHOME_MAX_LAG", "REHOME_MAX_SESSIONS"}
    read.add("LEGACY_DB_PASSWORD")  # Read as it is, without django-environ.

    lines = (ROOT / ".env.example").read_text().splitlines()
    named = [match[1] for line in lines if (match := re.match(r"#?([A-Z_]+)=", line))]
    assert sorted(named) == sorted(read)
    for name in named:
        above = lines[lines.index(next(line for line in lines if line.startswith(f"#{name}="))) - 1]
        assert re.match(r"# \S", above), f"{name} has no explanation"
