"""What the catalog says of foreign keys, whatever they are called and however they are defined."""

from typing import Any

import pytest
from django.db import ProgrammingError

from rehome.parts import foreign_keys
from rehome.postgres import catalog, sql
from rehome.postgres.sql import SQL, Identifier
from rehome.postgres.tables import ForeignKey, Table
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

ODD = '"a (b) REFERENCES c"'
KEYS = {
    "named oddly": (ODD, "there", 'FOREIGN KEY ("x) REFERENCES y(") REFERENCES there (a)'),
    "with columns in its action": (
        "here",
        '"th,ere"',
        'FOREIGN KEY (a, "b)") REFERENCES "th,ere" ("1)", "2(") ON UPDATE CASCADE ON DELETE SET NULL ("b)") '
        "DEFERRABLE INITIALLY DEFERRED",
    ),
    "not valid": ("here", '"th,ere"', 'FOREIGN KEY (a, "b)") REFERENCES "th,ere" ("1)", "2(") MATCH FULL NOT VALID'),
    "to itself": ("there", "there", "FOREIGN KEY (b) REFERENCES there (a) ON DELETE CASCADE"),
    "to a partitioned table": ("here", "whole", "FOREIGN KEY (a) REFERENCES whole"),
}


@pytest.fixture
def tables(lab: Lab) -> Lab:
    for statement in (
        'CREATE TABLE here (a int, "b)" int)',
        "CREATE TABLE there (a int UNIQUE, b int)",
        'CREATE TABLE "th,ere" ("1)" int, "2(" int, UNIQUE ("1)", "2("))',
        f'CREATE TABLE {ODD} ("x) REFERENCES y(" int)',
        "CREATE TABLE whole (a int PRIMARY KEY) PARTITION BY HASH (a)",
        "CREATE TABLE half PARTITION OF whole FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
    ):
        lab.sql(statement)
    return lab


def read(lab: Lab, name: str) -> Table:
    table = catalog.read_table(lab.connection, name)
    assert table is not None
    return table


def add(lab: Lab, here: str, there: str, definition: str) -> ForeignKey:
    """One key, which is the same from both ends."""
    lab.sql(f'ALTER TABLE {here} ADD CONSTRAINT "its (name)" {definition}')
    [key] = read(lab, here).foreign_keys
    assert here == there or read(lab, there).incoming == (key,)
    return key


def says(lab: Lab) -> tuple[str, bool, str | None]:
    (found,) = lab.sql(
        "SELECT regexp_replace(pg_get_constraintdef(oid), ' NOT VALID$', ''), convalidated, "
        "obj_description(oid, 'pg_constraint') FROM pg_constraint WHERE conname = 'its (name)' AND conparentid = 0"
    )
    return found


def add_again(lab: Lab, key: ForeignKey) -> None:
    """Whatever is found by its name alone."""
    lab.sql("SET search_path = pg_catalog")
    try:
        for statement in [foreign_keys.drop(key), *foreign_keys.add(key)]:
            lab.sql(statement.as_string())
    finally:
        lab.sql("RESET search_path")


def comparable(key: ForeignKey) -> dict[str, Any]:
    return {name: value for name, value in vars(key).items() if name != "validated"}


@pytest.mark.parametrize("name", KEYS)
def test_a_foreign_key_is_itself_again_when_it_was_dropped_and_added(tables: Lab, name: str) -> None:
    here, _, definition = KEYS[name]
    key = add(tables, *KEYS[name])
    tables.sql(f"COMMENT ON CONSTRAINT \"its (name)\" ON {here} IS 'it''s said'")
    [key] = read(tables, here).foreign_keys
    said, validated, _ = says(tables)
    assert (key.validated, validated) == (not definition.endswith("NOT VALID"),) * 2

    add_again(tables, key)

    assert says(tables) == (said, False, "it's said")
    [again] = read(tables, here).foreign_keys
    assert comparable(again) == comparable(key)


def test_a_partitioned_table_has_one_foreign_key(tables: Lab) -> None:
    add(tables, "whole", "there", "FOREIGN KEY (a) REFERENCES there (a)")
    assert len(read(tables, "half").foreign_keys) == 1


