"""A retired table is a view with nothing lost, and a table again with nothing lost either."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, models, transaction
from django.db.models import Value
from django.db.models.functions import Length, Lower
from django.utils import timezone

from rehome import Move
from rehome.errors import Irreversible, Refused
from rehome.moves.steps import open_session
from rehome.parts import writes
from rehome.plan.ledger import Ledger
from rehome.plan.record import Record
from rehome.verify import report
from rehome.verify.report import Report
from tests.database import dump
from tests.rehome.support.clients import Client, outcome
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Thing")


def text(**options: Any) -> models.CharField:
    return models.CharField(max_length=60, **options)


def kind(lab: Lab, table: str) -> str:
    ((found,),) = lab.sql(f"SELECT relkind::text FROM pg_class WHERE oid = '{table}'::regclass")
    return str(found)


def phase(lab: Lab, move: Move = MOVE) -> str:
    run = Ledger(lab.alias).current(lab.plan(move))
    assert run is not None
    return str(run.phase)


@pytest.fixture
def live(lab: Lab) -> Lab:
    """Things with a parent, an owner and tags, and notes about things; all but the owner and the tags have moved."""
    lab.model("rest.Owner", {"name": text(unique=True)})
    lab.model("rest.Tag", {})
    lab.twins(
        lambda app: {
            "name": text(),
            "code": models.IntegerField(unique=True, null=True),
            "parent": models.ForeignKey("self", models.CASCADE, null=True),
            "owner": models.ForeignKey("rest.Owner", models.CASCADE, null=True, related_name="+"),
            "tags": models.ManyToManyField("rest.Tag", related_name="+"),
        }
    )
    lab.model("rest.Note", {"thing": models.ForeignKey("old.Thing", models.CASCADE)})
    owner = lab.get("rest.Owner").objects.create(name="ada")
    things = lab.get("old.Thing").objects
    first = things.create(name="one", code=1, owner=owner)
    things.create(name="two", code=2, parent=first).tags.add(lab.get("rest.Tag").objects.create())
    lab.get("rest.Note").objects.create(thing=first)
    lab.forward(MOVE)
    return lab


def test_everything_comes_back_as_it_was(live: Lab) -> None:
    lab = live
    before = definitions(lab)
    lab.retire(MOVE)
    assert (phase(lab), kind(lab, "old_thing"), kind(lab, "old_thing_tags")) == ("retired", "v", "v")
    lab.unretire(MOVE)
    assert (phase(lab), kind(lab, "old_thing"), kind(lab, "old_thing_tags")) == ("live", "r", "r")
    assert definitions(lab) == before
    assert lab.verify(MOVE).ok


def definitions(lab: Lab) -> str:
    """The whole database but for the record of the run."""
    return dump(lab.alias, without_data=["rehome_moverun"])


def test_what_is_written_while_it_is_retired_is_there_afterwards(live: Lab) -> None:
    old, new, note = live.get("old.Thing"), live.get("new.Thing"), live.get("rest.Note")
    live.retire(MOVE)
    through_view = old.objects.create(name="three", code=3)
    through_view.tags.add(live.get("rest.Tag").objects.get())
    note.objects.create(thing=through_view)
    new.objects.create(name="four", code=4, parent_id=through_view.pk)
    new.objects.filter(code=2).delete()
    old.objects.filter(code=1).update(name="eins")
    # Unique values change places.
    for code, value in ((1, None), (3, 1), (None, 3)):
        old.objects.filter(code=code).update(code=value)
    live.unretire(MOVE)
    rows = list(old.objects.order_by("pk").values_list("name", "code", "parent"))
    assert rows == [("eins", 3, None), ("three", 1, None), ("four", 4, through_view.pk)]
    assert live.verify(MOVE).ok
    assert old.objects.create(name="five").pk == new.objects.create(name="six").pk - 1
    live.back(MOVE)
    assert old.objects.count() == 5
    assert new.objects.count() == 0


@pytest.mark.parametrize("granted", ["INSERT", "SELECT, INSERT, UPDATE, DELETE"])
def test_a_role_may_have_been_granted_something_since(live: Lab, make_role: Callable[[str], str], granted: str) -> None:
    """The triggers that rely on what each role may do are renewed before the rows are compared."""
    clerk = make_role("clerk")
    live.sql(f'GRANT {granted} ON old_thing TO "{clerk}"')
    live.retire(MOVE)
    live.sql(f'SET ROLE "{clerk}"')
    live.sql("INSERT INTO old_thing (id, name) VALUES (-1, 'three')")
    live.sql("RESET ROLE")
    live.unretire(MOVE)
    assert live.verify(MOVE).ok


KEY_OF_NOTE = """
SELECT conname, convalidated, confrelid::regclass::text FROM pg_constraint
 WHERE conrelid = 'rest_note'::regclass AND contype = 'f'
