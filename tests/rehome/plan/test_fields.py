"""What a Move declares: fields renamed, computed, split, joined, filled and discarded, forwards and backwards."""

import datetime
import decimal
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.postgres import fields as postgres
from django.contrib.postgres.functions import RandomUUID
from django.db import DataError, OperationalError, models, transaction
from django.db.models import Case, CharField, F, Func, IntegerField, Q, Value, When
from django.db.models.functions import Cast, Coalesce, Concat, Left, Lower, Now, StrIndex, Substr, Upper

from rehome import Move
from rehome.errors import Irreversible, Refused, RehomeError
from tests.database import dump
from tests.rehome.support.lab import Lab
from tests.rehome.support.witness import Plain

pytestmark = pytest.mark.server

Refusal = Callable[..., str]


def text(**options: Any) -> CharField:
    return CharField(max_length=60, **options)


def rows(lab: Lab, label: str, *names: str) -> list[Any]:
    return list(lab.get(label).objects.order_by("pk").values_list(*names, flat=len(names) == 1))


# ----- renamed


def test_a_renamed_field_is_carried_both_ways_and_back(lab: Lab) -> None:
    lab.model("old.Thing", {"name": text(), "size": IntegerField(), "colour": text()})
    lab.model("new.Thing", {"title": text(), "colour": IntegerField(), "size": text()})
    move = Move("old.Thing", "new.Thing", fields={"title": "name", "colour": "size", "size": "colour"})
    old, new = lab.get("old.Thing"), lab.get("new.Thing")
    old.objects.create(name="a", size=1, colour="red")
    lab.forward(move)
    new.objects.create(title="b", colour=2, size="blue")
    new.objects.filter(pk=1).update(title="A", colour=10)
    old.objects.filter(pk=1).update(colour="RED")
    expected = [("A", 10, "RED"), ("b", 2, "blue")]
    assert rows(lab, "new.Thing", "title", "colour", "size") == expected
    assert lab.verify(move).ok
    lab.back(move)
    assert rows(lab, "old.Thing", "name", "size", "colour") == expected


def test_a_field_may_be_named_as_an_expression(lab: Lab) -> None:
    lab.model("old.Thing", {"name": text()})
    lab.model("new.Thing", {"title": text()})
    move = Move("old.Thing", "new.Thing", fields={"title": F("name")})
    lab.get("old.Thing").objects.create(name="a")
    lab.forward(move)
    lab.get("new.Thing").objects.update(title="b")
    lab.back(move)
    assert rows(lab, "old.Thing", "name") == ["b"]


def test_one_source_field_may_serve_two_target_fields(lab: Lab) -> None:
    """Of two copies the one of the same name is carried back; the other follows."""
    lab.model("old.Thing", {"name": text()})
    lab.model("new.Thing", {"label": text(), "name": text()})
    move = Move("old.Thing", "new.Thing", fields={"label": "name"})
    lab.get("old.Thing").objects.create(name="a")
    lab.forward(move)
    lab.get("new.Thing").objects.update(name="b")
    assert rows(lab, "new.Thing", "label", "name") == [("b", "b")]
    assert rows(lab, "old.Thing", "name") == ["b"]
    assert lab.verify(move).ok


# ----- computed

LOWER = Move("old.Thing", "new.Thing", fields={"email": Lower("email")}, backwards={"email": "email"})


@pytest.fixture
def emails(lab: Lab) -> Lab:
    lab.twins(lambda app: {"email": text(null=True), "size": IntegerField(default=0)})
    for email in ("ABC@x.org", "abc", "", None, "İstanbul ẞ"):
        lab.get("old.Thing").objects.create(email=email)
    return lab


def test_a_computed_value_is_not_carried_back_where_nobody_changed_it(emails: Lab) -> None:
    before = rows(emails, "old.Thing", "email")
    emails.forward(LOWER)
    lowered = rows(emails, "new.Thing", "email")
    assert lowered[:4] == ["abc@x.org", "abc", "", None]
    emails.get("new.Thing").objects.update(size=1)
    emails.get("old.Thing").objects.filter(pk__lte=3).update(size=2)
    emails.get("new.Thing").objects.filter(pk=1).update(size=3, email="abc@x.org")
    assert rows(emails, "old.Thing", "email") == before
    assert rows(emails, "new.Thing", "email") == lowered
    assert rows(emails, "old.Thing", "size") == rows(emails, "new.Thing", "size") == [3, 2, 2, 1, 1]
    assert emails.verify(LOWER).ok
    emails.back(LOWER)
    assert rows(emails, "old.Thing", "email") == before


