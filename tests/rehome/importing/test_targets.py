"""What an import does to a table that others use: keys, sequences, triggers, roles, and rows that are not its own."""

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connections, models
from django.db.migrations import CreateModel
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Q, Value

from accounts.models import Profile
from portal.models import Printer as OldPrinter
from printers.models import Printer
from rehome import Import, Lookup
from rehome.errors import RehomeError
from rehome.importing import running
from rehome.importing.merging import Counts
from rehome.importing.running import Options
from rehome.importing.verifying import find_runs, verify
from tests.farm.databases import Owned
from tests.rehome.importing.workshop import OLDER, Workshop, connect


def text(**options: Any) -> models.CharField:
    return models.CharField(max_length=40, **options)


def number(**options: Any) -> models.IntegerField:
    return models.IntegerField(null=True, **options)


def test_several_tables_become_one_and_one_row_becomes_several(shop: Workshop) -> None:
    shop.older("old.Shop", {"name": text(), "phone": text(null=True), "fax": text(null=True)})
    shop.older("old.Bank", {"name": text()})
    shop.model("new.Place", {"kind": text(), "legacy_id": number(), "name": text()})
    shop.model(
        "new.Contact", {"place": models.ForeignKey("new.Place", models.CASCADE), "kind": text(), "value": text()}
    )
    shop.old("old.Shop").create(pk=1, name="a", phone="1", fax="2")
    shop.old("old.Shop").create(pk=2, name="b", phone="3")
    shop.old("old.Bank").create(pk=1, name="c")
    shops = Import("old.Shop", "new.Place", key={"kind": Value("shop"), "legacy_id": "id"}, discard=["phone", "fax"])
    banks = Import("old.Bank", "new.Place", key={"kind": Value("bank"), "legacy_id": "id"})
    place = Lookup("new.Place", by="legacy_id")
    contacts = [
        Import(
            "old.Shop",
            "new.Contact",
            key={"place": "id", "kind": Value(kind)},
            fields={"value": kind},
            lookups={"place": place},
            where=Q(**{f"{kind}__isnull": False}),
            discard={"name", "phone", "fax"} - {kind},
        )
        for kind in ("phone", "fax")
    ]
    with pytest.raises(RehomeError, match="place"):
        shop.run(shops, banks, *contacts)  # Both have a 1.
    place.by = models.Case(models.When(kind="shop", then="legacy_id"))
    shop.run(shops, banks, *contacts)
    assert sorted(shop.new("new.Place").values_list("kind", "legacy_id")) == [("bank", 1), ("shop", 1), ("shop", 2)]
    found = shop.new("new.Contact").values_list("place__name", "kind", "value")
    assert sorted(found) == [("a", "fax", "2"), ("a", "phone", "1"), ("b", "phone", "3")]

    shop.old("old.Shop").filter(pk=1).update(fax=None, phone="4")
    shop.old("old.Bank").all().delete()
    reports = shop.run(shops, banks, *contacts, delete_all=True)
    assert [report.counts.deleted for report in reports] == [0, 1, 0, 1]
    assert sorted(found.all()) == [("a", "phone", "4"), ("b", "phone", "3")]


def test_rows_that_are_not_the_imports_own_are_not_touched(shop: Workshop) -> None:
    shop.older("old.Thing", {"name": text()})
    shop.model("new.Thing", {"legacy_id": number(), "name": text(), "mine": text(default="x")})
    for n in range(3):
        shop.new("new.Thing").create(name=f"here {n}")
        shop.old("old.Thing").create(name=f"there {n}")
    things = Import("old.Thing", "new.Thing", key={"legacy_id": "id"})
    before = shop.sql("SELECT ctid::text, xmin::text, * FROM new_thing ORDER BY id")
    shop.run(things)
    shop.new("new.Thing").filter(legacy_id=1).update(mine="y")
    shop.old("old.Thing").all().delete()
    shop.old("old.Thing").create(pk=1, name="changed")
    assert shop.run(things, delete_all=True)[0].counts.deleted == 2
    assert shop.sql("SELECT ctid::text, xmin::text, * FROM new_thing ORDER BY id LIMIT 3") == before
    assert shop.new("new.Thing").get(legacy_id=1).mine == "y"


