"""`--delete` takes no row that is at the source, nor more than anybody can have meant."""

from pathlib import Path
from typing import Any

import pytest
from django.db import models
from django.db.models.functions import Lower

from rehome import Import, Lookup
from rehome.errors import ImportFailed
from tests.rehome.importing.test_doubtful_times import in_berlin
from tests.rehome.importing.workshop import Workshop

pytestmark = pytest.mark.server


@pytest.fixture
def labels(shop: Workshop) -> Workshop:
    """People with labels, whose rows are found by what people and labels are called: customer 1 has two."""
    shop.older("old.Link", {"customer": models.IntegerField(), "tag": models.TextField()})
    shop.model("new.Person", {"legacy_id": models.IntegerField(unique=True)})
    shop.model("new.Label", {"slug": models.CharField(max_length=20, unique=True)})
    shop.model(
        "new.Labelled",
        {
            "person": models.ForeignKey("new.Person", models.CASCADE),
            "label": models.ForeignKey("new.Label", models.CASCADE),
        },
        unique_together={("person", "label")},
    )
    for number in (1, 2, 3):
        shop.new("new.Person").create(legacy_id=number)
    for slug in ("red", "blue"):
        shop.new("new.Label").create(slug=slug)
    for customer, tag in [(1, "red"), (1, "blue"), (2, "red"), (3, "blue"), (3, "red")]:
        shop.old("old.Link").create(customer=customer, tag=tag)
    shop.run(LINKS)
    return shop


LINKS = Import(
    "old.Link",
    "new.Labelled",
    key={"person": "customer", "label": "tag"},
    lookups={"person": Lookup("new.Person", by="legacy_id"), "label": Lookup("new.Label", by="slug", normalise=Lower)},
)


def second_label(shop: Workshop) -> None:
    shop.new("new.Label").create(slug="Red")


def label_gone(shop: Workshop) -> None:
    shop.new("new.Label").filter(slug="red").update(slug="crimson")


def person_gone(shop: Workshop) -> None:
    shop.new("new.Person").filter(legacy_id=1).update(legacy_id=101)


def both_gone(shop: Workshop) -> None:
    label_gone(shop)
    person_gone(shop)


@pytest.mark.parametrize("change", [second_label, label_gone, person_gone, both_gone])
def test_a_row_whose_key_can_not_be_looked_up_is_not_gone(labels: Workshop, tmp_path: Path, change: Any) -> None:
    change(labels)
    (report,) = labels.run(LINKS, skip_bad=tmp_path / "bad", delete_all=True)
    assert report.counts.rejected
    assert (report.counts.gone, report.counts.deleted) == (0, 0)
    assert labels.new("new.Labelled").count() == 5
    assert report.counts.unknown_key == "person=1, label=red"
    assert report.counts.kept == report.counts.rejected


def test_beside_it_a_row_with_other_parts_of_a_key_is_gone(labels: Workshop, tmp_path: Path) -> None:
    person_gone(labels)
    labels.old("old.Link").filter(customer=3, tag="blue").delete()
    labels.old("old.Link").filter(customer=1, tag="blue").delete()
    (report,) = labels.run(LINKS, skip_bad=tmp_path / "bad", delete=True)
    assert report.counts.rejected == 1
    assert (report.counts.kept, report.counts.unknown_key) == (1, "person=1, label=red")
    assert report.counts.deleted == 2, "nothing at the source that could be one of them has this label"


def test_an_entry_that_a_mapping_has_lost(shop: Workshop, tmp_path: Path) -> None:
    shop.older("old.Price", {"currency": models.TextField(), "value": models.IntegerField()})
    shop.model("new.Price", {"currency": models.CharField(max_length=3, unique=True), "value": models.IntegerField()})
    for currency in "ED":
        shop.old("old.Price").create(currency=currency, value=5)

    def prices(known: dict[str, str]) -> Import:
        return Import("old.Price", "new.Price", key={"currency": "currency"}, lookups={"currency": known})

    shop.run(prices({"E": "EUR", "D": "USD"}))
    (report,) = shop.run(prices({"E": "EUR"}), skip_bad=tmp_path / "bad", delete_all=True)
    assert (report.counts.rejected, report.counts.gone, report.counts.deleted) == (1, 0, 0)
    assert shop.new("new.Price").count() == 2