def test_a_rollback_that_reconciles_leaves_computed_values_alone(emails: Lab) -> None:
    """The target wins where its writes were not carried, and only in the columns that were written."""
    emails.forward(LOWER)
    emails.sql("ALTER TABLE new_thing DISABLE TRIGGER USER")
    new = emails.get("new.Thing")
    new.objects.filter(pk=1).update(size=7)
    new.objects.filter(pk=2).update(email="changed")
    new.objects.filter(pk=3).delete()
    new.objects.create(email="born")
    report = emails.verify(LOWER)
    assert [(d.kind, d.key, d.columns) for d in report.comparison.differences] == [
        ("different", ["1"], ["size"]), ("different", ["2"], ["email"]), ("extra", ["6"], []), ("missing", ["3"], []),
    ]  # fmt: skip
    emails.back(LOWER)
    assert rows(emails, "old.Thing", "pk", "email", "size") == [
        (1, "ABC@x.org", 7), (2, "changed", 0), (4, None, 0), (5, "İstanbul ẞ", 0), (6, "born", 0),
    ]  # fmt: skip


def test_what_either_side_writes_stays_as_it_was_written(emails: Lab) -> None:
    emails.forward(LOWER)
    old, new = emails.get("old.Thing"), emails.get("new.Thing")
    new.objects.filter(pk=2).update(email="NEW Code")
    born = new.objects.create(email="Born New").pk
    old.objects.filter(pk=3).update(email="OLD Code")
    assert rows(emails, "new.Thing", "email")[1:3] == ["NEW Code", "old code"]
    assert rows(emails, "old.Thing", "email")[1:3] == ["NEW Code", "OLD Code"]
    # A later write of something else is no occasion to compute anything again.
    for model in (old, new):
        model.objects.update(size=F("size") + 1)
    assert new.objects.get(pk=2).email == "NEW Code"
    assert new.objects.get(pk=born).email == old.objects.get(pk=born).email == "Born New"
    old.objects.filter(pk=2).update(email="Old Code Again")
    assert new.objects.get(pk=2).email == "old code again"
    assert emails.verify(LOWER).ok
    emails.sql("ALTER TABLE new_thing DISABLE TRIGGER USER")
    new.objects.filter(pk=born).update(email="neither")
    assert [d.key for d in emails.verify(LOWER).comparison.differences] == [[str(born)]]


def test_a_column_split_in_two_is_joined_again(lab: Lab) -> None:
    lab.model("old.Person", {"name": text(), "age": IntegerField(null=True)})
    lab.model("new.Person", {"first": text(), "last": text(), "age": IntegerField(null=True)})
    space = StrIndex("name", Value(" "))
    move = Move(
        "old.Person",
        "new.Person",
        fields={
            "first": Case(When(name__contains=" ", then=Left("name", space - 1)), default="name"),
            "last": Case(When(name__contains=" ", then=Substr("name", space + 1)), default=Value("")),
        },
        backwards={"name": Case(When(last="", then="first"), default=Concat("first", Value(" "), "last"))},
    )
    old, new = lab.get("old.Person"), lab.get("new.Person")
    for name in ("Ada Lovelace", "Plato", "Jan van Dyke", ""):
        old.objects.create(name=name)
    lab.forward(move)
    assert rows(lab, "new.Person", "first", "last") == [
        ("Ada", "Lovelace"), ("Plato", ""), ("Jan", "van Dyke"), ("", ""),
    ]  # fmt: skip
    new.objects.filter(first="Plato").update(first="Mary Ann", last="Evans")
    new.objects.create(first="Grace", last="Hopper")
    new.objects.filter(last="Lovelace").update(last="King", age=36)
    old.objects.filter(name="Jan van Dyke").update(name="Jan de Boer")
    old.objects.update(age=1)
    assert rows(lab, "old.Person", "name") == ["Ada King", "Mary Ann Evans", "Jan de Boer", "", "Grace Hopper"]
    assert rows(lab, "new.Person", "first", "last") == [
        ("Ada", "King"), ("Mary Ann", "Evans"), ("Jan", "de Boer"), ("", ""), ("Grace", "Hopper"),
    ]  # fmt: skip
    assert lab.verify(move).ok
    lab.back(move)
    assert rows(lab, "old.Person", "name") == ["Ada King", "Mary Ann Evans", "Jan de Boer", "", "Grace Hopper"]
    lab.forward(move)
    assert rows(lab, "new.Person", "first", "last")[1] == ("Mary", "Ann Evans")


