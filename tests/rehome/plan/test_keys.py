"""Primary keys of every type stay what they are, and new ones are drawn without a repeat on either side."""

import datetime
import decimal
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DataError, IntegrityError, models, transaction

from rehome import Move
from rehome.errors import Refused
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Thing")


def key(field: type[models.Field], **options: Any) -> Callable[[], models.Field]:
    return lambda: field(primary_key=True, **options)


# The field, three keys for rows that are moved, two for rows born later, and one that a row's key is changed to.
KEYS: dict[str, tuple[Callable[[], models.Field], list[Any]]] = {
    "big": (key(models.BigIntegerField), [2**63 - 1, -(2**63), 0, 1, 2, 3]),
    "small": (key(models.PositiveSmallIntegerField), [0, 2**15 - 1, 1, 2, 3, 4]),
    "uuid": (key(models.UUIDField), [uuid.UUID(int=n) for n in (0, 2**128 - 1, 7, 8, 9, 10)]),
    "text": (key(models.CharField, max_length=40), ["", "ключ", '🔑 % "it\'s"', "שלום", "\\", "a" * 40]),
    "collated": (key(models.TextField, db_collation="C"), ["ä", "a", "A", "á", " a", "b"]),
    "decimal": (key(models.DecimalField, max_digits=6, decimal_places=2), [decimal.Decimal(n) for n in range(6)]),
    "date": (key(models.DateField), [datetime.date(2024, 1, n) for n in range(1, 7)]),
    "moment": (key(models.DateTimeField), [datetime.datetime(2024, 1, n, tzinfo=datetime.UTC) for n in range(1, 7)]),
    "address": (key(models.GenericIPAddressField), ["10.0.0.1", "::1", "10.0.0.2", "10.0.0.3", "::2", "::3"]),
    "boolean": (key(models.BooleanField), [True, None, None, False, None, None]),
    "bytes": (key(models.BinaryField), [b"", b"\x00", b"\xff", b"a", b"b", b"c"]),
    "float": (key(models.FloatField), [0.0, -1.5, float("inf"), 1e-300, 2.0, 3.0]),
}


def contents(lab: Lab, label: str) -> dict[Any, str]:
    return {
        bytes(pk) if isinstance(pk, memoryview) else pk: name
        for pk, name in lab.get(label).objects.values_list("pk", "name")
    }


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_of_any_type(lab: Lab, kind: str) -> None:
    field, keys = KEYS[kind]
    lab.twins(lambda app: {"code": field(), "name": models.CharField(max_length=9)})
    old, new = lab.get("old.Thing"), lab.get("new.Thing")
    moved, (born_new, born_old, changed) = [pk for pk in keys[:3] if pk is not None], keys[3:]
    expected = {pk: str(n) for n, pk in enumerate(moved)}
    for pk, name in expected.items():
        old.objects.create(pk=pk, name=name)
    lab.forward(MOVE)
    assert contents(lab, "new.Thing") == expected

    new.objects.create(pk=born_new, name="new")
    expected[born_new] = "new"
    old.objects.filter(pk=moved[0]).update(name="by old")
    expected[moved[0]] = "by old"
    if born_old is not None:
        old.objects.create(pk=born_old, name="old")
        new.objects.filter(pk=moved[1]).update(code=changed, name="moved on")
        old.objects.filter(pk=born_new).delete()
        expected |= {born_old: "old", changed: "moved on"}
        del expected[moved[1]], expected[born_new]
    assert contents(lab, "old.Thing") == contents(lab, "new.Thing") == expected
    assert lab.verify(MOVE).ok
    lab.back(MOVE)
    assert contents(lab, "old.Thing") == expected


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (models.SmallAutoField, models.SmallAutoField),
        (models.AutoField, models.BigAutoField),
        (models.SmallAutoField, models.BigAutoField),
        (models.BigAutoField, models.BigAutoField),
    ],
)
def test_numbered_keys_continue_from_both_sides(
    lab: Lab, source: type[models.Field], target: type[models.Field], unchanged: Callable[[], None]
) -> None:
    lab.twins(
        lambda app: {
            "id": (source if app == "old" else target)(primary_key=True),
            "name": models.CharField(max_length=9, null=True),
        }
    )
    old, new = lab.get("old.Thing"), lab.get("new.Thing")
    old.objects.bulk_create([old() for _ in range(3)])
    old.objects.filter(pk=3).delete()
    for round_number in range(2):
        lab.forward(MOVE)
        assert new.objects.create().pk == 4 + 3 * round_number
        assert old.objects.create().pk == 5 + 3 * round_number
        assert lab.verify(MOVE).ok
        lab.back(MOVE)
        assert old.objects.create().pk == 6 + 3 * round_number
    ((largest, fresh),) = lab.sql("SELECT max(id), (SELECT last_value FROM old_thing_id_seq) FROM old_thing")
    assert largest == fresh == 9
    assert lab.sql("SELECT pg_get_serial_sequence('old_thing', 'id'), pg_get_serial_sequence('new_thing', 'id')") == [
        ("public.old_thing_id_seq", "public.new_thing_id_seq")
    ]


