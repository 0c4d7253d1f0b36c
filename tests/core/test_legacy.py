"""Which older database the settings name."""

import environ
import pytest
from django.core.exceptions import ImproperlyConfigured

from core import legacy
from core.legacy import ENGINES, legacy_config
from tests.core.test_settings import read
from tests.manage import manage
from tests.servers.postgis import PostGIS

NAMED = {"DB": "old", "USER": "reader", "PASSWORD": "$ecret p@ss w'ord", "HOST": "old.example.com", "PORT": "6543"}


def config(monkeypatch: pytest.MonkeyPatch, **values: str) -> dict | None:
    for name in ("ENGINE", *NAMED):
        monkeypatch.delenv(f"LEGACY_DB_{name}", raising=False)
    for name, value in values.items():
        monkeypatch.setenv(f"LEGACY_DB_{name}", value)
    return legacy_config(environ.Env())


def test_without_a_name_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert config(monkeypatch) is None
    assert config(monkeypatch, **NAMED | {"DB": "", "ENGINE": "nonsense"}) is None
    values = read(monkeypatch, LEGACY_DB_DB="")
    assert list(values["DATABASES"]) == ["default"]
    assert "legacy_app" not in values["INSTALLED_APPS"]
    assert "DATABASE_ROUTERS" not in values


def test_with_a_name_it_is_postgis_and_read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    found = config(monkeypatch, **NAMED)
    assert found["ENGINE"] == "django.contrib.gis.db.backends.postgis"
    assert {name: found[name] for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT")} == {
        "NAME": "old",
        **{name: value for name, value in NAMED.items() if name != "DB"},
    }
    assert found["OPTIONS"] == {"connect_timeout": 10, "options": "-c default_transaction_read_only=on"}


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_starts_and_the_app_comes_with_it(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(legacy, "find_spec", lambda name: name)
    values = read(monkeypatch, LEGACY_DB_DB="old", LEGACY_DB_ENGINE=engine)
    assert values["DATABASES"]["legacy"]["ENGINE"] == engine
    assert values["INSTALLED_APPS"][-1] == "legacy_app"
    assert values["DATABASE_ROUTERS"] == ["rehome.ReadOnlyRouter"]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ENGINE", "django.db.backends.oracle", "LEGACY_DB_ENGINE is 'django.db.backends.oracle', .* set it to one of"),
        ("ENGINE", "mysql", "LEGACY_DB_ENGINE is 'mysql', which is no engine that rows are imported from; set it to"),
        ("PORT", "54x", "LEGACY_DB_PORT is '54x', which is not a port; set it to a number, or leave it out."),
    ],
)
def test_a_wrong_value_is_refused_with_its_cure(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ImproperlyConfigured, match=message) as refusal:
        config(monkeypatch, **NAMED | {name: value})
    assert NAMED["PASSWORD"] not in str(refusal.value)


def test_mysql_needs_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(legacy, "find_spec", lambda name: None)
    with pytest.raises(ImproperlyConfigured, match="needs mysqlclient.*run `pip install -r requirements/mysql.txt`"):
        config(monkeypatch, DB="old", ENGINE="django.db.backends.mysql")


def test_a_refusal_ends_the_command_that_was_started() -> None:
    done = manage("check", LEGACY_DB_DB="old", LEGACY_DB_ENGINE="sqlite3")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("django.core.exceptions.ImproperlyConfigured: LEGACY_DB_ENGINE is ")


LOADED = "import sys; print([name for name in ('django.contrib.gis', 'MySQLdb') if name in sys.modules])"


def test_without_one_neither_gdal_nor_mysqlclient_is_loaded() -> None:
    assert manage("shell", "--no-imports", "-c", LOADED).stdout == "[]\n"


def test_with_one_its_models_load_gdal(postgis: PostGIS) -> None:
    done = manage("shell", "--no-imports", "-c", LOADED, LEGACY_DB_DB="old", LEGACY_DB_ENGINE="")
    assert done.stdout == "['django.contrib.gis']\n"