def test_two_columns_joined_are_split_again(lab: Lab) -> None:
    lab.model("old.Size", {"width": IntegerField(), "height": IntegerField()})
    lab.model("new.Size", {"area": text()})

    def part(number: int) -> Cast:
        return Cast(Func(F("area"), Value("x"), Value(number), function="split_part"), IntegerField())

    move = Move(
        "old.Size",
        "new.Size",
        fields={"area": Concat(Cast("width", text()), Value("x"), Cast("height", text()))},
        backwards={"width": part(1), "height": part(2)},
    )
    lab.get("old.Size").objects.create(width=2, height=3)
    lab.forward(move)
    lab.get("new.Size").objects.create(area="07x8")
    lab.get("old.Size").objects.filter(pk=1).update(height=4)
    assert rows(lab, "new.Size", "area") == ["2x4", "07x8"]
    assert rows(lab, "old.Size", "width", "height") == [(2, 4), (7, 8)]
    assert lab.verify(move).ok
    lab.back(move)
    assert rows(lab, "old.Size", "width", "height") == [(2, 4), (7, 8)]


def test_every_kind_of_expression(lab: Lab) -> None:
    lab.model("old.Thing", {"price": IntegerField(), "state": text(), "code": text(), "note": text(null=True)})
    lab.model(
        "new.Thing",
        {"cents": models.BigIntegerField(), "on": models.BooleanField(), "code": IntegerField(), "note": text()},
    )
    move = Move(
        "old.Thing",
        "new.Thing",
        fields={
            "cents": F("price") * 100,
            "on": Case(When(Q(state="on") | Q(state="100 % on's"), then=True), default=False),
            "code": Cast("code", IntegerField()),
            "note": Coalesce("note", Value('it\'s 100 %s \\ "none"')),
        },
        backwards={
            "price": F("cents") / 100,
            "state": Case(When(on=True, then=Value("on")), default=Value("off")),
            "code": Cast("code", text()),
            "note": Func(F("note"), Value('it\'s 100 %s \\ "none"'), function="NULLIF"),
        },
    )
    old, new = lab.get("old.Thing"), lab.get("new.Thing")
    old.objects.create(price=3, state="100 % on's", code="12", note=None)
    old.objects.create(price=-1, state="sleeping", code="-1", note="x")
    lab.forward(move)
    assert rows(lab, "new.Thing", "cents", "on", "code", "note") == [
        (300, True, 12, "it's 100 %s \\ \"none\""), (-100, False, -1, "x"),
    ]  # fmt: skip
    new.objects.create(cents=500, on=True, code=7, note="y")
    new.objects.filter(pk=1).update(note="z")
    new.objects.filter(pk=2).update(on=True, cents=F("cents") - 100)
    old.objects.filter(pk=1).update(price=4)
    assert rows(lab, "old.Thing", "price", "state", "code", "note") == [
        (4, "100 % on's", "12", "z"), (-2, "on", "-1", "x"), (5, "on", "7", "y"),
    ]  # fmt: skip
    assert new.objects.get(pk=1).cents == 400
    assert lab.verify(move).ok
    lab.back(move)
    assert rows(lab, "old.Thing", "state") == ["100 % on's", "on", "on"]


