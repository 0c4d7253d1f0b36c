"""The examples of the guide do what it says of them: each is taken from its page and run."""

import contextlib
import importlib
import re
from concurrent.futures import ThreadPoolExecutor as Pool
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, OperationalError, ProgrammingError, migrations, models, transaction
from django_test_migrations.migrator import Migrator

from rehome import Move
from rehome.errors import Irreversible, Refused
from rehome.parts import ending
from tests.conftest import ROOT
from tests.rehome.support.lab import Lab
from tests.waiting import until

PAGES = sorted((ROOT / "docs" / "guide").glob("*.md"))
GUIDE = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
EXAMPLES = dict(re.findall(r"<!-- example: (\w+) -->\n```python\n(.*?)```", GUIDE, re.DOTALL))


def example(name: str) -> dict[str, Any]:
    """The names that an example defines."""
    defined: dict[str, Any] = {}
    exec(compile(EXAMPLES[name], f"docs/guide, {name}", "exec"), defined)  # noqa: S102
    return defined


RUN_ELSEWHERE = {"new-features.md": "test_new_features.py", "content-types.md": "packages/test_labels.py"}
"""Pages whose examples another module runs."""


def text(**options: Any) -> models.CharField:
    return models.CharField(max_length=60, **options)


def to_favourite(label: str) -> models.ForeignKey:
    return models.ForeignKey(label, models.SET_NULL, null=True)


def person(lab: Lab, old: dict[str, models.Field], new: dict[str, models.Field]) -> tuple[Any, Any]:
    return lab.model("old.Person", old), lab.model("new.Person", new)


def test_every_example_of_the_guide_is_run_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert EXAMPLES.keys() == set(re.findall(r'example\("(\w+)"\)', source))
    others = GUIDE.count("```python\n") - len(EXAMPLES)
    elsewhere = [(ROOT / "docs" / "guide" / page).read_text(encoding="utf-8") for page in RUN_ELSEWHERE]
    assert others == sum(page.count("```python\n") for page in elsewhere)


def test_the_migration_is_the_one_of_this_project() -> None:
    shown = example("migration")["Migration"]
    real = importlib.import_module("printers.migrations.0002_migrate_printer_data").Migration
    assert (shown.atomic, shown.dependencies) == (real.atomic, real.dependencies)
    assert len(shown.operations) == len(real.operations) == 1


def test_a_renamed_field_is_carried_both_ways(lab: Lab) -> None:
    old, new = person(lab, {"name": text()}, {"title": text()})
    old.objects.create(name="Dr")
    lab.forward(example("renamed")["move"])
    new.objects.create(title="Prof")
    assert list(old.objects.order_by("pk").values_list("name", flat=True)) == ["Dr", "Prof"]


def test_a_computed_value_is_carried_back_only_where_it_changed(lab: Lab) -> None:
    fields = {"email": text(), "age": models.IntegerField(default=0)}
    old, new = person(lab, fields, {name: field.clone() for name, field in fields.items()})
    old.objects.create(email="Ada@Example.com")
    move = example("computed")["move"]
    lab.forward(move)
    new.objects.update(age=36)
    assert (old.objects.get().email, new.objects.get().email) == ("Ada@Example.com", "ada@example.com")
    lab.back(move)
    assert (old.objects.get().email, old.objects.get().age) == ("Ada@Example.com", 36)


def test_a_name_is_split_and_joined(lab: Lab) -> None:
    old, new = person(lab, {"name": text()}, {"first": text(), "last": text()})
    old.objects.create(name="Ada Lovelace")
    move = example("split")["move"]
    lab.forward(move)
    assert (new.objects.get().first, new.objects.get().last) == ("Ada", "Lovelace")
    new.objects.create(first="Plato", last="")
    lab.back(move)
    assert old.objects.order_by("pk").last().name == "Plato"


def test_a_field_of_the_target_alone_is_filled(lab: Lab) -> None:
    old, new = person(lab, {"name": text()}, {"name": text(), "token": models.UUIDField()})
    old.objects.bulk_create([old(name="a"), old(name="b")])
    move = example("filled")["move"]
    lab.forward(move)
    assert new.objects.values("token").distinct().count() == 2
    lab.back(move)
    lab.forward(Move("old.Person", "new.Person", fields=move.fields))
    with pytest.raises(Refused, match="token has values that public.old_person can't hold"):
        lab.back(Move("old.Person", "new.Person", fields=move.fields))


def test_a_field_of_the_source_alone_is_filled_for_rows_born_in_the_target(lab: Lab) -> None:
    old, new = person(lab, {"name": text(), "fax": text()}, {"name": text()})
    old.objects.create(name="a", fax="123")
    move = example("discarded")["move"]
    lab.forward(move)
    new.objects.create(name="b")
    lab.back(move)
    assert list(old.objects.order_by("pk").values_list("name", "fax")) == [("a", "123"), ("b", "")]


def test_two_models_that_point_at_each_other(lab: Lab) -> None:
    shown = example("circular")
    lab.model("old.Author", {})
    lab.model("old.Book", {"author": models.ForeignKey("old.Author", models.CASCADE)})
    lab.apply("old", migrations.AddField("Author", "favourite", to_favourite("old.Book")))
    author = lab.get("old.Author").objects.create()
    author.favourite = lab.get("old.Book").objects.create(author=author)
    author.save()
    lab.model("new.Author", {"favourite": to_favourite("old.Book")})
    lab.model("new.Book", {"author": models.ForeignKey("new.Author", models.CASCADE)})
    lab.forward(shown["first"])
    lab.forward(shown["then"])
    lab.apply("new", shown["last"])
    moved = lab.get("new.Author").objects.get()
    assert (moved.pk, moved.favourite.author_id) == (author.pk, author.pk)
    with pytest.raises(Refused, match="still points at rows 1 of public.new_book"):
        lab.back(shown["then"])
    lab.apply("new", migrations.AlterField("Author", "favourite", to_favourite("old.Book")))
    lab.back(shown["then"])
    lab.back(shown["first"])
    assert lab.get("old.Author").objects.get().favourite_id == author.favourite_id