def test_rows_may_take_over_unique_values(shop: Workshop) -> None:
    shop.older("old.Thing", {"code": text()})
    shop.model("new.Thing", {"legacy_id": number(unique=True), "code": text(unique=True)})
    things = Import("old.Thing", "new.Thing", key={"legacy_id": "id"})
    for pk, code in enumerate("abc", 1):
        shop.old("old.Thing").create(pk=pk, code=code)
    shop.run(things)
    keys = dict(shop.new("new.Thing").values_list("legacy_id", "pk"))
    for pk, code in {1: "b", 2: "a", 3: "d", 4: "c"}.items():
        shop.old("old.Thing").update_or_create(pk=pk, defaults={"code": code})
    shop.run(things)
    assert dict(shop.new("new.Thing").values_list("legacy_id", "code")) == {1: "b", 2: "a", 3: "d", 4: "c"}
    assert keys.items() <= dict(shop.new("new.Thing").values_list("legacy_id", "pk")).items()


@pytest.mark.parametrize("kind", ["ALWAYS", "BY DEFAULT", "serial"])
def test_the_sequence_continues_after_the_largest_imported_key(shop: Workshop, kind: str) -> None:
    shop.older("old.Thing", {"name": text()})
    shop.model("new.Thing", {"name": text()})
    if kind == "serial":
        shop.sql("ALTER TABLE new_thing ALTER id DROP IDENTITY")
        shop.sql("CREATE SEQUENCE numbers OWNED BY new_thing.id")
        shop.sql("ALTER TABLE new_thing ALTER id SET DEFAULT nextval('numbers')")
    else:
        shop.sql(f"ALTER TABLE new_thing ALTER id SET GENERATED {kind}")
    shop.old("old.Thing").create(pk=70, name="a")
    things = Import("old.Thing", "new.Thing", key={"id": "id"})
    shop.run(things)
    assert shop.new("new.Thing").create(name="b").pk == 71
    shop.old("old.Thing").filter(pk=70).update(name="c")
    assert shop.run(things)[0].counts.updated == 1
    assert shop.new("new.Thing").create(name="d").pk == 72


def test_a_child_of_another_model_comes_after_its_parent(shop: Workshop) -> None:
    shop.older("old.Shop", {"name": text(), "rooms": number()})
    shop.model("new.Place", {"name": text(), "legacy_id": number(unique=True)})
    pointer = models.OneToOneField("new.Place", models.CASCADE, parent_link=True, primary_key=True)
    shop.apply("new", CreateModel("Hotel", [("place_ptr", pointer), ("rooms", number())], bases=("new.place",)))
    shop.old("old.Shop").create(pk=9, name="a", rooms=3)
    shop.new("new.Place").create(name="first")
    places = Import("old.Shop", "new.Place", key={"legacy_id": "id"}, discard=["rooms"])
    hotels = Import(
        "old.Shop", "new.Hotel", key={"place_ptr": "id"}, lookups={"place_ptr": Lookup("new.Place", by="legacy_id")},
        discard=["name"],
    )  # fmt: skip
    for _ in range(2):
        shop.run(places, hotels)
    hotel = shop.new("new.Hotel").get()
    assert (hotel.pk, hotel.legacy_id, hotel.name, hotel.rooms) == (2, 9, "a", 3)


def test_triggers_of_the_target_do_their_work(shop: Workshop) -> None:
    shop.older("old.Thing", {"name": text()})
    shop.model("new.Thing", {"legacy_id": number(), "name": text()})
    shop.sql("CREATE TABLE log (entry text)")
    shop.sql(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.log "
        "SELECT TG_OP || ' ' || coalesce(new.name, ''); RETURN new; END $$"
    )
    shop.sql("CREATE TRIGGER note BEFORE INSERT OR UPDATE ON new_thing FOR EACH ROW EXECUTE FUNCTION note()")
    shop.old("old.Thing").create(name="a")
    things = Import("old.Thing", "new.Thing", key={"legacy_id": "id"})
    shop.run(things)
    shop.run(things)
    shop.old("old.Thing").update(name="b")
    shop.run(things)
    assert shop.sql("SELECT entry FROM log") == [("INSERT a",), ("UPDATE b",)]

    shop.sql(
        "CREATE OR REPLACE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "new.name := upper(new.name); RETURN new; END $$"
    )
    shop.old("old.Thing").update(name="c")
    with pytest.raises(RehomeError, match="different in name"):
        shop.run(things)
    assert shop.new("new.Thing").get().name == "b"