def test_a_computed_value_takes_the_type_of_its_column(lab: Lab) -> None:
    """As a Cast would make it, on both sides, whether it is copied, inserted or updated."""
    lab.model("old.Thing", {"code": text(), "price": models.DecimalField(max_digits=6, decimal_places=2)})
    lab.model("new.Thing", {"code": IntegerField(), "price": IntegerField()})
    move = Move(
        "old.Thing",
        "new.Thing",
        fields={"code": Func("code", Value("0"), function="ltrim"), "price": F("price") * Value(100)},
        backwards={"code": F("code"), "price": F("price") * Value(decimal.Decimal("0.01"))},
    )
    old, new = lab.get("old.Thing"), lab.get("new.Thing")
    old.objects.create(code="007", price="1.50")
    lab.forward(move)
    new.objects.create(code=12, price=201)
    new.objects.filter(code=7).update(price=149)
    old.objects.create(code="0030", price="9999.99")
    old.objects.filter(code="12").update(code="13")
    assert rows(lab, "new.Thing", "code", "price") == [(7, 149), (13, 201), (30, 999999)]
    assert lab.sql("SELECT code, price::text FROM old_thing ORDER BY id") == [
        ("007", "1.49"), ("13", "2.01"), ("0030", "9999.99"),
    ]  # fmt: skip
    assert lab.verify(move).ok
    lab.back(move)


@pytest.mark.parametrize("kind", ["varchar(5)", "varchar(5)[]", "char(5)", "bit varying(5)"])
def test_a_computed_value_is_never_cut_to_fit(lab: Lab, kind: str) -> None:
    source = {"varchar(5)[]": "text[]", "bit varying(5)": "bit varying"}.get(kind, "text")
    good, long = {"text": ("'0101'", "'010101'"), "text[]": ("'{0101}'", "'{010101}'")}.get(
        source, ("B'0101'", "B'010101'")
    )
    lab.model("old.Thing", {"name": Plain(kind=source)})
    lab.model("new.Thing", {"name": Plain(kind=kind)})
    same = Func("name", Value(None), function="coalesce", output_field=text())
    move = Move("old.Thing", "new.Thing", fields={"name": same}, backwards={"name": "name"})
    lab.sql(f"INSERT INTO old_thing (name) VALUES ({long})")  # noqa: S608
    with pytest.raises(RehomeError):
        lab.forward(move)
    lab.sql(f"UPDATE old_thing SET name = {good}")  # noqa: S608
    lab.forward(move)
    for write in (f"INSERT INTO old_thing (name) VALUES ({long})", f"UPDATE old_thing SET name = {long}"):  # noqa: S608
        with pytest.raises(DataError), transaction.atomic():
            lab.sql(write)
    assert lab.verify(move).ok


def test_a_column_that_follows_from_another_follows_writes_on_both_sides(lab: Lab) -> None:
    lab.model("old.Thing", {"name": text()})
    lab.model("new.Thing", {"name": text(), "search": text(default="")})
    move = Move("old.Thing", "new.Thing", fields={"search": Upper("name")})
    old, new = lab.get("old.Thing"), lab.get("new.Thing")
    old.objects.create(name="a")
    lab.forward(move)
    new.objects.create(name="b")
    new.objects.filter(name="a").update(name="c")
    old.objects.create(name="d")
    new.objects.filter(name="d").update(search="something else")
    assert rows(lab, "new.Thing", "name", "search") == [("c", "C"), ("b", "B"), ("d", "D")]
    assert lab.verify(move).ok
    lab.back(move)
    assert rows(lab, "old.Thing", "name") == ["c", "b", "d"]


def test_expressions_that_are_not_each_others_inverse_are_refused_with_the_rows(lab: Lab, refused: Refusal) -> None:
    lab.model("old.Thing", {"price": IntegerField(null=True)})
    lab.model("new.Thing", {"cents": IntegerField(null=True)})
    for price in (0, None, 5, 7):
        lab.get("old.Thing").objects.create(price=price)
    message = refused(Move("old.Thing", "new.Thing", fields={"cents": F("price") * 100}, backwards={"price": "cents"}))
    assert "cents" in message
    assert "in rows 3, 4 of public.old_thing" in message
    assert "backwards={...}" in message


