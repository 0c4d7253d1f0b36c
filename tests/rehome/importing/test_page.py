"""The examples of docs/imports.md do what the page says: each is taken from it and run."""

import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.db import models
from django.utils.module_loading import import_string

from rehome import Import, ReadOnlyRouter
from rehome.importing import running
from rehome.importing.running import Options
from tests.rehome.importing.workshop import OLDER, Workshop

PAGE = (Path(__file__).parents[3] / "docs" / "imports.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"<!-- example: (\w+) -->\n```python\n(.*?)```", PAGE, re.DOTALL))


def example(name: str) -> dict[str, Any]:
    """The names that an example defines."""
    defined: dict[str, Any] = {}
    exec(compile(EXAMPLES[name], f"docs/imports.md, {name}", "exec"), defined)  # noqa: S102
    return defined


def text(**options: Any) -> models.CharField:
    return models.CharField(max_length=60, **options)


def legacy() -> models.IntegerField:
    return models.IntegerField(null=True)


def to(label: str, **options: Any) -> models.ForeignKey:
    return models.ForeignKey(label, models.CASCADE, **options)


@pytest.fixture
def crm(shop: Workshop) -> Workshop:
    """Two customers that were imported, and one who was not."""
    shop.older("legacy_shop.Address", {"city": text()})
    shop.older("legacy_shop.Tag", {"word": text()})
    customer = {name: text(null=True) for name in ("first", "last", "status", "phone", "fax")}
    address = to("legacy_shop.Address", null=True)
    tags = models.ManyToManyField("legacy_shop.Tag")
    deleted = models.BooleanField(default=False)
    shop.older("legacy_shop.Customer", {**customer, "address": address, "deleted": deleted, "tags": tags})
    person = {"name": text(), "city": text(null=True), "state": text(null=True), "phone": text(null=True)}
    shop.model("crm.Label", {"slug": text()})
    labels = models.ManyToManyField("crm.Label")
    shop.model("crm.Person", {"legacy_id": legacy(), **person, "labels": labels})
    city = shop.old("legacy_shop.Address").create(city="Yazd")
    customers = shop.old("legacy_shop.Customer")
    customers.create(pk=1, first="Ada", last="L", status="A", address=city, phone="123", fax="456")
    customers.create(pk=2, first="Bob", last="M", status="C")
    customers.create(pk=3, first="Eve", last="N", status="C", deleted=True)
    shop.run(example("people")["people"])
    return shop


def test_every_example_of_the_page_is_run_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert EXAMPLES.keys() == set(re.findall(r'example\("(\w+)"\)', source))


def test_people_come_with_renamed_joined_and_mapped_fields(crm: Workshop) -> None:
    rows = crm.new("crm.Person").order_by("legacy_id").values_list("name", "city", "state", "phone")
    assert list(rows) == [("Ada L", "Yazd", "active", "123"), ("Bob M", None, "closed", None)]


def test_the_command_runs_its_imports_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = types.ModuleType("legacy_shop.imports")
    module.people, module.orders = example("people")["people"], example("changed")["orders"]
    monkeypatch.setitem(sys.modules, "legacy_shop", types.ModuleType("legacy_shop"))
    monkeypatch.setitem(sys.modules, "legacy_shop.imports", module)
    command = example("command")["Command"]()
    assert list(command.imports) == [module.people, module.orders]
    shown = {name for action in command.create_parser("", "")._actions for name in action.option_strings}
    documented = re.findall(r"(?m)^- ((?:`--[^`]+`(?:, )?)+):", PAGE)
    options = {name.split()[0] for line in documented for name in re.findall(r"`([^`]+)`", line)}
    assert options < shown


def test_orders_follow_their_people_and_their_changes(crm: Workshop) -> None:
    moment = models.DateTimeField(null=True)
    crm.older("legacy_shop.Order", {"customer": to("legacy_shop.Customer"), "updated_at": moment})
    crm.model("crm.Order", {"legacy_id": legacy(), "person": to("crm.Person")})
    order = crm.old("legacy_shop.Order").create(customer_id=2)
    orders = example("changed")["orders"]
    crm.run(orders)
    assert crm.new("crm.Order").get(legacy_id=order.pk).person.name == "Bob M"
    assert str(orders.changed) == "Changed('updated_at', overlap=datetime.timedelta(seconds=3600))"


def test_a_tree(crm: Workshop) -> None:
    for make, label, extra in (
        (crm.older, "legacy_shop.Category", {}),
        (crm.model, "crm.Category", {"legacy_id": legacy()}),
    ):
        make(label, {"name": text(), "parent": to(label, null=True, db_constraint=False), **extra})
    crm.old("legacy_shop.Category").create(pk=1, name="child", parent_id=2)
    crm.old("legacy_shop.Category").create(pk=2, name="root")
    crm.run(example("tree")["categories"])
    assert crm.new("crm.Category").get(name="child").parent.name == "root"


def test_several_imports_of_the_page(crm: Workshop) -> None:
    for label in ("legacy_shop.Supplier", "legacy_shop.Carrier"):
        crm.older(label, {"name": text()})
        crm.old(label).create(name=label)
    crm.model("crm.Company", {"kind": text(), "legacy_id": legacy(), "name": text()})
    crm.model("crm.Number", {"person": to("crm.Person"), "kind": text(), "number": text()})
    shown = example("several")
    crm.run(shown["suppliers"], shown["carriers"], *shown["numbers"])
    assert set(crm.new("crm.Company").values_list("kind", "legacy_id")) == {("supplier", 1), ("carrier", 1)}
    assert set(crm.new("crm.Number").values_list("person__name", "kind", "number")) == {
        ("Ada L", "phone", "123"),
        ("Ada L", "fax", "456"),
    }


def test_many_to_many(crm: Workshop) -> None:
    tag = crm.old("legacy_shop.Tag").create(word="VIP")
    crm.old("legacy_shop.Customer").get(pk=2).tags.add(tag)
    crm.new("crm.Label").create(slug="vip")
    crm.run(example("many_to_many")["labels"])
    assert crm.new("crm.Person").get(name="Bob M").labels.get().slug == "vip"


def test_generic_keys(crm: Workshop) -> None:
    crm.older("legacy_shop.Note", {"kind": text(), "object_id": models.IntegerField(), "body": text()})
    note = {"content_type": to("contenttypes.ContentType"), "object_id": models.BigIntegerField(), "body": text()}
    crm.model("crm.Note", {"legacy_id": legacy(), **note})
    ((kind,),) = crm.sql("INSERT INTO django_content_type (app_label, model) VALUES ('crm', 'person') RETURNING id")
    crm.old("legacy_shop.Note").create(kind="customer", object_id=2, body="kind")
    crm.old("legacy_shop.Note").create(kind="order", object_id=2, body="another")
    crm.run(example("generic")["notes"])
    note = crm.new("crm.Note").get()
    assert (note.content_type_id, note.object_id) == (kind, crm.new("crm.Person").get(name="Bob M").pk)


class Both:
    """Models of a workshop beside the project's own."""

    def __init__(self, shop: Workshop) -> None:
        self.shop = shop

    def get_model(self, label: str) -> Any:
        return (self.shop.apps if label.startswith("legacy_") else apps).get_model(label)


def test_users(shop: Workshop) -> None:
    shop.older("legacy_auth.Group", {"name": text()})
    groups = models.ManyToManyField("legacy_auth.Group")
    user = {field.name: field.clone() for field in User._meta.concrete_fields if not field.primary_key}
    shop.older("legacy_auth.User", {**user, "groups": groups})
    old = shop.old("legacy_auth.User").create(username="ada", password=User(username="ada").password or "hash")
    old.groups.add(shop.old("legacy_auth.Group").create(name="of old"))
    shown = example("users")
    declared: list[Import] = [shown["groups"], shown["users"], shown["members"]]
    try:
        running.run(declared, Options(), source=OLDER, apps=Both(shop))
        ada = User.objects.get(username="ada")
        assert (ada.password, ada.groups.get().name) == ("hash", "of old")
    finally:
        User.objects.filter(username="ada").delete()
        Group.objects.filter(name="of old").delete()


def test_the_settings_make_an_alias_that_only_reads() -> None:
    settings = example("settings")
    assert settings["DATABASES"]["legacy"]["OPTIONS"] == {"init_command": "SET SESSION TRANSACTION READ ONLY"}
    assert settings["DATABASES"]["legacy"]["READ_ONLY_APPS"] == ("legacy_shop",)
    assert [import_string(router) for router in settings["DATABASE_ROUTERS"]] == [ReadOnlyRouter]
