"""A view is recognized in the words of every version of PostgreSQL, and in those of this server."""

import pytest

from rehome.parts import standing_views
from rehome.postgres import catalog
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

COLUMNS = {"id": "id", "name": "title", "order": "order", "new": "new_1", "new_1": "two  spaces"}
PRINTED = {
    "15": """ SELECT new_1.id,
    new_1.title AS name,
    new_1."order",
    new_1.new_1 AS new,
    new_1."two  spaces" AS new_1
   FROM new_thing new_1;""",
    "16": """ SELECT id,
    title AS name,
    "order",
    new_1 AS new,
    "two  spaces" AS new_1
   FROM new_thing new;""",
    "one that quotes other names, and a search path without the schema": """ SELECT "id",
    "title" AS name,
    order,
    "new_1" AS "new",
    "two  spaces" AS new_1
   FROM "public".new_thing "new";""",
}


def make_tables(lab: Lab) -> None:
    lab.sql('CREATE TABLE new_thing (id int, title text, "order" text, new text, new_1 text, "two  spaces" text)')


def expected(lab: Lab, columns: dict[str, str]) -> set[str]:
    view, table = (catalog.read_table(lab.connection, name) for name in ("old_thing", "new_thing"))
    assert view is not None
    assert table is not None
    return standing_views.expected(view, table, columns)


@pytest.mark.parametrize("printed", PRINTED.values(), ids=PRINTED)
def test_the_words_of_every_version(lab: Lab, printed: str) -> None:
    make_tables(lab)
    lab.sql(f"CREATE VIEW old_thing AS {PRINTED['16']}")
    ((here,),) = lab.sql("SELECT pg_get_viewdef('old_thing'::regclass)")
    for text in (printed, here):
        assert standing_views.in_short(text) in expected(lab, COLUMNS)
        assert standing_views.in_short(text) not in expected(lab, COLUMNS | {"new": "new"})
        assert standing_views.in_short(text) not in expected(lab, COLUMNS | {"new_1": "two spaces"})


@pytest.mark.parametrize("printed", PRINTED.values(), ids=PRINTED)
def test_what_version_0_1_kept_of_a_retired_table_is_known(printed: str) -> None:
    kept = "SELECT id, title AS name, order,  AS , two spaces AS  FROM {} "
    place = "public.new_thing" if "public" in printed else "new_thing"
    assert standing_views.is_known(printed, {kept.format(place)})
    assert standing_views.is_known(printed, {standing_views.in_short(printed)})
    assert not standing_views.is_known(printed, {kept.replace("title", "id").format(place)})


OTHERS = {
    "another column": "SELECT id, new AS title FROM new_thing AS new",
    "a column of the row's name": "SELECT id, new_1 AS title FROM new_thing AS new",
    "fewer rows": "SELECT id, title FROM new_thing AS new WHERE id < 30",
    "another table": "SELECT id, name AS title FROM other AS new",
    "another schema": "SELECT id, title FROM new.new_thing AS new",
    "two tables": "SELECT new.id, title FROM new_thing AS new, other",
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_another_view_is_not_taken_for_it(lab: Lab, other: str) -> None:
    make_tables(lab)
    lab.sql("CREATE TABLE other (id int, name text)")
    lab.sql("CREATE SCHEMA new")
    try:
        lab.sql("CREATE TABLE new.new_thing (id int, title text)")
        lab.sql(f"CREATE VIEW old_thing AS {other}")
        ((printed,),) = lab.sql("SELECT pg_get_viewdef('old_thing'::regclass)")
        assert standing_views.in_short(printed) not in expected(lab, {"id": "id", "title": "title"})
    finally:
        lab.sql("DROP SCHEMA new CASCADE")


EXPRESSIONS = {
    "new.new::varchar(60)": "( new ) : : character varying ( 60 )",
    "coalesce(new.title, 'new.id')": "COALESCE ( title , 'new.id' : : text )",
    "CASE WHEN new.id > 3 THEN 'it''s  new_1.id' ELSE new.\"two  spaces\" END": "CASE WHEN ( id > 3 ) "
    "THEN 'it''s  new_1.id' : : text ELSE \"two  spaces\" END",
    "(SELECT length(s.name) FROM (SELECT new.id, lower(new.title) AS name) AS s)": "( SELECT length ( s . name ) "
    "AS length FROM ( SELECT id , lower ( title ) AS name ) s )",
    "extract(year FROM new.title::date)": "EXTRACT ( year FROM ( title ) : : date )",
    "substring(new.title FROM 2)": "SUBSTRING ( title FROM 2 )",
}


@pytest.mark.parametrize(("expression", "words"), EXPRESSIONS.items(), ids=range(len(EXPRESSIONS)))
def test_an_expression_has_the_same_words_on_every_version(lab: Lab, expression: str, words: str) -> None:
    make_tables(lab)
    lab.sql(f"CREATE VIEW old_thing AS SELECT new.id, {expression} AS made FROM new_thing AS new")
    ((printed,),) = lab.sql("SELECT pg_get_viewdef('old_thing'::regclass)")
    assert standing_views.in_short(printed) == f"SELECT id , {words} AS made FROM new_thing"
