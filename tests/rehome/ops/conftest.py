"""A small database of its own, and a storage for its backups."""

import fcntl
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker, Settings

from rehome.ops import scratch
from rehome.ops.backups import restoring
from rehome.ops.backups.store import Store
from rehome.ops.servers import Server
from tests.farm import farm
from tests.farm.databases import WORKER, connected_to, database

ITEM = '"Odd ""item"'
SCHEMA = """
CREATE TABLE kind (id integer PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE {item} (
  id serial PRIMARY KEY, kind_id integer NOT NULL REFERENCES kind DEFERRABLE INITIALLY DEFERRED, name text,
  price numeric(12, 4), payload jsonb, raw bytea, tags text[], written_at timestamptz NOT NULL DEFAULT now(),
  "Gross price" numeric GENERATED ALWAYS AS (price * 1.19) STORED
);
CREATE INDEX ON {item} (written_at);
CREATE VIEW cheap AS SELECT * FROM {item} WHERE price < 3;
CREATE FUNCTION noticed() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.tags := NEW.tags || ''seen''; RETURN NEW; END';
CREATE TRIGGER noticed BEFORE UPDATE ON {item} FOR EACH ROW EXECUTE FUNCTION noticed();
CREATE SEQUENCE counted START 10 INCREMENT -2 MAXVALUE 1000 MINVALUE -1000;
INSERT INTO kind SELECT n, 'kind ' || n FROM generate_series(1, 5) n;
INSERT INTO {item} (kind_id, name, price, payload, raw, tags)
  SELECT n % 5 + 1, nullif('ünïcode "quoted", ' || n, 'ünïcode "quoted", 7'), n * 1.0500, jsonb_build_object('n', n),
         decode(md5(n::text), 'hex'), ARRAY['a', NULL, n::text] FROM generate_series(1, 200) n;
SELECT nextval('counted'), nextval('counted');
""".replace("{item}", ITEM)


@pytest.fixture(autouse=True)
def _alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Scratch databases are looked for on the whole server, and another worker's are none of these tests'."""
    with (tmp_path_factory.getbasetemp().parent / "ops.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def filled_small(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    with django_db_blocker.unblock(), database(f"test_tiny_{WORKER}") as name:
        with connected_to(name), connection.cursor() as cursor:
            cursor.execute(SCHEMA)
        yield name


@pytest.fixture
def small(filled_small: str, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """The default connection leads to a copy of it, which is gone afterwards with whatever was swapped for it."""
    name = f"test_small_{WORKER}"
    with django_db_blocker.unblock(), database(name, template=filled_small), connected_to(name):
        server = Server.of(connection)
        yield name
        connection.close()
        left = [*restoring.kept_ones(server), *(one.name for one in scratch.leftovers(server))]
        farm.on_server(*(f'DROP DATABASE "{one}" WITH (FORCE)' for one in left))


@pytest.fixture
def store(tmp_path: Path, settings: Settings) -> Store:
    """Where the commands keep backups, in folders of the test's own."""
    settings.STORAGES = settings.STORAGES | {
        "backups": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": tmp_path / "backups"},
        }
    }
    settings.REHOME_BACKUP_WORK = str(tmp_path / "work")
    return Store.default()
