"""A small project whose one move has not run, and rehearsals of it."""

import contextlib
import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

from django.core.management import CommandError, call_command

from tests.farm import farm
from tests.farm.databases import connected_to, database
from tests.rehome.product import phases

MIGRATION = "shop.0002_migrate_item_data"
STAGES = ["forward", "verify", "writes", "back", "verify back", "forward again"]


@contextlib.contextmanager
def shop(template: str) -> Iterator[str]:
    """The default connection leads to a copy of it."""
    with phases.project(), database(f"{template}_copy", template=template) as name, connected_to(name):
        yield name


def copies(database: str) -> list[str]:
    """Those that rehearsals of the database have made and not dropped: other workers of the tests have some, too."""
    question = "SELECT datname FROM pg_database WHERE shobj_description(oid, 'pg_database') LIKE %s"
    return [name for (name,) in farm.sql(question, [f"%rehearsemoves of {database},%"])]


def rehearse(*arguments: str, **options: Any) -> dict[str, Any]:
    """The report of one that works."""
    said = StringIO()
    call_command("rehearsemoves", *arguments, format="json", stdout=said, stderr=StringIO(), **options)
    report: dict[str, Any] = json.loads(said.getvalue())
    return report


def failed(*arguments: str) -> dict[str, Any]:
    """The report of one that fails."""
    said = StringIO()
    with contextlib.suppress(CommandError):
        call_command("rehearsemoves", *arguments, format="json", stdout=said, stderr=StringIO())
    report: dict[str, Any] = json.loads(said.getvalue())
    assert not report["ok"]
    return report


def stage(report: dict[str, Any], name: str) -> dict[str, Any]:
    [found] = [one for one in report["stages"] if one["name"] == name]
    return dict(found)
