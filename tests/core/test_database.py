import os
from pathlib import Path

import environ
import pytest
from django.core.exceptions import ImproperlyConfigured

from core import database
from core.database import database_config


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> environ.Env:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("EMBEDDED_POSTGRES_DIR", raising=False)
    return environ.Env()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_database_url_is_used(scheme: str, env: environ.Env, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{scheme}://farm:p%40ss@db.example.com:6543/farm?sslmode=require")

    config = database_config(env, production=True)

    assert config["ENGINE"] == "django.db.backends.postgresql"
    assert (config["NAME"], config["USER"], config["PASSWORD"]) == ("farm", "farm", "p@ss")
    assert (config["HOST"], config["PORT"]) == ("db.example.com", 6543)
    assert config["OPTIONS"] == {"sslmode": "require"}


def test_a_connection_is_kept_between_requests_unless_the_url_says_otherwise(
    env: environ.Env, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://farm@db.example.com/farm")
    kept = database_config(env, production=True)
    monkeypatch.setenv("DATABASE_URL", "postgres://farm@db.example.com/farm?conn_max_age=0")

    assert (kept["CONN_MAX_AGE"], kept["CONN_HEALTH_CHECKS"]) == (60, True)
    assert database_config(env, production=True)["CONN_MAX_AGE"] == 0


@pytest.mark.parametrize("url", ["sqlite:///db.sqlite3", "mysql://farm:secret@db/farm", "db.example.com"])
def test_another_engine_is_refused_without_repeating_the_password(
    url: str, env: environ.Env, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)

    with pytest.raises(ImproperlyConfigured, match="runs on PostgreSQL alone; set it to postgres://") as refusal:
        database_config(env, production=False)

    assert "secret" not in str(refusal.value)


def test_a_url_without_a_database_is_refused(env: environ.Env, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://farm:secret@db.example.com")

    with pytest.raises(ImproperlyConfigured, match="names no database; set it to postgres://"):
        database_config(env, production=False)


def test_production_has_no_database_of_its_own(env: environ.Env) -> None:
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL is not set, and production"):
        database_config(env, production=True)


def test_development_gets_an_embedded_server_under_var(env: environ.Env) -> None:
    config = database_config(env, production=False)

    assert config["ENGINE"] == "core.embedded"
    assert config["NAME"] == "portal"
    assert config["HOST"].startswith("/"), "a Unix socket, nothing on the network"
    assert config["EMBEDDED_POSTGRES_DIR"] == Path(database.__file__).parents[1] / "var" / "postgres"


def test_the_embedded_server_can_live_elsewhere(env: environ.Env, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDDED_POSTGRES_DIR", "/srv/farm/postgres")

    assert database_config(env, production=False)["EMBEDDED_POSTGRES_DIR"] == Path("/srv/farm/postgres")


def test_without_the_package_both_ways_out_are_named(env: environ.Env, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "find_spec", lambda name: None)

    with pytest.raises(ImproperlyConfigured, match="run `make setup`, or set DATABASE_URL to postgres://"):
        database_config(env, production=False)


def test_where_the_package_does_not_run_the_way_out_is_named(env: environ.Env, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "name", "nt")

    with pytest.raises(ImproperlyConfigured, match="Linux and macOS only; set DATABASE_URL"):
        database_config(env, production=False)