def test_a_widened_key_that_the_old_table_cannot_hold_is_an_error_and_no_loss(lab: Lab) -> None:
    lab.model("old.Thing", {"id": models.AutoField(primary_key=True), "name": models.CharField(max_length=9)})
    lab.model("new.Thing", {"id": models.BigAutoField(primary_key=True), "name": models.CharField(max_length=9)})
    old, new = lab.get("old.Thing"), lab.get("new.Thing")
    old.objects.create(name="a")
    lab.forward(MOVE)
    with pytest.raises(DataError, match="integer out of range"), transaction.atomic():
        new.objects.create(pk=2**31, name="too large")
    with pytest.raises(DataError, match="integer out of range"), transaction.atomic():
        new.objects.filter(pk=1).update(id=2**31)
    new.objects.create(pk=2**31 - 1, name="largest")
    assert contents(lab, "old.Thing") == contents(lab, "new.Thing") == {1: "a", 2**31 - 1: "largest"}
    assert lab.verify(MOVE).ok
    lab.back(MOVE)
    assert contents(lab, "old.Thing") == {1: "a", 2**31 - 1: "largest"}


def test_a_key_that_only_the_source_numbers(lab: Lab) -> None:
    """The new code brings its keys; the old code's own numbers go on, and after the way back behind the largest."""
    lab.model("old.Thing", {"id": models.AutoField(primary_key=True), "name": models.CharField(max_length=9)})
    lab.model("new.Thing", {"id": models.IntegerField(primary_key=True), "name": models.CharField(max_length=9)})
    old, new = lab.get("old.Thing"), lab.get("new.Thing")
    old.objects.create(name="a")
    lab.forward(MOVE)
    new.objects.create(pk=10, name="b")
    assert old.objects.create(name="c").pk == 2
    assert lab.verify(MOVE).ok
    lab.back(MOVE)
    assert contents(lab, "old.Thing") == {1: "a", 2: "c", 10: "b"}
    assert old.objects.create(name="d").pk == 11


def test_a_key_that_only_the_target_numbers(lab: Lab) -> None:
    lab.model("old.Thing", {"id": models.IntegerField(primary_key=True), "name": models.CharField(max_length=9)})
    lab.model("new.Thing", {"id": models.AutoField(primary_key=True), "name": models.CharField(max_length=9)})
    old, new = lab.get("old.Thing"), lab.get("new.Thing")
    old.objects.create(pk=41, name="a")
    lab.forward(MOVE)
    assert new.objects.create(name="b").pk == 42
    assert lab.verify(MOVE).ok
    lab.back(MOVE)
    assert contents(lab, "old.Thing") == {41: "a", 42: "b"}
    lab.forward(MOVE)
    assert new.objects.create(name="c").pk == 43
    assert lab.verify(MOVE).ok


