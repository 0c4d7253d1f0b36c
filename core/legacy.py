"""The older database that LEGACY_DB_DB names, from which rows are read and imported; nothing where it names none."""

from importlib.util import find_spec
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from rehome import read_only

ALIAS = "legacy"
APP = "legacy_app"

POSTGIS = "django.contrib.gis.db.backends.postgis"
ENGINES = {
    POSTGIS: "postgresql",
    "django.db.backends.postgresql": "postgresql",
    "django.contrib.gis.db.backends.mysql": "mysql",
    "django.db.backends.mysql": "mysql",
}

CONNECT_TIMEOUT_S = 10
OPTIONS: dict[str, dict[str, Any]] = {
    "postgresql": {"connect_timeout": CONNECT_TIMEOUT_S},
    "mysql": {
        "connect_timeout": CONNECT_TIMEOUT_S,
        # One transaction sees one moment.
        "isolation_level": "repeatable read",
        "charset": "utf8mb4",
    },
}


def legacy_config(env: environ.Env) -> dict[str, Any] | None:
    """The value for DATABASES["legacy"], or None without LEGACY_DB_DB. Connects to nothing."""
    name = env.str("LEGACY_DB_DB", default="")
    engine = env.str("LEGACY_DB_ENGINE", default="") or POSTGIS
    user = env.str("LEGACY_DB_USER", default="")
    # As it is: django-environ takes a value that begins with $ for the name of another variable.
    password = env.ENVIRON.get("LEGACY_DB_PASSWORD", "")
    host, port = env.str("LEGACY_DB_HOST", default=""), env.str("LEGACY_DB_PORT", default="")
    if not name:
        return None
    if engine not in ENGINES:
        raise ImproperlyConfigured(
            f"LEGACY_DB_ENGINE is {engine!r}, which is no engine that rows are imported from; "
            f"set it to one of {', '.join(ENGINES)}."
        )
    if port and not port.isdecimal():
        raise ImproperlyConfigured(
            f"LEGACY_DB_PORT is {port!r}, which is not a port; set it to a number, or leave it out."
        )
    if ENGINES[engine] == "mysql" and find_spec("MySQLdb") is None:
        raise ImproperlyConfigured(
            f"LEGACY_DB_ENGINE is {engine!r}, which needs mysqlclient, and that is not installed; "
            "run `pip install -r requirements/mysql.txt`."
        )
    database = {
        "ENGINE": engine,
        "NAME": name,
        "USER": user,
        "PASSWORD": password,
        "HOST": host,
        "PORT": port,
        "OPTIONS": dict(OPTIONS[ENGINES[engine]]),
    }
    return read_only(database, apps=[APP])
