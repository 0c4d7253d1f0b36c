"""Rows that lead to rows: keys of another type, references through earlier imports, trees, many-to-many, generic."""

import uuid
from pathlib import Path
from typing import Any

import pytest
from django.db import models
from django.db.models import Case, Count, Exists, OuterRef, Q, Subquery, Value, When, Window
from django.db.models.functions import Concat, Lower, RowNumber

from rehome import Import, Lookup
from rehome.errors import Refused
from tests.rehome.importing.test_rejects import rejected
from tests.rehome.importing.workshop import Workshop


def text(**options: object) -> models.CharField:
    return models.CharField(max_length=60, **options)


def legacy(**options: object) -> models.IntegerField:
    return models.IntegerField(unique=True, null=True, **options)


def to(label: str, **options: object) -> models.ForeignKey:
    return models.ForeignKey(label, models.CASCADE, **options)


def uuid_key() -> models.UUIDField:
    return models.UUIDField(primary_key=True, default=uuid.uuid4)


AUTHORS = Import("old.Author", "new.Author", key={"legacy_id": "id"})
BOOKS = Import(
    "old.Book",
    "new.Book",
    key={"legacy_id": "id"},
    fields={"title": "name", "author": "author"},
    lookups={"author": Lookup("new.Author", by="legacy_id")},
)


def make_library(shop: Workshop) -> None:
    shop.older("old.Author", {"name": text()})
    shop.older("old.Book", {"name": text(), "author": to("old.Author", null=True)})
    shop.model("new.Author", {"id": uuid_key(), "name": text(), "legacy_id": legacy()})
    book = {"title": text(), "author": to("new.Author", null=True), "legacy_id": legacy()}
    shop.model("new.Book", {"id": uuid_key(), **book})
    shop.old("old.Author").bulk_create([shop.get("old.Author")(pk=n, name=f"author {n}") for n in (10, 20, 30)])
    rows = [(1, "a", 30), (2, "b", 10), (3, "c", None)]
    shop.old("old.Book").bulk_create([shop.get("old.Book")(pk=pk, name=name, author_id=a) for pk, name, a in rows])


def test_integers_become_uuids_and_references_follow_them(shop: Workshop) -> None:
    make_library(shop)
    shop.run(AUTHORS, BOOKS)
    books = shop.new("new.Book").order_by("legacy_id")
    assert list(books.values_list("title", "author__legacy_id")) == [("a", 30), ("b", 10), ("c", None)]
    keys = list(books.values_list("pk", "author"))

    shop.old("old.Book").filter(pk=3).update(author=20)
    (_, report) = shop.run(AUTHORS, BOOKS)
    assert (report.counts.inserted, report.counts.updated) == (0, 1)
    assert [pk for pk, _ in books.values_list("pk", "author")] == [pk for pk, _ in keys]
    assert books.get(legacy_id=3).author.name == "author 20"


def test_a_reference_of_the_same_name_is_not_taken_for_the_same_key(shop: Workshop) -> None:
    make_library(shop)
    with pytest.raises(Refused, match="new.Book.author leads to new.Author"):
        shop.run(Import("old.Book", "new.Book", key={"legacy_id": "id"}, fields={"title": "name"}))


def test_a_reference_leads_to_the_field_that_it_names(shop: Workshop) -> None:
    shop.older("old.Part", {"author": models.IntegerField()})
    shop.model("new.Author", {"legacy_id": legacy(), "code": models.IntegerField(unique=True)})
    shop.model("new.Part", {"legacy_id": legacy(), "author": to("new.Author", to_field="code")})
    shop.new("new.Author").create(legacy_id=99, code=2)
    shop.new("new.Author").create(legacy_id=7, code=1)  # Its key is the other's code.
    shop.old("old.Part").create(author=7)
    shop.run(
        Import(
            "old.Part", "new.Part", key={"legacy_id": "id"}, lookups={"author": Lookup("new.Author", by="legacy_id")}
        )
    )
    assert shop.new("new.Part").get().author.legacy_id == 7


