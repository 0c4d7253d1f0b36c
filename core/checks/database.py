"""The database of production: how it is reached, as whom, and which release it is."""

import ipaddress
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register
from django.db import connections

Found = list[CheckMessage]
GUESSED = {"postgres", "password", "passwd", "secret", "changeme", "change-me", "admin", "root", "test", "123456"}
ENCRYPTED = {"require", "verify-ca", "verify-full"}
PG_DUMP_FIXED = {13: 22, 14: 19, 15: 14, 16: 10, 17: 6}
"""The minor release of each major that fixes CVE-2025-8714."""


@register(Tags.security, deploy=True)
def guessed_password(**_: Any) -> Found:
    database = settings.DATABASES["default"]
    password = str(database.get("PASSWORD") or "")
    own = {str(database.get(key) or "").lower() for key in ("USER", "NAME")}
    if not password or password.lower() not in GUESSED | own:
        return []
    return [
        Warning(
            "The password in DATABASE_URL is one that everybody tries first.",
            hint="Give the role another one: ALTER ROLE … PASSWORD '…', and put it into DATABASE_URL.",
            id="farm.W011",
        )
    ]


@register(Tags.security, deploy=True)
def without_tls(**_: Any) -> Found:
    database = settings.DATABASES["default"]
    host, mode = str(database.get("HOST") or ""), database.get("OPTIONS", {}).get("sslmode")
    if is_near(host) or mode in ENCRYPTED:
        return []
    return [
        Warning(
            f"DATABASE_URL leads to {host}, and the connection may be one without TLS.",
            hint="Add ?sslmode=verify-full&sslrootcert=… to it, with the certificate of whoever runs the server.",
            id="farm.W012",
        )
    ]


def is_near(host: str) -> bool:
    """On this machine, or by a name without a domain, as containers beside each other have it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.startswith("/") or "." not in host


@register(Tags.database, deploy=True)
def superuser(databases: Sequence[str] | None = None, **_: Any) -> Found:
    """Asked with `check --deploy --database default`."""
    if "default" not in (databases or []):
        return []
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT rolname, rolsuper FROM pg_roles WHERE rolname = current_user")
        role, is_superuser = cursor.fetchone()
    if not is_superuser:
        return []
    return [
        Warning(
            f"The portal works as {role}, which is a superuser: a fault in it can change every database of the server.",
            hint="Make a role that owns the database: CREATE ROLE farm LOGIN CREATEDB PASSWORD '…'.",
            id="farm.W013",
        )
    ]


@register(Tags.database, deploy=True)
def old_release(databases: Sequence[str] | None = None, **_: Any) -> Found:
    """Asked with `check --deploy --database default`."""
    if "default" not in (databases or []):
        return []
    connections["default"].ensure_connection()
    major, minor = divmod(connections["default"].pg_version, 10_000)
    if minor >= PG_DUMP_FIXED.get(major, 0):
        return []
    return [
        Warning(
            f"The server is PostgreSQL {major}.{minor}: a superuser of it can have programs run where a dump of it is "
            "restored (CVE-2025-8714).",
            hint=f"Update it to {major}.{PG_DUMP_FIXED[major]} or a later {major}.x; the data stays as it is.",
            id="farm.W014",
        )
    ]
