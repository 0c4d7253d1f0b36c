"""The record of a move is not taken at its word: the tables have to agree with it."""

import contextlib
from collections.abc import Callable, Iterator

import pytest
from django.db import models, transaction

from rehome import Move
from rehome.errors import Refused
from rehome.models import MoveRun, Phase
from rehome.parts.sync import wanted
from rehome.plan.ledger import Ledger
from tests.rehome.support.lab import Lab

MOVE = Move("old.Thing", "new.Thing")
Refusal = Callable[..., str]


@pytest.fixture
def things(lab: Lab) -> Lab:
    lab.twins(lambda app: {"name": models.TextField(unique=True)})
    lab.sql("INSERT INTO old_thing (name) VALUES ('lamp'), ('desk')")
    lab.forward(MOVE)
    return lab


def runs() -> models.QuerySet[MoveRun]:
    return MoveRun.objects.filter(move=str(MOVE))


def test_without_its_record_a_live_move_is_left_alone(things: Lab, refused: Refusal) -> None:
    runs().delete()
    assert refused(MOVE).startswith("public.new_thing is not empty.")
    assert "it never ran here" in refused(MOVE, back=True)


@pytest.mark.parametrize("phase", [Phase.BACK, Phase.PREPARED])
def test_a_record_that_denies_a_live_move_empties_nothing(things: Lab, refused: Refusal, phase: Phase) -> None:
    runs().update(phase=phase)
    with pytest.raises(Refused, match="public.new_thing is not empty"):
        things.forward(MOVE)
    assert things.sql("SELECT name FROM new_thing ORDER BY id") == [("lamp",), ("desk",)]
    assert things.sql("SELECT name FROM old_thing ORDER BY id") == [("lamp",), ("desk",)]
    assert things.verify(MOVE).comparison.equal


def test_a_record_of_tables_that_were_made_anew_does_not_stop_the_next_move(things: Lab) -> None:
    things.sql("DROP TABLE old_thing, new_thing")
    anew = Lab()
    anew.twins(lambda app: {"name": models.TextField(unique=True)})
    anew.sql("INSERT INTO old_thing (name) VALUES ('chair')")
    anew.forward(MOVE)
    assert anew.verify(MOVE).ok
    assert anew.verify(MOVE).comparison.source_rows == 1
    assert list(runs().order_by("pk").values_list("phase", flat=True)) == [Phase.LIVE, Phase.LIVE]


@pytest.mark.parametrize("options", [{}, {"online": True}, {"in_place": True}], ids=str)
def test_a_finished_run_knows_its_tables_whichever_way_it_went(lab: Lab, options: dict[str, bool]) -> None:
    lab.twins(lambda app: {"name": models.TextField(), "tags": models.ManyToManyField("auth.Group")})
    lab.forward(Move("old.Thing", "new.Thing", **options))
    assert Ledger(lab.alias).related_names()("old_thing") == {"old_thing", "new_thing"}
    assert Ledger(lab.alias).related_names()("new_thing_tags") == {"old_thing_tags", "new_thing_tags"}


def test_a_record_of_rows_that_are_gone_is_no_way_back(things: Lab, refused: Refusal) -> None:
    """The target was emptied behind the triggers: the source has everything, and keeps it."""
    things.sql("ALTER TABLE new_thing DISABLE TRIGGER USER; DELETE FROM new_thing")
    message = refused(MOVE, back=True)
    assert message.startswith("public.new_thing is empty and public.old_thing is not: moving back would delete every")
    assert message.endswith('copy the rows with UPDATE "public"."old_thing" SET "id" = "id".')
    for trigger in wanted(things.plan(MOVE)):
        things.sql(f"DROP TRIGGER {trigger.name} ON {trigger.table.name}")
    things.forward(MOVE)
    things.sql('UPDATE "public"."old_thing" SET "id" = "id"')
    assert things.verify(MOVE).ok
    things.back(MOVE)
    assert things.sql("SELECT name FROM old_thing ORDER BY id") == [("lamp",), ("desk",)]


MADE_BY_OTHERS = {
    "a table": "ALTER TABLE rehome_moverun OWNER TO {r}",
    "a view": "ALTER TABLE rehome_moverun RENAME TO kept; CREATE VIEW rehome_moverun AS SELECT * FROM kept",
}


@pytest.mark.parametrize("kind", MADE_BY_OTHERS)
def test_a_record_that_somebody_else_has_made(things: Lab, make_role: Callable[[str], str], kind: str) -> None:
    ledger, mallory = Ledger(things.alias), make_role("mallory")
    with undone(things.alias):
        things.sql(MADE_BY_OTHERS[kind].format(r=mallory))
        for read in (ledger.exists, ledger.all, ledger.make_table, lambda: things.verify(MOVE)):
            with pytest.raises(Refused, match="rehome_moverun (belongs to 'mallory|is no table).* rehome has not"):
                read()


@contextlib.contextmanager
def undone(alias: str) -> Iterator[None]:
    with transaction.atomic(using=alias):
        yield
        transaction.set_rollback(True, using=alias)


def test_a_record_of_the_owner_of_the_tables(things: Lab, make_role: Callable[[str], str]) -> None:
    owner = make_role("owner")
    with undone(things.alias):
        things.sql(f"ALTER TABLE django_migrations OWNER TO {owner}; ALTER TABLE rehome_moverun OWNER TO {owner}")
        assert Ledger(things.alias).all()
