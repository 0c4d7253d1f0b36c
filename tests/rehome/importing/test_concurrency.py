"""Others write to both databases while an import is at work: nothing of theirs is lost, and nothing is half-done."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, models, transaction
from django.db.models import Value
from django.db.models.functions import Concat

from rehome import Import
from rehome.errors import Refused
from rehome.importing import merging, staging
from rehome.postgres.session import Session
from tests.rehome.importing.workshop import OLDER, Workshop, connect

THINGS = Import("old.Thing", "new.Thing", key={"code": "code"}, shared=True)


@pytest.fixture
def things(shop: Workshop) -> Iterator[Workshop]:
    """Three rows to import, and an alias `beside` for another session of each database."""
    shop.older("old.Thing", {"code": models.TextField(), "name": models.TextField()})
    shop.model(
        "new.Thing",
        {"code": models.TextField(unique=True), "name": models.TextField(), "note": models.TextField(default="")},
    )
    for code in "abc":
        shop.old("old.Thing").create(code=code, name="old")
    names = {"beside": connection.settings_dict["NAME"], "beside_older": connections[OLDER].settings_dict["NAME"]}
    with connect("beside", NAME=names["beside"]), connect("beside_older", NAME=names["beside_older"]):
        yield shop


def beside(shop: Workshop, alias: str = "beside") -> Any:
    return shop.get("old.Thing" if alias == "beside_older" else "new.Thing")._base_manager.using(alias)


def meanwhile(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, act: Callable[[], object]) -> None:
    """Once, before a function of the import goes on: the transaction has its snapshot by then."""
    function, acts = getattr(module, name), [act]

    def wrapped(*args: Any, **options: Any) -> Any:
        if acts:
            acts.pop()()
        return function(*args, **options)

    monkeypatch.setattr(module, name, wrapped)


def came(shop: Workshop) -> dict[str, tuple[str, str]]:
    return {code: (name, note) for code, name, note in shop.new("new.Thing").values_list("code", "name", "note")}


def test_a_row_born_under_the_same_key_becomes_the_imported_one(
    things: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    born = lambda: beside(things).create(code="b", name="theirs", note="theirs")  # noqa: E731
    meanwhile(monkeypatch, merging, "update_and_insert", born)
    (report,) = things.run(THINGS)
    assert (report.counts.inserted, report.counts.updated) == (2, 1)
    assert came(things) == {"a": ("old", ""), "b": ("old", "theirs"), "c": ("old", "")}


def test_a_row_changed_in_between_keeps_what_the_import_does_not_bring(
    things: Workshop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    things.run(THINGS)
    things.old("old.Thing").update(name="new")
    changed = lambda: beside(things).filter(code="b").update(name="theirs", note="theirs")  # noqa: E731
    meanwhile(monkeypatch, merging, "update_and_insert", changed)
    (report,) = things.run(THINGS)
    assert report.counts.updated == 3
    assert came(things)["b"] == ("new", "theirs")
    steps = [line.split()[0] for line in capsys.readouterr().err.splitlines() if line.startswith("    [")]
    assert steps[3:] == ["[1/3]", "[2/3]", "[2/3]", "[3/3]"], "A step that is tried again is no further one."


def test_a_row_deleted_in_between_comes_again(things: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    things.run(THINGS)
    things.old("old.Thing").update(name="new")
    meanwhile(monkeypatch, merging, "update_and_insert", lambda: beside(things).filter(code="b").delete())
    (report,) = things.run(THINGS)
    assert (report.counts.inserted, report.counts.updated) == (1, 2)


def test_a_writer_of_single_rows_undoes_one_try_at_most(things: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are: the next try lets nobody write to the target before it is done."""
    things.run(THINGS)
    things.old("old.Thing").update(name="new")
    tries, real = [], merging.update_and_insert

    def written(*args: Any) -> Any:
        with suppress(OperationalError), transaction.atomic(using="beside"):
            tries.append("waits")
            with connections["beside"].cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '50ms'")
            beside(things).filter(code="b").update(note=Concat("note", Value("x")))
            tries[-1] = "writes"
        return real(*args)

    monkeypatch.setattr(merging, "update_and_insert", written)
    (report,) = things.run(THINGS)
    assert (tries, report.counts.updated) == (["writes", "waits"], 3)
    assert came(things)["b"] == ("new", "x")


