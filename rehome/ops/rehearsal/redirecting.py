"""Lets the project's connections lead to a copy for a while, and every other one read."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from django.apps import apps
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from rehome.errors import Refused, one_line
from rehome.ops import servers
from rehome.ops.rehearsal.sampling import READ_ONLY
from rehome.ops.servers import KEYWORDS, Server

PLACE = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "NAME"}
POOL = "pool"
"""An option of Django's: a pool that is open leads where it led."""


@contextlib.contextmanager
def reading_alone() -> Iterator[None]:
    """Until the block ends, no session of Django's can write, whatever code of the project's opens it, but those that
    lead to a copy.
    """
    close_all()
    connection_created.connect(allow_reading_alone)
    try:
        yield
    finally:
        connection_created.disconnect(allow_reading_alone)
        close_all()


@contextlib.contextmanager
def redirected(alias: str, copy: Server, *, elsewhere: bool, role: str = "") -> Iterator[None]:
    """Until the block ends, each alias of the same database as `alias` leads to `copy`, which is `elsewhere` where it
    is on another server; sessions act as `role` there, where one is given.

    Raises Refused where the project's connection leads somewhere else all the same.
    """
    source = place_of(connections[alias])
    same = [other for other in connections if place_of(connections[other]) == source]
    before = {other: dict(connections[other].settings_dict) for other in same}
    close_all()
    redirected_to.append(copy.database)
    try:
        for other in same:
            settings = connections[other].settings_dict
            settings.update(settings_of(copy, settings, role) if elsewhere else named(copy.database, settings))
        refuse_elsewhere(connections[alias], copy)
        yield
    finally:
        close_all()
        redirected_to.remove(copy.database)
        for other in same:
            connections[other].settings_dict.clear()
            connections[other].settings_dict.update(before[other])


redirected_to: list[str] = []
"""The name of the copy, which no other database has."""


def place_of(connection: BaseDatabaseWrapper) -> Any:
    known = connection.settings_dict
    return connection.vendor, *(str(known.get(name) or "") for name in ("HOST", "PORT", "NAME"))


def close_all() -> None:
    """Labels are remembered by alias."""
    for connection in connections.all(initialized_only=True):
        connection.close()
        if POOL in connection.settings_dict["OPTIONS"]:
            connection.close_pool()  # type: ignore[attr-defined]
    if apps.is_installed("django.contrib.contenttypes"):
        apps.get_model("contenttypes", "ContentType").objects.clear_cache()


def named(database: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    options = {name: value for name, value in settings["OPTIONS"].items() if name != POOL}
    return {"NAME": database, "OPTIONS": options}


def settings_of(server: Server, settings: Mapping[str, Any], role: str) -> dict[str, Any]:
    """Django's, of another server: what the project has set for the way to its own does not hold there."""
    left_out = {POOL, "assume_role", *KEYWORDS}
    options = {name: value for name, value in settings["OPTIONS"].items() if name not in left_out}
    if role:
        options["assume_role"] = role
    given = {**server.parameters, "dbname": server.database}
    place = {setting: given.pop(name, "") for name, setting in PLACE.items()}
    return {**place, "OPTIONS": {**options, **given}}


def refuse_elsewhere(connection: BaseDatabaseWrapper, copy: Server) -> None:
    with copy.session() as session:
        wanted = servers.look(session)
    question = "SELECT pg_catalog.current_database(), (pg_catalog.pg_control_system()).system_identifier::text"
    try:
        with connection.cursor() as cursor:
            cursor.execute(question)
            found = cursor.fetchone()
    except OperationalError as error:
        raise Refused(
            f"The project can't connect to the copy as it connects to its own database: {one_line(error)}.",
            "Nothing has been rehearsed. An event trigger on login, a setting of the role or of the database, a "
            "limit or pg_hba.conf refuses it: correct that.",
        ) from error
    if found != (wanted.database, wanted.system_identifier):
        raise Refused(
            f"Database {connection.alias!r} leads to {found[0]!r} although its settings name the copy "
            f"{wanted.database!r}: something of the project's decides where it leads.",
            "Nothing has been rehearsed. Let its place come from DATABASES alone.",
        )


def allow_reading_alone(connection: BaseDatabaseWrapper, **signal: Any) -> None:
    """The receiver of Django's signal about a session that has begun."""
    if connection.settings_dict["NAME"] in redirected_to:
        return
    words = {"postgresql": READ_ONLY, "mysql": "SET SESSION TRANSACTION READ ONLY"}
    if connection.vendor in words:
        with connection.cursor() as cursor:
            cursor.execute(words[connection.vendor])
