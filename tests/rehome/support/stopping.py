"""What tests of online moves share: tables with everything, and a run that stops where a test wants it to."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import models

from rehome import Move
from rehome.errors import Stopped
from rehome.moves import both, online
from rehome.parts import batches, foreign_keys, indexes
from rehome.plan.ledger import Ledger
from rehome.verify import comparison
from tests.rehome.support.lab import Lab

MOVE = Move("old.Thing", "new.Thing", online=True)
ROWS = 2000
POINTS: dict[str, tuple[Any, str, int]] = {
    "before the first batch": (batches, "copy_batch", 1),
    "before the third batch": (batches, "copy_batch", 3),
    "before the first index": (indexes, "build_index", 1),
    "before the second index": (indexes, "build_index", 2),
    "before the foreign keys": (foreign_keys, "build", 1),
    "after the foreign keys": (indexes, "vacuum", 1),
    "before the comparison": (comparison, "compare", 1),
    "before the switch": (online.Online, "switch", 1),
    "in the switch": (both, "switch", 1),
}
"""Where a run is interrupted: the function, and which call of it."""


def fields(app_label: str) -> dict[str, models.Field]:
    return {
        "code": models.CharField(max_length=40, unique=True),
        "size": models.IntegerField(db_index=True),
        "place": models.IntegerField(null=True),
        "parent": models.ForeignKey(f"{app_label}.Thing", models.CASCADE, null=True),
        "user": models.ForeignKey("auth.User", models.CASCADE, null=True),
        "tags": models.ManyToManyField("tags.Tag"),
    }


def make_things(lab: Lab) -> Lab:
    """Rows that point at rows, with everything that a table can have beside them."""
    lab.model("tags.Tag", {"name": models.CharField(max_length=20)})
    for app in ("old", "new"):
        options: dict[str, Any] = {
            "indexes": [models.Index(fields=["size", "code"], name=f"{app}_size_code")],
            "constraints": [
                models.UniqueConstraint(fields=["place"], name=f"{app}_place", deferrable=models.Deferrable.DEFERRED),
                models.UniqueConstraint(fields=["size", "code"], name=f"{app}_both", nulls_distinct=False),
                models.CheckConstraint(condition=models.Q(size__gte=0), name=f"{app}_size"),
            ],
        }
        lab.model(f"{app}.Thing", fields(app), **options)
    lab.sql("INSERT INTO tags_tag (name) VALUES ('a'), ('b')")
    lab.sql(
        "INSERT INTO old_thing (code, size, place, parent_id) "
        f"SELECT 'c' || n, n, n, nullif(n - 1, 0) FROM generate_series(1, {ROWS}) n"
    )
    lab.sql(f"INSERT INTO old_thing_tags (thing_id, tag_id) SELECT n, 1 + n % 2 FROM generate_series(1, {ROWS}) n")
    lab.sql("ANALYZE")
    return lab


def stop_at(lab: Lab, point: str, action: Callable[[], Any] | None = None, move: Move = MOVE) -> None:
    module, name, number = POINTS[point]
    whole, calls = getattr(module, name), []

    def interrupted(*args: Any, **options: Any) -> Any:
        calls.append(point)
        if len(calls) == number:
            if action is None:
                raise KeyboardInterrupt
            action()
        return whole(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, name, interrupted)
        if action is None:
            told = r"was interrupted\. Copied rows are kept\. Run `migrate` to resume"
            with pytest.raises(Stopped, match=told) as stopped:
                lab.forward(move)
            assert stopped.value.returncode == 130
        else:
            lab.forward(move)
    assert len(calls) >= number


def phase(lab: Lab) -> str | None:
    ledger = Ledger("default")
    run = ledger.current(lab.plan(MOVE)) if ledger.exists() else None
    return run.phase if run else None


def rows(lab: Lab, table: str) -> list[tuple[Any, ...]]:
    return lab.sql(f"SELECT * FROM {table} ORDER BY id")


def assert_live(lab: Lab) -> None:
    """Everything is there, as the verification and as this test see it, and as the source had it."""
    report = lab.verify(MOVE)
    assert report.ok, report.as_json()
    assert phase(lab) == "live"
    for table in ("thing", "thing_tags"):
        assert rows(lab, f"new_{table}") == rows(lab, f"old_{table}") != []
