"""Old code's queries over a view are grouped by every column; other models' queries are Django's own."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, models, transaction
from django.db.models import Count, Value
from django.db.models.functions import Upper
from django.test.utils import CaptureQueriesContext

from rehome import Move
from rehome.postgres import grouping
from tests.rehome.support.lab import Lab

MOVE = Move("old.Thing", "new.Thing")
IN_PLACE = Move("old.Thing", "new.Thing", in_place=True)
COMPUTED = Move("old.Thing", "new.Thing", fields={"name": Upper("name")}, backwards={"name": Upper("name")})


@pytest.fixture(autouse=True)
def unknown() -> Iterator[None]:
    grouping.forget()
    yield
    grouping.forget()


@pytest.fixture
def house(lab: Lab) -> Lab:
    lab.twins(lambda app: {"name": models.TextField(unique=True), "size": models.IntegerField(default=1)})
    lab.model("other.Part", {"thing": models.ForeignKey("old.Thing", models.CASCADE)})
    lab.sql("INSERT INTO old_thing (name, size) VALUES ('A', 1), ('B', 2)")
    lab.sql("INSERT INTO other_part (thing_id) VALUES (1), (1), (2)")
    return lab


def counted(lab: Lab) -> list[tuple[str, int]]:
    things = lab.get("old.Thing").objects.annotate(parts=Count("part")).order_by("pk")
    return [(thing.name, thing.parts) for thing in things]


def replace(lab: Lab, move: Move) -> None:
    lab.forward(move)
    if not move.in_place:
        lab.retire(move)


def pass_time(monkeypatch: pytest.MonkeyPatch) -> None:
    later = time.monotonic() + 2 * grouping.GOOD_FOR_S
    monkeypatch.setattr(time, "monotonic", lambda: later)


@pytest.mark.parametrize("move", [MOVE, IN_PLACE, COMPUTED], ids=["retired", "in place", "retired, computed"])
def test_a_connection_that_was_open_before(house: Lab, move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    assert counted(house) == [("A", 2), ("B", 1)]
    replace(house, move)
    pass_time(monkeypatch)
    assert counted(house) == [("A", 2), ("B", 1)]
    connection.close()
    assert counted(house) == [("A", 2), ("B", 1)]


def test_it_is_known_before_the_table_is_replaced(house: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    house.forward(MOVE)
    assert counted(house) == [("A", 2), ("B", 1)]
    monkeypatch.setattr(grouping, "ask", None)
    house.retire(MOVE)
    assert counted(house) == [("A", 2), ("B", 1)]


def test_a_process_that_has_never_connected(house: Lab) -> None:
    replace(house, IN_PLACE)
    connection.close()
    grouping.forget()
    assert counted(house) == [("A", 2), ("B", 1)]


def grouped_by(lab: Lab, label: str, related: str) -> str:
    return str(lab.get(label).objects.annotate(n=Count(related)).query).partition("GROUP BY ")[2]


def test_other_models_are_grouped_as_before(house: Lab) -> None:
    house.forward(MOVE)
    assert grouped_by(house, "old.Thing", "part") == '"old_thing"."id", "old_thing"."name", "old_thing"."size"'
    house.model("other.Bolt", {"part": models.ForeignKey("other.Part", models.CASCADE), "note": models.TextField()})
    assert grouped_by(house, "other.Part", "bolt") == '"other_part"."id"'
    assert grouped_by(house, "new.Thing", "pk") == '"new_thing"."id"'


def test_a_table_is_asked_about_once_in_a_while_and_beside_the_project_s_queries(
    house: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    ask = grouping.ask

    def note(*place: Any) -> bool:
        asked.append(place)
        return ask(*place)

    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(grouping, "ask", note)
    with CaptureQueriesContext(connection) as queries:
        for _ in range(5):
            counted(house)
    assert (len(queries), len(asked)) == (5, 1)
    pass_time(monkeypatch)
    counted(house)
    assert len(asked) == 2


def test_a_transaction_that_has_failed(house: Lab) -> None:
    things = house.get("old.Thing").objects.annotate(n=Count("part"))
    with transaction.atomic():
        with pytest.raises(Exception, match="division by zero"):
            connection.connection.execute("SELECT 1/0")
        assert "GROUP BY" in str(things.query)
        transaction.set_rollback(True)
    assert len(things) == 2


class Json(models.Field):
    def db_type(self, connection: Any) -> str:
        return "json"


def test_what_postgresql_can_t_group_by_is_left_alone_without_a_connection(lab: Lab) -> None:
    lab.model("old.Thing", {"data": Json(null=True)})
    lab.sql("INSERT INTO old_thing DEFAULT VALUES")
    connection.close()
    assert len(lab.get("old.Thing").objects.annotate(n=Count("pk", filter=models.Q(pk=1)))) == 1


Old = Callable[[], type[models.Model]]


@pytest.fixture(params=[MOVE, IN_PLACE, COMPUTED], ids=["retired", "in place", "retired, computed"])
def old(house: Lab, request: pytest.FixtureRequest) -> Any:
    replace(house, request.param)
    manager = house.get("old.Thing").objects
    manager.computed = request.param is COMPUTED
    return manager


def test_what_old_code_can_do_with_a_view(old: Any) -> None:
    assert list(old.values("size").annotate(n=Count("pk")).order_by("size").values_list("size", "n")) == [
        (1, 1),
        (2, 1),
    ]
    assert old.annotate(n=Count("part")).filter(n__gt=1).count() == 1
    assert old.annotate(n=Count("part")).aggregate(total=models.Sum("n")) == {"total": 3}
    with transaction.atomic():
        assert [thing.name for thing in old.select_for_update().order_by("pk")] == ["A", "B"]
        assert old.select_for_update(of=("self",), skip_locked=True).count() == 2
    made, created = old.get_or_create(name="C", defaults={"size": 3})
    assert (made.pk, created) == (3, True)
    assert old.get_or_create(name="C") == (made, False)
    assert old.update_or_create(name="C", defaults={"size": 4})[1] is False
    assert [thing.pk for thing in old.bulk_create([old.model(name="D"), old.model(name="E")])] == [4, 5]
    assert old.filter(name="D").annotate(n=Value(1)).update(size=9) == 1
    assert old.filter(name__in="DE").delete()[0] == 2


def test_what_old_code_can_do_about_conflicts(old: Any) -> None:
    rows = [old.model(name="A", size=7), old.model(name="F", size=7)]
    changes: list[dict[str, Any]] = [
        {"ignore_conflicts": True},
        {"update_conflicts": True, "unique_fields": ["name"], "update_fields": ["size"]},
    ]
    for change in changes:
        if old.computed:
            with pytest.raises(Exception, match="ON CONFLICT|duplicate key"), transaction.atomic():
                old.bulk_create(rows, **change)
        else:
            old.bulk_create(rows, **change)
    expected = {"A": 1, "B": 2} if old.computed else {"A": 7, "B": 2, "F": 7}
    assert dict(old.values_list("name", "size")) == expected
