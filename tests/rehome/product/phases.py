"""A small project in every phase of its one move, each a database to copy."""

import contextlib
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.test import override_settings

from rehome.errors import RehomeError
from rehome.graph.discovery import find_moves
from rehome.models import Phase
from rehome.moves import resume
from rehome.parts import batches, ending, indexes, rows
from rehome.plan.resolve import make_plan
from tests.farm.databases import WORKER, connected_to, database

APPS = ["django.contrib.contenttypes", "django.contrib.auth", "rehome"]
OWN = [f"tests.rehome.product.{label}" for label in ("warehouse", "shop")]
MOVE = import_module("tests.rehome.product.shop.migrations.0002_migrate_item_data").item
NEVER = "never run"
ROWS = """
INSERT INTO auth_user (id, username, password, is_superuser, first_name, last_name, email, is_staff, is_active,
                       date_joined)
SELECT n, 'user ' || n, '', false, '', '', '', false, true, now() FROM generate_series(1, 3) n;
INSERT INTO warehouse_item (name, code, size, note, holder_id, within_id)
SELECT 'item ' || n, n, n, nullif('note ' || n, 'note 2'), nullif(n % 4, 0), nullif(n - 1, 0)
  FROM generate_series(1, 5) n;
INSERT INTO warehouse_item_watchers (item_id, user_id) SELECT n, 1 + n % 3 FROM generate_series(1, 5) n;
"""


class Interrupted(KeyboardInterrupt):
    """What ends a run in the middle of its way."""


def run(*words: str, **options: Any) -> None:
    call_command(*words, verbosity=0, **options)


@contextlib.contextmanager
def stopped(module: Any, name: str, *, online: bool) -> Iterator[None]:
    """The block runs a move that ends, as by Ctrl-C, where it calls a function, and leaves what it has done."""

    def stop(*args: Any, **options: Any) -> Any:
        raise Interrupted

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REHOME_ONLINE", str(int(online)))
        patch.setattr(module, name, stop)
        patch.setattr(resume, "cancel", lambda plan, run: None)
        with contextlib.suppress(RehomeError, Interrupted):
            yield


def prepared() -> None:
    with stopped(rows, "copy_all", online=False):
        run("migrate", "shop")


def copying() -> None:
    with stopped(batches, "copy_batch", online=True):
        run("migrate", "shop")


def building() -> None:
    with stopped(indexes, "build_index", online=True):
        run("migrate", "shop")


def moved() -> None:
    with stopped(indexes, "vacuum", online=False):
        run("migrate", "shop")


def live() -> None:
    run("migrate", "shop")


def in_place() -> None:
    with declared_in_place():
        run("migrate", "shop")


def retired() -> None:
    live()
    run("retiremoves", interactive=False)


def ended() -> None:
    """By the ending's own SQL, which is not the project's last."""
    retired()
    declared = next(one for one in find_moves(MigrationLoader(connection)) if one.move == MOVE)
    with connection.cursor() as cursor:
        cursor.execute(ending.statement(make_plan(MOVE, declared.apps, connection), last=False))


def back() -> None:
    live()
    run("migrate", "shop", "0001")


WAYS: dict[str, Callable[[], None]] = {
    NEVER: lambda: None,
    Phase.PREPARED: prepared,
    Phase.COPYING: copying,
    Phase.BUILDING: building,
    Phase.MOVED: moved,
    Phase.LIVE: live,
    Phase.IN_PLACE: in_place,
    Phase.RETIRED: retired,
    Phase.BACK: back,
    Phase.ENDED: ended,
}
"""How the project comes into each phase, from where nothing has moved."""


@contextlib.contextmanager
def project() -> Iterator[None]:
    """Django has no other apps than those of the small project."""
    with override_settings(INSTALLED_APPS=[*APPS, *OWN], REHOME_LOCK_TRIES=2, REHOME_LOCK_TIMEOUT_MS=20):
        yield


@contextlib.contextmanager
def declared_in_place() -> Iterator[None]:
    """The migration of the move says in_place=True, as long as the block runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MOVE, "in_place", True)
        yield


@contextlib.contextmanager
def template(phase: str) -> Iterator[str]:
    """The name of a database in which the move is in `phase`."""
    with database(f"test_product_{phase.replace(' ', '_')}_{WORKER}") as name:
        with connected_to(name):
            run("migrate", "auth")
            run("migrate", "warehouse")
            run("migrate", "shop", "0001")
            with connection.cursor() as cursor:
                cursor.execute(ROWS)
            WAYS[phase]()
        yield name


class Templates(dict[str, str]):
    """By phase, the name of a database in which the move is in it; made when it is first asked for."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.stack = stack

    def __missing__(self, phase: str) -> str:
        self[phase] = self.stack.enter_context(template(phase))
        return self[phase]