"""


def test_foreign_keys_of_other_tables_hold_all_the_time(live: Lab) -> None:
    ((name, _, _),) = live.sql(KEY_OF_NOTE)
    for step, table in ((live.retire, "new_thing"), (live.unretire, "old_thing")):
        step(MOVE)
        assert live.sql(KEY_OF_NOTE) == [(name, True, table)]
        for orphan in ("INSERT INTO rest_note (thing_id) VALUES (999)", "DELETE FROM old_thing WHERE id = 1"):
            with pytest.raises(IntegrityError), transaction.atomic():
                live.sql(f"{orphan}; SET CONSTRAINTS ALL IMMEDIATE")
    live.get("old.Thing").objects.filter(pk=1).delete()
    assert live.get("rest.Note").objects.count() == 0


def test_a_row_that_the_old_table_pointed_at_can_go_while_it_is_aside(live: Lab) -> None:
    live.retire(MOVE)
    live.get("old.Thing").objects.update(owner=None)
    live.get("rest.Owner").objects.get().delete()
    live.unretire(MOVE)
    assert live.get("old.Thing").objects.filter(owner=None).count() == 2


def test_both_can_be_done_any_number_of_times_and_twice_is_once(live: Lab) -> None:
    for _ in range(3):
        live.retire(MOVE)
        live.retire(MOVE)
        live.forward(MOVE)
        assert phase(live) == "retired"
        live.unretire(MOVE)
        live.unretire(MOVE)
        assert phase(live) == "live"
    live.get("old.Thing").objects.create(name="x")
    assert live.verify(MOVE).ok


def test_the_way_back_leads_through_the_old_tables(live: Lab) -> None:
    live.retire(MOVE)
    live.get("new.Thing").objects.create(name="written since")
    live.back(MOVE)
    assert (phase(live), kind(live, "old_thing")) == ("back", "r")
    assert live.get("old.Thing").objects.filter(name="written since").count() == 1
    live.forward(MOVE)
    live.retire(MOVE)
    assert live.get("old.Thing").objects.count() == 3


def test_a_snapshot_from_before_the_undo_overwrites_nothing(live: Lab, open_client: Callable[..., Client]) -> None:
    live.retire(MOVE)
    live.get("old.Thing").objects.update(code=None, name="while it was a view")
    client = open_client()
    for write in ("UPDATE old_thing SET name = name || '!' WHERE id = 1", "INSERT INTO old_thing (name) VALUES ('x')"):
        client.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
        client.run("SELECT FROM rest_owner")
        live.unretire(MOVE)
        assert outcome(client.start(write)) == "40001"
        client.run("ROLLBACK")
        live.retire(MOVE)
        live.sql("UPDATE old_thing SET code = id")
    live.unretire(MOVE)
    assert live.verify(MOVE).ok


def test_rows_of_many_types_under_a_key_of_two_columns(lab: Lab) -> None:
    lab.twins(
        lambda app: {
            "pk": models.CompositePrimaryKey("place", "number"),
            "place": text(db_column="the place"),
            "number": models.UUIDField(default=uuid.uuid4),
            "data": models.JSONField(null=True),
            "price": models.DecimalField(max_digits=9, decimal_places=3, null=True),
            "raw": models.BinaryField(null=True),
            "when": models.DateTimeField(null=True),
            "size": models.GeneratedField(
                expression=Length("place"), output_field=models.IntegerField(), db_persist=True
            ),
        }
    )
    old, new = lab.get("old.Thing"), lab.get("new.Thing")
    values = {"data": {"a": [1, None]}, "price": "1.500", "raw": b"\0x", "when": timezone.now()}
    old.objects.bulk_create([old(place=place, **values) for place in ("here", "there", "é, 'far'")])
    lab.forward(MOVE)
    lab.retire(MOVE)
    assert [row.size for row in old.objects.order_by("place")] == [4, 5, 8]
    old.objects.filter(place="here").update(data=None, price="1.50")
    new.objects.filter(place="there").delete()
    old.objects.create(place="new", **values)
    lab.unretire(MOVE)
    assert lab.verify(MOVE).ok
    rows = [lab.sql(f'SELECT * FROM {table} ORDER BY "the place"') for table in ("old_thing", "new_thing")]
    assert rows[0] == rows[1]
    assert [row[0] for row in rows[0]] == ["here", "new", "é, 'far'"]


def test_what_was_moved_online_is_retired_like_anything_else(lab: Lab) -> None:
    lab.twins(lambda app: {"name": text()})
    old, move = lab.get("old.Thing"), Move("old.Thing", "new.Thing", online=True)
    old.objects.create(name="one")
    lab.forward(move)
    old.objects.create(name="two")
    assert writes.read(lab.plan(move), Ledger(lab.alias).current(lab.plan(move))).total == 1
    lab.retire(move)
    old.objects.create(name="three")
    lab.unretire(move)
    assert lab.verify(move).ok
    lab.retire(move)
    lab.back(move)
    assert (old.objects.count(), lab.get("new.Thing").objects.count()) == (3, 0)


def test_what_was_moved_in_place_has_nothing_to_retire(lab: Lab) -> None:
    lab.twins(lambda app: {"name": text()})
    move = Move("old.Thing", "new.Thing", in_place=True)
    lab.forward(move)
    with pytest.raises(Refused, match="went in place: public.old_thing is a view already"):
        lab.retire(move)


def test_what_only_the_source_has_is_kept(lab: Lab) -> None:
    lab.model("old.Thing", {"name": text(), "fax": text()})
    lab.model("new.Thing", {"name": text()})
    move = Move("old.Thing", "new.Thing", discard=["fax"], backwards={"fax": Value("none")})
    old = lab.get("old.Thing")
    old.objects.bulk_create([old(name="a", fax="1"), old(name="b", fax="2"), old(name="c", fax="3")])
    lab.forward(move)
    lab.retire(move)
    old.objects.filter(pk=1).update(name="z")
    old.objects.filter(pk=2).delete()
    old.objects.create(name="d", fax="lost")
    lab.unretire(move)
    assert list(old.objects.order_by("pk").values_list("name", "fax")) == [("z", "1"), ("c", "3"), ("d", "none")]


def test_computed_values_stay_as_they_were_written(lab: Lab) -> None:
    lab.twins(lambda app: {"email": text(), "n": models.IntegerField(default=0)})
    move = Move("old.Thing", "new.Thing", fields={"email": Lower("email")}, backwards={"email": "email"})
    old, new = lab.get("old.Thing"), lab.get("new.Thing")
    old.objects.create(email="Ada@Example")
    lab.forward(move)
    lab.retire(move)
    old.objects.update(n=1)
    new.objects.create(email="Grace@Example")
    lab.unretire(move)
    assert list(old.objects.order_by("pk").values_list("email", "n")) == [("Ada@Example", 1), ("Grace@Example", 0)]
    assert new.objects.order_by("pk").last().email == "Grace@Example"


def test_a_view_with_a_trigger_is_verified_and_made_again(lab: Lab) -> None:
    lab.twins(
        lambda app: {
            "email": text(),
            "size": models.GeneratedField(
                expression=Length("email"), output_field=models.IntegerField(), db_persist=True
            ),
        }
    )
    move = Move("old.Thing", "new.Thing", fields={"email": Lower("email")}, backwards={"email": "email"})
    lab.get("old.Thing").objects.create(email="Ada@Example")
    lab.forward(move)
    lab.retire(move)
    lab.get("new.Thing").objects.create(email="Grace@Example")
    assert verify_retired(lab, move).ok
    (trigger,) = lab.plan(move).main.source.triggers
    for damage in (
        f"DROP TRIGGER {trigger.name} ON old_thing",
        f"CREATE OR REPLACE FUNCTION {trigger.name}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    ):
        lab.sql(damage)
        assert verify_retired(lab, move).view == ("public.old_thing does not carry every write to public.new_thing.",)
        lab.retire(move)
        assert verify_retired(lab, move).ok
        lab.get("old.Thing").objects.create(email="Again@Example")


def verify_retired(lab: Lab, move: Move) -> Report:
    plan = lab.plan(move)
    run = Ledger(lab.alias).current(plan)
    assert run is not None
    return report.verify_views(plan, open_session(plan), Record.of(run))


def test_a_move_without_a_way_back_stays_frozen(lab: Lab) -> None:
    lab.twins(lambda app: {"email": text()})
    move = Move("old.Thing", "new.Thing", fields={"email": Lower("email")}, irreversible=True)
    lab.forward(move)
    with pytest.raises(Irreversible, match="can't be retired: no view of public.new_thing has the columns"):
        lab.retire(move)
    assert kind(lab, "old_thing") == "r"
