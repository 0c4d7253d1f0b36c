"""What stays with the old table is said at the end of the move, and only then."""

import pytest
from django.db import models

from rehome import Move
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Thing")


@pytest.fixture
def things(lab: Lab) -> Lab:
    lab.twins(lambda app: {"name": models.TextField()})
    lab.sql("INSERT INTO old_thing (name) VALUES ('lamp')")
    return lab


def notes(things: Lab, capsys: pytest.CaptureFixture[str]) -> list[str]:
    things.forward(MOVE)
    return [line.strip() for line in capsys.readouterr().err.splitlines() if "Note: " in line]


def test_what_stays_with_the_old_table_is_named_with_its_remedy(
    things: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    things.sql("CREATE VIEW bright AS SELECT name FROM old_thing; CREATE VIEW brighter AS SELECT * FROM bright")
    things.sql("CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM old_thing")
    things.sql("CREATE FUNCTION count_old() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM old_thing'")
    things.sql(
        "CREATE FUNCTION count_all() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM old_thing; END"
    )
    things.sql("CREATE FUNCTION other() RETURNS text LANGUAGE sql AS $$SELECT 'hold_things'$$")
    things.sql("CREATE PUBLICATION replica FOR TABLE old_thing")
    things.sql("ALTER TABLE old_thing REPLICA IDENTITY FULL, SET (autovacuum_enabled = false, fillfactor = 70)")
    assert notes(things, capsys) == [
        f"Note: {text}"
        for text in (
            "view public.bright reads public.old_thing; create it again over "
            "public.new_thing before the old table goes.",
            "view public.counted reads public.old_thing; create it again over "
            "public.new_thing before the old table goes.",
            "function public.count_all() names public.old_thing; let it name "
            "public.new_thing before the old table goes.",
            "function public.count_old() names public.old_thing; let it name "
            "public.new_thing before the old table goes.",
            "publication replica sends what is written to public.old_thing; for subscribers of the new table run "
            "ALTER PUBLICATION replica ADD TABLE public.new_thing.",
            "public.old_thing has REPLICA IDENTITY FULL; give public.new_thing the same with ALTER TABLE.",
            "public.old_thing has storage parameters of its own; run ALTER TABLE public.new_thing SET "
            "(autovacuum_enabled=false, fillfactor=70) if they were meant for the rows.",
        )
    ]
    assert notes(things, capsys) == []


def test_nothing_is_noted_where_the_new_table_has_the_same(things: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    things.sql("CREATE PUBLICATION everything FOR TABLE old_thing, new_thing")
    for table in ("old_thing", "new_thing"):
        things.sql(f"ALTER TABLE {table} REPLICA IDENTITY FULL, SET (fillfactor = 70)")
    assert notes(things, capsys) == []
