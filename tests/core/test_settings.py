import re
import runpy
from typing import Any

import environ
import pytest
from allauth.account.adapter import get_adapter
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory

from tests.conftest import ROOT
from tests.manage import manage

PRODUCTION = {
    "DJANGO_ENV": "production",
    "SECRET_KEY": "f84b9a1c0d6e7f2a3b5c8d9e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c",
    "ALLOWED_HOSTS": "farm.example.com",
    "DATABASE_URL": "postgres://farm:only-here@db.example.com:5432/farm?sslmode=verify-full",
    "DEBUG": "false",
    "EMAIL_URL": "smtp+tls://farm:secret@mail.example.com:587",
    "DEFAULT_FROM_EMAIL": "Print farm <farm@example.com>",
    "ADMINS": "ada@example.com",
    "PORTAL_URL": "https://farm.example.com",
    "CACHE_URL": "redis://farm:secret@redis.example.com:6379/0",
    "BEHIND_TLS_PROXY": "true",
    "REHOME_REQUIRE_BACKUP": "24",
}


def read(monkeypatch: pytest.MonkeyPatch, **environment: str) -> dict[str, Any]:
    """Run the settings as a process with this environment would."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(ROOT / "core" / "settings.py"))


def test_development_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEBUG")
    monkeypatch.setattr(environ.Env, "read_env", lambda *args, **options: None)

    values = read(monkeypatch, DATABASE_URL="")

    assert values["DEBUG"] is True
    assert values["SECURE_SSL_REDIRECT"] is False
    assert values["DATABASES"]["default"]["ENGINE"] == "core.embedded"


def test_production_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEBUG")
    monkeypatch.setattr(environ.Env, "read_env", lambda *args, **options: None)

    values = read(monkeypatch, **{name: value for name, value in PRODUCTION.items() if name != "DEBUG"})

    assert values["DEBUG"] is False
    assert values["ALLOWED_HOSTS"] == ["farm.example.com"]
    assert values["DATABASES"]["default"]["HOST"] == "db.example.com"


@pytest.mark.parametrize("name", ["SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL"])
def test_production_refuses_to_start_without(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImproperlyConfigured, match=rf"^{name} is .*; (set|give) it .*\.$"):
        read(monkeypatch, **PRODUCTION | {name: ""})


def test_an_unknown_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"DJANGO_ENV is 'prod'.*set it to development or production\."):
        read(monkeypatch, DJANGO_ENV="prod")


def test_a_refusal_reaches_the_person_who_started_it() -> None:
    done = manage("check", **PRODUCTION | {"SECRET_KEY": ""})

    assert done.returncode == 1
    assert (
        done.stderr.strip()
        .splitlines()[-1]
        .startswith("django.core.exceptions.ImproperlyConfigured: SECRET_KEY is not set")
    )


def test_production_passes_the_deployment_check() -> None:
    done = manage("check", "--deploy", "--fail-level", "CRITICAL", **PRODUCTION)

    assert done.returncode == 0, done.stderr
    # Whether static files are collected is the checkout's, and no setting.
    assert set(re.findall(r"\((\w+\.[EW]\d+)\)", done.stderr)) <= {"farm.E010"}


def test_a_proxy_is_trusted_only_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "SECURE_PROXY_SSL_HEADER" not in read(monkeypatch, BEHIND_TLS_PROXY="false")
    assert "SECURE_PROXY_SSL_HEADER" in read(monkeypatch, BEHIND_TLS_PROXY="true")


def test_attempts_to_log_in_are_counted_for_each_person_behind_a_proxy(
    monkeypatch: pytest.MonkeyPatch, settings: Any, rf: RequestFactory
) -> None:
    request = rf.get("/", headers={"X-Forwarded-For": "192.0.2.66, 198.51.100.7"}, REMOTE_ADDR="127.0.0.1")
    assert get_adapter().get_client_ip(request) == "127.0.0.1"
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = read(monkeypatch, BEHIND_TLS_PROXY="true")["ALLAUTH_TRUSTED_PROXY_COUNT"]
    # What the proxy wrote, and not what somebody sent to it.
    assert get_adapter().get_client_ip(request) == "198.51.100.7"


def test_history_is_kept_for_a_month_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^HISTORY_MONTHS is 0; give the number of months, 1 or more\.$"):
        read(monkeypatch, HISTORY_MONTHS="0")


def test_env_example_names_every_variable_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    names: set[str] = set()
    get_value = environ.Env.get_value

    def record(self: environ.Env, var: str, *args: Any, **options: Any) -> Any:
        names.add(var)
        return get_value(self, var, *args, **options)

    monkeypatch.setattr(environ.Env, "get_value", record)
    read(monkeypatch, **PRODUCTION)
    read(monkeypatch, DJANGO_ENV="development", DATABASE_URL="")
    # rehome reads the environment itself; how long a lock is waited for is no matter of deployment.
    names |= {"REHOME_ONLINE", "REHOME_MAX_LAG", "REHOME_MAX_SESSIONS", "REHOME_REQUIRE_BACKUP"}
    names |= {"REHOME_SOURCE_TIMEOUT_S", "REHOME_WRITERS", "REHOME_PG_BIN"}
    names |= {"REHOME_BACKUP_KEEP", "REHOME_BACKUP_STORAGE", "REHOME_BACKUP_WORK"}
    names.add("LEGACY_DB_PASSWORD")  # Read as it is, without django-environ.

    lines = (ROOT / ".env.example").read_text().splitlines()
    named = [match[1] for line in lines if (match := re.match(r"#?([A-Z_]+)=", line))]
    assert sorted(named) == sorted(names)
    for name in named:
        above = lines[lines.index(next(line for line in lines if line.startswith(f"#{name}="))) - 1]
        assert re.match(r"# \S", above), f"{name} has no explanation"


def test_the_farms_networks_are_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environ.Env, "read_env", lambda *args, **options: None)

    assert "127.0.0.0/8" in map(str, read(monkeypatch)["PRINTER_NETWORKS"])
    assert "127.0.0.0/8" not in map(str, read(monkeypatch, **PRODUCTION)["PRINTER_NETWORKS"])
    narrow = read(monkeypatch, PRINTER_NETWORKS="10.20.0.0/16,fd00:20::/32")
    assert list(map(str, narrow["PRINTER_NETWORKS"])) == ["10.20.0.0/16", "fd00:20::/32"]


@pytest.mark.parametrize("networks", ["10.20.0.1/16", "farm", "10.20.0.0/33"])
def test_networks_that_are_none_are_refused(networks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^PRINTER_NETWORKS is wrong: .*; separate networks such as "):
        read(monkeypatch, PRINTER_NETWORKS=networks)