def test_a_foreign_key_between_periods_keeps_them(lab: Lab) -> None:
    """Since PostgreSQL 18; older servers don't know the word."""
    period = ("stays", "rooms", "FOREIGN KEY (room, PERIOD days) REFERENCES rooms (room, PERIOD days)")
    try:
        lab.sql("CREATE TABLE rooms (room int4range, days daterange, PRIMARY KEY (room, days WITHOUT OVERLAPS))")
    except ProgrammingError:
        assert lab.connection.pg_version < 180000
        return
    lab.sql("CREATE TABLE stays (room int4range, days daterange)")
    key = add(lab, *period)
    said, _, _ = says(lab)
    add_again(lab, key)
    assert says(lab) == (said, False, None)


# ----- by which operator a key is one


NUMBER = """
CREATE SCHEMA elsewhere;
CREATE TYPE elsewhere.number;
CREATE FUNCTION elsewhere.read(cstring) RETURNS elsewhere.number LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
CREATE FUNCTION elsewhere.print(elsewhere.number) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
CREATE TYPE elsewhere.number (INPUT = elsewhere.read, OUTPUT = elsewhere.print, LIKE = int4);
CREATE FUNCTION elsewhere.same(elsewhere.number, elsewhere.number) RETURNS boolean
  LANGUAGE internal IMMUTABLE STRICT AS 'int4eq';
CREATE FUNCTION elsewhere.less(elsewhere.number, elsewhere.number) RETURNS boolean
  LANGUAGE internal IMMUTABLE STRICT AS 'int4lt';
CREATE FUNCTION elsewhere.compare(elsewhere.number, elsewhere.number) RETURNS integer
  LANGUAGE internal IMMUTABLE STRICT AS 'btint4cmp';
CREATE OPERATOR elsewhere.= (LEFTARG = elsewhere.number, RIGHTARG = elsewhere.number, FUNCTION = elsewhere.same);
CREATE OPERATOR elsewhere.< (LEFTARG = elsewhere.number, RIGHTARG = elsewhere.number, FUNCTION = elsewhere.less);
CREATE OPERATOR CLASS elsewhere.numbers DEFAULT FOR TYPE elsewhere.number USING btree AS
  OPERATOR 1 elsewhere.<, OPERATOR 3 elsewhere.=, FUNCTION 1 elsewhere.compare(elsewhere.number, elsewhere.number);
CREATE DOMAIN counted AS elsewhere.number;
CREATE TYPE colour AS ENUM ('red', 'green');
CREATE TABLE keyed (a int, b varchar(9), c counted, d colour, e int[], f int, PRIMARY KEY (e, c, b, a, d) INCLUDE (f))
"""


def test_keys_are_compared_by_the_operator_of_their_index(lab: Lab) -> None:
    """Qualified, and where it is an extension's with its own type, so that no other operator is a better match."""
    lab.sql(NUMBER)
    columns = read(lab, "keyed").columns
    own, others = ("OPERATOR(pg_catalog.=)", ""), ("OPERATOR(elsewhere.=)", "elsewhere.number")
    assert [(c.equals, c.operand) for c in columns] == [own, own, others, own, own, own]
    lab.sql("INSERT INTO keyed VALUES (1, 'x', '2', 'red', '{3}', 4)")
    lab.sql("CREATE FUNCTION elsewhere.no(counted, counted) RETURNS boolean LANGUAGE sql AS 'SELECT false'")
    lab.sql("CREATE OPERATOR elsewhere.= (LEFTARG = counted, RIGHTARG = counted, FUNCTION = elsewhere.no)")
    same = [
        sql.same_value(SQL("one.{}").format(n), SQL("two.{}").format(n), c)
        for c in columns
        for n in [Identifier(c.name)]
    ]
    found = SQL("SELECT 1 FROM keyed AS one, keyed AS two WHERE {}").format(SQL(" AND ").join(same))
    assert lab.sql(found.as_string()) == [(1,)]
