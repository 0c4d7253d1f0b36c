"""An index or a key is made again as it was, from facts of the catalog, and from facts of PostgreSQL's own words."""

import dataclasses

import pytest
from django.db import connection

from rehome.postgres import catalog, definitions, sql
from rehome.postgres.tables import ColumnIndex, Table
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

INDEXES = {
    "plain": "CREATE INDEX {} ON thing (a)",
    "unique": "CREATE UNIQUE INDEX {} ON thing (a, b) INCLUDE (c) NULLS NOT DISTINCT",
    "order": "CREATE INDEX {} ON thing (a DESC, b DESC NULLS LAST, c NULLS FIRST)",
    "collation": 'CREATE INDEX {} ON thing (a COLLATE "C", b COLLATE "POSIX" varchar_pattern_ops DESC)',
    "opclass": "CREATE INDEX {} ON thing USING gin (d jsonb_path_ops) WITH (fastupdate = off)",
    "options": "CREATE INDEX {} ON thing USING gist (v tsvector_ops (siglen = 64)) WITH (fillfactor = 60)",
    "hash": "CREATE INDEX {} ON thing USING hash (a)",
    "brin": "CREATE INDEX {} ON thing USING brin (n int4_minmax_multi_ops (values_per_range = 16), a)",
    'odd "name"); --': 'CREATE INDEX {} ON thing ("Odd ""x"") DESC")',
}
UNFIT = {
    "expression": "CREATE INDEX {} ON thing (lower(a))",
    "condition": "CREATE INDEX {} ON thing (a) WHERE n > 0",
    "collation of an expression": 'CREATE INDEX {} ON thing (((a || b)) COLLATE "C")',
}
CONSTRAINTS = {
    "key": "PRIMARY KEY (n)",
    "one": "UNIQUE (a, b)",
    "nulls": 'UNIQUE NULLS NOT DISTINCT (a, "Odd ""x"") DESC") INCLUDE (b)',
    "later": "UNIQUE (c) DEFERRABLE INITIALLY DEFERRED",
}
KEYS = {
    "plain": "FOREIGN KEY (n) REFERENCES thing",
    "all": 'FOREIGN KEY (a, "B""b") REFERENCES thing (a, b) MATCH FULL ON UPDATE CASCADE ON DELETE RESTRICT DEFERRABLE',
    "sets": 'FOREIGN KEY (a, "B""b") REFERENCES thing (a, b) ON UPDATE SET DEFAULT ON DELETE SET NULL (a) '
    "DEFERRABLE INITIALLY DEFERRED",
    'odd "name"); --': "FOREIGN KEY (n) REFERENCES thing (n) ON DELETE SET NULL NOT VALID",
}


@pytest.fixture
def thing(lab: Lab) -> Table:
    lab.sql(
        "CREATE TABLE thing (a varchar, b varchar, c text, d jsonb, v tsvector, n integer NOT NULL, "
        '"Odd ""x"") DESC" integer); CREATE TABLE child (n integer, a varchar, "B""b" varchar)'
    )
    return read("thing")


def read(name: str) -> Table:
    table = catalog.read_table(connection, name)
    assert table
    return table


def quoted(name: str) -> str:
    return sql.Identifier(name).as_string()


def make_again(lab: Lab, index: ColumnIndex) -> str:
    lab.sql(f"DROP INDEX {quoted(index.name)}")
    lab.sql(sql.create_index(index).as_string())
    return says(lab, index.name)


def says(lab: Lab, index: str) -> str:
    ((found,),) = lab.sql("SELECT pg_get_indexdef(%s::regclass)", [quoted(index)])
    return str(found)


@pytest.mark.parametrize("name", INDEXES)
def test_an_index_is_made_again(lab: Lab, thing: Table, name: str) -> None:
    lab.sql(INDEXES[name].format(quoted(name)))
    before = says(lab, name)
    index = catalog.read_column_indexes(connection, thing)[name]
    told = definitions.read_index(("public", "thing", name), before)

    assert told
    assert make_again(lab, index) == before
    assert make_again(lab, told) == before
    assert (told.unique, told.method, told.included, told.options) == (
        index.unique, index.method, index.included, index.options,
    )  # fmt: skip


@pytest.mark.parametrize("name", UNFIT)
def test_what_has_an_expression_is_no_fact(lab: Lab, thing: Table, name: str) -> None:
    lab.sql(UNFIT[name].format(quoted(name)))
    assert catalog.read_column_indexes(connection, thing) == {}
    assert definitions.read_index(("public", "thing", name), says(lab, name)) is None


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_a_constraint_that_an_earlier_version_kept_is_read(lab: Lab, thing: Table, name: str) -> None:
    lab.sql(f"ALTER TABLE thing ADD CONSTRAINT {name} {CONSTRAINTS[name]}")
    (constraint,) = [one for one in read("thing").constraints if one.name == name]
    found = catalog.read_column_indexes(connection, read("thing"))[name]

    told = definitions.read_constraint(("public", "thing", name), constraint.definition)

    assert told
    assert [key.column for key in told.keys] == [key.column for key in found.keys]
    assert dataclasses.replace(told, keys=found.keys) == found


@pytest.mark.parametrize("name", KEYS)
def test_a_foreign_key_is_made_again(lab: Lab, thing: Table, name: str) -> None:
    lab.sql("ALTER TABLE thing ADD PRIMARY KEY (n), ADD UNIQUE (a, b)")
    lab.sql(f"ALTER TABLE child ADD CONSTRAINT {quoted(name)} {KEYS[name]}")
    question = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s"
    ((before,),) = lab.sql(question, [name])
    (key,) = read("child").foreign_keys

    told = definitions.read_foreign_key(("public", "child", name), before)

    assert told
    assert (told.columns, told.terms, told.validated) == (key.columns, key.terms, key.validated)
    assert (told.end.table, told.end.columns, told.end.schema) == (key.end.table, key.end.columns, "")
    for facts in (key, told):
        lab.sql(f"ALTER TABLE child DROP CONSTRAINT {quoted(name)}")
        added = sql.add_constraint("public", "child", name, facts.definition, validate=facts.validated)
        lab.sql(added.as_string())
        assert lab.sql(question, [name]) == [(before,)]


@pytest.mark.parametrize(
    "definition",
    [
        "FOREIGN KEY (a) REFERENCES x (b); DROP TABLE x",
        "FOREIGN KEY (a) REFERENCES x (b) ON DELETE CASCADE, DROP COLUMN a",
        "FOREIGN KEY (a) REFERENCES x (b) NOT VALID; --",
        "",
        "CHECK (pwned())",
    ],
)
def test_whatever_else_is_no_foreign_key(definition: str) -> None:
    assert definitions.read_foreign_key(("public", "child", "x"), definition) is None


@pytest.mark.parametrize(
    "definition",
    [
        "CREATE INDEX x ON public.thing USING btree (a); DROP TABLE x",
        "CREATE INDEX x ON public.thing USING btree (a) TABLESPACE fast",
        "CREATE INDEX x ON public.thing USING btree (pwned())",
        "CREATE INDEX x ON public.thing USING btree (a) WITH (fillfactor=pwned())",
        "DROP TABLE x",
    ],
)
def test_whatever_else_is_no_index(definition: str) -> None:
    assert definitions.read_index(("public", "thing", "x"), definition) is None