def make_tree(shop: Workshop, **options: bool) -> None:
    shop.older("old.Node", {"name": text(), "parent": to("old.Node", null=True, db_constraint=False)})
    shop.model("new.Node", {"name": text(), "parent": to("new.Node", **options), "legacy_id": legacy()})
    parents = {1: 5, 2: None, 3: 1, 5: 2, 6: 6}
    shop.old("old.Node").bulk_create(
        [shop.get("old.Node")(pk=pk, name=f"node {pk}", parent_id=parent) for pk, parent in parents.items()]
    )


TREE = Import(
    "old.Node",
    "new.Node",
    key={"legacy_id": "id"},
    fields={"parent": "parent"},
    lookups={"parent": Lookup("new.node", by="legacy_id")},
)


def test_a_tree_comes_in_one_run_though_parents_come_later(shop: Workshop) -> None:
    make_tree(shop, null=True)
    shop.new("new.Node").create(name="of its own")
    (report,) = shop.run(TREE)
    assert (report.counts.inserted, report.counts.updated) == (5, 0)
    nodes = shop.new("new.Node").filter(legacy_id__isnull=False)
    parents = {1: 5, 2: None, 3: 1, 5: 2, 6: 6}
    assert dict(nodes.values_list("legacy_id", "parent__legacy_id")) == parents

    shop.old("old.Node").filter(pk=3).update(parent=2)
    shop.old("old.Node").create(pk=4, name="late", parent_id=7)
    shop.old("old.Node").create(pk=7, name="later", parent_id=4)
    shop.old("old.Node").filter(pk=1).update(parent=7)
    (report,) = shop.run(TREE)
    assert (report.counts.inserted, report.counts.updated, report.counts.unchanged) == (2, 2, 3)
    assert dict(nodes.values_list("legacy_id", "parent__legacy_id")) == parents | {3: 2, 4: 7, 7: 4, 1: 7}
    assert shop.run(TREE)[0].counts.unchanged == 7


def test_a_tree_whose_roots_lead_to_themselves_is_refused_where_its_parent_is_not_null(shop: Workshop) -> None:
    make_tree(shop)
    with pytest.raises(Refused, match=r"new.Node.parent is NOT NULL"):
        shop.run(TREE)


@pytest.mark.parametrize("parent", ["parent__name", Value("node 2")])
def test_a_part_of_the_key_is_not_looked_up_in_the_rows_that_the_key_finds(shop: Workshop, parent: Any) -> None:
    make_tree(shop, null=True)
    key, lookups = {"parent": parent, "name": "name"}, {"parent": Lookup("new.Node", by="name")}
    nodes = Import("old.Node", "new.Node", key=key, lookups=lookups, discard=["parent"])
    with pytest.raises(Refused, match=r"new.Node.parent is a part of the key of old.Node -> new.Node.* itself, which"):
        shop.run(nodes)


NAMED_TREE = Import(
    "old.Node",
    "new.Node",
    key={"legacy_id": "id"},
    fields={"parent": "parent__name"},
    lookups={"parent": Lookup("new.Node", by="name")},
)


@pytest.mark.parametrize("unique", [False, True])
@pytest.mark.parametrize("skip", [False, True])
def test_a_tree_by_names_that_change_in_the_same_run(shop: Workshop, tmp_path: Path, unique: bool, skip: bool) -> None:
    make_tree(shop, null=True)
    if unique:
        shop.sql("CREATE UNIQUE INDEX ON new_node (name)")
    options = {"skip_bad": tmp_path / "bad"} if skip else {}
    shop.run(NAMED_TREE, **options)
    # Two rows exchange their names, to one of which a third refers; a fourth is new, and a fifth refers to it.
    for pk, name in {1: "node 2", 2: "node 1"}.items():
        shop.old("old.Node").filter(pk=pk).update(name=name)
    shop.old("old.Node").create(pk=4, name="late", parent_id=2)
    shop.old("old.Node").filter(pk=5).update(parent=4)
    (report,) = shop.run(NAMED_TREE, **options)
    assert (report.counts.inserted, report.counts.updated, report.counts.unchanged) == (1, 3, 2)
    nodes = shop.new("new.Node")
    parents = {1: 5, 2: None, 3: 1, 4: 2, 5: 4, 6: 6}
    assert dict(nodes.values_list("legacy_id", "parent__legacy_id")) == parents
    assert shop.run(NAMED_TREE)[0].counts.unchanged == 6