def test_a_key_that_points_at_another_row(lab: Lab) -> None:
    lab.model("core.Person", {"name": models.CharField(max_length=9)})
    lab.twins(
        lambda app: {
            "person": models.OneToOneField("core.Person", models.CASCADE, primary_key=True, related_name=f"{app}+"),
            "name": models.CharField(max_length=9),
        }
    )
    person, old, new = lab.get("core.Person"), lab.get("old.Thing"), lab.get("new.Thing")
    people = person.objects.bulk_create([person(name=str(n)) for n in range(4)])
    for someone in people[:2]:
        old.objects.create(person_id=someone.pk, name="old")
    lab.forward(MOVE)
    new.objects.create(person_id=people[2].pk, name="new")
    with pytest.raises(IntegrityError, match="new_thing_person_id"):
        new.objects.create(person_id=99, name="nobody")
    lab.sql("DELETE FROM old_thing WHERE person_id = %s", [people[0].pk])
    new.objects.filter(pk=people[1].pk).update(person_id=people[3].pk)
    expected = {people[2].pk: "new", people[3].pk: "old"}
    assert contents(lab, "old.Thing") == contents(lab, "new.Thing") == expected
    assert lab.verify(MOVE).ok
    lab.back(MOVE)
    assert contents(lab, "old.Thing") == expected


def test_a_composite_key(lab: Lab) -> None:
    lab.twins(
        lambda app: {
            "pk": models.CompositePrimaryKey("tenant", "code"),
            "code": models.CharField(max_length=9),
            "tenant": models.IntegerField(),
            "name": models.CharField(max_length=9),
        }
    )
    old, new = lab.get("old.Thing"), lab.get("new.Thing")
    old.objects.create(tenant=1, code="é", name="a")
    old.objects.create(tenant=2, code="é", name="b")
    old.objects.create(tenant=2, code="", name="c")
    lab.forward(MOVE)
    new.objects.create(tenant=3, code="x", name="d")
    new.objects.filter(tenant=1).update(code="f", name="A")
    old.objects.filter(pk=(2, "")).delete()
    expected = {(1, "f"): "A", (2, "é"): "b", (3, "x"): "d"}
    assert contents(lab, "old.Thing") == contents(lab, "new.Thing") == expected
    assert lab.verify(MOVE).ok
    lab.sql("ALTER TABLE new_thing DISABLE TRIGGER USER")
    new.objects.filter(tenant=2).update(name="B")
    assert [d.key for d in lab.verify(MOVE).comparison.differences] == [["2", "é"]]
    lab.back(MOVE)
    assert contents(lab, "old.Thing") == expected | {(2, "é"): "B"}


@pytest.mark.parametrize(("source", "target"), [("C", None), (None, "C"), ("C", "POSIX")])
def test_text_keys_of_different_collations(lab: Lab, source: str | None, target: str | None) -> None:
    lab.twins(
        lambda app: {
            "code": models.CharField(max_length=9, primary_key=True, db_collation=source if app == "old" else target),
            "name": models.CharField(max_length=9),
        }
    )
    old, new = lab.get("old.Thing"), lab.get("new.Thing")
    old.objects.create(code="ä", name="a")
    lab.forward(MOVE)
    new.objects.create(code="Ä", name="b")
    old.objects.filter(code="Ä").update(code="z")
    new.objects.filter(code="ä").delete()
    assert contents(lab, "old.Thing") == contents(lab, "new.Thing") == {"z": "b"}
    lab.sql("ALTER TABLE new_thing DISABLE TRIGGER USER")
    new.objects.filter(code="z").update(name="c")
    lab.back(MOVE)
    assert contents(lab, "old.Thing") == {"z": "c"}


def test_keys_under_other_names(lab: Lab) -> None:
    lab.model("old.Thing", {"code": models.IntegerField(primary_key=True), "name": models.CharField(max_length=9)})
    lab.model("new.Thing", {"number": models.IntegerField(primary_key=True), "name": models.CharField(max_length=9)})
    move = Move("old.Thing", "new.Thing", fields={"number": "code"})
    lab.get("old.Thing").objects.create(code=1, name="a")
    lab.forward(move)
    lab.get("new.Thing").objects.filter(number=1).update(number=2)
    assert contents(lab, "old.Thing") == {2: "a"}
    lab.back(move)
    assert contents(lab, "old.Thing") == {2: "a"}


def test_another_key_is_refused(lab: Lab, refused: Callable[..., str]) -> None:
    lab.model("old.Thing", {"code": models.IntegerField(unique=True), "name": models.CharField(max_length=9)})
    lab.model("new.Thing", {"code": models.IntegerField(primary_key=True), "name": models.CharField(max_length=9)})
    message = refused(Move("old.Thing", "new.Thing", discard=["id"]), error=Refused)
    assert "The primary keys of old.Thing and new.Thing are not the same fields." in message