def test_a_row_that_somebody_has_locked_is_waited_for_without_locks(
    things: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    things.run(THINGS)
    things.old("old.Thing").update(name="new")
    locks, tries, real = ExitStack(), [], merging.merge

    def merge(*args: Any, **options: Any) -> Any:
        tries.append(1)
        if len(tries) == 1:
            locks.enter_context(transaction.atomic(using="beside"))
            beside(things).select_for_update().get(code="b")
        else:
            locks.close()
        return real(*args, **options)

    monkeypatch.setattr(merging, "merge", merge)
    (report,) = things.run(THINGS)
    assert (len(tries), report.counts.updated) == (2, 3)


def test_every_table_is_read_as_of_one_moment(things: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    things.older("old.Part", {"code": models.TextField(), "name": models.TextField()})
    parts = Import("old.Part", "new.Thing", key={"code": "code"}, shared=True)
    real, stages = staging.stage, []

    def stage(*args: Any) -> int:
        read = real(*args)
        stages.append(read)
        beside(things, "beside_older").create(code=f"late {len(stages)}", name="late")
        things.get("old.Part")._base_manager.using("beside_older").create(code="part", name="late")
        return read

    monkeypatch.setattr(staging, "stage", stage)
    things.run(THINGS, parts)
    assert stages == [3, 0]
    assert came(things).keys() == {"a", "b", "c"}


def test_a_second_import_and_a_move_are_refused_by_name(things: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = []

    def second() -> None:
        other = Session(connections["beside"])
        with pytest.raises(Refused) as refused, other.only_move("portal.Printer -> printers.Printer"):
            pass
        refusals.append(str(refused.value))

    meanwhile(monkeypatch, merging, "update_and_insert", second)
    things.run(THINGS)
    assert "is running in this database: pid" in refusals[0]
    assert "UTC: old.Thing -> new.Thing" in refusals[0]
    with (
        Session(connections["beside"]).only_move("portal.Printer -> printers.Printer"),
        pytest.raises(Refused, match=r"UTC: portal.Printer -> printers.Printer"),
    ):
        things.run(THINGS)
    assert things.run(THINGS)[0].counts.unchanged == 3


def test_nobody_waits_for_the_target_while_the_source_is_read(
    things: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = []

    def look() -> None:
        with connections["beside"].cursor() as cursor:
            cursor.execute(
                "SELECT l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation "
                "WHERE c.relname = 'new_thing' AND l.pid <> pg_backend_pid()"
            )
            held.extend(cursor.fetchall())
        beside(things).create(code="z", name="meanwhile")

    meanwhile(monkeypatch, staging, "watched", look)
    things.run(THINGS)
    assert held == []
    assert came(things).keys() == {"a", "b", "c", "z"}


def test_large_values_and_many_columns_arrive(shop: Workshop) -> None:
    columns = {f"Spalte {n} für 'x'": models.TextField(null=True) for n in range(120)}
    fields = {f"f{n}": models.TextField(null=True, db_column=column) for n, column in enumerate(columns)}
    shop.older("old.Wide", {name: field.clone() for name, field in fields.items()})
    shop.model("new.Wide", {"legacy_id": models.IntegerField(), **fields})
    large = "\\\t" + "ی" * 10_000_000
    shop.old("old.Wide").create(**{f"f{n}": f"value {n}" for n in range(119)}, f119=large)
    wide = Import("old.Wide", "new.Wide", key={"legacy_id": "id"})
    shop.run(wide)
    row = shop.new("new.Wide").get()
    assert [getattr(row, f"f{n}") for n in range(119)] == [f"value {n}" for n in range(119)]
    assert row.f119 == large
    assert shop.run(wide)[0].counts.unchanged == 1
