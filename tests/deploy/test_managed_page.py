"""docs/managed-postgresql.md: the role and its database, an address with TLS, and migrating past a pooler."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import environ
import psycopg
import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

from core.database import database_config
from tests.farm import farm
from tests.farm.databases import WORKER
from tests.pages import blocks, checkout, reading

PAGE = "docs/managed-postgresql.md"
OWNER, PROVIDER = f"test_managed_{WORKER}", f"test_provider_{WORKER}"


@pytest.fixture
def provider(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """A role as providers give it: it may create roles and databases, and is no superuser."""
    drop = [
        f'DROP DATABASE IF EXISTS "{OWNER}" WITH (FORCE)',
        *(f'DROP ROLE IF EXISTS "{role}"' for role in (OWNER, PROVIDER)),
    ]
    with django_db_blocker.unblock():
        farm.on_server(*drop, f'CREATE ROLE "{PROVIDER}" LOGIN CREATEROLE CREATEDB')
        yield PROVIDER
        farm.on_server(*drop)


def address(role: str, database: str) -> str:
    parameters = connection.get_connection_params()
    place = f"host={quote(str(parameters['host']), safe='')}&port={parameters.get('port') or 5432}"
    return f"postgres://{role}@/{database}?{place}"


@pytest.mark.long
@pytest.mark.timeout(600)
def test_every_command_of_the_page(provider: str, tmp_path: Path) -> None:
    (made,) = (block.text for block in blocks(PAGE) if block.language == "sql")
    with psycopg.connect(address(provider, "postgres"), autocommit=True) as session:
        for statement in filter(None, map(str.strip, re.sub(r"\bfarm\b", OWNER, made).split(";"))):
            session.execute(statement)  # type: ignore[arg-type]

    direct = address(OWNER, OWNER)
    with reading(PAGE, checkout(tmp_path), DIRECT_URL=direct) as reader:
        said = reader.run('DATABASE_URL="$DIRECT_URL"')
    assert "Applying printers.0002_migrate_printer_data" in said
    with psycopg.connect(direct) as session:
        rights = session.execute("SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user").fetchone()
        assert rights == (False, True)


def test_the_address_is_read_as_the_page_says(monkeypatch: pytest.MonkeyPatch) -> None:
    (shown,) = (block.text for block in blocks(PAGE) if block.language == "ini")
    monkeypatch.setenv(*shown.strip().split("=", 1))
    config = database_config(environ.Env(), production=True)
    assert config["OPTIONS"] == {"sslmode": "verify-full", "sslrootcert": "/srv/farm/provider.pem"}
    assert (config["CONN_MAX_AGE"], config["CONN_HEALTH_CHECKS"]) == (60, True)