@pytest.mark.parametrize("field", [models.DateField, models.DateTimeField])
def test_a_key_that_came_in_before_such_keys_were_refused(shop: Workshop, tmp_path: Path, field: Any) -> None:
    shop.older("old.Day", {"at": field(), "value": models.IntegerField()})
    shop.model("new.Day", {"at": field(unique=True), "value": models.IntegerField()})
    shop.query("INSERT INTO old_day (at, value) VALUES ('infinity', 1), ('2024-01-01', 2)")
    shop.sql("INSERT INTO new_day (at, value) VALUES ('infinity', 1), ('2024-01-01', 2)")

    (report,) = shop.run(Import("old.Day", "new.Day", key={"at": "at"}), skip_bad=tmp_path / "bad", delete_all=True)

    assert (report.counts.rejected, report.counts.gone, report.counts.deleted) == (1, 0, 0)
    assert shop.sql("SELECT count(*) FROM new_day") == [(2,)]


@pytest.mark.parametrize(
    ("kind", "code", "change"),
    [
        ("numeric(6,3)", "1.005", "ALTER TABLE new_coded ALTER code TYPE numeric(5,2)"),
        ("coded", "5", "ALTER DOMAIN coded ADD CHECK (value > 9) NOT VALID"),
    ],
)
def test_a_key_that_came_in_before_its_column_refused_it(
    shop: Workshop, tmp_path: Path, kind: str, code: str, change: str
) -> None:
    shop.sql("CREATE DOMAIN coded AS int")
    shop.older("old.Coded", {"code": models.TextField()})
    shop.model("new.Coded", {"legacy_id": models.IntegerField(), "code": models.TextField()})
    shop.sql(f"ALTER TABLE new_coded ALTER code TYPE {kind} USING code::numeric")
    for number, given in enumerate([code, "11", "12"]):
        shop.old("old.Coded").create(id=number, code=given)
    coded = Import("old.Coded", "new.Coded", key={"legacy_id": "id", "code": "code"})
    shop.run(coded)
    shop.sql(change)
    shop.old("old.Coded").filter(code="11").delete()

    (report,) = shop.run(coded, skip_bad=tmp_path / "bad", delete=True)

    assert (report.counts.rejected, report.counts.deleted) == (1, 1)
    assert shop.sql("SELECT legacy_id FROM new_coded ORDER BY 1") == [(0,), (2,)]


def test_a_time_in_the_key_that_comes_twice_and_was_chosen_before(shop: Workshop, tmp_path: Path) -> None:
    in_berlin(shop)
    shop.older("old.Reading", {"meter": models.IntegerField(), "at": models.DateTimeField()})
    shop.model("new.Reading", {"meter": models.IntegerField(), "at": models.DateTimeField()})
    shop.query("ALTER TABLE old_reading ALTER at TYPE timestamp")
    shop.query("INSERT INTO old_reading (meter, at) VALUES (1, '2024-10-27 02:30'), (2, '2024-10-27 12:00')")
    key = {"meter": "meter", "at": "at"}
    shop.run(Import("old.Reading", "new.Reading", key=key, fold=0))

    (report,) = shop.run(Import("old.Reading", "new.Reading", key=key), skip_bad=tmp_path / "bad", delete_all=True)

    assert (report.counts.rejected, report.counts.gone, report.counts.deleted) == (1, 0, 0)
    assert shop.new("new.Reading").count() == 2


def test_more_than_half_of_the_rows_go_only_where_that_is_said(labels: Workshop) -> None:
    labels.old("old.Link").filter(customer__in=[1, 2]).delete()
    with pytest.raises(ImportFailed, match="3 of 5 rows are gone at the source, and --delete would delete them"):
        labels.run(LINKS, delete=True)
    assert labels.new("new.Labelled").count() == 5
    assert labels.run(LINKS, delete_all=True)[0].counts.deleted == 3