def test_a_foreign_key_is_re_pointed(lab: Lab) -> None:
    shown = example("repoint")["Migration"]
    lab.twins(lambda app: {"name": text()})
    lab.model("other.Job", {"thing": models.ForeignKey("old.Thing", models.CASCADE)})
    lab.get("other.Job").objects.create(thing=lab.get("old.Thing").objects.create(name="lamp"))
    lab.forward(Move("old.Thing", "new.Thing"))
    with pytest.raises(IntegrityError):
        lab.get("new.Thing").objects.get().delete()
    before = lab.state.clone()
    (operation,) = shown.operations
    operation.state_forwards("other", lab.state)
    with lab.connection.schema_editor(atomic=shown.atomic) as editor:
        operation.database_forwards("other", editor, before, lab.state)
    assert lab.get("new.Thing").objects.get().delete()[0] == 2


def test_without_backwards_the_source_is_frozen(lab: Lab) -> None:
    old, new = person(lab, {"email": text()}, {"email": text()})
    move = example("irreversible")["move"]
    lab.forward(move)
    with pytest.raises(OperationalError, match="public.old_person is read-only"):
        old.objects.create(email="x")
    new.objects.create(email="x")
    with pytest.raises(Irreversible, match="old.Person.email"):
        lab.back(move)


def test_the_test_of_a_migration(migrator: Migrator) -> None:
    example("migrator")["test_printers_keep_their_owners"](migrator)


@pytest.fixture
def live(lab: Lab) -> Lab:
    lab.twins(lambda app: {"name": text()})
    lab.forward(Move("old.Thing", "new.Thing"))
    return lab


def test_a_column_added_while_live_needs_a_default_of_the_database(live: Lab) -> None:
    old = live.get("old.Thing")
    live.apply("new", migrations.AddField("Thing", "one", text(db_default="filled")))
    live.apply("new", migrations.AddField("Thing", "two", text(null=True)))
    born = old.objects.create(name="a")
    assert live.sql("SELECT one, two FROM new_thing WHERE id = %s", [born.pk]) == [("filled", None)]
    live.apply("new", migrations.AddField("Thing", "three", text(default="gone from the table")))
    with pytest.raises(IntegrityError, match='null value in column "three"'), transaction.atomic():
        old.objects.create(name="b")


def test_what_a_replica_session_writes_is_not_carried_but_reported(live: Lab) -> None:
    with transaction.atomic():
        live.sql("SET LOCAL session_replication_role = replica")
        live.get("old.Thing").objects.create(name="a")
    assert live.verify(Move("old.Thing", "new.Thing")).comparison.missing == 1


def test_without_the_triggers_going_too_every_write_to_the_target_fails(live: Lab) -> None:
    live.sql("DROP TABLE old_thing")
    with pytest.raises(ProgrammingError, match='relation "public.old_thing" does not exist'), transaction.atomic():
        live.get("new.Thing").objects.create(name="a")


def test_one_row_changed_through_both_tables_at_once_ends_one_of_the_transactions(live: Lab) -> None:
    old, new = live.get("old.Thing"), live.get("new.Thing")
    pk = old.objects.create(name="a").pk
    parameters = live.connection.get_connection_params()
    known = {name: parameters[name] for name in ("dbname", "user", "password", "host", "port") if parameters.get(name)}
    ((pid,),) = live.sql("SELECT pg_backend_pid()")

    def change_new(session: psycopg.Connection[Any]) -> str | None:
        try:
            session.execute("UPDATE new_thing SET name = 'new code' WHERE id = %s", [pk])
        except psycopg.Error as error:
            return error.sqlstate
        session.commit()
        return None

    with psycopg.connect(**known) as session, psycopg.connect(**known, autocommit=True) as watch, Pool(1) as pool:
        failed = None
        with contextlib.suppress(OperationalError), transaction.atomic():
            old.objects.select_for_update().get(pk=pk)
            other = pool.submit(change_new, session)
            waiting = "SELECT FROM pg_stat_activity WHERE pid = %s AND %s = ANY(pg_blocking_pids(pid))"
            until(lambda: watch.execute(waiting, [session.info.backend_pid, pid]).rowcount, "it does not wait")
            try:
                old.objects.filter(pk=pk).update(name="old code")
            except OperationalError as error:
                failed = error.__cause__.sqlstate
                raise
        results = [failed, other.result()]

    assert sorted(map(str, results)) == ["40P01", "None"]
    written = "new code" if failed else "old code"
    assert (old.objects.get().name, new.objects.get().name) == (written, written)


def test_the_view_of_a_move_in_place_goes_with_its_end(lab: Lab) -> None:
    lab.twins(lambda app: {"name": text()})
    lab.get("old.Thing").objects.create(name="a")
    move = example("in_place")["move"]
    lab.forward(move)
    with pytest.raises(ProgrammingError, match='"old_thing" is not a table'):
        lab.sql("DROP TABLE old_thing")
    lab.sql(ending.statement(lab.plan(move), last=False))
    assert lab.get("new.Thing").objects.get().name == "a"
    assert lab.sql("SELECT to_regclass('old_thing')") == [(None,)]