def test_a_name_that_no_row_has_any_more_is_not_found(shop: Workshop) -> None:
    shop.older("old.Node", {"name": text(), "parent": text(null=True)})
    shop.model("new.Node", {"name": text(), "parent": to("new.Node", null=True), "legacy_id": legacy()})
    for name, parent in (("a", None), ("b", "a")):
        shop.old("old.Node").create(name=name, parent=parent)
    lookups = {"parent": Lookup("new.Node", by="name")}
    nodes = Import("old.Node", "new.Node", key={"legacy_id": "id"}, fields={"parent": "parent"}, lookups=lookups)
    shop.run(nodes)
    shop.old("old.Node").filter(name="a").update(name="z")
    assert rejected(shop, nodes) == ["legacy_id=2: parent_id 'a': is not found in new.Node by name"]


def test_a_tree_that_keeps_its_keys_needs_no_lookup(shop: Workshop) -> None:
    make_tree(shop, null=True)
    same = Import("old.Node", "new.Node", key={"id": "id"}, fields={"parent": "parent"})
    shop.run(same)
    assert dict(shop.new("new.Node").values_list("pk", "parent")) == {1: 5, 2: None, 3: 1, 5: 2, 6: 6}
    assert shop.new("new.Node").create(name="next").pk == 7


def test_many_to_many_comes_by_natural_keys(shop: Workshop) -> None:
    shop.older("old.Tag", {"word": text()})
    shop.older("old.Book", {"name": text(), "tags": models.ManyToManyField("old.Tag")})
    shop.model("new.Tag", {"slug": text(unique=True)})
    shop.model("new.Book", {"isbn": text(unique=True), "tags": models.ManyToManyField("new.Tag")})
    for word in ("Red", "Green"):
        shop.new("new.Tag").create(slug=word.lower())
        shop.old("old.Tag").create(word=word)
    for name in ("x", "y"):
        shop.new("new.Book").create(isbn=name)
        shop.old("old.Book").create(name=name).tags.set(shop.old("old.Tag").all())
    shop.old("old.Book").get(name="y").tags.remove(shop.old("old.Tag").get(word="Red"))
    links = Import(
        "old.Book_tags",
        "new.Book_tags",
        key={"book": "book__name", "tag": "tag__word"},
        lookups={"book": Lookup("new.Book", by="isbn"), "tag": Lookup("new.Tag", by="slug", normalise=Lower)},
    )
    mine = shop.new("new.Book").get(isbn="y")
    for count in (3, 0):
        assert shop.run(links)[0].counts.inserted == count
    assert sorted(mine.tags.values_list("slug", flat=True)) == ["green"]
    shop.old("old.Book").get(name="x").tags.clear()
    (report,) = shop.run(links, delete_all=True)
    assert (report.counts.gone, report.counts.deleted) == (2, 2)
    assert list(mine.tags.values_list("slug", flat=True)) == ["green"]


def test_generic_keys_follow_their_content_types(shop: Workshop) -> None:
    shop.older("old.ContentType", {"app": text(), "model": text()}, db_table="old_content_type")
    shop.older("old.Note", {"body": text(), "kind": to("old.ContentType"), "object_id": models.IntegerField()})
    shop.model("new.Book", {"title": text(), "legacy_id": legacy()})
    fields = {"content_type": to("contenttypes.ContentType"), "object_id": models.BigIntegerField(), "body": text()}
    shop.model("new.Note", fields | {"legacy_id": legacy()})
    book = shop.old("old.ContentType").create(pk=77, app="library", model="volume")
    shop.old("old.Note").create(pk=1, body="good", kind=book, object_id=12)
    (content_type,) = shop.sql("INSERT INTO django_content_type (app_label, model) VALUES ('new', 'book') RETURNING id")
    shop.new("new.Book").create(title="other")
    target = shop.new("new.Book").create(title="t", legacy_id=12)
    notes = Import(
        "old.Note",
        "new.Note",
        key={"legacy_id": "id"},
        fields={
            "content_type": Case(When(kind__app="library", kind__model="volume", then=Value("new.book"))),
            "object_id": "object_id",
        },
        lookups={
            "content_type": Lookup("contenttypes.ContentType", by=Concat("app_label", Value("."), "model")),
            "object_id": Lookup("new.Book", by="legacy_id"),
        },
        where=Q(kind__app="library", kind__model="volume"),
        discard=["kind"],
    )
    shop.run(notes)
    note = shop.new("new.Note").get()
    assert (note.content_type_id, note.object_id) == (content_type[0], target.pk)