def test_rows_of_other_tables_go_along_only_where_that_is_said(labels: Workshop) -> None:
    labels.sql(
        "CREATE TABLE new_mark (id int PRIMARY KEY, labelled int REFERENCES new_labelled ON DELETE CASCADE, "
        "next int REFERENCES new_mark ON DELETE CASCADE)"
    )
    labels.sql("CREATE TABLE new_note (mark int REFERENCES new_mark ON DELETE CASCADE)")
    key = labels.new("new.Labelled").get(person__legacy_id=2).pk
    labels.sql("INSERT INTO new_mark VALUES (1, %s), (2, %s)", [key, key])
    labels.sql("INSERT INTO new_note VALUES (1), (2), (2)")
    labels.old("old.Link").filter(customer=2).delete()
    with pytest.raises(ImportFailed, match=r"ON DELETE CASCADE: 2 of public\.new_mark, 3 of public\.new_note"):
        labels.run(LINKS, delete=True)
    assert labels.sql("SELECT count(*) FROM new_note") == [(3,)]
    assert labels.run(LINKS, delete_all=True)[0].counts.deleted == 1
    assert labels.sql("SELECT count(*) FROM new_note") == [(0,)]


@pytest.mark.parametrize("looked_up", [True, False])
def test_a_row_whose_key_can_not_be_read_is_not_gone_but_one_with_null_in_it_is(
    mysql_shop: Workshop, tmp_path: Path, looked_up: bool
) -> None:
    shop = mysql_shop
    shop.older("old.Thing", {"text": models.TextField(null=True)})
    shop.model("new.Known", {"code": models.CharField(max_length=9)})
    shop.new("new.Known").create(code="abc")
    known = models.ForeignKey("new.Known", models.CASCADE) if looked_up else models.CharField(max_length=9)
    shop.model("new.Part", {"n": models.IntegerField(), "known": known})
    for number in range(1, 4):
        shop.old("old.Thing").create(id=number, text="abc")
    lookups = {"known": Lookup("new.Known", by="code")} if looked_up else {}
    parts = Import("old.Thing", "new.Part", key={"n": "id", "known": "text"}, lookups=lookups)
    shop.run(parts)
    shop.query("UPDATE old_thing SET text = CASE id WHEN 1 THEN 'a\\0c' END WHERE id < 3")

    (report,) = shop.run(parts, skip_bad=tmp_path / "bad", delete=True)

    assert (report.counts.rejected, report.counts.deleted) == (2, 1)
    assert shop.sql("SELECT n FROM new_part ORDER BY n") == [(1,), (3,)]


@pytest.fixture
def orders(shop: Workshop) -> Workshop:
    """Five owners with an order each."""
    shop.older("old.Owner", {"name": models.TextField()})
    shop.older("old.Order", {"owner": models.IntegerField()})
    shop.model("new.Owner", {"legacy_id": models.IntegerField(unique=True), "name": models.TextField()})
    owner = models.ForeignKey("new.Owner", models.CASCADE)
    shop.model("new.Order", {"legacy_id": models.IntegerField(unique=True, null=True), "owner": owner})
    for number in range(1, 6):
        shop.old("old.Owner").create(id=number, name=number)
        shop.old("old.Order").create(id=number, owner=number)
    shop.run(*OWNED)
    return shop


OWNED = [
    Import("old.Owner", "new.Owner", key={"legacy_id": "id"}),
    Import("old.Order", "new.Order", key={"legacy_id": "id"}, lookups={"owner": Lookup("new.Owner", by="legacy_id")}),
]


@pytest.mark.parametrize("skip", [False, True])
def test_a_row_is_gone_with_those_that_lead_to_it_or_these_lead_to_others(
    orders: Workshop, tmp_path: Path, skip: bool
) -> None:
    orders.old("old.Owner").filter(id__gt=3).delete()
    orders.old("old.Order").filter(id=4).delete()
    orders.old("old.Order").filter(id=5).update(owner=1)
    options = {"skip_bad": tmp_path / "bad"} if skip else {}
    first, second = orders.run(*OWNED, delete=True, **options)
    assert (first.counts.deleted, second.counts.deleted, second.counts.updated) == (2, 1, 1)
    assert list(orders.new("new.Order").order_by("legacy_id").values_list("owner__legacy_id", flat=True)) == [
        1,
        2,
        3,
        1,
    ]


def test_a_row_that_another_leads_to_in_the_end_is_refused(orders: Workshop) -> None:
    orders.old("old.Owner").filter(id=5).delete()
    orders.old("old.Order").filter(id=5).delete()
    orders.new("new.Order").create(legacy_id=None, owner=orders.new("new.Owner").get(legacy_id=5))
    with pytest.raises(ImportFailed, match='is still referenced from table "new_order"'):
        orders.run(*OWNED, delete=True)
    assert orders.new("new.Owner").count() == 5