def test_a_way_back_that_fails_on_a_row_is_refused(lab: Lab, refused: Refusal) -> None:
    lab.model("old.Thing", {"size": IntegerField()})
    lab.model("new.Thing", {"size": text()})
    lab.get("old.Thing").objects.create(size=12)
    move = Move(
        "old.Thing",
        "new.Thing",
        fields={"size": Concat(Cast("size", text()), Value(" cm"))},
        backwards={"size": Cast("size", IntegerField())},
    )
    assert 'invalid input syntax for type integer: "12 cm"' in refused(move)


@pytest.mark.parametrize(
    "expression", [Coalesce("name", Cast(Now(), text())), Concat("name", Cast(RandomUUID(), text()))]
)
def test_an_expression_over_columns_with_another_value_each_time_is_refused(
    lab: Lab, refused: Refusal, expression: Any
) -> None:
    """No comparison and no trigger could ever find the two sides in sync."""
    lab.twins(lambda app: {"name": text(null=True)})
    message = refused(Move("old.Thing", "new.Thing", fields={"name": expression}, backwards={"name": "name"}))
    assert "fields['name'] has another value at each call" in message


def test_a_plain_field_may_be_computed_on_the_way_back_alone(lab: Lab, refused: Refusal) -> None:
    lab.twins(lambda app: {"email": text(), "size": IntegerField(default=0)})
    move = Move("old.Thing", "new.Thing", backwards={"email": Lower("email")})
    old, new = lab.get("old.Thing"), lab.get("new.Thing")
    old.objects.create(email="ABC")
    assert "email of public.new_thing would change if the rows moved there again, in rows 1 of" in refused(move)
    old.objects.update(email="abc")
    lab.forward(move)
    new.objects.create(email="New")
    old.objects.create(email="Old")
    new.objects.update(size=1)
    old.objects.update(size=2)
    assert rows(lab, "new.Thing", "email", "size") == [("abc", 2), ("New", 2), ("Old", 2)]
    assert rows(lab, "old.Thing", "email", "size") == [("abc", 2), ("new", 2), ("Old", 2)]
    assert lab.verify(move).ok
    lab.back(move)
    assert rows(lab, "old.Thing", "email", "size") == [("abc", 2), ("new", 2), ("Old", 2)]


def test_contradictions_that_no_row_could_show_settle_on_what_was_written(lab: Lab) -> None:
    lab.model("old.Thing", {"price": IntegerField()})
    lab.model("new.Thing", {"cents": IntegerField()})
    move = Move("old.Thing", "new.Thing", fields={"cents": F("price") * 100}, backwards={"price": F("cents") + 1})
    lab.forward(move)
    old, new = lab.get("old.Thing"), lab.get("new.Thing")
    old.objects.create(price=5)
    new.objects.create(cents=700)
    assert rows(lab, "old.Thing", "price") == [5, 701]
    old.objects.update(price=F("price") + 1)
    new.objects.update(cents=F("cents") - 1)
    assert rows(lab, "new.Thing", "cents") == [599, 70199]
    assert rows(lab, "old.Thing", "price") == [600, 70200]
    assert lab.verify(move).ok


# ----- without a way back


