"""What a TransactionTestCase ends with empties the old table too, whose model the code does not have any more."""

import pytest
from django.core.management.color import no_style
from django.db import connection, models
from django.db.models.functions import Lower
from django.db.utils import OperationalError

from rehome import Move
from tests.rehome.support.lab import Lab

LIVE = Move("old.Thing", "new.Thing")
FROZEN = Move("old.Thing", "new.Thing", fields={"name": Lower("name")}, irreversible=True)


@pytest.fixture
def things(lab: Lab) -> Lab:
    lab.model("rest.Tag", {})
    lab.twins(
        lambda app: {
            "name": models.TextField(),
            "tags": models.ManyToManyField("rest.Tag", related_name="+"),
        }
    )
    lab.sql("INSERT INTO old_thing (name) VALUES ('Lamp')")
    lab.sql("INSERT INTO rest_tag DEFAULT VALUES")
    lab.sql("INSERT INTO old_thing_tags (thing_id, tag_id) SELECT t.id, g.id FROM old_thing t, rest_tag g")
    return lab


def flush(*tables: str, cascade: bool = False) -> None:
    with connection.cursor() as cursor:
        for statement in connection.ops.sql_flush(no_style(), tables, reset_sequences=True, allow_cascade=cascade):
            cursor.execute(statement)


def rows(lab: Lab) -> list[int]:
    tables = ("old_thing", "old_thing_tags", "new_thing", "new_thing_tags", "rest_tag")
    return [lab.sql(f"SELECT count(*) FROM {table}")[0][0] for table in tables]


@pytest.mark.parametrize("move", [LIVE, FROZEN], ids=["live", "frozen"])
def test_both_tables_are_emptied_where_the_code_knows_the_new_one(things: Lab, move: Move) -> None:
    things.forward(move)
    flush("new_thing", "new_thing_tags", "rest_tag")
    assert rows(things) == [0] * 5


def test_where_the_code_has_both_each_is_named_once(things: Lab) -> None:
    things.forward(LIVE)
    flush("new_thing", "old_thing", "new_thing_tags", "old_thing_tags", "rest_tag")
    assert rows(things) == [0] * 5


def test_tables_that_have_no_part_in_a_move_are_emptied_as_ever(things: Lab) -> None:
    things.forward(LIVE)
    flush("rest_tag", cascade=True)
    assert rows(things) == [1, 0, 1, 0, 0]


def test_once_it_is_back_the_old_table_keeps_its_rows(things: Lab) -> None:
    things.forward(LIVE)
    things.back(LIVE)
    flush("new_thing", "new_thing_tags")
    assert rows(things) == [1, 1, 0, 0, 1]


def test_by_hand_one_alone_is_still_refused(things: Lab) -> None:
    things.forward(LIVE)
    with pytest.raises(OperationalError, match="can't be truncated alone"):
        things.sql("TRUNCATE new_thing CASCADE")
