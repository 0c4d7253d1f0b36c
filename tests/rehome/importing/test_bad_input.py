"""What is not there, not let in or no text: each is said with its value and its cure, and nothing is committed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connections
from django.db.models import CharField, IntegerField, TextField

from rehome.errors import ImportFailed, Refused
from rehome.importing import running
from rehome.importing.running import Options
from tests.farm import farm
from tests.farm.databases import WORKER
from tests.rehome.importing.test_rejects import make, rejected, simple
from tests.rehome.importing.test_rejects_one_by_one import contents, fill
from tests.rehome.importing.workshop import OLDER, Workshop, connect
from tests.servers.postgis import PLAIN_ENGINE, PostGIS
from tests.servers.starting import free_port


@pytest.fixture
def places(shop: Workshop) -> Workshop:
    make(shop, {"size": IntegerField(), "code": TextField()}, {"size": IntegerField(), "code": CharField(max_length=9)})
    fill(shop, size=[1, 2], code=["a", "b"])
    return shop


@contextmanager
def alias(name: str, **settings: Any) -> Iterator[str]:
    with connect(name, **settings):
        yield name


def test_a_server_that_is_not_there_is_named_on_either_side(places: Workshop) -> None:
    nowhere = {"ENGINE": PLAIN_ENGINE, "HOST": "127.0.0.1", "PORT": str(free_port())}
    with alias("nowhere", **nowhere), patch.object(places, "source", "nowhere"):
        port = nowhere["PORT"]
        said = f"The database 'nowhere' can't be reached: .*{port}.*Nothing is committed; check that its server"
        with pytest.raises(ImportFailed, match=said):
            places.run(simple())
        with pytest.raises(ImportFailed, match=said):
            running.run([simple()], Options(), source=OLDER, target="nowhere", apps=places.apps)
    places.run(simple())


def test_a_wrong_password_and_a_database_that_is_not_there_are_named(places: Workshop, postgis: PostGIS) -> None:
    with postgis.database(f"older_{WORKER}", engine=PLAIN_ENGINE) as database:
        for wrong, said in [
            ({"PASSWORD": "guess"}, "password authentication failed"),
            ({"NAME": "none"}, '"none" does not'),
        ]:
            with database.alias("locked", **wrong), patch.object(places, "source", "locked"):
                with pytest.raises(
                    ImportFailed, match=f"'locked' can't be reached: .*{said}.*PASSWORD of its settings"
                ) as failed:
                    places.run(simple())
                assert "guess" not in str(failed.value)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DROP TABLE old_place", 'lacks what the import names: relation "old_place" does not exist'),
        ("ALTER TABLE old_place DROP code", "lacks what the import names: column old_place.code does not exist"),
        ("ALTER TABLE old_place RENAME code TO other", "inspectdb --database older` shows the tables there"),
    ],
)
def test_a_table_or_a_column_that_the_source_lacks_is_named(places: Workshop, statement: str, said: str) -> None:
    places.query(statement)
    with pytest.raises(ImportFailed, match=f"database 'older' .*{said}"):
        places.run(simple())


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DROP TABLE new_place", "new.Place has no table 'new_place'.*Run the migration"),
        ("ALTER TABLE new_place DROP code", "has no column 'code', which new.Place.code names"),
    ],
)
def test_a_table_or_a_column_that_the_target_lacks_is_named(places: Workshop, statement: str, said: str) -> None:
    places.sql(statement)
    with pytest.raises(Refused, match=said):
        places.run(simple())


@contextmanager
def read_by_a_clerk(places: Workshop, *statements: str) -> Iterator[None]:
    """The source is read by a role that may do what `statements` say, and look into the schema."""
    role = f"test_reader_{WORKER}"
    farm.on_server(f'DROP ROLE IF EXISTS "{role}"', f"CREATE ROLE \"{role}\" LOGIN PASSWORD 'secret'")
    for statement in ('GRANT USAGE ON SCHEMA public TO "{}"', *statements):
        places.query(statement.format(role))
    name = connections[OLDER].settings_dict["NAME"]
    try:
        with alias("clerk", NAME=name, USER=role, PASSWORD="secret"), patch.object(places, "source", "clerk"):
            yield
    finally:
        places.query(f'DROP OWNED BY "{role}"')
        farm.on_server(f'DROP ROLE "{role}"')


def test_a_table_that_the_user_may_not_read_is_named(places: Workshop) -> None:
    said = "'clerk' denied a right: permission denied for table old_place"
    with read_by_a_clerk(places), pytest.raises(ImportFailed, match=said):
        places.run(simple())


def test_rows_that_a_policy_hides_are_not_taken_for_gone(places: Workshop) -> None:
    places.run(simple())
    before = contents(places)
    rights = ('GRANT SELECT ON old_place TO "{}"', "ALTER TABLE old_place ENABLE ROW LEVEL SECURITY")
    with (
        read_by_a_clerk(places, *rights),
        pytest.raises(ImportFailed, match="affected by row-level security policy for table .old_place"),
    ):
        places.run(simple(), delete=True)
    assert contents(places) == before


def test_a_type_that_does_not_fit_is_named_for_each_row(places: Workshop) -> None:
    places.query("ALTER TABLE old_place ALTER size TYPE date USING date '2020-01-01' + size")
    assert rejected(places, simple()) == [
        "legacy_id=1: size '2020-01-02': invalid input syntax for type integer: \"2020-01-02\"",
        "legacy_id=2: size '2020-01-03': invalid input syntax for type integer: \"2020-01-03\"",
    ]


@contextmanager
def encoded(shop: Workshop, encoding: str) -> Iterator[Any]:
    """The source is in this encoding, and has a table for places."""
    name = f"test_{encoding.lower()}_{WORKER}"
    farm.on_server(
        f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)',
        f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'",
    )
    try:
        with alias("encoded", NAME=name), patch.object(shop, "source", "encoded"):
            shop.query("CREATE TABLE old_place (id integer PRIMARY KEY, size integer, code text)")
            yield shop
    finally:
        farm.on_server(f'DROP DATABASE "{name}" WITH (FORCE)')


def test_bytes_that_are_no_utf8_are_named_with_their_row(places: Workshop) -> None:
    with encoded(places, "SQL_ASCII"):
        places.query(
            r"INSERT INTO old_place VALUES (1, 1, 'سلام'), (2, 2, E'caf\xe9\t\\x'), (3, 3, E'\xff'), (4, 4, E'a\\b')"
        )
        assert rejected(places, simple()) == [
            "legacy_id=2: code: is not UTF-8: byte 0xe9 at 3 of b'caf\\xe9\\\\t\\\\\\\\x'",
            "legacy_id=3: code: is not UTF-8: byte 0xff at 0 of b'\\xff'",
        ]
        places.query("DELETE FROM old_place WHERE id IN (2, 3)")
        places.run(simple())
        assert contents(places, "code") == [(1, "سلام"), (4, "a\\b")]


def test_bytes_without_a_meaning_in_the_source_s_encoding_are_named(places: Workshop) -> None:
    with encoded(places, "WIN1252"):
        places.query(r"INSERT INTO old_place VALUES (1, 1, 'é'), (2, 2, E'a\x81'), (3, 3, 'x')")
        assert rejected(places, simple()) == ["legacy_id=2: code: is not cp1252: byte 0x81 at 1 of b'a\\x81'"]
        places.query("UPDATE old_place SET code = '€' WHERE id = 2")
        places.run(simple())
        assert contents(places, "code") == [(1, "é"), (2, "€"), (3, "x")]


def test_latin1_is_read_as_what_it_means_whatever_else_is_wrong(places: Workshop) -> None:
    with encoded(places, "LATIN1"):
        places.query("INSERT INTO old_place VALUES (1, 1, 'Zürich'), (2, NULL, 'Genève')")
        assert rejected(places, simple()) == ["legacy_id=2: size: is null, and the column is NOT NULL"]
        places.query("UPDATE old_place SET size = 2")
        places.run(simple())
        assert contents(places, "code") == [(1, "Zürich"), (2, "Genève")]