class Both:
    """Models of a workshop beside the project's own."""

    def __init__(self, shop: Workshop) -> None:
        self.shop = shop

    def get_model(self, label: str) -> Any:
        return (self.shop.apps if label.startswith("old.") else apps).get_model(label)


def take_over(shop: Workshop) -> Counts:
    (report,) = running.run([MACHINES], Options(), source=OLDER, apps=Both(shop))
    return report.counts


@pytest.fixture
def farm(live: str, older: str) -> Iterator[Workshop]:
    """The farm with both tables live, and an older database with machines."""
    with connect(OLDER, NAME=older):
        workshop = Workshop(OLDER)
        workshop.older("old.Machine", {"owner": text(), "address": text(), "secret": text(), "ping": text()})
        yield workshop
        workshop.query("DROP SCHEMA public CASCADE")
        workshop.query("CREATE SCHEMA public")


MACHINES = Import(
    "old.Machine",
    "printers.Printer",
    key={"ip_address": "address", "api_key": "secret"},
    fields={"profile": "owner", "ping": "ping"},
    lookups={"profile": Lookup("accounts.Profile", by="user__username"), "ping": {"yes": True, "no": False}},
    shared=True,
)


def test_what_is_imported_into_a_moved_table_is_carried_to_the_old_one(farm: Workshop) -> None:
    profile = Profile.objects.exclude(user=None).select_related("user")[0]
    held = Printer.objects.order_by("pk")[0]
    machines = farm.old("old.Machine")
    machines.create(owner=profile.user.username, address="10.9.9.9", secret="new", ping="yes")
    machines.create(owner=profile.user.username, address=held.ip_address, secret=held.api_key, ping="no")
    counts = take_over(farm)
    assert (counts.inserted, counts.updated) == (1, 1)
    (born,) = OldPrinter.objects.filter(ip_address="10.9.9.9")
    assert (born.pk, born.profile_id, born.ping) == (Printer.objects.get(ip_address="10.9.9.9").pk, profile.pk, True)
    assert OldPrinter.objects.get(pk=held.pk).profile_id == profile.pk
    assert Printer.objects.get(pk=held.pk).ping is False
    out = StringIO()
    call_command("verifymoves", "printers.Printer", stdout=out, stderr=StringIO())
    assert out.getvalue().endswith("Equal.\n")


def test_a_fenced_table_refuses_what_nobody_would_read(farm: Workshop) -> None:
    call_command("migrate", "printers", "0001", verbosity=0, skip_checks=True)
    farm.old("old.Machine").create(owner="user1", address="10.9.9.9", secret="new", ping="yes")
    with pytest.raises(RehomeError, match="printers_printer"):
        take_over(farm)
    assert not Printer.objects.exists()


def test_another_alias_and_an_ordinary_role(owned: Owned, older: str) -> None:
    user = {"NAME": owned.name, "USER": owned.owner, "PASSWORD": "secret"}
    with connect("second", **user), connect(OLDER, NAME=older):
        shop = Workshop(OLDER, "second")
        shop.older("old.Thing", {"name": text(), "parent": models.IntegerField(null=True)})
        parent = models.ForeignKey("new.Thing", models.CASCADE, null=True)
        shop.model("new.Thing", {"legacy_id": number(unique=True), "name": text(), "parent": parent})
        shop.old("old.Thing").create(pk=5, name="a", parent=6)
        shop.old("old.Thing").create(pk=6, name="b", parent=None)
        lookups = {"parent": Lookup("new.Thing", by="legacy_id")}
        things = Import("old.Thing", "new.Thing", key={"legacy_id": "id"}, lookups=lookups)
        (report,) = running.run([things], Options(), source=OLDER, target="second", apps=shop.apps)
        assert report.counts.inserted == 2
        assert shop.new("new.Thing").get(legacy_id=5).parent.name == "b"
        (run,) = find_runs([things], "second")
        assert verify(*run, "second", apps=shop.apps).ok
        shop.query("DROP TABLE old_thing")