def test_without_a_counterpart_a_move_is_irreversible_and_freezes_the_source(
    lab: Lab, unchanged: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.twins(lambda app: {"name": text()})
    move = Move("old.Thing", "new.Thing", fields={"name": Lower("name")}, irreversible=True)
    old, new = lab.get("old.Thing"), lab.get("new.Thing")
    old.objects.create(name="ABC")
    lab.forward(move)
    first_line = capsys.readouterr().err.strip().splitlines()[0]
    assert first_line.endswith("there is no way back: old.Thing.name has no entry in backwards={...}")
    assert lab.verify(move).ok
    for write in (
        lambda: old.objects.create(name="x"),
        lambda: old.objects.update(name="x"),
        lambda: old.objects.all().delete(),
    ):
        with pytest.raises(OperationalError, match="public.old_thing is read-only") as raised, transaction.atomic():
            write()
        assert "Write to public.new_thing." in str(raised.value)
    new.objects.create(name="y")
    unchanged()
    with pytest.raises(Irreversible, match="old.Thing.name has no entry in backwards"):
        lab.back(move)
    unchanged()
    assert rows(lab, "old.Thing", "name") == ["ABC"]
    assert rows(lab, "new.Thing", "name") == ["abc", "y"]


# ----- columns that only the target has


def test_columns_of_the_target_alone_are_filled(lab: Lab) -> None:
    lab.model("old.Thing", {"name": text()})
    lab.model(
        "new.Thing",
        {
            "name": text(),
            "nothing": text(null=True),
            "constant": text(default="100 % it's"),
            "number": IntegerField(default=lambda: 7),
            "database": text(db_default="né"),
            "both": IntegerField(default=1, db_default=2),
            "list": models.JSONField(default=list),
            "dict": models.JSONField(default=dict),
            "uuid": models.UUIDField(),
            "since": models.DateTimeField(),
            "fixed": text(),
        },
    )
    move = Move(
        "old.Thing",
        "new.Thing",
        fields={"uuid": RandomUUID(), "since": Now(), "fixed": Value("fix")},
        discard=["since"],
    )
    old, new = lab.get("old.Thing"), lab.get("new.Thing")
    old.objects.create(name="a")
    old.objects.create(name="b")
    lab.forward(move)
    old.objects.create(name="c")
    filled = ["nothing", "constant", "number", "database", "both", "list", "dict", "fixed"]
    assert rows(lab, "new.Thing", *filled) == [(None, "100 % it's", 7, "né", 2, [], {}, "fix")] * 3
    uuids, moments = rows(lab, "new.Thing", "uuid"), rows(lab, "new.Thing", "since")
    assert len({*uuids}) == 3
    # Later writes of the old code leave alone what it does not know.
    new.objects.filter(pk=1).update(constant="mine", list=[1], uuid=uuid.UUID(int=1))
    old.objects.update(name="d")
    assert rows(lab, "new.Thing", "uuid") == [uuid.UUID(int=1), *uuids[1:]]
    assert rows(lab, "new.Thing", "since") == moments
    assert new.objects.get(pk=1).constant == "mine"
    assert lab.verify(move).ok


def test_a_constant_default_is_the_one_that_django_would_write(lab: Lab) -> None:
    defaults: dict[str, models.Field] = {
        "text": text(default="né 🖨 ' \\ %s"),
        "empty": text(default=""),
        "binary": models.BinaryField(default=b"\x00\xff"),
        "boolean": models.BooleanField(default=False),
        "date": models.DateField(default=datetime.date(2024, 2, 29)),
        "moment": models.DateTimeField(default=datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)),
        "time": models.TimeField(default=datetime.time(12, 30)),
        "duration": models.DurationField(default=datetime.timedelta(days=-1, microseconds=1)),
        "decimal": models.DecimalField(max_digits=6, decimal_places=3, default=decimal.Decimal("-1.500")),
        "float": models.FloatField(default=float("nan")),
        "ip": models.GenericIPAddressField(default="::1"),
        "uuid": models.UUIDField(default=uuid.UUID(int=5)),
        "json": models.JSONField(default={"a": [None, "%s"]}.copy),
        "json_null": models.JSONField(null=True, default=Value(None, models.JSONField())),
        "array": postgres.ArrayField(text(), default=["a", "b,c"].copy),
        "range": postgres.IntegerRangeField(default=(1, 5)),
        "file": models.FileField(default="a.gcode"),
        "user": models.ForeignKey("auth.User", models.CASCADE, null=True, default=None, related_name="+"),
    }
    lab.model("old.Thing", {"name": text()})
    lab.model("new.Thing", {"name": text()} | defaults)
    lab.get("old.Thing").objects.create(name="moved")
    lab.forward(Move("old.Thing", "new.Thing"))
    lab.get("old.Thing").objects.create(name="carried")
    lab.get("new.Thing").objects.create(name="of Django")
    columns = ", ".join(f'"{field.column}"' for field in lab.get("new.Thing")._meta.concrete_fields[2:])
    ((kinds, filled),) = lab.sql(f"SELECT count(DISTINCT ROW({columns})::text), count(*) FROM new_thing")  # noqa: S608
    assert (kinds, filled) == (1, 3)
    lab.back(Move("old.Thing", "new.Thing"))
    assert len(rows(lab, "old.Thing", "name")) == 3