def test_a_constant_of_the_key_may_be_looked_up(shop: Workshop) -> None:
    shop.older("old.Note", {"body": text()})
    fields = {"kind": to("contenttypes.ContentType"), "legacy_id": models.IntegerField(), "body": text()}
    shop.model("new.Note", fields)
    values = "('new', 'book'), ('new', 'page')"
    kinds = shop.sql(f"INSERT INTO django_content_type (app_label, model) VALUES {values} RETURNING id")
    names = Lookup("contenttypes.ContentType", by=Concat("app_label", Value("."), "model"))

    def notes(kind: str) -> Import:
        return Import("old.Note", "new.Note", key={"kind": Value(kind), "legacy_id": "id"}, lookups={"kind": names})

    shop.old("old.Note").create(body="x")
    shop.run(notes("new.book"), notes("new.page"))
    assert sorted(shop.new("new.Note").values_list("kind", "legacy_id")) == [(kind, 1) for (kind,) in kinds]
    shop.old("old.Note").all().delete()
    assert shop.run(notes("new.book"), delete_all=True)[0].counts.deleted == 1
    assert shop.run(notes("new.nothing"), delete=True)[0].counts.gone == 0
    assert shop.new("new.Note").get().kind_id == kinds[1][0]


def test_a_key_of_several_columns(shop: Workshop) -> None:
    fields = {"a": models.IntegerField(), "b": models.IntegerField(), "name": text()}
    for make, label in ((shop.older, "old.Pair"), (shop.model, "new.Pair")):
        make(label, {"pk": models.CompositePrimaryKey("a", "b"), **{n: field.clone() for n, field in fields.items()}})
    shop.query("INSERT INTO old_pair VALUES (1, 2, 'x'), (1, 3, 'x'), (2, 2, 'x')")
    pairs = Import("old.Pair", "new.Pair", key={"a": "a", "b": "b"})
    assert shop.run(pairs)[0].counts.inserted == 3
    shop.query("UPDATE old_pair SET name = 'y' WHERE a = 1 AND b = 3")
    shop.query("DELETE FROM old_pair WHERE a = 2")
    (report,) = shop.run(pairs, delete=True)
    assert (report.counts.updated, report.counts.deleted) == (1, 1)
    assert sorted(shop.sql("SELECT a, b, name FROM new_pair")) == [(1, 2, "x"), (1, 3, "y")]


def test_expressions_may_ask_other_rows_of_the_source(shop: Workshop) -> None:
    shop.older("old.Book", {"name": text()})
    shop.older("old.Page", {"book": to("old.Book"), "number": models.IntegerField()})
    numbers = {name: models.IntegerField() for name in ("pages", "last", "place")}
    shop.model("new.Book", {"legacy_id": legacy(), "name": text(), **numbers})
    for name in "cab":
        book = shop.old("old.Book").create(name=name)
        for number in range(ord(name) - ord("a") + 1):
            shop.old("old.Page").create(book=book, number=number)
    shop.old("old.Book").create(name="empty")
    pages = shop.old("old.Page").filter(book=OuterRef("pk"))
    count = pages.order_by().values("book").annotate(count=Count("pk")).values("count")
    fields = {
        "pages": Subquery(count),
        "last": Subquery(pages.order_by("-number").values("number")[:1]),
        "place": Window(RowNumber(), order_by="name"),
    }
    shop.run(Import("old.Book", "new.Book", key={"legacy_id": "id"}, fields=fields, where=Q(Exists(pages))))
    rows = shop.new("new.Book").order_by("place").values_list("name", "pages", "last", "place")
    assert list(rows) == [("a", 1, 0, 1), ("b", 2, 1, 2), ("c", 3, 2, 3)]