def test_a_role_that_owns_nothing_needs_a_record_that_it_may_write_to(owned: Owned, older: str) -> None:
    owner = {"NAME": owned.name, "USER": owned.owner, "PASSWORD": "secret"}
    with connect("second", **owner), connect("clerk", **owner | {"USER": owned.clerk}), connect(OLDER, NAME=older):
        shop = Workshop(OLDER, "second")
        shop.older("old.Thing", {"name": text()})
        shop.model("new.Thing", {"legacy_id": number(unique=True), "name": text()})
        shop.sql(f'GRANT SELECT, INSERT, UPDATE ON new_thing TO "{owned.clerk}"')
        things = Import("old.Thing", "new.Thing", key={"legacy_id": "id"})

        def run(alias: str) -> int:
            shop.old("old.Thing").create(name="another")
            (report,) = running.run([things], Options(), source=OLDER, target=alias, apps=shop.apps)
            return report.counts.inserted

        with pytest.raises(RehomeError, match="role may not create rehome_importrun, which records imports"):
            run("clerk")
        # What the owner has made besides tells whose the project's tables are.
        MigrationRecorder(connections["second"]).ensure_schema()
        assert run("second") == 2
        with pytest.raises(RehomeError, match="This role may not write to rehome_importrun, which records imports"):
            run("clerk")
        shop.sql(f'GRANT SELECT, INSERT, UPDATE ON rehome_importrun TO "{owned.clerk}"')
        assert run("clerk") == 2
        shop.query("DROP TABLE old_thing")


def test_verification_counts_what_is_gone_and_never_touches_a_row(shop: Workshop) -> None:
    shop.older("old.Thing", {"name": text()})
    shop.model("new.Thing", {"legacy_id": number(unique=True), "name": text()})
    shop.new("new.Thing").create(name="here")
    for pk in range(1, 6):
        shop.old("old.Thing").create(pk=pk, name=f"n{pk}")
    things = Import("old.Thing", "new.Thing", key={"legacy_id": "id"})
    shop.run(things)
    shop.old("old.Thing").filter(pk__lte=2).delete()
    shop.new("new.Thing").filter(legacy_id=3).update(name="other")
    shop.new("new.Thing").filter(legacy_id=4).delete()
    before = shop.sql("SELECT ctid::text, xmin::text, * FROM new_thing ORDER BY id")
    found = verify(*find_runs([things], "default")[0], "default", limit=2, apps=shop.apps)
    assert found.comparison is not None
    counted = found.comparison
    assert (counted.source_rows, counted.target_rows) == (3, 4)
    assert (counted.missing, counted.extra, counted.different) == (1, 2, 1)
    assert [str(one) for one in counted.differences] == [
        "public.new_thing 3: different in name",
        "public.new_thing 1: extra",
    ]
    assert shop.sql("SELECT ctid::text, xmin::text, * FROM new_thing ORDER BY id") == before
    assert shop.sql("SELECT relname FROM pg_class WHERE relname ~ '^rehome_(read|found|arrived)'") == []


def test_several_tables_become_one_row(shop: Workshop) -> None:
    shop.older("old.Person", {"name": text()})
    shop.older("old.Phone", {"person": models.IntegerField(), "number": text()})
    shop.model("new.Person", {"legacy_id": number(unique=True), "name": text(default=""), "number": text(default="")})
    shop.old("old.Person").create(pk=1, name="a")
    shop.old("old.Person").create(pk=2, name="b")
    shop.old("old.Phone").create(person=2, number="123")
    people = Import("old.Person", "new.Person", key={"legacy_id": "id"})
    phones = Import("old.Phone", "new.Person", key={"legacy_id": "person"}, shared=True)
    for inserted in (2, 0):
        (first, second) = shop.run(people, phones)
        assert (first.counts.inserted, second.counts.inserted, first.counts.gone) == (inserted, 0, 0)
    rows = shop.new("new.Person").order_by("legacy_id").values_list("name", "number")
    assert list(rows) == [("a", ""), ("b", "123")]
    assert all(verify(*found, "default", apps=shop.apps).ok for found in find_runs([people, phones], "default"))