def test_a_default_that_differs_at_each_call_is_refused_with_the_expression_to_use(lab: Lab, refused: Refusal) -> None:
    lab.model("old.Thing", {"name": text()})
    lab.model("new.Thing", {"name": text(), "key": models.UUIDField(default=uuid.uuid4)})
    message = refused(Move("old.Thing", "new.Thing"))
    assert "new.Thing.key is a function that returns another value at each call" in message
    assert "fields={'key': RandomUUID()}" in message


def test_a_rollback_names_the_values_that_it_would_lose(lab: Lab) -> None:
    lab.model("old.Thing", {"name": text()})
    lab.model(
        "new.Thing",
        {
            "name": text(),
            "note": text(null=True),
            "tags": models.JSONField(default=list),
            "size": IntegerField(db_default=1),
        },
    )
    move = Move("old.Thing", "new.Thing")
    lab.get("old.Thing").objects.bulk_create([lab.get("old.Thing")(name=str(n)) for n in range(5)])
    lab.forward(move)
    new = lab.get("new.Thing")
    for field, value, untouched in (("note", "", None), ("tags", [1], []), ("size", 2, 1)):
        new.objects.filter(pk=3).update(**{field: value})
        before = dump()
        with pytest.raises(Refused, match=f"new_thing.{field} has values that public.old_thing can't hold") as raised:
            lab.back(move)
        assert dump() == before
        assert "in rows 3." in str(raised.value)
        new.objects.filter(pk=3).update(**{field: untouched})
    lab.back(move)
    assert len(rows(lab, "old.Thing", "name")) == 5


def test_values_listed_in_discard_may_be_lost(lab: Lab) -> None:
    lab.model("old.Thing", {"name": text()})
    lab.model("new.Thing", {"name": text(), "note": text(null=True)})
    move = Move("old.Thing", "new.Thing", discard=["note"])
    lab.forward(move)
    lab.get("new.Thing").objects.create(name="a", note="lost")
    lab.back(move)
    assert rows(lab, "old.Thing", "name") == ["a"]


# ----- columns that only the source has


def test_a_column_of_the_source_alone_is_refused_unless_discarded(lab: Lab, refused: Refusal) -> None:
    lab.model("old.Thing", {"name": text(), "legacy": text(null=True)})
    lab.model("new.Thing", {"name": text()})
    message = refused(Move("old.Thing", "new.Thing"))
    assert "new.Thing has no field for old.Thing.legacy" in message
    assert "discard=['legacy']" in message
    move = Move("old.Thing", "new.Thing", discard=["legacy"], irreversible=True)
    lab.forward(move)
    with pytest.raises(Irreversible, match="old.Thing.legacy has no entry in backwards"):
        lab.back(move)


def test_a_discarded_column_with_a_fill_keeps_its_values_and_comes_back(lab: Lab) -> None:
    lab.model("old.Thing", {"name": text(), "legacy": text(null=True), "initial": text()})
    lab.model("new.Thing", {"name": text()})
    move = Move(
        "old.Thing",
        "new.Thing",
        discard=["legacy", "initial"],
        backwards={"legacy": Value("unknown"), "initial": Left("name", 1)},
    )
    old, new = lab.get("old.Thing"), lab.get("new.Thing")
    old.objects.create(name="a", legacy="kept", initial="?")
    old.objects.create(name="b", legacy=None, initial="b")
    lab.forward(move)
    new.objects.create(name="c")
    old.objects.create(name="d", legacy="of old code", initial="!")
    new.objects.filter(name="b").update(name="beta")
    new.objects.filter(name="d").update(name="delta")
    old.objects.filter(name="a").update(legacy="still kept")
    expected = [
        ("a", "still kept", "?"), ("beta", None, "b"), ("c", "unknown", "c"), ("delta", "of old code", "d"),
    ]  # fmt: skip
    assert rows(lab, "old.Thing", "name", "legacy", "initial") == expected
    assert lab.verify(move).ok
    lab.sql("ALTER TABLE new_thing DISABLE TRIGGER USER")
    new.objects.filter(name="a").update(name="alpha")
    new.objects.create(name="e")
    lab.back(move)
    assert rows(lab, "old.Thing", "name", "legacy", "initial") == [
        ("alpha", "still kept", "a"), *expected[1:], ("e", "unknown", "e"),
    ]  # fmt: skip
